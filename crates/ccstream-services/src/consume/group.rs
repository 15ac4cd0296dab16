//! This module receives librdkafka's callbacks and keeps their data for the poll loop, which runs on the same thread.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::types::RDKafkaRespErr;

use crate::kafka::client::ClientLog;

/// Time without a rebalance after which a consumer that ends its subscription expects no more rebalances.
const QUIET: Duration = Duration::from_millis(50);

/// Describes a change of the partitions that the group has assigned to this consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rebalance {
    /// The group has assigned these partitions. They are read once their offsets are known.
    Assigned(Vec<i32>),
    /// The group has revoked these partitions. They are unassigned once what was read from them is written.
    Revoked(Vec<i32>),
    /// The group has given these partitions to other consumers already.
    Lost(Vec<i32>),
}

/// Receives librdkafka's callbacks.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(super) log: ClientLog,
    rebalances: Mutex<Vec<Rebalance>>,
    /// Each partition's end, from its last fetch response.
    ends: Mutex<HashMap<i32, i64>>,
    /// Addresses of the cluster's brokers that were connected, from the last statistics.
    brokers_up: Mutex<Vec<String>>,
    /// Whether the poll loop has ended, so that the callback itself has to unassign partitions.
    closing: AtomicBool,
    /// Whether a rebalance has come since [`Group::was_rebalanced`] was last called.
    rebalanced: AtomicBool,
}

impl Group {
    /// Returns the changes since the last call, oldest first.
    pub(super) fn take_rebalances(&self) -> Vec<Rebalance> {
        std::mem::take(&mut *self.rebalances.lock().expect("no thread panics while it holds the lock"))
    }

    /// Returns the end of a partition, from its last fetch response; None before the first. A watermark query is not
    /// used, because the embedded broker answers it wrongly.
    pub(crate) fn end(&self, partition: i32) -> Option<i64> {
        self.ends.lock().expect("no thread panics while it holds the lock").get(&partition).copied()
    }

    /// Returns whether the last statistics, which come every second, show a connected broker that `error` does not
    /// name.
    pub(super) fn others_answer(&self, error: Option<&str>) -> bool {
        let up = self.brokers_up.lock().expect("no thread panics while it holds the lock");
        error.is_some_and(|error| up.iter().any(|broker| !error.contains(broker.as_str())))
    }

    /// Makes the callback unassign revoked partitions at once from now on, and stops logging.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Returns whether a rebalance has come since the last call.
    pub(super) fn was_rebalanced(&self) -> bool {
        self.rebalanced.swap(false, Ordering::Relaxed)
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    fn note(&self, rebalance: Rebalance) {
        if self.is_closing() {
            return;
        }
        tracing::info!(?rebalance, "The group was rebalanced.");
        self.rebalances.lock().expect("no thread panics while it holds the lock").push(rebalance);
    }
}

/// Returns whether the group rebalances cooperatively: its members keep the partitions that do not move.
pub(super) fn is_cooperative(consumer: &BaseConsumer<Group>) -> bool {
    matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative)
}

/// Returns those of the partitions that are currently assigned in librdkafka.
pub(super) fn assigned_of(
    consumer: &BaseConsumer<Group>,
    partitions: &BTreeSet<i32>,
) -> KafkaResult<TopicPartitionList> {
    let read = consumer.assignment()?;
    let mut list = TopicPartitionList::new();
    for element in read.elements().iter().filter(|element| partitions.contains(&element.partition())) {
        list.add_partition(element.topic(), element.partition());
    }
    Ok(list)
}

/// Answers a revocation by unassigning the partitions in librdkafka. Those that were never assigned there are skipped.
pub(super) fn unassign(consumer: &BaseConsumer<Group>, partitions: &BTreeSet<i32>) -> KafkaResult<()> {
    if !is_cooperative(consumer) {
        return consumer.unassign();
    }
    consumer.incremental_unassign(&assigned_of(consumer, partitions)?)
}

/// Ends the subscription and serves the rebalances that this causes.
///
/// Destroying the client would also end the subscription, but librdkafka 2.12 has a bug there (its issue 5347): a
/// member of a cooperative group that is destroyed between joining and its assignment does not leave the group, so that
/// the others wait until its session times out, and it crashes if its assignment still arrives. The cause is that
/// `rd_kafka_cgrp_terminate0` drops the coordinator before `rd_kafka_cgrp_leave` uses it.
pub(super) fn end_subscription(consumer: &BaseConsumer<Group>) {
    consumer.unsubscribe();
    let mut quiet = Instant::now();
    while let Some(rest) = QUIET.checked_sub(quiet.elapsed()) {
        let _ = consumer.poll(rest);
        if consumer.context().was_rebalanced() {
            quiet = Instant::now();
        }
    }
}

/// Errors while leaving are not logged: nothing depends on them, and the thread that leaves may outlive the Python
/// interpreter, which receives the log.
impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if !self.is_closing() {
            self.log.log(level, facility, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if !self.is_closing() {
            self.log.error(error, reason);
        }
    }

    fn stats(&self, statistics: Statistics) {
        // Brokers with a node id belong to the cluster; the others are the bootstrap servers.
        let up = statistics.brokers.values().filter(|broker| broker.nodeid >= 0 && broker.state == "UP");
        *self.brokers_up.lock().expect("no thread panics while it holds the lock") =
            up.map(|broker| broker.nodename.clone()).collect();
        let mut ends = self.ends.lock().expect("no thread panics while it holds the lock");
        for partition in statistics.topics.values().flat_map(|topic| topic.partitions.values()) {
            // A negative offset means that the partition was never fetched.
            if partition.hi_offset >= 0 {
                ends.insert(partition.partition, partition.hi_offset);
            }
        }
    }
}

impl ConsumerContext for Group {
    /// Answers an assignment at once, so that the group never waits for PostgreSQL, but assigns no partition yet. The
    /// poll loop assigns the partitions in librdkafka later, at the offsets that PostgreSQL has. Assigning them here at
    /// another offset could make librdkafka return to that offset.
    ///
    /// A revocation is not answered here. The poll loop unassigns the partitions once what was read from them is
    /// written; until then librdkafka waits.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        self.rebalanced.store(true, Ordering::Relaxed);
        let numbers: Vec<i32> = partitions.elements().iter().map(TopicPartitionListElem::partition).collect();
        let answered = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                let none = TopicPartitionList::new();
                self.note(Rebalance::Assigned(numbers));
                if is_cooperative(consumer) { consumer.incremental_assign(&none) } else { consumer.assign(&none) }
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS
                if !consumer.assignment_lost() && !self.is_closing() =>
            {
                self.note(Rebalance::Revoked(numbers));
                Ok(())
            }
            _ => {
                let gone = numbers.iter().copied().collect();
                self.note(Rebalance::Lost(numbers));
                unassign(consumer, &gone)
            }
        };
        if let Err(error) = answered
            && !self.is_closing()
        {
            tracing::warn!(%error, "A rebalance could not be answered; the group starts another one.");
        }
    }
}
