//! `ccstream.KpiStatus` and `ccstream.PartitionState`.

use std::time::Duration;

use ccstream_services::live::{PartitionState, Reload, Status};
use pyo3::prelude::*;

use crate::record::record;

record!(
    /// The state of a :class:`KpiEngine`: a record of one moment.
    PyKpiStatus, "KpiStatus", Status, {
        /// Rows in memory.
        rows: u64 = |status| status.rows,
        /// The share of the table that has been read, 0 to 1; 1 once the table is followed.
        loaded: f64 = |status| status.loaded,
        /// The moment that answers are true for, in microseconds since 1970 UTC, by PostgreSQL's clock.
        ///
        /// None before the first reading.
        snapshot_at: Option<i64> = |status| status.snapshot_at,
        /// Why the database cannot be followed, in words; the figures stay as they were. None while it is followed.
        trouble: Option<String> = |status| status.trouble.as_ref().map(|(text, _)| text.clone()),
        /// How long the database could not be followed; None while it is.
        trouble_for: Option<Duration> = |status| status.trouble.as_ref().map(|(_, since)| since.elapsed()),
        /// Whether the trouble is that the consumer has not created the tables yet.
        no_tables: bool = |status| status.no_tables,
        /// Whether the trouble is that the tables are there and cannot be used: ``trouble`` has what fixes them.
        unusable: bool = |status| status.unusable,
        /// Rows that another program inserted, as of the last full reading; every answer counts them.
        foreign_rows: u64 = |status| status.foreign_rows,
        /// Rows whose amount is not a number of cents (NaN, or beyond 64 bits); they count as rows without one.
        odd_amounts: u64 = |status| status.odd_amounts,
        /// The earliest time of a row in memory, in microseconds since 1970 UTC; None without rows.
        first_at: Option<i64> = |status| status.first_at,
        /// The latest time of a row in memory, in microseconds since 1970 UTC; None without rows.
        last_at: Option<i64> = |status| status.last_at,
        /// The time after which every row is in memory, in microseconds since 1970 UTC; None: all rows are.
        dropped_until: Option<i64> = |status| status.dropped_until,
        /// Dimensions whose rarest names are counted together as ``(others)``, as ``max_bytes`` has no room for them.
        ///
        /// ``card`` among them means that numbers of cards are too low.
        folded: Vec<&'static str> = |status| status.folded.clone(),
        /// Rows that consumers stored and the table does not have, but for ``expired_rows``.
        lacking_rows: i64 = |status| status.lacking_rows,
        /// Rows that were stored and are gone as old rows are: all of the oldest minutes, and no others.
        expired_rows: i64 = |status| status.expired_rows,
        /// How often the whole table was read.
        reloads: u64 = |status| status.reloads,
        /// Whether rows were changed or deleted that are still counted as they were.
        ///
        /// The whole table is read again for it, but not all the time: after a reading of 1 s, no sooner than 20 s
        /// later.
        outdated: bool = |status| status.outdated,
        /// Reason for the most recent full reload, in words; None before the first.
        reload: Option<&'static str> = |status| status.reload.map(Reload::in_words),
        /// Rows that were read from the column file at the start.
        rows_from_file: u64 = |status| status.rows_from_file,
        /// Memory that the columns take, in bytes.
        bytes: u64 = |status| status.bytes,
        /// Consumers that have a session at the database.
        consumers: i64 = |status| status.consumers,
        /// The time of the last commit, in microseconds since 1970 UTC; None while a consumer has a session.
        no_consumer_since: Option<i64> = |status| status.no_consumer_since,
        /// The role whose rights the engine reads with; None: the user's own, in read-only transactions.
        role: Option<String> = |status| status.role.clone(),
        /// Dead letters: pairs of a reason and their number, the most frequent first.
        rejected: Vec<(String, i64)> = |status| status.trust.rejected.clone(),
        /// Latency from event to stored in milliseconds: p50, p95 and p99 of the last five minutes.
        ///
        /// Each is at most an eighth too high. None without events.
        latency_ms: Option<[i64; 3]> = |status| status.trust.latency_ms,
        /// The number of events that ``latency_ms`` is of.
        latency_events: i64 = |status| status.trust.latency_events,
        /// The offset rows of the snapshot, by group, topic and partition.
        partitions: Vec<PyPartitionState> = |status| status.partitions.iter().cloned().map(PyPartitionState).collect(),
    }
);
record!(
    /// A partition of a group's topic, as its offset row is in the engine's snapshot.
    PyPartitionState, "PartitionState", PartitionState, {
        /// The consumer group.
        group: String = |one| one.group.clone(),
        /// The topic.
        topic: String = |one| one.topic.clone(),
        /// The partition's number.
        partition: i32 = |one| one.partition,
        /// The offset that is read next.
        next_offset: i64 = |one| one.next_offset,
        /// Messages delivered; ``stored + duplicate + rejected``.
        consumed: i64 = |one| one.counters.consumed,
        /// Rows that the partition brought into ``orders``.
        stored: i64 = |one| one.counters.stored,
        /// Messages whose id was in ``orders`` already.
        duplicate: i64 = |one| one.counters.duplicate,
        /// Dead letters.
        rejected: i64 = |one| one.counters.rejected,
        /// Offsets that could not be read: deleted by the topic's retention, or left out as unreadable.
        missing: i64 = |one| one.counters.missing,
        /// When the partition was last committed, in microseconds since 1970 UTC.
        updated_at: i64 = |one| one.updated_at,
    }
);
