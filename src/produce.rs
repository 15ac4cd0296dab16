//! Transactions to Kafka: pacing, delivery reports, back-pressure.
//!
//! ```text
//! Generator | Replay -> payload -> librdkafka's queue (bounded) -> broker (acks=all, idempotent)
//!                          ^ full: wait                | delivery report -> acknowledged | failed
//! ```

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};
use tokio_util::sync::CancellationToken;

use crate::codec::Encoder;
use crate::config::{ProducerConfig, Source};
use crate::error::{Error, Result};
use crate::event::TextField;
use crate::generate::{Clock, Generator, Pace};
use crate::kafka::{ClientLog, ensure_topic, find_topic, refused, unreachable};
use crate::replay::{Replay, ReplayedEvent};

/// Events a second up to which each is reported; above, only progress is.
pub const WATCHABLE_RATE: f64 = 10.0;
/// How often progress is reported.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// Longest wait without looking whether to stop.
const TICK: Duration = Duration::from_millis(100);
/// librdkafka waits for whole milliseconds: for less, not at all.
const WHOLE: Duration = Duration::from_millis(1);

/// What the producer tells whoever watches it.
#[derive(Debug, Clone, Copy)]
pub enum ProduceEvent<'a> {
    /// The broker answered; the topic is there, `created` by us if it was not.
    Connected {
        /// Whether the topic had to be created.
        created: bool,
    },
    /// An event is handed to Kafka (at watchable rates only).
    Sending {
        /// Its number, from 0.
        number: u64,
        /// Its JSON.
        payload: &'a [u8],
    },
    /// Kafka has it (at watchable rates only).
    Sent {
        /// Its partition.
        partition: i32,
        /// Its place there.
        offset: i64,
    },
    /// Kafka does not have it (at watchable rates only).
    NotSent {
        /// Why.
        error: &'a str,
    },
    /// Where it stands, four times a second above watchable rates, and at the end.
    Progress(ProduceSummary),
}

/// What was sent and what became of it. `sent = acknowledged + failed` at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProduceSummary {
    /// Events handed to librdkafka.
    pub sent: u64,
    /// Events that the broker acknowledged.
    pub acknowledged: u64,
    /// Events that were given up.
    pub failed: u64,
    /// Since the first event.
    pub elapsed: Duration,
}

#[derive(Debug, Default)]
struct Deliveries {
    log: ClientLog,
    acknowledged: AtomicU64,
    failed: AtomicU64,
    failure: Mutex<Option<String>>,
    /// The numbers of the messages that the broker has, where each is of interest.
    delivered: Option<Mutex<Vec<usize>>>,
    /// Each delivery is waited for,
    watched: bool,
    /// and this is the last one's partition and offset, or why there was none.
    last: Mutex<Option<Result<(i32, i64), String>>>,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.log.log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    /// A message's number among those that are sent again; 0 for others.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        match result {
            Ok(message) => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                if let Some(delivered) = &self.delivered {
                    delivered.lock().expect("no panic while it is held").push(number);
                }
                self.note(|| Ok((message.partition(), message.offset())));
            }
            Err((error, _)) => self.delivery_failed(&error.to_string()),
        }
    }
}

impl Deliveries {
    /// Why the first message that was not delivered was not.
    fn first_failure(&self) -> String {
        let failure = self.failure.lock().expect("no panic while it is held").clone();
        failure.unwrap_or_else(|| "no reason given".into())
    }

    fn delivery_failed(&self, error: &str) {
        if self.failed.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!(error, "A message was not delivered; further ones are only counted.");
            *self.failure.lock().expect("no panic while it is held") = Some(error.to_owned());
        }
        self.note(|| Err(error.to_owned()));
    }

    /// Keeps what became of a message for whoever waits for it.
    fn note(&self, outcome: impl FnOnce() -> Result<(i32, i64), String>) {
        if self.watched {
            *self.last.lock().expect("no panic while it is held") = Some(outcome());
        }
    }
}

/// Where payloads come from, one after the other.
enum Payloads {
    Generated { generator: Box<Generator>, encoder: Encoder },
    Replayed(Box<Replay>),
}

impl Payloads {
    fn open(config: &ProducerConfig) -> Result<Self> {
        Ok(match &config.source {
            Source::Generate { seed, start_time } => {
                let clock = start_time.map_or(Clock::Now, Clock::From);
                let generator = Generator::new(seed.unwrap_or_else(rand::random), clock, config.pace);
                Self::Generated { generator: Box::new(generator), encoder: Encoder::new() }
            }
            Source::Replay(replay) => Self::Replayed(Box::new(Replay::open(replay)?)),
        })
    }

