//! This module supplies messages, from a simulated world or from a file.

use super::rows::Rows;
use crate::error::Result;
use ccstream_core::generate::handbook::Feed;
use ccstream_core::generate::{Command, Early, Generator, Message, Unsent, WaitingLabel, World};
use ccstream_core::settings::ProducerConfig;

/// Supplies messages, one after the other.
pub(crate) enum Payloads {
    Generated(Box<Generator>),
    Handbook(Box<Feed>),
    Replayed(Box<Rows>),
}

impl Payloads {
    /// Returns the messages of a world: the preset's if there is one. Fails if the world has no cards, or the preset's
    /// settings are invalid.
    pub(crate) fn of(config: &ProducerConfig, world: &World) -> Result<Self> {
        let Some(settings) = &config.preset else { return Ok(Self::Generated(Box::new(Generator::new(world)?))) };
        let feed = Feed::new(world.seed, world.start.unwrap_or_default(), settings, world.label_delay)?;
        Ok(Self::Handbook(Box::new(feed)))
    }

    /// Puts the next message into `message`; returns false at the end. A file's messages are due at once.
    pub(crate) fn next(&mut self, message: &mut Message) -> Result<bool> {
        match self {
            Self::Generated(generator) => {
                generator.next_message(message);
                Ok(true)
            }
            Self::Handbook(feed) => Ok(feed.next_message(message)),
            Self::Replayed(rows) => Ok(put(rows.next()?, message)),
        }
    }

    /// Puts the next label of a file into `message`, whatever its time; returns false if there is none.
    pub(super) fn next_label(&mut self, message: &mut Message) -> Result<bool> {
        match self {
            Self::Replayed(rows) => Ok(put(rows.next_label()?, message)),
            Self::Generated(_) | Self::Handbook(_) => Ok(false),
        }
    }

    /// Returns the number of labels in a file; None without a file of labels.
    pub(super) fn label_count(&self) -> Option<u64> {
        match self {
            Self::Replayed(rows) => rows.label_count(),
            Self::Generated(_) | Self::Handbook(_) => None,
        }
    }

    /// Returns whether all labels are sent before the first transaction.
    pub(super) fn begins_with_labels(&self) -> bool {
        matches!(self, Self::Replayed(rows) if rows.begins_with_labels())
    }

    /// Returns whether the next message follows the last event at once.
    pub(super) fn has_pending(&self) -> bool {
        match self {
            Self::Generated(generator) => generator.has_pending(),
            Self::Handbook(feed) => feed.has_pending(),
            Self::Replayed(_) => false,
        }
    }

    /// Changes the generated world from the next event on. The error says why that is impossible.
    pub(super) fn apply(&mut self, command: &Command) -> Result<(), String> {
        match self {
            Self::Generated(generator) => generator.apply(command),
            Self::Handbook(_) | Self::Replayed(_) => Err("only a generated world takes commands".into()),
        }
    }

    /// Adds a label that an earlier run did not send.
    pub(super) fn add_label(&mut self, label: WaitingLabel) {
        match self {
            Self::Generated(generator) => generator.add_label(label),
            Self::Handbook(feed) => feed.add_label(label),
            Self::Replayed(_) => {}
        }
    }

    /// Returns the messages that are not due yet, in the order in which they are due.
    pub(super) fn unsent(&self) -> Vec<Unsent> {
        match self {
            Self::Generated(generator) => generator.unsent(),
            Self::Handbook(feed) => feed.unsent(),
            Self::Replayed(_) => Vec::new(),
        }
    }

    /// After the last event, takes the messages that are not due yet, in the order in which they are due.
    pub(super) fn take_unsent(&mut self) -> Vec<Unsent> {
        match self {
            Self::Generated(generator) => generator.take_unsent(),
            Self::Handbook(feed) => feed.take_unsent(),
            Self::Replayed(_) => Vec::new(),
        }
    }

    /// Returns the numbers of labels, and of late and second messages, that wait until they are due.
    pub(super) fn waiting(&self) -> (usize, usize) {
        match self {
            Self::Generated(generator) => generator.waiting(),
            Self::Handbook(feed) => (feed.labels_waiting(), 0),
            Self::Replayed(_) => (0, 0),
        }
    }

    /// Returns the numbers of what was sent before it was due, because too many waited.
    pub(super) fn early(&self) -> Early {
        match self {
            Self::Generated(generator) => generator.early(),
            Self::Handbook(feed) => Early { labels: feed.early(), ..Early::default() },
            Self::Replayed(_) => Early::default(),
        }
    }
}

/// Replaces a message by the next one, if there is one. Returns whether there is.
fn put(next: Option<Message>, message: &mut Message) -> bool {
    let Some(next) = next else { return false };
    *message = next;
    true
}
