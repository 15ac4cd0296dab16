//! This module supplies messages, from a simulated world or from a file.

use crate::error::Result;
use ccstream_core::generate::handbook::{Handbook, Writer};
use ccstream_core::generate::{Generator, Message, Topic, World};
use ccstream_core::replay::Replay;
use ccstream_core::settings::ProducerConfig;

/// Supplies messages, one after the other.
pub(crate) enum Payloads {
    Generated(Box<Generator>),
    Handbook { handbook: Box<Handbook>, writer: Box<Writer> },
    Replayed(Box<Replay>),
}

impl Payloads {
    /// Returns the messages of a world: the preset's if there is one. Fails if the world has no cards, or the preset's
    /// settings are invalid.
    pub(crate) fn of(config: &ProducerConfig, world: &World) -> Result<Self> {
        let Some(settings) = &config.preset else { return Ok(Self::Generated(Box::new(Generator::new(world)?))) };
        let handbook = Handbook::new(world.seed, world.start.unwrap_or_default(), settings)?;
        Ok(Self::Handbook { handbook: Box::new(handbook), writer: Box::new(Writer::new(world.seed)) })
    }

    /// Puts the next message into `message`; returns false at the end. A file's messages are due at once.
    pub(crate) fn next(&mut self, message: &mut Message) -> Result<bool> {
        match self {
            Self::Generated(generator) => {
                generator.next_message(message);
                Ok(true)
            }
            Self::Handbook { handbook, writer } => {
                let Some(transaction) = handbook.next() else { return Ok(false) };
                (message.topic, message.due) = (Topic::Orders, transaction.time);
                writer.write(&transaction, &mut message.record);
                Ok(true)
            }
            Self::Replayed(replay) => {
                let Some(record) = replay.next_event()? else { return Ok(false) };
                *message = Message { record, ..Message::default() };
                Ok(true)
            }
        }
    }

    /// Returns whether the next message follows the last event at once.
    pub(super) fn has_pending(&self) -> bool {
        matches!(self, Self::Generated(generator) if generator.has_pending())
    }

    /// Puts the next label that is not due yet into `message`, after the last event. Returns false if there is none.
    pub(super) fn next_label(&mut self, message: &mut Message) -> bool {
        match self {
            Self::Generated(generator) => generator.next_label(message),
            Self::Handbook { .. } | Self::Replayed(_) => false,
        }
    }

    /// Returns the number of labels of sent events that wait until they are due.
    pub(super) fn labels_waiting(&self) -> usize {
        match self {
            Self::Generated(generator) => generator.labels_waiting(),
            Self::Handbook { .. } | Self::Replayed(_) => 0,
        }
    }

    /// Returns the number of events that were sent before they were due, because too many waited.
    pub(super) fn early(&self) -> u64 {
        match self {
            Self::Generated(generator) => generator.early(),
            Self::Handbook { .. } | Self::Replayed(_) => 0,
        }
    }
}