    /// Makes the next event the one in `event`; false at the end.
    fn next(&mut self, event: &mut ReplayedEvent) -> Result<bool> {
        match self {
            Self::Generated { generator, encoder } => {
                let transaction = generator.next_transaction();
                event.payload.clear();
                encoder.encode(&transaction, &mut event.payload);
                let key = event.key.get_or_insert_default();
                key.clear();
                key.extend_from_slice(transaction.text(TextField::CardToken).unwrap_or_default().as_bytes());
                Ok(true)
            }
            Self::Replayed(replay) => Ok(replay.next_event()?.map(|next| *event = next).is_some()),
        }
    }
}

/// When the next event is due.
struct Pacer {
    pace: Pace,
    due: Instant,
    rng: rand_chacha::ChaCha8Rng,
}

impl Pacer {
    /// More than this behind its time, it goes on from now: no burst after a stall.
    const MOST_BEHIND: Duration = Duration::from_secs(1);

    fn new(pace: Pace) -> Self {
        Self { pace, due: Instant::now(), rng: rand_chacha::ChaCha8Rng::seed_from_u64(rand::random()) }
    }

    /// The time until the next event, which is counted as made.
    fn wait(&mut self) -> Duration {
        if self.pace == Pace::Max {
            return Duration::ZERO;
        }
        let now = Instant::now();
        self.due = self.due.max(now.checked_sub(Self::MOST_BEHIND).unwrap_or(now));
        let wait = self.due.saturating_duration_since(now);
        self.due += self.pace.gap(&mut self.rng);
        wait
    }
}

/// Sends until the count, the end of the file or a stop, and waits for the delivery reports.
///
/// Every event is counted as acknowledged or failed; failures are no error here, the summary has
/// them. Errors: settings, an unreachable broker, a topic that is missing and cannot be created,
/// an unreadable file, a fatal error of the idempotent producer.
pub fn produce(
    config: &ProducerConfig,
    stop: &CancellationToken,
    report: &mut dyn FnMut(ProduceEvent<'_>),
) -> Result<ProduceSummary> {
    config.validate()?;
    let payloads = Payloads::open(config)?;
    let watched = match config.pace {
        Pace::Human => true,
        Pace::PerSecond(rate) => rate <= WATCHABLE_RATE,
        Pace::Max => false,
    };
    let producer = connect(config, Deliveries { watched, ..Deliveries::default() })?;
    let created = ensure_topic(&config.kafka, producer.client(), config.partitions).map_err(|error| match error {
        Error::Kafka { source, .. } => no_answer(config, &producer, source),
        error => error,
    })?;
    report(ProduceEvent::Connected { created });
    let started = Instant::now();
    let run = Run { config, stop, producer, started, sent: 0, reported: started };
    run.send_all(payloads, report)
}

fn connect(config: &ProducerConfig, deliveries: Deliveries) -> Result<BaseProducer<Deliveries>> {
    let client = config.kafka.client(&[
        ("enable.idempotence", "true"),
        ("acks", "all"),
        // What is not sent yet waits in at most 32 MiB: a full queue slows the source.
        ("queue.buffering.max.kbytes", "32768"),
        // With 5 librdkafka polls its socket 400,000 times for a million events: a fifth of the processor's time.
        ("max.in.flight", "3"),
        ("statistics.interval.ms", "0"),
    ])?;
    BaseProducer::from_config_and_context(&client, deliveries).map_err(refused)
}

/// The error of a broker that did not answer.
fn no_answer(config: &ProducerConfig, producer: &BaseProducer<Deliveries>, source: KafkaError) -> Error {
    // librdkafka tells why only to a client that polls.
    producer.poll(TICK);
    unreachable(&config.kafka.bootstrap_servers, &producer.context().log, source)
}

struct Run<'r> {
    config: &'r ProducerConfig,
    stop: &'r CancellationToken,
    producer: BaseProducer<Deliveries>,
    started: Instant,
    sent: u64,
    reported: Instant,
}

