//! This module finds batches that librdkafka cannot decode, because they are damaged or too large once decompressed,
//! and where they end. librdkafka reports such a batch to the group's client without partition and offset. A separate
//! client therefore reads the next offsets again, and takes the batch's first offset from the text of librdkafka's
//! error.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use crate::error::{Error, Result};
use crate::kafka::client::{ClientLog, refused};
use ccstream_core::settings::ConsumerConfig;

/// Longest wait for the broker to answer for one offset.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How librdkafka's error names zstd: by its number in the attributes of a record batch (version 2).
const ZSTD: &str = "codec 0x4";

/// Returns whether an error means that a batch cannot be read, even by another attempt.
pub(super) fn is_unreadable(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::BadCompression | RDKafkaErrorCode::BadMessage)
}

/// Describes a batch that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) partition: i32,
    /// The offset at which the batch was found, which is the partition's next offset.
    pub(super) at: i64,
    /// The first offset of the batch.
    pub(super) first: i64,
    /// The text of librdkafka's error.
    pub(super) reason: String,
}

impl Unreadable {
    /// Returns what the user can do about the batch.
    pub(super) fn advice(&self) -> &'static str {
        if self.reason.contains(ZSTD) {
            "librdkafka decompresses zstd only up to receive.message.max.bytes (default 100000000, maximum \
             2147483647); raise it in `librdkafka_options`, or skip the batch with `skip_unreadable`"
        } else {
            "the batch is damaged; skip it with `skip_unreadable`"
        }
    }
}

/// Tells what was found at an offset.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// There is a message, or the partition ends.
    Readable,
    Unreadable(Unreadable),
    /// The broker did not answer in time.
    Silence,
}

/// Reads single offsets of the topic with a client outside of the group.
pub(super) struct Probe {
    client: BaseConsumer<ClientLog>,
    topic: String,
}

impl Probe {
    pub(super) fn new(config: &ConsumerConfig) -> Result<Self> {
        let mut settings = super::member::client(config)?;
        // Only one message is needed at each offset, so do not fetch ahead.
        settings.set("queued.min.messages", "1");
        let client = BaseConsumer::from_config_and_context(&settings, ClientLog::default());
        Ok(Self { client: client.map_err(refused)?, topic: config.kafka.topic.clone() })
    }

    /// Returns the unreadable batch at the first of these offsets that has one, in the order of the partitions. None
    /// means that each offset can be read, or that no broker answers for it.
    pub(super) fn find(&self, offsets: &BTreeMap<i32, i64>) -> Result<Option<Unreadable>> {
        for (partition, offset) in offsets {
            if let Found::Unreadable(found) = self.read(*partition, *offset)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Returns the offset after the batch; None if no broker answers. A binary search finds it, because a broker
    /// answers a fetch at any offset of a batch with the whole batch. `log_end` is the end of the partition; the
    /// embedded broker does not answer a fetch beyond it.
    pub(super) fn end(&self, batch: &Unreadable, log_end: i64) -> Result<Option<i64>> {
        let is_in = |offset: i64| -> Result<Option<bool>> {
            if offset >= log_end {
                return Ok(Some(false));
            }
            Ok(match self.read(batch.partition, offset)? {
                Found::Readable => Some(false),
                Found::Unreadable(found) => Some(found.first == batch.first),
                Found::Silence => None,
            })
        };
        let (mut inside, mut step) = (batch.at, 1);
        loop {
            match is_in(inside + step)? {
                Some(true) => (inside, step) = (inside + step, step * 2),
                Some(false) => break,
                None => return Ok(None),
            }
        }
        let mut outside = (inside + step).min(log_end.max(inside + 1));
        while outside - inside > 1 {
            let middle = inside + (outside - inside) / 2;
            match is_in(middle)? {
                Some(true) => inside = middle,
                Some(false) => outside = middle,
                None => return Ok(None),
            }
        }
        Ok(Some(outside))
    }

    /// Reads one offset.
    fn read(&self, partition: i32, offset: i64) -> Result<Found> {
        let step = || Error::kafka(format!("reading partition {partition} at offset {offset}"));
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, Offset::Offset(offset)).map_err(step())?;
        self.client.assign(&list).map_err(step())?;
        let until = Instant::now() + ANSWER_LIMIT;
        while Instant::now() < until {
            match self.client.poll(Duration::from_millis(100)) {
                Some(Err(KafkaError::MessageConsumption(code))) if is_unreadable(code) => {
                    let reason = self.client.context().last_error().unwrap_or_else(|| code.to_string());
                    let first = first_offset(&reason).unwrap_or(offset);
                    return Ok(Found::Unreadable(Unreadable { partition, at: offset, first, reason }));
                }
                // There is a message, the log ends here, or it ends before this offset.
                Some(
                    Ok(_)
                    | Err(
                        KafkaError::PartitionEOF(_)
                        | KafkaError::MessageConsumption(
                            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
                        ),
                    ),
                ) => return Ok(Found::Readable),
                _ => {}
            }
        }
        Ok(Found::Silence)
    }
}

/// Returns the offset in librdkafka's error, which reads
/// `Decompression (codec 0x4) of message at 120 of 51234 bytes failed: ...`, or
/// `MessageSet at offset 120 (...) failed CRC32C check ...`.
fn first_offset(reason: &str) -> Option<i64> {
    let (_, rest) = reason.split_once(" message at ").or_else(|| reason.split_once(" at offset "))?;
    let digits = rest.find(|letter: char| !letter.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn librdkafkas_error_has_the_first_offset() {
        let reason =
            "Decompression (codec 0x4) of message at 120 of 51234 bytes failed: Local: Invalid compressed data";
        assert_eq!(first_offset(reason), Some(120));
        assert_eq!(first_offset("MessageSet at offset 7 (90 bytes) failed CRC32C check"), Some(7));
        assert_eq!(first_offset("another reason"), None);
        let batch = |reason: &str| Unreadable { partition: 0, at: 0, first: 0, reason: reason.into() };
        assert!(batch(reason).advice().contains("receive.message.max.bytes"));
        assert!(!batch("Decompression (codec 0x1) of message at 1").advice().contains("receive.message"));
    }
}
