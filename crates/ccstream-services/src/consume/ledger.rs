//! What is committed: how far each partition is, and what this run has added.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::group::Group;
use super::report::{BatchReport, ConsumeSummary};
use crate::postgres::{Counters, Position, Positions};
use ccstream_core::batch::Batch;

/// What a committed batch came to.
#[derive(Debug)]
pub(super) struct Receipt {
    counted: Counters,
    rejected: BTreeMap<&'static str, i64>,
    /// Where its partitions stand now.
    positions: Positions,
    pub(super) took: Duration,
}

impl Receipt {
    pub(super) fn new(batch: &Batch, positions: Positions, took: Duration) -> Self {
        let mut counted = Counters::default();
        for advance in batch.advances().values() {
            counted += Counters {
                consumed: advance.consumed,
                stored: advance.consumed - advance.duplicate - advance.rejected,
                duplicate: advance.duplicate,
                rejected: advance.rejected,
                missing: advance.missing,
            };
        }
        let mut rejected = BTreeMap::new();
        for message in batch.kept() {
            *rejected.entry(message.rejection.reason.as_str()).or_default() += 1;
        }
        Self { counted, rejected, positions, took }
    }

    #[cfg(test)]
    pub(super) fn counted(&self) -> Counters {
        self.counted
    }
}

/// The accounting of one run.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Each partition's next offset in PostgreSQL.
    committed: BTreeMap<i32, i64>,
    summary: ConsumeSummary,
    began: Instant,
}

impl Ledger {
    pub(super) fn new() -> Self {
        let summary = ConsumeSummary { drained: true, ..ConsumeSummary::default() };
        Self { committed: BTreeMap::new(), summary, began: Instant::now() }
    }

    /// Where the partitions of this consumer stand in PostgreSQL.
    pub(super) fn committed(&self) -> &BTreeMap<i32, i64> {
        &self.committed
    }

    /// Takes over where partitions stand; what was counted before is not this run's.
    pub(super) fn open<'p>(&mut self, positions: impl IntoIterator<Item = (&'p i32, &'p Position)>) {
        if self.summary.total == Counters::default() {
            self.began = Instant::now();
        }
        self.committed.extend(positions.into_iter().map(|(partition, position)| (*partition, position.next_offset)));
    }

    /// Partitions are no longer this consumer's.
    pub(super) fn forget(&mut self, partitions: impl IntoIterator<Item = i32>) {
        for partition in partitions {
            self.committed.remove(&partition);
        }
    }

    /// Counts a committed batch.
    pub(super) fn count(&mut self, receipt: Receipt, group: &Group) -> BatchReport {
        let Receipt { counted, rejected, positions, took } = receipt;
        for (reason, count) in rejected {
            *self.summary.rejected.entry(reason).or_default() += count;
        }
        self.summary.total += counted;
        // Not those that were given up meanwhile.
        let ours = positions.into_iter().filter(|(partition, _)| self.committed.contains_key(partition));
        let offsets: BTreeMap<i32, i64> = ours.map(|(partition, position)| (partition, position.next_offset)).collect();
        self.committed.extend(&offsets);
        let behind = |(partition, next): (&i32, &i64)| group.end(*partition).map_or(0, |end| (end - next).max(0));
        let lag = self.committed.iter().map(behind).sum();
        BatchReport { counted, total: self.summary.total, offsets, lag, took }
    }

    /// The run is over; `drained` says whether all that was read is committed.
    pub(super) fn close(&self, drained: bool) -> ConsumeSummary {
        ConsumeSummary { drained, elapsed: self.began.elapsed(), ..self.summary.clone() }
    }
}
