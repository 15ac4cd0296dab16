//! One run: payloads into librdkafka's queue, at their pace, until the end or a stop.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use tokio_util::sync::CancellationToken;

use super::deliveries::Deliveries;
use super::pacer::Pacer;
use super::payloads::Payloads;
use super::{ProduceEvent, ProduceSummary, TICK};
use crate::config::ProducerConfig;
use crate::error::{Error, Result};
use crate::generate::Pace;
use crate::librdkafka::Bootstrap;
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
    pub(super) producer: BaseProducer<Deliveries>,
    bootstrap: Bootstrap,
    started: Instant,
    sent: u64,
    reported: Instant,
}

impl<'r> Run<'r> {
    pub(super) fn new(
        config: &'r ProducerConfig,
        stop: &'r CancellationToken,
        producer: BaseProducer<Deliveries>,
    ) -> Self {
        let now = Instant::now();
        let bootstrap = Bootstrap::new(&config.kafka.bootstrap_servers);
        Self { config, stop, producer, bootstrap, started: now, sent: 0, reported: now }
    }

    pub(super) fn send_all(
        mut self,
        mut payloads: Payloads,
        report: &mut dyn FnMut(ProduceEvent<'_>),
    ) -> Result<ProduceSummary> {
        let mut pacer = Pacer::new(self.config.pace);
        let mut event = ReplayedEvent::default();
        let result = loop {
            let is_done = self.config.count.is_some_and(|count| self.sent >= count);
            if is_done || (self.is_time_to_look() && self.stop.is_cancelled()) {
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
            match self.send(&event, 0, report) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
            self.progress(report);
        };
        let summary = self.drain();
        report(ProduceEvent::Progress(summary));
        result.map(|()| summary)
    }

    /// Flat out, a look at the clock or at a stop costs more than it is worth with each event.
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

    /// Serves delivery reports for so long, of a client that has brokers.
    fn poll(&mut self, time: Duration) {
        self.producer.poll(time);
        self.bootstrap.keep(self.producer.client());
    }

    /// Hands one event to librdkafka, waiting while its queue is full; false if told to stop by then.
    pub(super) fn send(
        &mut self,
        event: &ReplayedEvent,
        number: usize,
        report: &mut dyn FnMut(ProduceEvent<'_>),
    ) -> Result<bool> {
        if self.is_watched() {
            *self.producer.context().last.lock().expect("no panic while it is held") = None;
            report(ProduceEvent::Sending { number: self.sent, payload: &event.payload });
        }
        let mut record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(&self.config.kafka.topic, number).payload(event.payload.as_slice());
        if let Some(key) = &event.key {
            record = record.key(key.as_slice());
        }
        // The queue has nothing else: what has no room there never will.
        let mut is_alone = false;
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) if !is_alone => {
                    if self.stop.is_cancelled() {
                        return Ok(false);
                    }
                    record = returned;
                    self.poll(TICK);
                    is_alone = self.producer.in_flight_count() == 0;
                }
                Err((KafkaError::MessageProduction(code), _)) if code != RDKafkaErrorCode::Fatal => {
                    // Refused at once, a message above message.max.bytes say: counted, and on to the next.
                    self.producer.context().delivery_failed(&format!("{code}, {} bytes", event.payload.len()));
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
        } else if self.sent % LOOK_EVERY == 0 {
            self.poll(Duration::ZERO);
        }
        Ok(true)
    }

    /// Waits for the one event under way and reports what became of it.
    fn await_delivery(&mut self, report: &mut dyn FnMut(ProduceEvent<'_>)) {
        while !self.stop.is_cancelled() {
            self.poll(SHORT);
            let last = self.producer.context().last.lock().expect("no panic while it is held").take();
            match last {
                Some(Ok((partition, offset))) => return report(ProduceEvent::Sent { partition, offset }),
                Some(Err(error)) => return report(ProduceEvent::NotSent { error: &error }),
                None => {}
            }
        }
    }

    fn progress(&mut self, report: &mut dyn FnMut(ProduceEvent<'_>)) {
        if !self.is_watched() && self.is_time_to_look() {
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
    pub(super) fn drain(&mut self) -> ProduceSummary {
        let mut stopped: Option<Instant> = None;
        while self.producer.in_flight_count() > 0 {
            self.poll(SHORT);
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
