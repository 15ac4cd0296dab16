//! Hands messages to librdkafka's queue, and counts their deliveries.
//!
//! A broker that has lost the end of a partition (by a power failure or an unclean election) no longer knows the
//! sequence of an idempotent producer. The next message is then out of sequence, and nobody can say whether the
//! unacknowledged messages are stored. librdkafka calls this fatal. Kafka's own client continues under a new epoch
//! (KIP-360). We continue with a new client, which re-sends the unacknowledged messages: some of them may then be in
//! the topic twice, and the summary counts them.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use tokio_util::sync::CancellationToken;

use super::client::connect;
use super::deliveries::{Delivered, Deliveries, Tag};
use super::world_header::WorldHeader;
use super::{ProduceSummary, TICK};
use crate::error::{Error, Result};
use crate::kafka::ffi::Bootstrap;
use ccstream_core::generate::Topic;
use ccstream_core::record::Record;
use ccstream_core::settings::ProducerConfig;

/// A short poll, for waiting for an answer: a poll takes all of its time, even if the answer comes earlier.
pub(super) const SHORT: Duration = Duration::from_millis(5);
/// Fatal errors after which another client can continue: the broker has lost this client's sequence.
const FORGOTTEN: [RDKafkaErrorCode; 2] =
    [RDKafkaErrorCode::OutOfOrderSequenceNumber, RDKafkaErrorCode::UnknownProducerId];
/// After this number of clients in a row without any acknowledgement, the run ends.
const MOST_IN_VAIN: u32 = 5;
/// The time for answers to messages in flight, before another client re-sends them.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// A client, the messages handed to it, and their deliveries.
pub(super) struct Sender<'r> {
    config: &'r ProducerConfig,
    stop: &'r CancellationToken,
    /// Names the simulated world that the messages are from, if they are.
    pub(super) header: Option<WorldHeader>,
    producer: BaseProducer<Deliveries>,
    bootstrap: Bootstrap,
    started: Instant,
    /// All messages, whatever their topic.
    handed: usize,
    /// Transactions.
    pub(super) sent: u64,
    /// By topic.
    acknowledged: [u64; Topic::ALL.len()],
    /// Transactions.
    pub(super) failed: u64,
    /// Labels and truths that failed.
    lost: u64,
    sent_again: u64,
    /// Why the last failed message failed; empty if none has.
    pub(super) failure: String,
    /// Each acknowledged transaction, where the client's context keeps them.
    delivered: Vec<Delivered>,
    /// The number of messages that were acknowledged when this client began.
    acknowledged_before: u64,
    /// The number of clients in a row, before this one, without any acknowledgement.
    in_vain: u32,
}

impl<'r> Sender<'r> {
    pub(super) fn new(
        config: &'r ProducerConfig,
        stop: &'r CancellationToken,
        producer: BaseProducer<Deliveries>,
    ) -> Self {
        Self {
            config,
            stop,
            header: None,
            producer,
            bootstrap: Bootstrap::new(&config.kafka.bootstrap_servers),
            started: Instant::now(),
            handed: 0,
            sent: 0,
            acknowledged: [0; Topic::ALL.len()],
            failed: 0,
            lost: 0,
            sent_again: 0,
            failure: String::new(),
            delivered: Vec::new(),
            acknowledged_before: 0,
            in_vain: 0,
        }
    }

    /// Takes the next message, and waits while the queue is full. False if the run should stop before there is room.
    ///
    /// Errors: a fatal error of the client that another client would have too.
    pub(super) fn send(&mut self, topic: Topic, message: &Record) -> Result<bool> {
        let has_header = self.header.as_ref().is_some_and(|header| header.is_on_next(topic));
        if !self.hand(Tag { number: self.handed, topic, has_header }, message)? {
            return Ok(false);
        }
        self.handed += 1;
        self.sent += u64::from(topic == Topic::Orders);
        if let Some(header) = &mut self.header {
            header.count(topic);
        }
        Ok(true)
    }

