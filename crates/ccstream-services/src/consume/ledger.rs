//! The ledger counts what is committed: the next offset of each partition, and the messages of this run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::group::Group;
use super::report::{BatchReport, ConsumeSummary, TruthReport};
use crate::postgres::{Counters, Position, Positions, TruthCounters};
use ccstream_core::batch::Batch;

/// Holds the counts of a committed batch and the positions of its partitions.
#[derive(Debug)]
pub(super) struct Receipt {
    counted: Counters,
    /// Number of rejected messages by reason.
    rejected: BTreeMap<&'static str, i64>,
    /// The positions of the batch's partitions after the commit.
    positions: Positions,
    /// How long the transaction took.
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

/// Holds the accounting of one run.
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

    /// Returns the next offset in PostgreSQL of each of this consumer's partitions.
    pub(super) fn committed(&self) -> &BTreeMap<i32, i64> {
        &self.committed
    }

    /// Adds partitions at their positions. A position's counters come from earlier commits, and are not added to this
    /// run's.
    pub(super) fn open<'p>(&mut self, positions: impl IntoIterator<Item = (&'p i32, &'p Position)>) {
        if self.summary.total == Counters::default() {
            self.began = Instant::now();
        }
        self.committed.extend(positions.into_iter().map(|(partition, position)| (*partition, position.next_offset)));
    }

    /// Removes partitions that are no longer this consumer's.
    pub(super) fn forget(&mut self, partitions: impl IntoIterator<Item = i32>) {
        for partition in partitions {
            self.committed.remove(&partition);
        }
    }

    /// Counts a committed batch and returns the report about it.
    pub(super) fn count(&mut self, receipt: Receipt, group: &Group) -> BatchReport {
        let Receipt { counted, rejected, positions, took } = receipt;
        for (reason, count) in rejected {
            *self.summary.rejected.entry(reason).or_default() += count;
        }
        self.summary.total += counted;
        // Partitions that were revoked while the batch was written are left out.
        let ours = positions.into_iter().filter(|(partition, _)| self.committed.contains_key(partition));
        let offsets: BTreeMap<i32, i64> = ours.map(|(partition, position)| (partition, position.next_offset)).collect();
        self.committed.extend(&offsets);
        let behind = |(partition, next): (&i32, &i64)| group.end(*partition).map_or(0, |end| (end - next).max(0));
        let lag = self.committed.iter().map(behind).sum();
        BatchReport { counted, total: self.summary.total, offsets, lag, took }
    }

    /// Counts a committed batch of truth.
    pub(super) fn count_truth(&mut self, counted: TruthCounters) -> TruthReport {
        self.summary.truth += counted;
        TruthReport { counted, total: self.summary.truth }
    }

    /// Returns the summary at the end of the run. `drained` tells whether everything that was read is committed.
    pub(super) fn close(&self, drained: bool) -> ConsumeSummary {
        ConsumeSummary { drained, elapsed: self.began.elapsed(), ..self.summary.clone() }
    }
}
