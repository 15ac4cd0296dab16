//! Knows which targets there are, and which of them can be given something to send.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::deliver;
use super::sender::Command;
use crate::error::{Error, Result};
use crate::postgres::analysis::Claimed;
use ccstream_analysis::notify::{Target, pause};
use ccstream_core::settings::KafkaConfig;

/// After this number of failed attempts in a row, the user is warned.
const WARN_AFTER: u32 = 5;

/// A target, and the thread that sends to it.
pub(super) struct Served {
    number: u64,
    pub(super) target: Arc<Target>,
    jobs: Sender<Claimed>,
    /// Whether something is being sent.
    is_busy: bool,
    /// Number of attempts in a row that failed.
    failures: u32,
    /// Until when it is left alone.
    quiet_until: Option<Instant>,
    has_warned: bool,
}

impl Served {
    pub(super) fn start(
        number: u64,
        target: &Arc<Target>,
        kafka: &KafkaConfig,
        answers: &Sender<Command>,
    ) -> Result<Self> {
        let (jobs, taken) = channel();
        let (of_thread, kafka, answers) = (Arc::clone(target), kafka.clone(), answers.clone());
        let run = move || deliver::run(number, &of_thread, &kafka, &taken, &answers);
        let spawned = thread::Builder::new().name("ccstream-target".into()).spawn(run);
        spawned.map_err(Error::system("starting a thread that sends notifications"))?;
        Ok(Self {
            number,
            target: Arc::clone(target),
            jobs,
            is_busy: false,
            failures: 0,
            quiet_until: None,
            has_warned: false,
        })
    }

    pub(super) fn is(&self, number: u64) -> bool {
        self.number == number
    }

    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Returns how long it is left alone from now on.
    pub(super) fn quiet_for(&self) -> Option<Duration> {
        self.quiet_until.map(|until| until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// Returns whether it can be given something to send.
    pub(super) fn is_free(&self) -> bool {
        !self.is_busy && self.quiet_for().is_none()
    }

    /// Sends a notification.
    pub(super) fn send(&mut self, claimed: Claimed) {
        // The thread ends only after this is dropped.
        self.is_busy = self.jobs.send(claimed).is_ok();
    }

    pub(super) fn note_sent(&mut self) {
        (self.is_busy, self.failures, self.quiet_until, self.has_warned) = (false, 0, None, false);
    }

    /// Notes that one was refused. Others may be taken, so they do not wait.
    pub(super) fn note_refused(&mut self) {
        (self.is_busy, self.failures, self.quiet_until) = (false, 0, None);
    }

    /// Notes a failure, and leaves the target alone for a while.
    pub(super) fn note_failed(&mut self, asked: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        (self.is_busy, self.quiet_until) = (false, Some(Instant::now() + pause(self.failures, asked)));
    }

    /// Returns whether the user has to be warned, once until something is sent.
    pub(super) fn warns(&mut self, has_failed: bool) -> bool {
        (has_failed || self.failures >= WARN_AFTER) && !std::mem::replace(&mut self.has_warned, true)
    }
}
