//! What became of each message, as librdkafka calls back.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;

use crate::kafka::ClientLog;

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
        std::mem::take(&mut *delivered.lock().expect("no panic while it is held"))
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
