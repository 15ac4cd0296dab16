//! What is committed: each partition's row as last seen, and what this run has added to it.

use std::time::Instant;

use rdkafka::{Offset, TopicPartitionList};

use super::group::Group;
use super::{BatchReport, ConsumeSummary};
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::store::{Counters, Positions};

/// The accounting of one run.
#[derive(Debug)]
pub(super) struct Ledger {
    positions: Positions,
    summary: ConsumeSummary,
    began: Instant,
}

impl Ledger {
    pub(super) fn new() -> Self {
        let summary = ConsumeSummary { drained: true, ..ConsumeSummary::default() };
        Self { positions: Positions::new(), summary, began: Instant::now() }
    }

    /// Starts from an assignment's positions: what was counted before them is not this run's.
    pub(super) fn open(&mut self, positions: Positions) {
        if self.summary.total == Counters::default() {
            self.began = Instant::now();
        }
        self.positions = positions;
    }

    pub(super) fn positions(&self) -> &Positions {
        &self.positions
    }

    /// Takes over rows' new counters, and returns by how much they grew.
    pub(super) fn count(&mut self, positions: &Positions) -> Counters {
        let mut counted = Counters::default();
        for (partition, position) in positions {
            if let Some(before) = self.positions.insert(*partition, *position) {
                // An epoch between them means that others have counted too.
                if before.epoch == position.epoch {
                    counted += position.counters - before.counters;
                }
            }
        }
        self.summary.total += counted;
        counted
    }

    /// Counts a committed batch's rejected messages by reason.
    pub(super) fn count_reasons(&mut self, batch: &Batch) {
        for message in &batch.rejected {
            *self.summary.rejected.entry(message.rejection.reason.as_str()).or_default() += 1;
        }
    }

    /// What a batch brought, for whoever watches.
    pub(super) fn report(&self, counted: Counters, took: std::time::Duration, group: &Group) -> BatchReport {
        let behind = |(partition, position): (&i32, &crate::store::Position)| {
            group.end(*partition).map_or(0, |end| (end - position.next_offset).max(0))
        };
        let lag = self.positions.iter().map(behind).sum();
        BatchReport { counted, total: self.summary.total, lag, took }
    }

    /// Where the partitions stand, as Kafka takes offsets.
    pub(super) fn offsets(&self, topic: &str) -> Result<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (partition, position) in &self.positions {
            list.add_partition_offset(topic, *partition, Offset::Offset(position.next_offset))
                .map_err(Error::kafka("naming offsets"))?;
        }
        Ok(list)
    }

    /// The run is over; `drained` says whether all that was read is committed.
    pub(super) fn close(mut self, drained: bool) -> ConsumeSummary {
        self.summary.drained = drained;
        self.summary.elapsed = self.began.elapsed();
        self.summary
    }
}
