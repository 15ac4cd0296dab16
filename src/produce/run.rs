//! One run: payloads into librdkafka's queue, at their pace, until the end or a stop.

use std::mem;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use tokio_util::sync::CancellationToken;

use super::deliveries::Deliveries;
use super::pacer::Pacer;
use super::payloads::Payloads;
use super::stall::Stall;
use super::{ProduceEvent, ProduceSummary, TICK, answers, connect};
use crate::config::ProducerConfig;
use crate::error::{Error, Result};
use crate::generate::Pace;
use crate::replay::ReplayedEvent;

/// How often progress is reported.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// Events, flat out, after which delivery reports are served and it is looked around.
const LOOK_EVERY: u64 = 256;
/// librdkafka waits for whole milliseconds: for less, not at all.
const WHOLE: Duration = Duration::from_millis(1);
/// A poll takes all of its time, whatever comes: where an answer is awaited it is short.
const SHORT: Duration = Duration::from_millis(5);

/// What a run has, and how far it is.
pub(super) struct Run<'r> {
    config: &'r ProducerConfig,
    stop: &'r CancellationToken,
    report: &'r mut dyn FnMut(ProduceEvent<'_>),
    pub(super) producer: BaseProducer<Deliveries>,
    started: Instant,
    sent: u64,
    reported: Instant,
    stall: Stall,
}

