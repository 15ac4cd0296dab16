//! One run: messages to the sender, when they are due, until the end or a stop.

mod labels;
mod place;
mod remarks;
mod saves;
mod schedule;

use std::thread;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use self::place::Place;
pub(super) use self::schedule::Schedule;
use super::commands::Commands;
use super::payloads::Payloads;
use super::sender::{SHORT, Sender};
use super::unsent::{Counts, Leftover};
use super::world_header::MOST_A_SECOND;
use super::{ProduceEvent, ProduceSummary, TICK, WATCHABLE_RATE};
use crate::error::Result;
use crate::report::Observers;
use ccstream_core::generate::{Message, Topic, World};
use ccstream_core::settings::ProducerConfig;

/// How often progress is reported.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// Without waits, the number of events after which delivery reports are served, and stop and progress are checked.
const LOOK_EVERY: u64 = 256;
/// librdkafka waits for whole milliseconds only: a shorter time is no wait.
const WHOLE: Duration = Duration::from_millis(1);

/// A run: what it sends with, and how far it is.
pub(super) struct Run<'r> {
    config: &'r ProducerConfig,
    stop: &'r CancellationToken,
    /// The mean number of events in a second of real time, once a history has been sent.
    rate: f64,
    /// Each event is reported, and its delivery is waited for.
    watched: bool,
    /// There was no wait before the last event: it was late, or the run is as fast as possible.
    is_late: bool,
    sender: Sender<'r>,
    reported: Instant,
    /// The world that the messages are from; None for a file.
    world: Option<World>,
    commands: Commands,
    /// How far the generated messages are.
    place: Place,
    leftover: Leftover,
    /// The numbers of labels, and of other messages, that a stop at the end left.
    not_sent: (usize, usize),
    /// The warning that messages are sent early was given.
    has_warned: bool,
    /// The warning that the file of `resume` cannot be saved was given, and it still cannot.
    has_warned_of_file: bool,
}

/// How a run ends without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// All wanted events were sent, or there are no more.
    Done,
    Stopped,
}

impl<'r> Run<'r> {
    pub(super) fn new(config: &'r ProducerConfig, stop: &'r CancellationToken, rate: f64, sender: Sender<'r>) -> Self {
        Self {
            config,
            stop,
            rate,
            watched: false,
            is_late: false,
            sender,
            reported: Instant::now(),
            world: None,
            commands: Commands::None,
            place: Place::START,
            leftover: Leftover::default(),
            not_sent: (0, 0),
            has_warned: false,
            has_warned_of_file: false,
        }
    }

    /// Adds what only a generated world has: commands, and what an earlier run did not send.
    pub(super) fn of_world(self, world: World, commands: Commands, leftover: Leftover) -> Self {
        Self { world: Some(world), commands, leftover, ..self }
    }

    pub(super) fn send_all(
        mut self,
        mut payloads: Payloads,
        mut schedule: Schedule,
        observers: &mut Observers<'_, ProduceEvent>,
    ) -> Result<ProduceSummary> {
        self.warn_of_killed(observers);
        if let Some(Counts { labels, others }) = self.leftover.begin(&mut payloads) {
            observers.report(&ProduceEvent::Resumed { labels, others });
        }
        let result = match self.begin_with_labels(&mut payloads, observers) {
            Ok(End::Done) => self.send_until_end(&mut payloads, &mut schedule, observers),
            other => other,
        };
        let result = match result {
            Ok(End::Done) if payloads.label_count().is_some() => self.send_labels(&mut payloads, observers).map(drop),
            Ok(End::Done) if !self.leftover.has_file() => self.send_unsent(&mut payloads, observers),
            other => other.map(drop),
        };
        let saved = self.leftover.save(&mut payloads);
        let summary = self.sender.drain();
        if let Ok(Some(Counts { labels, others })) = saved {
            observers.report(&ProduceEvent::Saved { labels, others });
        }
        self.warn_at_end(&payloads, observers);
        observers.report(&ProduceEvent::Progress(summary));
        result.and(saved).map(|_| summary)
    }