    fn hand(&mut self, tag: Tag, message: &Record) -> Result<bool> {
        let config = self.config;
        let mut record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(config.topic(tag.topic), tag.opaque());
        if !message.is_tombstone {
            record = record.payload(message.payload.as_slice());
        }
        if let Some(key) = &message.key {
            record = record.key(key.as_slice());
        }
        if let Some(header) = self.header.as_ref().filter(|_| tag.has_header) {
            record = record.headers(header.make());
        }
        // A message that does not fit into the empty queue will never fit.
        let mut is_alone = false;
        loop {
            let (source, returned) = match self.producer.send(record) {
                Ok(()) => return Ok(true),
                Err(refused) => refused,
            };
            record = returned;
            match source {
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) if !is_alone => {
                    if self.stop.is_cancelled() {
                        return Ok(false);
                    }
                    self.poll(TICK);
                    is_alone = self.producer.in_flight_count() == 0;
                }
                KafkaError::MessageProduction(code) if code != RDKafkaErrorCode::Fatal => {
                    // librdkafka refuses some messages at once, such as one above message.max.bytes: it has failed.
                    self.fail(tag.topic, format!("{code}, {} bytes", message.payload.len()));
                    return Ok(true);
                }
                _ => {
                    if self.settle() {
                        continue;
                    }
                    let fatal = self.producer.client().fatal_error().map(|(_, reason)| reason);
                    let context = format!("sending: {}", fatal.unwrap_or_else(|| "refused".into()));
                    return Err(Error::Kafka { context, source });
                }
            }
        }
    }

    /// Serves delivery reports for this time, and keeps the client's brokers known.
    pub(super) fn poll(&mut self, time: Duration) {
        self.producer.poll(time);
        self.bootstrap.keep(self.producer.client());
        self.settle();
    }

    /// Counts the deliveries that were reported. Undelivered messages have failed, unless the client has to be
    /// replaced: then its successor re-sends them. True if the client was replaced.
    fn settle(&mut self) -> bool {
        self.count();
        match self.producer.client().fatal_error() {
            Some((code, reason)) if FORGOTTEN.contains(&code) => self.replace(&reason),
            _ => {
                self.fail_undelivered();
                false
            }
        }
    }

    /// Counts acknowledged messages.
    fn count(&mut self) {
        let deliveries = self.producer.context();
        for (total, new) in self.acknowledged.iter_mut().zip(deliveries.take_acknowledged()) {
            *total += new;
        }
        self.delivered.extend(deliveries.take_delivered());
    }

    fn fail_undelivered(&mut self) {
        for undelivered in self.producer.context().take_undelivered() {
            self.fail(undelivered.tag.topic, undelivered.error.to_string());
        }
    }

    fn fail(&mut self, topic: Topic, error: String) {
        if self.failed + self.lost == 0 {
            tracing::error!(error, "A message was not delivered; further ones are only counted.");
        }
        match topic {
            Topic::Orders => self.failed += 1,
            Topic::Labels | Topic::Truth => self.lost += 1,
        }
        self.failure = error;
    }

    /// Replaces the client by another one, which re-sends the unacknowledged messages. False if no client can be
    /// made, or too many in a row had no acknowledgement.
    fn replace(&mut self, reason: &str) -> bool {
        let until = Instant::now() + ANSWER_LIMIT;
        while self.producer.in_flight_count() > 0 && Instant::now() < until {
            self.producer.poll(SHORT);
        }
        self.take_back();
        let acknowledged = self.acknowledged.iter().sum();
        self.in_vain = if acknowledged > self.acknowledged_before { 0 } else { self.in_vain + 1 };
        let next = connect(self.config, self.producer.context().keeps_each())
            .inspect_err(|error| tracing::error!(error = error.chain(), "There is no new Kafka client."));
        let (Ok(next), true) = (next, self.in_vain < MOST_IN_VAIN) else {
            self.fail_undelivered();
            return false;
        };
        let mut undelivered = self.producer.context().take_undelivered();
        undelivered.sort_unstable_by_key(|message| message.tag.number);
        self.sent_again += undelivered.len() as u64;
        tracing::warn!(
            reason,
            messages = undelivered.len(),
            "Kafka no longer knows this producer's sequence. A new client re-sends the unacknowledged messages; some of \
             them may be in the topic twice."
        );
        self.producer = next;
        self.bootstrap = Bootstrap::new(&self.config.kafka.bootstrap_servers);
        self.acknowledged_before = acknowledged;
        for again in undelivered {
            if !matches!(self.hand(again.tag, &again.message), Ok(true)) {
                self.fail(again.tag.topic, again.error.to_string());
            }
        }
        true
    }

    /// Takes all messages in flight out of the client: undelivered, unless they were acknowledged just before.
    fn take_back(&mut self) {
        self.producer.purge(PurgeConfig::default().queue().inflight());
        for _ in 0..20 {
            if self.producer.in_flight_count() == 0 {
                break;
            }
            self.producer.poll(TICK);
        }
        self.count();
    }

    /// Whether messages are in flight.
    pub(super) fn is_waiting(&self) -> bool {
        self.producer.in_flight_count() > 0
    }

    /// Waits for the messages in flight. After a stop, it waits for the drain limit at most; the rest has then failed.
    pub(super) fn drain(&mut self) -> ProduceSummary {
        let mut stopped: Option<Instant> = None;
        while self.is_waiting() {
            self.poll(SHORT);
            if self.stop.is_cancelled() {
                let since = *stopped.get_or_insert_with(Instant::now);
                if since.elapsed() > self.config.drain_limit {
                    self.take_back();
                    self.fail_undelivered();
                    break;
                }
            }
        }
        self.summary()
    }

    pub(super) fn summary(&self) -> ProduceSummary {
        let &Self { sent, failed, lost, sent_again, acknowledged: [acknowledged, labels, truths], .. } = self;
        let elapsed = self.started.elapsed();
        ProduceSummary { sent, acknowledged, failed, labels, truths, lost, sent_again, elapsed }
    }

    /// Delivered transactions that were not taken yet, where each is kept.
    pub(super) fn take_delivered(&mut self) -> Vec<Delivered> {
        std::mem::take(&mut self.delivered)
    }
}
