//! Delivery reports of librdkafka, kept here until the sender takes them.

use std::mem::take;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;

use crate::kafka::client::ClientLog;
use ccstream_core::record::Record;

/// A message that the broker has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivered {
    pub(super) number: usize,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// A message that the broker does not have, or may not have.
#[derive(Debug)]
pub(super) struct Undelivered {
    pub(super) number: usize,
    pub(super) message: Record,
    pub(super) error: KafkaError,
}

/// Deliveries that were not taken yet.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    pub(super) log: ClientLog,
    acknowledged: AtomicU64,
    undelivered: Mutex<Vec<Undelivered>>,
    /// Each acknowledged message, where each is of interest.
    delivered: Option<Mutex<Vec<Delivered>>>,
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
    /// A message's number, from 0.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        match result {
            Ok(message) => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                if let Some(delivered) = &self.delivered {
                    let (partition, offset) = (message.partition(), message.offset());
                    delivered.lock().expect("no panic while it is held").push(Delivered { number, partition, offset });
                }
            }
            Err((error, message)) => {
                let key = message.key().map(<[u8]>::to_vec);
                let payload = message.payload().unwrap_or_default().to_vec();
                let message = Record { key, payload };
                let mut undelivered = self.undelivered.lock().expect("no panic while it is held");
                undelivered.push(Undelivered { number, message, error: error.clone() });
            }
        }
    }
}

impl Deliveries {
    /// With `each`, it keeps which messages are acknowledged; without, only how many.
    pub(super) fn new(each: bool) -> Self {
        Self { delivered: each.then(Mutex::default), ..Self::default() }
    }

    /// Whether it keeps which messages are acknowledged.
    pub(super) fn keeps_each(&self) -> bool {
        self.delivered.is_some()
    }

    pub(super) fn take_acknowledged(&self) -> u64 {
        self.acknowledged.swap(0, Ordering::Relaxed)
    }

    pub(super) fn take_delivered(&self) -> Vec<Delivered> {
        self.delivered
            .as_ref()
            .map(|kept| take(&mut *kept.lock().expect("no panic while it is held")))
            .unwrap_or_default()
    }

    pub(super) fn take_undelivered(&self) -> Vec<Undelivered> {
        take(&mut *self.undelivered.lock().expect("no panic while it is held"))
    }
}
