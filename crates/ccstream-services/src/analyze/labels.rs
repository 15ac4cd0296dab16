//! This module reads the topic of labels.

use std::time::Duration;

use rdkafka::message::Message;

use crate::consume::assigned::{Assigned, Change};
use crate::error::Result;
use crate::postgres::analysis::ReceivedLabel;
use ccstream_core::label::Label;
use ccstream_core::settings::AnalyzerConfig;

/// Maximum number of messages that are read at once.
const AT_ONCE: usize = 5_000;

/// A message of the topic of labels.
#[derive(Debug)]
pub(super) enum Received {
    Label(ReceivedLabel),
    Invalid { partition: i32, offset: i64, why: String },
}

/// Reads the topic of labels.
pub(super) struct Labels {
    pub(super) topic: Assigned,
    /// Whether the topic does not exist.
    pub(super) is_missing: bool,
}

impl Labels {
    pub(super) fn new(config: &AnalyzerConfig) -> Result<Self> {
        Ok(Self { topic: Assigned::new(&config.reading(), &config.labels_topic)?, is_missing: false })
    }

    /// Returns whether there are no labels to wait for: every partition was read to its end, or there is no topic.
    pub(super) fn is_at_end(&self) -> bool {
        self.is_missing || self.topic.is_at_end()
    }

    /// Adds the messages that have arrived to `messages`, without waiting. Returns a change of the topic, if there is
    /// one.
    pub(super) fn fill(&mut self, messages: &mut Vec<Received>) -> Result<Change> {
        while messages.len() < AT_ONCE {
            let Some(polled) = self.topic.member.poll(Duration::ZERO) else { break };
            let message = match polled {
                Ok(message) => message,
                Err(error) => {
                    let change = self.topic.take_error(error)?;
                    if matches!(change, Change::None) {
                        continue;
                    }
                    return Ok(change);
                }
            };
            let (partition, offset) = (message.partition(), message.offset());
            let Some(next) = self.topic.next.get_mut(&partition) else { continue };
            if offset < *next {
                self.topic.doubt_offsets();
                break;
            }
            *next = offset + 1;
            messages.push(match Label::read(message.payload()) {
                Ok(label) => Received::Label(ReceivedLabel { label, partition, offset }),
                Err(why) => Received::Invalid { partition, offset, why },
            });
        }
        self.topic.member.keep_brokers();
        Ok(Change::None)
    }
}
