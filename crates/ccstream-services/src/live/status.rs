//! This module defines an engine's status: the rows that it holds, the snapshot that they are from, and its last error.

use std::time::Instant;

use super::follow::Reload;
use super::snapshot::{PartitionState, Snapshot};
use super::trust::Trust;
use ccstream_kpi::rows::attribute::Attribute;
use ccstream_kpi::rows::columns::Columns;

/// Describes what an engine holds and what prevents it from following the table.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Number of rows held.
    pub rows: u64,
    /// Share of the table that has been read, from 0 to 1. It is 1 once the table is followed.
    pub loaded: f64,
    /// The time of the snapshot that answers are from, by PostgreSQL's clock, in microseconds since 1970 UTC; None
    /// before the first.
    pub snapshot_at: Option<i64>,
    /// The error that prevents the engine from following the table, in words, and since when; None while it follows.
    pub trouble: Option<(String, Instant)>,
    /// Whether the error is that the consumer has not created the tables yet.
    pub no_tables: bool,
    /// Whether the error is that the tables exist but cannot be used.
    pub unusable: bool,
    /// Number of rows that another program has inserted, as of the last full reading.
    pub foreign_rows: u64,
    /// Number of rows whose amount is NaN, or too large for cents in 64 bits.
    pub odd_amounts: u64,
    /// The earliest time of a row that is held, in microseconds since 1970 UTC; None without rows.
    pub first_at: Option<i64>,
    /// The latest time of a row that is held, in microseconds since 1970 UTC; None without rows.
    pub last_at: Option<i64>,
    /// The time, in microseconds since 1970 UTC, after which all rows are held: some rows up to it were evicted. None
    /// if none was evicted.
    pub dropped_until: Option<i64>,
    /// The attributes whose rarest values are counted together, because `max_bytes` has no room for them.
    pub folded: Vec<&'static str>,
    /// Number of rows that the consumers have counted as stored, less those that are held, except `expired_rows`. It is
    /// 0 while the table is read, and if rows were evicted.
    pub lacking_rows: i64,
    /// Number of rows that were stored and are no longer in the table because old rows are deleted regularly. That is
    /// assumed if they are exactly all rows of the minutes before the oldest row's; otherwise it is 0.
    pub expired_rows: i64,
    /// How often the whole table was read.
    pub reloads: u64,
    /// The reason for the most recent full reading; None before the first.
    pub reload: Option<Reload>,
    /// Whether rows were changed or deleted in the table but not here. The whole table is read again later, because it
    /// was last read only recently.
    pub outdated: bool,
    /// Number of rows that came from the column file.
    pub rows_from_file: u64,
    /// Number of bytes that the rows take in memory.
    pub bytes: u64,
    /// The offset rows of the snapshot.
    pub partitions: Vec<PartitionState>,
    /// Number of consumers that have a session with the database.
    pub consumers: i64,
    /// Since when there has been no consumer: the time of the last commit by PostgreSQL's clock, in microseconds since
    /// 1970 UTC. None while there is one.
    pub no_consumer_since: Option<i64>,
    /// The role with whose privileges the table is read, if it is not the login's own.
    pub role: Option<String>,
    /// Rejected messages, latency and deleted rows.
    pub trust: Trust,
}

impl Status {
    /// Sets what is held, the time of its snapshot, and the share of the table that has been read.
    pub(super) fn hold(&mut self, columns: &Columns, at: i64, loaded: f64) {
        self.rows = columns.rows() as u64;
        self.bytes = columns.bytes() as u64;
        (self.first_at, self.last_at) = columns.span().unzip();
        self.dropped_until = columns.dropped_until;
        let folded = Attribute::all().filter(|attribute| columns.folded[attribute.index()]);
        self.folded = folded.map(|attribute| attribute.definition().name).collect();
        (self.snapshot_at, self.loaded) = (Some(at), loaded);
    }

    /// Sets what is held and what the snapshot tells, and clears the error.
    pub(super) fn take(&mut self, snapshot: &Snapshot, columns: &Columns, loaded: f64) {
        self.hold(columns, snapshot.at, loaded);
        (self.trouble, self.no_tables, self.unusable) = (None, false, false);
        self.partitions.clone_from(&snapshot.partitions);
        self.consumers = snapshot.consumers;
        let last = snapshot.partitions.iter().map(|partition| partition.updated_at).max();
        self.no_consumer_since = match (snapshot.consumers, self.no_consumer_since) {
            (0, None) => Some(last.unwrap_or(snapshot.at)),
            (0, since) => since,
            _ => None,
        };
    }
}
