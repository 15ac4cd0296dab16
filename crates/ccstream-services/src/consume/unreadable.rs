//! Batches that librdkafka does not unpack: which they are, and where they end. It names neither to its callers, so a
//! client beside the group's reads the suspected offsets again, and takes librdkafka's own words for the rest.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use crate::error::{Error, Result};
use crate::kafka::client::{ClientLog, refused};
use ccstream_core::settings::ConsumerConfig;

/// How long the broker may take to answer for one offset.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// zstd, in the attributes of a batch (Kafka's record batch, version 2).
const ZSTD: &str = "codec 0x4";

/// Whether an error says that a batch cannot be read, whoever asks again.
pub(super) fn is_unreadable(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::BadCompression | RDKafkaErrorCode::BadMessage)
}

/// A batch that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) partition: i32,
    /// The offset that it was found at: the next one of the partition.
    pub(super) at: i64,
    /// Its first offset.
    pub(super) first: i64,
    /// librdkafka's reason.
    pub(super) reason: String,
}

impl Unreadable {
    /// What to do about it.
    pub(super) fn advice(&self) -> &'static str {
        if self.reason.contains(ZSTD) {
            "librdkafka unpacks zstd up to receive.message.max.bytes (100000000 by default, 2147483647 at most): raise it in \
             `librdkafka_options`, or leave the batch out by `skip_unreadable`"
        } else {
            "what it holds is damaged: leave it out by `skip_unreadable`"
        }
    }
}

/// What was found at an offset.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// A message, or the end of the partition.
    Readable,
    Unreadable(Unreadable),
    /// No answer in time.
    Silence,
}

/// Reads single offsets of the topic, outside of the group.
pub(super) struct Probe {
    client: BaseConsumer<ClientLog>,
    topic: String,
}

impl Probe {
    pub(super) fn new(config: &ConsumerConfig) -> Result<Self> {
        let mut settings = super::member::client(config)?;
        // One message at a time is enough.
        settings.set("queued.min.messages", "1");
        let client = BaseConsumer::from_config_and_context(&settings, ClientLog::default());
        Ok(Self { client: client.map_err(refused)?, topic: config.kafka.topic.clone() })
    }

    /// The first of these offsets, by partition, at which nothing can be read; None also where no broker answers.
    pub(super) fn find(&self, offsets: &BTreeMap<i32, i64>) -> Result<Option<Unreadable>> {
        for (partition, offset) in offsets {
            if let Found::Unreadable(found) = self.read(*partition, *offset)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The offset after the batch: a broker answers for each offset of a batch with all of it. `log_end` is the end of the
    /// partition; beyond it the embedded broker answers nothing at all. None where no broker answers.
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
                // A message, the end of the log, or an offset beyond it.
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

/// The offset in librdkafka's words: `Decompression (codec 0x4) of message at 120 of 51234 bytes failed: ...`, or
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
    fn librdkafkas_words_name_the_first_offset() {
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