impl<'r> Run<'r> {
    pub(super) fn new(
        config: &'r ProducerConfig,
        stop: &'r CancellationToken,
        producer: BaseProducer<Deliveries>,
        report: &'r mut dyn FnMut(ProduceEvent<'_>),
    ) -> Self {
        let now = Instant::now();
        let stall = Stall::new(config.stall_limit);
        Self { config, stop, report, producer, started: now, sent: 0, reported: now, stall }
    }

    pub(super) fn send_all(mut self, mut payloads: Payloads) -> Result<ProduceSummary> {
        let mut pacer = Pacer::new(self.config.pace);
        let mut event = ReplayedEvent::default();
        let result = loop {
            if self.config.count.is_some_and(|count| self.sent >= count)
                || (self.is_time_to_look() && self.stop.is_cancelled())
            {
                break Ok(());
            }
            // First the wait: an event is made, and has its time, when it is due.
            if !self.wait(pacer.wait()) {
                break Ok(());
            }
            match payloads.next(&mut event) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
            if let Err(error) = self.send(&event, 0) {
                break Err(error);
            }
            self.progress();
        };
        let summary = self.drain();
        (self.report)(ProduceEvent::Progress(summary));
        result.map(|()| summary)
    }

    /// Flat out, a look at the clock or at what else there is costs more than it is worth with each event.
    fn is_time_to_look(&self) -> bool {
        self.sent % LOOK_EVERY == 0 || self.config.pace != Pace::Max
    }

    /// Each event is reported, and waited for.
    fn is_watched(&self) -> bool {
        self.producer.context().watched
    }

    /// Serves delivery reports for so long; false if told to stop.
    fn wait(&mut self, time: Duration) -> bool {
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
                self.poll(Duration::ZERO);
                thread::sleep(left);
            } else {
                self.poll(left.min(TICK));
            }
        }
    }

    /// Serves delivery reports for so long, and sees to it that there will be some.
    fn poll(&mut self, time: Duration) {
        self.producer.poll(time);
        let acknowledged = self.producer.context().acknowledged.load(Ordering::Relaxed);
        let under_way = self.producer.in_flight_count() > 0;
        let kafka = &self.config.kafka;
        let ask = || {
            let kafka = kafka.clone();
            move || answers(&kafka)
        };
        if self.stall.is_one(acknowledged, under_way, ask) && !self.stop.is_cancelled() {
            self.begin_anew();
        }
    }

    /// Hands one event to librdkafka, waiting while its queue is full.
    pub(super) fn send(&mut self, event: &ReplayedEvent, number: usize) -> Result<()> {
        if self.is_watched() {
            *self.producer.context().last.lock().expect("no panic while it is held") = None;
            (self.report)(ProduceEvent::Sending { number: self.sent, payload: &event.payload });
        }
        if !self.enqueue(event, number)? {
            return Ok(());
        }
        self.sent += 1;
        if self.is_watched() {
            self.await_delivery();
        } else if self.sent % LOOK_EVERY == 0 {
            self.poll(Duration::ZERO);
        }
        Ok(())
    }

    /// Puts one event into librdkafka's queue; false if told to stop while that is full.
    fn enqueue(&mut self, event: &ReplayedEvent, number: usize) -> Result<bool> {
        let mut record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(&self.config.kafka.topic, number).payload(event.payload.as_slice());
        if let Some(key) = &event.key {
            record = record.key(key.as_slice());
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(true),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                    if self.stop.is_cancelled() {
                        return Ok(false);
                    }
                    record = returned;
                    self.poll(TICK);
                }
                Err((KafkaError::MessageProduction(code), _)) if code != RDKafkaErrorCode::Fatal => {
                    // Refused at once, a message above message.max.bytes say: counted, and on to the next.
                    self.producer.context().delivery_failed(&code.to_string());
                    return Ok(true);
                }
                Err((source, _)) => {
                    let fatal = self.producer.client().fatal_error().map(|(_, reason)| reason);
                    let context = format!("sending: {}", fatal.unwrap_or_else(|| "refused".into()));
                    return Err(Error::Kafka { context, source });
                }
            }
        }
    }

    /// Waits for the one event under way and reports what became of it.
    fn await_delivery(&mut self) {
        while !self.stop.is_cancelled() {
            self.poll(SHORT);
            let last = self.producer.context().last.lock().expect("no panic while it is held").take();
            match last {
                Some(Ok((partition, offset))) => return (self.report)(ProduceEvent::Sent { partition, offset }),
                Some(Err(error)) => return (self.report)(ProduceEvent::NotSent { error: &error }),
                None => {}
            }
        }
    }

    /// Puts a new client in the place of one that stands still, and sends again what that has in hand. What it had sent
    /// after all is then there twice: the consumer knows it by its id.
    fn begin_anew(&mut self) {
        let new = match connect(&self.config.kafka, self.producer.context().alike()) {
            Ok(new) => new,
            Err(error) => return (self.report)(ProduceEvent::Warning(&error.chain())),
        };
        self.producer.context().keep_failures();
        self.take_back();
        let old = mem::replace(&mut self.producer, new);
        let deliveries = self.producer.context();
        let events = old.context().hand_over(deliveries);
        for _ in 0..old.in_flight_count() {
            deliveries.delivery_failed("the client that stood still did not give it back");
        }
        // It may stand still in ending, too.
        thread::spawn(move || drop(old));
        let text = format!(
            "nothing was acknowledged for {:?} though Kafka answers: {} events are sent again by a new client",
            self.config.stall_limit,
            events.len()
        );
        tracing::warn!(events = events.len(), "The client stood still: another takes over.");
        (self.report)(ProduceEvent::Warning(&text));
        for (event, number) in events {
            let failure = match self.enqueue(&event, number) {
                Ok(true) => continue,
                Ok(false) => "a stop came before it was sent again".into(),
                Err(error) => error.chain(),
            };
            self.producer.context().delivery_failed(&failure);
        }
    }

    fn progress(&mut self) {
        if !self.is_watched() && self.is_time_to_look() {
            let now = Instant::now();
            if now.duration_since(self.reported) >= PROGRESS_EVERY {
                self.reported = now;
                let summary = self.summary();
                (self.report)(ProduceEvent::Progress(summary));
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
    pub(super) fn drain(&mut self) -> ProduceSummary {
        let mut stopped: Option<Instant> = None;
        while self.producer.in_flight_count() > 0 {
            self.poll(SHORT);
            if self.stop.is_cancelled() {
                let since = *stopped.get_or_insert_with(Instant::now);
                if since.elapsed() > self.config.drain_limit {
                    self.take_back();
                    break;
                }
            }
        }
        self.summary()
    }

    /// Has librdkafka give up all that is not acknowledged, and serves the reports of it, each a failure.
    fn take_back(&self) {
        self.producer.purge(PurgeConfig::default().queue().inflight());
        for _ in 0..20 {
            self.producer.poll(TICK);
            if self.producer.in_flight_count() == 0 {
                break;
            }
        }
    }
}
