//! Messages that are sent later than their events: late ones, and those sent for a second time.

use super::message::Message;
use super::queue::{Queue, Wait};

/// Messages that are held at most, about 20 MB. Beyond, the first one that is due is sent at once, and counted.
pub(super) const MOST: usize = 20_000;

/// All messages that are sent later.
pub(super) type Holding = Queue<Held>;

/// A message that is sent later.
#[derive(Debug)]
pub(super) struct Held {
    number: u32,
    pub(super) message: Message,
    /// The transaction's id, where the message is a second one.
    pub(super) copy_of: Option<String>,
}

impl Held {
    pub(super) fn new(message: Message, copy_of: Option<String>) -> Self {
        Self { number: 0, message, copy_of }
    }
}

impl Wait for Held {
    fn place(&self) -> (i64, u32) {
        (self.message.due.0, self.number)
    }

    fn set_number(&mut self, number: u32) {
        self.number = number;
    }
}
