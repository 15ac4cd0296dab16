//! Defines `ccstream.ConsumeStatus`.

use std::collections::BTreeMap;
use std::time::SystemTime;

use ccstream_services::consume::ConsumeStatus;
use pyo3::prelude::*;

use crate::record::record;

record!(
    /// Describes the state of a consumer's run at one moment.
    PyConsumeStatus, "ConsumeStatus", ConsumeStatus, {
        /// The stage of the run: ``starting``, ``joining``, ``reading``, ``ended`` or ``failed``.
        ///
        /// It is ``starting`` until both services have answered, ``joining`` while the group has assigned no partition
        /// to this consumer, and ``failed`` if the run raised an exception.
        state: &'static str = |status| status.state.as_str(),
        /// A dict from each of this consumer's partitions to its next offset; everything before it is committed.
        offsets: BTreeMap<i32, i64> = |status| status.offsets.clone(),
        /// The number of offsets from the committed ones to the partitions' ends, as of the last commit.
        ///
        /// None before the first commit.
        lag: Option<i64> = |status| status.lag,
        /// The number of messages that this run has committed: ``stored + duplicate + rejected``.
        consumed: i64 = |status| status.total.consumed,
        /// The number of rows that this run has inserted into ``orders``.
        stored: i64 = |status| status.total.stored,
        /// The number of this run's messages whose id was already in ``orders``.
        duplicate: i64 = |status| status.total.duplicate,
        /// The number of this run's messages that became dead letters.
        rejected: i64 = |status| status.total.rejected,
        /// The number of offsets that this run could not read: deleted by the topic's retention, or unreadable.
        missing: i64 = |status| status.total.missing,
        /// The number of rows that this run inserted into ``truth``.
        truth_stored: i64 = |status| status.truth.stored,
        /// The number of this run's messages of the topic of truth whose content was in ``truth`` already.
        truth_duplicate: i64 = |status| status.truth.duplicate,
        /// The number of this run's messages of the topic of truth that were skipped, because they cannot be stored.
        truth_skipped: i64 = |status| status.truth.skipped,
        /// The number of offsets of the topic of truth that this run could not read.
        truth_missing: i64 = |status| status.truth.missing,
        /// The time of the last commit, as an aware ``datetime`` in UTC; None before the first.
        last_commit: Option<SystemTime> = |status| status.last_commit,
        /// What is unavailable, at most one entry for each service; empty if both services answer.
        ///
        /// The entries are kinds of the event ``waiting``, which ``ccstream.events.WaitingKind`` lists.
        waiting_for: Vec<&'static str> = |status| status.waiting.iter().map(|waiting| waiting.kind.as_str()).collect(),
    }
);
