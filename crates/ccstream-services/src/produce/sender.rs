//! Messages into librdkafka's queue, and their accounts.
//!
//! A broker that has lost the end of a partition (power that went, an unclean election) no longer knows how far an
//! idempotent producer had come. What comes next is out of sequence, and whether the unacknowledged is there nobody can
//! say, which librdkafka calls fatal. Kafka's own client goes on under a new epoch (KIP-360); we do with a new client,
//! which sends again what was not acknowledged: some of it may then be in the topic twice, and the summary says so.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use tokio_util::sync::CancellationToken;

use super::deliveries::{Delivered, Deliveries};
use super::{ProduceSummary, TICK};
use crate::error::{Error, Result};
use crate::kafka::client::refused;
use crate::kafka::ffi::Bootstrap;
use crate::kafka::options::options;
use ccstream_core::record::Record;
use ccstream_core::settings::ProducerConfig;

/// A poll takes all of its time, whatever comes: where an answer is awaited it is short.
pub(super) const SHORT: Duration = Duration::from_millis(5);
/// Fatal errors of a client that the broker no longer knows well enough; another can go on.
const FORGOTTEN: [RDKafkaErrorCode; 2] =
    [RDKafkaErrorCode::OutOfOrderSequenceNumber, RDKafkaErrorCode::UnknownProducerId];
