//! Labels that are not due yet. They wait apart from refunds, so that many labels do not send refunds early.

use super::ids::{as_str, text_of};
use super::labels::{Source, label};
use super::message::Message;
use super::queue::{Queue, Wait};
use crate::units::Micros;

/// The maximum number of labels, which take 16 MB. Beyond it, the label that is due first is sent early, and counted.
pub(super) const MOST: usize = 500_000;

/// All labels that are not due yet.
pub(super) type WaitingLabels = Queue<WaitingLabel>;

/// A label that is not due yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingLabel {
    /// The time that the label gives, at which it is due.
    pub(super) due: i64,
    number: u32,
    pub(super) source: Source,
    /// The id of the transaction.
    pub(super) id: [u8; 16],
}

impl WaitingLabel {
    pub(super) fn new(due: i64, source: Source, id: [u8; 16]) -> Self {
        Self { due, number: 0, source, id }
    }

    /// Returns the label's message, which is sent at a time. The label is dated as it was planned, even if it is early.
    pub(super) fn message(&self, sent: Micros) -> Message {
        label(as_str(&text_of(&self.id)), Micros(self.due), self.source, sent)
    }
}

impl Wait for WaitingLabel {
    fn place(&self) -> (i64, u32) {
        (self.due, self.number)
    }

    fn set_number(&mut self, number: u32) {
        self.number = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_million_labels_take_16_mb() {
        assert_eq!(size_of::<WaitingLabel>(), 32);
    }
}
