//! The consumer's side of the group protocol: what librdkafka calls back with, kept for the poll
//! loop, which runs on the same thread.

use std::collections::HashMap;
use std::sync::Mutex;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::ClientLog;

/// A change of what this consumer reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rebalance {
    /// These partitions, and no others; they are paused until their offsets are known.
    Assigned(Vec<i32>),
    /// None any more.
    Revoked,
}

/// librdkafka's callbacks.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) log: ClientLog,
    rebalances: Mutex<Vec<Rebalance>>,
    /// Each partition's end, as its last fetch said.
    ends: Mutex<HashMap<i32, i64>>,
}

impl Group {
    /// The changes since the last call, oldest first.
    pub(super) fn take_rebalances(&self) -> Vec<Rebalance> {
        std::mem::take(&mut *self.rebalances.lock().expect("no panic while it is held"))
    }

    /// Whether there are any: a message polled after one is of an assignment that is gone.
    pub(super) fn is_rebalanced(&self) -> bool {
        !self.rebalances.lock().expect("no panic while it is held").is_empty()
    }

    /// The end of a partition, as its last fetch said; None before one. Never a watermark query,
    /// which some brokers answer wrongly.
    pub(super) fn end(&self, partition: i32) -> Option<i64> {
        self.ends.lock().expect("no panic while it is held").get(&partition).copied()
    }

    fn note(&self, rebalance: Rebalance) {
        tracing::info!(?rebalance, "The group was rebalanced.");
        self.rebalances.lock().expect("no panic while it is held").push(rebalance);
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.log.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let mut ends = self.ends.lock().expect("no panic while it is held");
        for partition in statistics.topics.values().flat_map(|topic| topic.partitions.values()) {
            // Negative: never fetched.
            if partition.hi_offset >= 0 {
                ends.insert(partition.partition, partition.hi_offset);
            }
        }
    }
}

impl ConsumerContext for Group {
    /// Answers at once, so that the group never waits for PostgreSQL: new partitions are taken but
    /// paused, and the poll loop assigns them again with the offsets that PostgreSQL has.
    ///
    /// Later: cooperative assignment, and finishing the transaction under way before giving up.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let done = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let numbers = partitions.elements().iter().map(TopicPartitionListElem::partition).collect();
            let taken = partitions
                .set_all_offsets(Offset::Beginning)
                .and_then(|()| consumer.assign(partitions))
                .and_then(|()| consumer.pause(partitions));
            self.note(Rebalance::Assigned(numbers));
            taken
        } else {
            self.note(Rebalance::Revoked);
            consumer.unassign()
        };
        if let Err(error) = done {
            tracing::warn!(%error, "Answering a rebalance failed; the group will ask again.");
        }
    }
}
