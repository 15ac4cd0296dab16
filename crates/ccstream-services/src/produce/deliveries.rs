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
use ccstream_core::generate::Topic;
use ccstream_core::record::Record;

/// Which message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    /// Its number among all that were handed over, from 0.
    pub(super) number: usize,
    pub(super) topic: Topic,
    /// Whether it names the simulated world in a header.
    pub(super) has_header: bool,
}

impl Tag {
    /// As librdkafka keeps it with the message.
    pub(super) fn opaque(self) -> usize {
        (self.number * Topic::ALL.len() + self.topic as usize) * 2 + usize::from(self.has_header)
    }

    fn of(opaque: usize) -> Self {
        let (count, rest) = (Topic::ALL.len(), opaque / 2);
        Self { number: rest / count, topic: Topic::ALL[rest % count], has_header: opaque % 2 == 1 }
    }
}

/// A transaction that the broker has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivered {
    pub(super) number: usize,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// A message that the broker does not have, or may not have.
#[derive(Debug)]
pub(super) struct Undelivered {
    pub(super) tag: Tag,
    pub(super) message: Record,
    pub(super) error: KafkaError,
}

/// Deliveries that were not taken yet.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    pub(super) log: ClientLog,
    /// By topic.
    acknowledged: [AtomicU64; Topic::ALL.len()],
    undelivered: Mutex<Vec<Undelivered>>,
    /// Each acknowledged transaction, where each is of interest.
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
    /// A message's [`Tag`].
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        let tag = Tag::of(opaque);
        match result {
            Ok(message) => {
                self.acknowledged[tag.topic as usize].fetch_add(1, Ordering::Relaxed);
                if let Some(delivered) = self.delivered.as_ref().filter(|_| tag.topic == Topic::Orders) {
                    let number = tag.number;
                    let (partition, offset) = (message.partition(), message.offset());
                    delivered.lock().expect("no panic while it is held").push(Delivered { number, partition, offset });
                }
            }
            Err((error, message)) => {
                let key = message.key().map(<[u8]>::to_vec);
                let payload = message.payload().unwrap_or_default().to_vec();
                let message = Record { key, payload, is_tombstone: message.payload().is_none() };
                let mut undelivered = self.undelivered.lock().expect("no panic while it is held");
                undelivered.push(Undelivered { tag, message, error: error.clone() });
            }
        }
    }
}

impl Deliveries {
    /// With `each`, it keeps which transactions are acknowledged; without, only how many.
    pub(super) fn new(each: bool) -> Self {
        Self { delivered: each.then(Mutex::default), ..Self::default() }
    }

    /// Whether it keeps which transactions are acknowledged.
    pub(super) fn keeps_each(&self) -> bool {
        self.delivered.is_some()
    }

    /// By topic.
    pub(super) fn take_acknowledged(&self) -> [u64; Topic::ALL.len()] {
        std::array::from_fn(|topic| self.acknowledged[topic].swap(0, Ordering::Relaxed))
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
