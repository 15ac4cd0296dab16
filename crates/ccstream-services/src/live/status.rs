//! How an engine stands: what it holds, of which moment, and what keeps it from more.

use std::time::Instant;

use super::follow::Reload;
use super::snapshot::{PartitionState, Snapshot};
use super::trust::Trust;
use ccstream_kpi::rows::attribute::Attribute;
use ccstream_kpi::rows::columns::Columns;

/// How the engine stands.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Rows held.
    pub rows: u64,
    /// How much of the table has been read, of 1; 1 once it is followed.
    pub loaded: f64,
    /// The moment, by PostgreSQL's clock, that answers are true for; microseconds since 1970 UTC.
    pub snapshot_at: Option<i64>,
    /// What keeps it from following, in words, and since when.
    pub trouble: Option<(String, Instant)>,
    /// Whether the trouble is that the consumer has not made the tables yet.
    pub no_tables: bool,
    /// Whether the trouble is that the tables are there and cannot be used.
    pub unusable: bool,
    /// Rows of another program, as of the last full reading.
    pub foreign_rows: u64,
    /// Rows whose amount is no number of cents.
    pub odd_amounts: u64,
    /// The earliest time of a row that is here; microseconds since 1970 UTC.
    pub first_at: Option<i64>,
    /// The latest time of a row that is here; microseconds since 1970 UTC.
    pub last_at: Option<i64>,
    /// All rows later than this are here; None: all rows are.
    pub dropped_until: Option<i64>,
    /// The attributes whose rarest names are counted together for lack of room.
    pub folded: Vec<&'static str>,
    /// Rows that were stored, by the consumers' own count, less those that are here, but for `expired_rows`. 0 while rows
    /// are still read or were dropped.
    pub lacking_rows: i64,
    /// Rows that were stored and are not there any more, where all are of minutes before the oldest row, and all rows of
    /// those minutes are gone, as where old rows are deleted regularly; else 0.
    pub expired_rows: i64,
    /// How often everything was read, and why the last time.
    pub reloads: u64,
    /// See above.
    pub reload: Option<Reload>,
    /// Rows were changed or deleted that are still counted as they were: the table is read again when it is not
    /// too soon after the last time.
    pub outdated: bool,
    /// How many rows came from the column file.
    pub rows_from_file: u64,
    /// Bytes that the columns take.
    pub bytes: u64,
    /// The offset rows of the snapshot.
    pub partitions: Vec<PartitionState>,
    /// Consumers with a session at the database.
    pub consumers: i64,
    /// Since when there is none, by PostgreSQL's clock; microseconds since 1970 UTC.
    pub no_consumer_since: Option<i64>,
    /// The reading role, where there is one.
    pub role: Option<String>,
    /// What became of messages, and how fast.
    pub trust: Trust,
}

impl Status {
    /// Takes over what is held, the moment that it is true for, and how much of the table it is.
    pub(super) fn hold(&mut self, columns: &Columns, at: i64, loaded: f64) {
        self.rows = columns.rows() as u64;
        self.bytes = columns.bytes() as u64;
        (self.first_at, self.last_at) = columns.span().unzip();
        self.dropped_until = columns.dropped_until;
        let folded = Attribute::all().filter(|attribute| columns.folded[attribute.index()]);
        self.folded = folded.map(|attribute| attribute.definition().name).collect();
        (self.snapshot_at, self.loaded) = (Some(at), loaded);
    }

    /// The same, and what the snapshot itself says.
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
