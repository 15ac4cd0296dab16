//! What became of each message, as librdkafka calls back.

use std::mem;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Message};
use rdkafka::producer::ProducerContext;

use crate::kafka::ClientLog;
use crate::replay::ReplayedEvent;

/// What became of the messages so far.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    pub(super) log: ClientLog,
    pub(super) acknowledged: AtomicU64,
    pub(super) failed: AtomicU64,
    failure: Mutex<Option<String>>,
    /// The numbers of the messages that the broker has, where each is of interest.
    delivered: Option<Mutex<Vec<usize>>>,
    /// Each delivery is waited for,
    pub(super) watched: bool,
    /// and this is the last one's partition and offset, or why there was none.
    pub(super) last: Mutex<Option<Result<(i32, i64), String>>>,
    /// What failed, where it is kept to be sent again.
    kept: Mutex<Option<Vec<Kept>>>,
}

/// A message that its client gave up.
#[derive(Debug)]
struct Kept {
    event: ReplayedEvent,
    number: usize,
    /// It had not been on its way yet.
    queued: bool,
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
            Err((error, message)) => {
                if !self.keep(error, message, number) {
                    self.delivery_failed(&error.to_string());
                }
            }
        }
    }
}

impl Deliveries {
    /// Of messages that are each waited for, if `watched`.
    pub(super) fn new(watched: bool) -> Self {
        Self { watched, ..Self::default() }
    }

    /// Of messages that have numbers, which tell those that the broker has.
    pub(super) fn numbered() -> Self {
        Self { delivered: Some(Mutex::default()), ..Self::default() }
    }

    /// The numbers of the messages that the broker has.
    pub(super) fn take_delivered(&self) -> Vec<usize> {
        let Some(delivered) = &self.delivered else { return Vec::new() };
        mem::take(&mut *delivered.lock().expect("no panic while it is held"))
    }

    /// For another client of the same messages: nothing is counted yet.
    pub(super) fn alike(&self) -> Self {
        let delivered = self.delivered.as_ref().map(|_| Mutex::default());
        Self { watched: self.watched, delivered, ..Self::default() }
    }

    /// From now on what fails is kept, to be sent again.
    pub(super) fn keep_failures(&self) {
        *self.kept.lock().expect("no panic while it is held") = Some(Vec::new());
    }

    fn keep(&self, error: &KafkaError, message: &BorrowedMessage<'_>, number: usize) -> bool {
        let mut kept = self.kept.lock().expect("no panic while it is held");
        let Some(kept) = kept.as_mut() else { return false };
        let event = ReplayedEvent {
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().unwrap_or_default().to_vec(),
        };
        let queued = error.rdkafka_error_code() == Some(RDKafkaErrorCode::PurgeQueue);
        kept.push(Kept { event, number, queued });
        true
    }

    /// Hands what was counted over, to be counted on from; returns what was kept with its numbers, in the order in
    /// which it was to be sent.
    pub(super) fn hand_over(&self, to: &Self) -> Vec<(ReplayedEvent, usize)> {
        to.acknowledged.fetch_add(self.acknowledged.load(Ordering::Relaxed), Ordering::Relaxed);
        to.failed.fetch_add(self.failed.load(Ordering::Relaxed), Ordering::Relaxed);
        *to.failure.lock().expect("no panic while it is held") =
            self.failure.lock().expect("no panic while it is held").take();
        if let Some(delivered) = &to.delivered {
            delivered.lock().expect("no panic while it is held").append(&mut self.take_delivered());
        }
        let mut kept = self.kept.lock().expect("no panic while it is held").take().unwrap_or_default();
        // librdkafka gives back what waits before what is under way.
        kept.sort_by_key(|kept| kept.queued);
        kept.into_iter().map(|kept| (kept.event, kept.number)).collect()
    }

    /// Why the first message that was not delivered was not.
    pub(super) fn first_failure(&self) -> String {
        let failure = self.failure.lock().expect("no panic while it is held").clone();
        failure.unwrap_or_else(|| "no reason given".into())
    }

    pub(super) fn delivery_failed(&self, error: &str) {
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
