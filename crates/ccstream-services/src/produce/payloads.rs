//! This module supplies messages, from a simulated world or from a file.

use crate::error::Result;
use ccstream_core::generate::{Generator, Message, World};
use ccstream_core::replay::Replay;

/// Supplies messages, one after the other.
pub(crate) enum Payloads {
    Generated(Box<Generator>),
    Replayed(Box<Replay>),
}

impl Payloads {
    /// Returns the messages of a world. Fails if the world has no cards.
    pub(crate) fn of(world: &World) -> Result<Self> {
        Ok(Self::Generated(Box::new(Generator::new(world)?)))
    }

    /// Puts the next message into `message`; returns false at the end. A file's messages are due at once.
    pub(crate) fn next(&mut self, message: &mut Message) -> Result<bool> {
        match self {
            Self::Generated(generator) => {
                generator.next_message(message);
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
            Self::Replayed(_) => false,
        }
    }

    /// Returns the number of labels of sent events that wait until they are due.
    pub(super) fn labels_waiting(&self) -> usize {
        match self {
            Self::Generated(generator) => generator.labels_waiting(),
            Self::Replayed(_) => 0,
        }
    }

    /// Returns the number of events that were sent before they were due, because too many waited.
    pub(super) fn early(&self) -> u64 {
        match self {
            Self::Generated(generator) => generator.early(),
            Self::Replayed(_) => 0,
        }
    }
}
