//! One run: messages to the sender, when they are due, until the end or a stop.

use std::thread;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::pacer::Pacer;
use super::payloads::Payloads;
use super::report::{ProducerWarning, ProducerWarningKind};
use super::sender::{SHORT, Sender};
use super::timeline::Timeline;
use super::{ProduceEvent, ProduceSummary, TICK};
use crate::error::Result;
use crate::report::Observers;
use ccstream_core::generate::{Message, Topic};
use ccstream_core::settings::ProducerConfig;

/// How often progress is reported.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// Without waits, the number of events after which delivery reports are served, and stop and progress are checked.
const LOOK_EVERY: u64 = 256;
/// librdkafka waits for whole milliseconds only: a shorter time is no wait.
const WHOLE: Duration = Duration::from_millis(1);

/// When messages are due.
pub(super) enum Schedule {
    /// At their events' times.
    World(Timeline),
    /// One after the other.
    File(Pacer),
}

impl Schedule {
    fn wait(&mut self, message: &Message) -> Duration {
        match self {
            Self::World(timeline) => timeline.wait(message.due),
            Self::File(pacer) => pacer.wait(),
        }
    }

    fn has_caught_up(&self) -> bool {
        match self {
            Self::World(timeline) => timeline.has_caught_up(),
            Self::File(_) => true,
        }
    }
}

/// A run: what it sends with, and how far it is.
pub(super) struct Run<'r> {
    config: &'r ProducerConfig,
    stop: &'r CancellationToken,
    /// Events are few enough for each to be reported, once a history has been sent.
    watchable: bool,
    /// Each event is reported, and its delivery is waited for.
    watched: bool,
    /// There was no wait before the last event: it was late, or the run is as fast as possible.
    is_late: bool,
    sender: Sender<'r>,
    reported: Instant,
}

impl<'r> Run<'r> {
    pub(super) fn new(
        config: &'r ProducerConfig,
        stop: &'r CancellationToken,
        watchable: bool,
        sender: Sender<'r>,
    ) -> Self {
        Self { config, stop, watchable, watched: false, is_late: false, sender, reported: Instant::now() }
    }

    pub(super) fn send_all(
        mut self,
        mut payloads: Payloads,
        mut schedule: Schedule,
        observers: &mut Observers<'_, ProduceEvent>,
    ) -> Result<ProduceSummary> {
        let mut message = Message::default();
        let result = loop {
            // What follows the last event at once is part of it.
            let may_end = !payloads.has_pending();
            if may_end && (self.is_done() || (self.is_time_to_look() && self.stop.is_cancelled())) {
                break Ok(());
            }
            match payloads.next(&mut message) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
            let wait = schedule.wait(&message);
            self.is_late = wait.is_zero();
            if !self.wait(wait) {
                break Ok(());
            }
            if self.watchable && !self.watched && schedule.has_caught_up() {
                self.watch();
            }
            match self.send(&message, observers) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
            self.progress(observers);
        };
        let result = if result.is_ok() && self.is_done() { self.send_labels(&mut payloads, observers) } else { result };
        let summary = self.sender.drain();
        if payloads.labels_waiting() > 0 {
            let text = format!(
                "{} labels of transactions that were sent were not due yet, and are not sent",
                payloads.labels_waiting()
            );
            let kind = ProducerWarningKind::LabelsNotSent;
            observers.report(&ProduceEvent::Warning(ProducerWarning { kind, text }));
        }
        if payloads.early() > 0 {
            let text =
                format!("{} refunds, retries and labels were sent early: a million were waiting", payloads.early());
            observers.report(&ProduceEvent::Warning(ProducerWarning { kind: ProducerWarningKind::SentEarly, text }));
        }
        observers.report(&ProduceEvent::Progress(summary));
        result.map(|()| summary)
    }

    /// Whether all wanted events were sent.
    fn is_done(&self) -> bool {
        self.config.count.is_some_and(|count| self.sender.sent >= count)
    }

    /// Sends the labels that are not due yet, of the events that were sent.
    fn send_labels(&mut self, payloads: &mut Payloads, observers: &mut Observers<'_, ProduceEvent>) -> Result<()> {
        let mut message = Message::default();
        while payloads.next_label(&mut message) && self.send(&message, observers)? {}
        Ok(())
    }

    /// Begins to report each event. The deliveries of earlier events are waited for: the next answer is then the next
    /// event's.
    fn watch(&mut self) {
        while self.sender.is_waiting() && !self.stop.is_cancelled() {
            self.sender.poll(SHORT);
        }
        self.sender.take_delivered();
        self.watched = true;
    }

    /// Whether to read the clock and check for a stop. Without waits, doing so for each event would cost too much.
    fn is_time_to_look(&self) -> bool {
        self.sender.sent.is_multiple_of(LOOK_EVERY) || !self.is_late
    }

    /// Serves delivery reports for this time; false if the run should stop.
    fn wait(&mut self, time: Duration) -> bool {
        // As fast as possible, reading the clock would be a twentieth of the time.
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
                self.sender.poll(Duration::ZERO);
                thread::sleep(left);
            } else {
                self.sender.poll(left.min(TICK));
            }
        }
    }

    /// Sends one message; false if the run should stop before there is room for it.
    fn send(&mut self, message: &Message, observers: &mut Observers<'_, ProduceEvent>) -> Result<bool> {
        let failed = self.sender.failed;
        let is_watched = self.watched && message.topic == Topic::Orders;
        if is_watched {
            let (number, payload) = (self.sender.sent, message.record.payload.clone());
            observers.report(&ProduceEvent::Sending { number, payload });
        }
        if !self.sender.send(message.topic, &message.record)? {
            return Ok(false);
        }
        if is_watched {
            self.await_delivery(failed, observers);
        } else if self.sender.sent.is_multiple_of(LOOK_EVERY) {
            self.sender.poll(Duration::ZERO);
            self.sender.take_delivered();
        }
        Ok(true)
    }

    /// Waits for the delivery of the one event in flight, and reports it. `failed` is the number of failures before it.
    fn await_delivery(&mut self, failed: u64, observers: &mut Observers<'_, ProduceEvent>) {
        while !self.stop.is_cancelled() {
            self.sender.poll(SHORT);
            if let Some(delivered) = self.sender.take_delivered().pop() {
                let (partition, offset) = (delivered.partition, delivered.offset);
                return observers.report(&ProduceEvent::Sent { partition, offset });
            }
            if self.sender.failed > failed {
                return observers.report(&ProduceEvent::NotSent { error: self.sender.failure.clone() });
            }
        }
    }

    fn progress(&mut self, observers: &mut Observers<'_, ProduceEvent>) {
        if !self.watched && self.is_time_to_look() {
            let now = Instant::now();
            if now.duration_since(self.reported) >= PROGRESS_EVERY {
                self.reported = now;
                observers.report(&ProduceEvent::Progress(self.sender.summary()));
            }
        }
    }
}