/// So many clients in a row that had nothing acknowledged are enough.
const MOST_IN_VAIN: u32 = 5;
/// How long what is under way has to be answered before another client sends it again.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// A client, what it was given, and what became of it.
pub(super) struct Sender<'r> {
    config: &'r ProducerConfig,
    stop: &'r CancellationToken,
    producer: BaseProducer<Deliveries>,
    bootstrap: Bootstrap,
    started: Instant,
    pub(super) sent: u64,
    acknowledged: u64,
    pub(super) failed: u64,
    sent_again: u64,
    /// Why a message was given up, the last one; empty if none was.
    pub(super) failure: String,
    /// Each that was acknowledged, where the client's context keeps them.
    delivered: Vec<Delivered>,
    /// How many messages were acknowledged when this client began,
    acknowledged_before: u64,
    /// and how many clients before it had none.
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
            producer,
            bootstrap: Bootstrap::new(&config.kafka.bootstrap_servers),
            started: Instant::now(),
            sent: 0,
            acknowledged: 0,
            failed: 0,
            sent_again: 0,
            failure: String::new(),
            delivered: Vec::new(),
            acknowledged_before: 0,
            in_vain: 0,
        }
    }

    /// Takes one message, which is the next number's, waiting while the queue is full; false if told to stop by then.
    ///
    /// Errors: a fatal one of the client, of a kind that another would have too.
    pub(super) fn send(&mut self, message: &Record) -> Result<bool> {
        let is_taken = self.hand(self.sent as usize, message)?;
        self.sent += u64::from(is_taken);
        Ok(is_taken)
    }

    fn hand(&mut self, number: usize, message: &Record) -> Result<bool> {
        let mut record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(&self.config.kafka.topic, number).payload(message.payload.as_slice());
        if let Some(key) = &message.key {
            record = record.key(key.as_slice());
        }
        // The queue has nothing else: what has no room there never will.
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
                    // Refused at once, a message above message.max.bytes say: counted, and on to the next.
                    self.give_up(format!("{code}, {} bytes", message.payload.len()));
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

    /// Serves delivery reports for so long, of a client that has brokers.
    pub(super) fn poll(&mut self, time: Duration) {
        self.producer.poll(time);
        self.bootstrap.keep(self.producer.client());
        self.settle();
    }

    /// Settles what was reported. What was not delivered is given up, unless the client has to be replaced: then its
    /// successor sends it again. True if that is so.
    fn settle(&mut self) -> bool {
        self.count();
        match self.producer.client().fatal_error() {
            Some((code, reason)) if FORGOTTEN.contains(&code) => self.replace(&reason),
            _ => {
                self.give_up_undelivered();
                false
            }
        }
    }

    /// Counts what is acknowledged.
    fn count(&mut self) {
        let deliveries = self.producer.context();
        self.acknowledged += deliveries.take_acknowledged();
        self.delivered.extend(deliveries.take_delivered());
    }

    fn give_up_undelivered(&mut self) {
        for undelivered in self.producer.context().take_undelivered() {
            self.give_up(undelivered.error.to_string());
        }
    }

    fn give_up(&mut self, error: String) {
        if self.failed == 0 {
            tracing::error!(error, "A message was not delivered; further ones are only counted.");
        }
        self.failed += 1;
        self.failure = error;
    }

    /// Goes on with another client, which sends again what this one's broker has not acknowledged. False if there is none,
    /// or too many have come to nothing.
    fn replace(&mut self, reason: &str) -> bool {
        let until = Instant::now() + ANSWER_LIMIT;
        while self.producer.in_flight_count() > 0 && Instant::now() < until {
            self.producer.poll(SHORT);
        }
        self.take_back();
        self.in_vain = if self.acknowledged > self.acknowledged_before { 0 } else { self.in_vain + 1 };
        let next = connect(self.config, self.producer.context().keeps_each())
            .inspect_err(|error| tracing::error!(error = error.chain(), "There is no new Kafka client."));
        let (Ok(next), true) = (next, self.in_vain < MOST_IN_VAIN) else {
            self.give_up_undelivered();
            return false;
        };
        let mut undelivered = self.producer.context().take_undelivered();
        undelivered.sort_unstable_by_key(|message| message.number);
        self.sent_again += undelivered.len() as u64;
        tracing::warn!(
            reason,
            messages = undelivered.len(),
            "Kafka no longer knows how far this producer had come. A new client sends again what was not acknowledged; \
             some of it may be in the topic twice."
        );
        self.producer = next;
        self.bootstrap = Bootstrap::new(&self.config.kafka.bootstrap_servers);
        self.acknowledged_before = self.acknowledged;
        for again in undelivered {
            if !matches!(self.hand(again.number, &again.message), Ok(true)) {
                self.give_up(again.error.to_string());
            }
        }
        true
    }

    /// Takes back all that is under way: undelivered, but for what was acknowledged just before.
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

    /// Whether an answer is awaited.
    pub(super) fn is_waiting(&self) -> bool {
        self.producer.in_flight_count() > 0
    }

    /// Waits for what is under way; after a stop at most the drain limit, then gives it up as failed.
    pub(super) fn drain(&mut self) -> ProduceSummary {
        let mut stopped: Option<Instant> = None;
        while self.is_waiting() {
            self.poll(SHORT);
            if self.stop.is_cancelled() {
                let since = *stopped.get_or_insert_with(Instant::now);
                if since.elapsed() > self.config.drain_limit {
                    self.take_back();
                    self.give_up_undelivered();
                    break;
                }
            }
        }
        self.summary()
    }

    pub(super) fn summary(&self) -> ProduceSummary {
        let &Self { sent, acknowledged, failed, sent_again, .. } = self;
        ProduceSummary { sent, acknowledged, failed, sent_again, elapsed: self.started.elapsed() }
    }

    /// Those that the broker has and that were not taken yet, where each is kept.
    pub(super) fn take_delivered(&mut self) -> Vec<Delivered> {
        std::mem::take(&mut self.delivered)
    }
}

/// The settings of an idempotent client.
pub(super) fn client(config: &ProducerConfig) -> ccstream_core::Result<ClientConfig> {
    options(
        &config.kafka,
        &[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            // What is not sent yet waits in at most 32 MiB: a full queue slows the source.
            ("queue.buffering.max.kbytes", "32768"),
            // Kafka knows a producer's last five batches, but begins, when it was killed, from a snapshot that has the last one
            // alone (its `ProducerStateManager`): of several under way the first would be out of sequence.
            ("max.in.flight", "1"),
            ("statistics.interval.ms", "0"),
        ],
    )
}

/// An idempotent client; `each`: it keeps which messages are acknowledged.
pub(super) fn connect(config: &ProducerConfig, each: bool) -> Result<BaseProducer<Deliveries>> {
    BaseProducer::from_config_and_context(&client(config)?, Deliveries::new(each)).map_err(refused)
}