impl Run<'_> {
    fn send_all(mut self, mut payloads: Payloads, report: &mut dyn FnMut(ProduceEvent<'_>)) -> Result<ProduceSummary> {
        let mut pacer = Pacer::new(self.config.pace);
        let mut event = ReplayedEvent::default();
        let result = loop {
            if self.config.count.is_some_and(|count| self.sent >= count) || self.stop.is_cancelled() {
                break Ok(());
            }
            match payloads.next(&mut event) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
            if !self.wait(pacer.wait()) {
                break Ok(());
            }
            if let Err(error) = self.send(&event, 0, report) {
                break Err(error);
            }
            self.progress(report);
        };
        let summary = self.drain();
        report(ProduceEvent::Progress(summary));
        result.map(|()| summary)
    }

    /// Each event is reported, and waited for.
    fn is_watched(&self) -> bool {
        self.producer.context().watched
    }

    /// Serves delivery reports for so long; false if told to stop.
    fn wait(&self, time: Duration) -> bool {
        // Flat out, reading the clock for nothing is a twentieth of the time.
        if time.is_zero() {
            return true;
        }
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            if self.stop.is_cancelled() {
                return false;
            }
            if left < WHOLE {
                self.producer.poll(Duration::ZERO);
                thread::sleep(left);
            } else {
                self.producer.poll(left.min(TICK));
            }
        }
    }

    /// Hands one event to librdkafka, waiting while its queue is full.
    fn send(&mut self, event: &ReplayedEvent, number: usize, report: &mut dyn FnMut(ProduceEvent<'_>)) -> Result<()> {
        if self.is_watched() {
            *self.producer.context().last.lock().expect("no panic while it is held") = None;
            report(ProduceEvent::Sending { number: self.sent, payload: &event.payload });
        }
        let mut record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(&self.config.kafka.topic, number).payload(event.payload.as_slice());
        if let Some(key) = &event.key {
            record = record.key(key.as_slice());
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                    if self.stop.is_cancelled() {
                        return Ok(());
                    }
                    record = returned;
                    self.producer.poll(TICK);
                }
                Err((KafkaError::MessageProduction(code), _)) if code != RDKafkaErrorCode::Fatal => {
                    // Refused at once, a message above message.max.bytes say: counted, and on to the next.
                    self.producer.context().delivery_failed(&code.to_string());
                    break;
                }
                Err((source, _)) => {
                    let fatal = self.producer.client().fatal_error().map(|(_, reason)| reason);
                    let context = format!("sending: {}", fatal.unwrap_or_else(|| "refused".into()));
                    return Err(Error::Kafka { context, source });
                }
            }
        }
        self.sent += 1;
        if self.is_watched() {
            self.await_delivery(report);
        } else if self.sent % 256 == 0 {
            self.producer.poll(Duration::ZERO);
        }
        Ok(())
    }

    /// Waits for the one event under way and reports what became of it.
    fn await_delivery(&self, report: &mut dyn FnMut(ProduceEvent<'_>)) {
        while !self.stop.is_cancelled() {
            self.producer.poll(TICK);
            match self.producer.context().last.lock().expect("no panic while it is held").take() {
                Some(Ok((partition, offset))) => return report(ProduceEvent::Sent { partition, offset }),
                Some(Err(error)) => return report(ProduceEvent::NotSent { error: &error }),
                None => {}
            }
        }
    }

    fn progress(&mut self, report: &mut dyn FnMut(ProduceEvent<'_>)) {
        if !self.is_watched() && (self.sent % 256 == 0 || self.config.pace != Pace::Max) {
            let now = Instant::now();
            if now.duration_since(self.reported) >= PROGRESS_EVERY {
                self.reported = now;
                report(ProduceEvent::Progress(self.summary()));
            }
        }
    }

    fn summary(&self) -> ProduceSummary {
        let deliveries = self.producer.context();
        ProduceSummary {
            sent: self.sent,
            acknowledged: deliveries.acknowledged.load(Ordering::Relaxed),
            failed: deliveries.failed.load(Ordering::Relaxed),
            elapsed: self.started.elapsed(),
        }
    }

    /// Waits for what is under way; after a stop at most the drain limit, then gives it up as failed.
    fn drain(&self) -> ProduceSummary {
        let mut stopped: Option<Instant> = None;
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(TICK);
            if self.stop.is_cancelled() {
                let since = *stopped.get_or_insert_with(Instant::now);
                if since.elapsed() > self.config.drain_limit {
                    self.producer.purge(PurgeConfig::default().queue().inflight());
                    // Serves the reports of what was purged, each a failure.
                    for _ in 0..20 {
                        self.producer.poll(TICK);
                        if self.producer.in_flight_count() == 0 {
                            break;
                        }
                    }
                    break;
                }
            }
        }
        self.summary()
    }
}

/// Sends ready-made messages again and waits for their delivery.
///
/// Returns the places of those that the broker has, and why another was not delivered, if any was not.
/// Errors: an unreachable broker, a topic that does not exist.
pub(crate) fn resend(config: &ProducerConfig, messages: &[ReplayedEvent]) -> Result<(Vec<usize>, Option<String>)> {
    let deliveries = Deliveries { delivered: Some(Mutex::default()), ..Deliveries::default() };
    let producer = connect(config, deliveries)?;
    match find_topic(producer.client(), &config.kafka.topic) {
        Ok(Some(_)) => {}
        Ok(None) => return Err(Error::Broker(format!("topic {:?} does not exist", config.kafka.topic))),
        Err(source) => return Err(no_answer(config, &producer, source)),
    }
    let stop = CancellationToken::new();
    let started = Instant::now();
    let mut run = Run { config, stop: &stop, producer, started, sent: 0, reported: started };
    for (number, message) in messages.iter().enumerate() {
        run.send(message, number, &mut |_| {})?;
    }
    let summary = run.drain();
    let deliveries = run.producer.context();
    let delivered =
        deliveries.delivered.as_ref().map(|list| std::mem::take(&mut *list.lock().expect("no panic while it is held")));
    let failure = (summary.failed > 0).then(|| deliveries.first_failure());
    Ok((delivered.unwrap_or_default(), failure))
}
