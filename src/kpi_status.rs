//! Defines `ccstream.KpiStatus` and `ccstream.PartitionState`.

use std::time::Duration;

use ccstream_services::live::{PartitionState, Reload, Status};
use pyo3::prelude::*;

use crate::record::record;

record!(
    /// Describes the state of a :class:`KpiEngine` at one moment.
    PyKpiStatus, "KpiStatus", Status, {
        /// The number of rows in memory.
        rows: u64 = |status| status.rows,
        /// The share of the table that has been read, from 0 to 1; 1 once the engine follows the table.
        loaded: f64 = |status| status.loaded,
        /// The time of the snapshot that answers describe, in microseconds since 1970 UTC, by PostgreSQL's clock.
        ///
        /// None before the first one.
        snapshot_at: Option<i64> = |status| status.snapshot_at,
        /// The reason why the engine cannot follow the database, in words; None while it can.
        ///
        /// The figures of the last snapshot stay available meanwhile.
        trouble: Option<String> = |status| status.trouble.as_ref().map(|(text, _)| text.clone()),
        /// The time for which the engine has been unable to follow the database; None while it can.
        trouble_for: Option<Duration> = |status| status.trouble.as_ref().map(|(_, since)| since.elapsed()),
        /// Whether the trouble is that the consumer has not created the tables yet.
        no_tables: bool = |status| status.no_tables,
        /// Whether the trouble is that the tables cannot be used; ``trouble`` says how to fix them.
        unusable: bool = |status| status.unusable,
        /// The number of rows that another program inserted, as of the last full reload. All answers include them.
        foreign_rows: u64 = |status| status.foreign_rows,
        /// The number of rows whose amount is not a number of cents: NaN, or beyond 64 bits.
        ///
        /// Answers count them as rows without an amount.
        odd_amounts: u64 = |status| status.odd_amounts,
        /// The earliest event time of a row in memory, in microseconds since 1970 UTC; None without rows.
        first_at: Option<i64> = |status| status.first_at,
        /// The latest event time of a row in memory, in microseconds since 1970 UTC; None without rows.
        last_at: Option<i64> = |status| status.last_at,
        /// The event time after which all rows are in memory, in microseconds since 1970 UTC.
        ///
        /// None while no row has been evicted.
        dropped_until: Option<i64> = |status| status.dropped_until,
        /// The dimensions whose rarest names are counted together as ``(others)``, to stay within ``max_bytes``.
        ///
        /// If ``card`` is among them, the numbers of distinct cards are too low.
        folded: Vec<&'static str> = |status| status.folded.clone(),
        /// The number of rows that consumers stored but the table lacks, without ``expired_rows``.
        lacking_rows: i64 = |status| status.lacking_rows,
        /// The number of stored rows that were deleted as expired: all rows of the oldest minutes, and no others.
        expired_rows: i64 = |status| status.expired_rows,
        /// The number of times that the whole table was read.
        reloads: u64 = |status| status.reloads,
        /// Whether rows were changed or deleted whose old values are still counted.
        ///
        /// The engine then reads the whole table again, but not too often: after a reload that took 1 s, it waits 20 s
        /// for the next one.
        outdated: bool = |status| status.outdated,
        /// Reason for the most recent full reload, in words; None before the first.
        reload: Option<&'static str> = |status| status.reload.map(Reload::in_words),
        /// The number of rows that were read from the column file at the start.
        rows_from_file: u64 = |status| status.rows_from_file,
        /// The memory that the columns take, in bytes.
        bytes: u64 = |status| status.bytes,
        /// The number of consumers with a session in the database.
        consumers: i64 = |status| status.consumers,
        /// The time since which no consumer has had a session, in microseconds since 1970 UTC; None while one has.
        ///
        /// The last commit counts as that time.
        no_consumer_since: Option<i64> = |status| status.no_consumer_since,
        /// The role with whose privileges the engine reads; None for the user's own, in read-only transactions.
        role: Option<String> = |status| status.role.clone(),
        /// The number of dead letters by reason, as pairs, the most frequent first.
        rejected: Vec<(String, i64)> = |status| status.trust.rejected.clone(),
        /// The latency of events from their own time until they were stored: p50, p95 and p99 in milliseconds.
        ///
        /// It includes the events stored in the last five minutes. Each figure is at most an eighth too high. None
        /// without events.
        latency_ms: Option<[i64; 3]> = |status| status.trust.latency_ms,
        /// The number of events in ``latency_ms``.
        latency_events: i64 = |status| status.trust.latency_events,
        /// The offset rows of the snapshot, ordered by group, topic and partition.
        partitions: Vec<PyPartitionState> = |status| status.partitions.iter().cloned().map(PyPartitionState).collect(),
    }
);
record!(
    /// Holds the offset row of one partition of a group's topic, as of the engine's snapshot.
    PyPartitionState, "PartitionState", PartitionState, {
        /// The consumer group.
        group: String = |one| one.group.clone(),
        /// The topic.
        topic: String = |one| one.topic.clone(),
        /// The partition's number.
        partition: i32 = |one| one.partition,
        /// The offset of the next message to read.
        next_offset: i64 = |one| one.next_offset,
        /// The number of messages read since the first run or a start over: ``stored + duplicate + rejected``.
        consumed: i64 = |one| one.counters.consumed,
        /// The number of rows inserted into ``orders``.
        stored: i64 = |one| one.counters.stored,
        /// The number of messages whose id was already in ``orders``.
        duplicate: i64 = |one| one.counters.duplicate,
        /// The number of messages that became dead letters.
        rejected: i64 = |one| one.counters.rejected,
        /// The number of offsets that could not be read: deleted by the topic's retention, or skipped as unreadable.
        missing: i64 = |one| one.counters.missing,
        /// The time of the partition's last commit, in microseconds since 1970 UTC.
        updated_at: i64 = |one| one.updated_at,
    }
);
