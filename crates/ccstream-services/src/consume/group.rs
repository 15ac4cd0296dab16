//! What librdkafka calls back with, kept for the poll loop, which runs on the same thread.

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

/// For so long nothing has been asked of a consumer that leaves: nothing more comes.
const QUIET: Duration = Duration::from_millis(50);

/// A change of what this consumer reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rebalance {
    /// These partitions come; they are read once their offsets are known.
    Assigned(Vec<i32>),
    /// These are to go, once what was read of them is written.
    Revoked(Vec<i32>),
    /// These are gone: the group has given them to others already.
    Lost(Vec<i32>),
}

/// librdkafka's callbacks.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) log: ClientLog,
    rebalances: Mutex<Vec<Rebalance>>,
    /// Each partition's end, as its last fetch said.
    ends: Mutex<HashMap<i32, i64>>,
    /// Addresses of the cluster's brokers that were connected, as the last statistics have it.
    brokers_up: Mutex<Vec<String>>,
    /// The poll loop is over: nobody will give up a partition later.
    closing: AtomicBool,
    /// The group has asked for a change.
    asked: AtomicBool,
}

impl Group {
    /// The changes since the last call, oldest first.
    pub(super) fn take_rebalances(&self) -> Vec<Rebalance> {
        std::mem::take(&mut *self.rebalances.lock().expect("no panic while it is held"))
    }

    /// The end of a partition, as its last fetch said; None before one. Never a watermark query,
    /// which some brokers answer wrongly.
    pub(super) fn end(&self, partition: i32) -> Option<i64> {
        self.ends.lock().expect("no panic while it is held").get(&partition).copied()
    }

    /// Whether a broker was connected a second ago that a complaint does not name.
    pub(super) fn others_answer(&self, complaint: Option<&str>) -> bool {
        let up = self.brokers_up.lock().expect("no panic while it is held");
        complaint.is_some_and(|complaint| up.iter().any(|broker| !complaint.contains(broker.as_str())))
    }

    /// From here on partitions are given up as soon as they are asked for, and nothing is said.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether the group has asked for a change since the last call.
    pub(super) fn was_asked(&self) -> bool {
        self.asked.swap(false, Ordering::Relaxed)
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    fn note(&self, rebalance: Rebalance) {
        if self.is_closing() {
            return;
        }
        tracing::info!(?rebalance, "The group was rebalanced.");
        self.rebalances.lock().expect("no panic while it is held").push(rebalance);
    }
}

/// Whether the group's members give up only what moves.
pub(super) fn is_cooperative(consumer: &BaseConsumer<Group>) -> bool {
    matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative)
}

/// Those of the partitions that are read.
pub(super) fn read_of(consumer: &BaseConsumer<Group>, partitions: &BTreeSet<i32>) -> KafkaResult<TopicPartitionList> {
    let read = consumer.assignment()?;
    let mut list = TopicPartitionList::new();
    for element in read.elements().iter().filter(|element| partitions.contains(&element.partition())) {
        list.add_partition(element.topic(), element.partition());
    }
    Ok(list)
}

/// Stops reading partitions, which answers a revocation; of those that are not read yet, that is all.
pub(super) fn give_up(consumer: &BaseConsumer<Group>, partitions: &BTreeSet<i32>) -> KafkaResult<()> {
    if !is_cooperative(consumer) {
        return consumer.unassign();
    }
    consumer.incremental_unassign(&read_of(consumer, partitions)?)
}

/// Ends the subscription, and answers what the group asks for on the way.
///
/// Not left to the end of the client: a member of a cooperative group that is ended between joining and its assignment says
/// no goodbye, so that the others wait out its session, and crashes if its assignment still comes (librdkafka 2.12:
/// `rd_kafka_cgrp_terminate0` then leaves nothing to `rd_kafka_cgrp_leave` but a coordinator that is gone; issue 5347).
pub(super) fn end_subscription(consumer: &BaseConsumer<Group>) {
    consumer.unsubscribe();
    let mut quiet = Instant::now();
    while let Some(rest) = QUIET.checked_sub(quiet.elapsed()) {
        let _ = consumer.poll(rest);
        if consumer.context().was_asked() {
            quiet = Instant::now();
        }
    }
}

/// What goes wrong while leaving is nobody's concern; the thread may outlive the interpreter, whose log it is.
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
        // Those with a number are the cluster's; others are the addresses that were asked at first.
        let up = statistics.brokers.values().filter(|broker| broker.nodeid >= 0 && broker.state == "UP");
        *self.brokers_up.lock().expect("no panic while it is held") =
            up.map(|broker| broker.nodename.clone()).collect();
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
    /// New partitions are taken at once, so that the group never waits for PostgreSQL, but not read:
    /// librdkafka is given them by the poll loop, with the offsets that PostgreSQL has. (Given an offset
    /// here and another there, it may go back to the first.) Those that are to go are given up later,
    /// when what was read of them is written; until then librdkafka waits.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        self.asked.store(true, Ordering::Relaxed);
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
                give_up(consumer, &gone)
            }
        };
        if let Err(error) = answered
            && !self.is_closing()
        {
            tracing::warn!(%error, "Answering a rebalance failed; the group will ask again.");
        }
    }
}