    /// Sends events until the last one, or until a stop.
    fn send_until_end(
        &mut self,
        payloads: &mut Payloads,
        schedule: &mut Schedule,
        observers: &mut Observers<'_, ProduceEvent>,
    ) -> Result<End> {
        let mut message = Message::default();
        loop {
            // What follows the last event at once is part of it.
            let is_pending = payloads.has_pending();
            if !is_pending {
                if self.is_done() {
                    return Ok(End::Done);
                }
                if self.is_time_to_look() {
                    if self.stop.is_cancelled() {
                        return Ok(End::Stopped);
                    }
                    self.warn_of_early(payloads, observers);
                }
                self.obey(payloads, observers);
            }
            if !payloads.next(&mut message)? {
                return Ok(End::Done);
            }
            if !self.save(&message, payloads, schedule, observers) {
                self.leftover.put_back(message);
                return Ok(End::Stopped);
            }
            // Messages of an earlier run have their place among those of this one.
            while let Some(mut earlier) = self.leftover.next_by(message.due) {
                let result = self.deliver(&mut earlier, schedule, observers);
                if !matches!(result, Ok(true)) {
                    self.leftover.put_back(message);
                    return result.map(|_| End::Stopped);
                }
            }
            self.place.pass(message.topic, is_pending);
            if !self.deliver(&mut message, schedule, observers)? {
                return Ok(End::Stopped);
            }
        }
    }

    /// Sends a message when it is due. If a stop or an error prevents that, the message is left over, and false or the
    /// error is returned.
    fn deliver(
        &mut self,
        message: &mut Message,
        schedule: &mut Schedule,
        observers: &mut Observers<'_, ProduceEvent>,
    ) -> Result<bool> {
        let wait = schedule.wait(message);
        self.is_late = wait.is_zero();
        let mut is_sent = Ok(self.wait(wait));
        if matches!(is_sent, Ok(true)) {
            let has_caught_up = schedule.has_caught_up();
            if has_caught_up && self.rate <= WATCHABLE_RATE && !self.watched {
                self.watch(observers);
            }
            if let Some(header) = &mut self.sender.header {
                header.is_on_each = has_caught_up && self.rate <= MOST_A_SECOND;
            }
            is_sent = self.send(message, observers);
        }
        if matches!(is_sent, Ok(true)) {
            self.progress(observers);
        } else {
            self.leftover.put_back(std::mem::take(message));
        }
        is_sent
    }

    /// Whether all wanted events were sent.
    fn is_done(&self) -> bool {
        self.config.count.is_some_and(|count| self.sender.sent >= count)
    }

    /// Sends what is not due yet: labels, and late and second messages.
    fn send_unsent(&mut self, payloads: &mut Payloads, observers: &mut Observers<'_, ProduceEvent>) -> Result<()> {
        let mut result = Ok(true);
        for unsent in self.leftover.take_all(payloads) {
            let is_label = unsent.is_label();
            if matches!(result, Ok(true)) {
                result = self.send(&unsent.into_message(), observers);
            }
            if !matches!(result, Ok(true)) {
                self.not_sent.0 += usize::from(is_label);
                self.not_sent.1 += usize::from(!is_label);
            }
        }
        result.map(drop)
    }

    /// Waits until all messages in flight are delivered or have failed; false if the run should stop before.
    fn await_all(&mut self, observers: &mut Observers<'_, ProduceEvent>) -> bool {
        while self.sender.is_waiting() {
            if self.stop.is_cancelled() {
                return false;
            }
            self.sender.poll(SHORT);
            self.progress(observers);
        }
        true
    }

    /// Begins to report each event. The deliveries of earlier events are waited for: the next answer is then the next
    /// event's.
    fn watch(&mut self, observers: &mut Observers<'_, ProduceEvent>) {
        self.await_all(observers);
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
