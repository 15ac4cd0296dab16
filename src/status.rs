//! `ccstream.ConsumeStatus`.

use std::collections::BTreeMap;
use std::time::SystemTime;

use ccstream_services::consume::ConsumeStatus;
use pyo3::prelude::*;

use crate::record::record;

record!(
    /// The state of a consumer's run: a record of one moment.
    PyConsumeStatus, "ConsumeStatus", ConsumeStatus, {
        /// How far the run has come.
        ///
        /// ``"starting"`` until both services have answered, ``"joining"`` while the group has assigned no partition,
        /// ``"reading"``, then ``"ended"``, or ``"failed"`` if it raised.
        state: &'static str = |status| status.state.as_str(),
        /// This consumer's partitions, and the offset up to which each is committed.
        offsets: BTreeMap<i32, i64> = |status| status.offsets.clone(),
        /// Messages that Kafka has and PostgreSQL does not have yet, as of the last commit; None before one.
        lag: Option<i64> = |status| status.lag,
        /// Messages delivered and dealt with since the start.
        consumed: i64 = |status| status.total.consumed,
        /// Rows inserted into ``orders`` since the start.
        stored: i64 = |status| status.total.stored,
        /// Messages since the start whose id was there already.
        duplicate: i64 = |status| status.total.duplicate,
        /// Messages since the start that are in ``rejected_events``.
        rejected: i64 = |status| status.total.rejected,
        /// Messages since the start that the broker had deleted before they were read.
        missing: i64 = |status| status.total.missing,
        /// When the last batch was committed, in UTC; None before one.
        last_commit: Option<SystemTime> = |status| status.last_commit,
        /// What is unavailable, at most one entry for each service; empty where both answer.
        waiting_for: Vec<&'static str> = |status| status.waiting.iter().map(|waiting| waiting.kind.as_str()).collect(),
    }
);
