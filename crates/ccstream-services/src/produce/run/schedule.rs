//! When the messages of a run are due.

use std::time::Duration;

use crate::produce::pacer::Pacer;
use crate::produce::timeline::Timeline;
use ccstream_core::generate::{Message, Topic};

/// When messages are due.
pub(in crate::produce) enum Schedule {
    /// At their events' times.
    World(Timeline),
    /// One after the other.
    File(Pacer),
}

impl Schedule {
    pub(super) fn wait(&mut self, message: &Message) -> Duration {
        match self {
            Self::World(timeline) => timeline.wait(message.due),
            // A label takes no time: the rate is that of the transactions.
            Self::File(_) if message.topic != Topic::Orders => Duration::ZERO,
            Self::File(pacer) => pacer.wait(),
        }
    }

    pub(super) fn has_caught_up(&self) -> bool {
        match self {
            Self::World(timeline) => timeline.has_caught_up(),
            Self::File(_) => true,
        }
    }
}
