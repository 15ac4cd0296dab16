//! Where messages come from: a simulated world or a file.

use crate::error::Result;
use ccstream_core::event::Micros;
use ccstream_core::generate::{Generator, Message};
use ccstream_core::replay::Replay;
use ccstream_core::settings::EventSource;

/// Supplies messages, one after the other.
pub(crate) enum Payloads {
    Generated(Box<Generator>),
    Replayed(Box<Replay>),
}

impl Payloads {
    /// Opens a source. Fails if the file cannot be used, or the world has no cards.
    pub(crate) fn open(source: &EventSource) -> Result<Self> {
        Ok(match source {
            EventSource::Generate(world) => Self::Generated(Box::new(Generator::new(world)?)),
            EventSource::Replay(replay) => Self::Replayed(Box::new(Replay::open(replay)?)),
        })
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
                *message = Message { due: Micros::default(), record };
                Ok(true)
            }
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
