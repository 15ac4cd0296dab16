//! Labels that are not due yet. They wait apart from refunds, so that many labels do not send refunds early.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::ids::{as_str, text_of};
use super::labels::{Source, label};
use super::message::Message;
use crate::units::Micros;

/// The maximum number of labels, which take 16 MB. Beyond it, the label that is due first is sent early, and counted.
const MOST: usize = 500_000;

/// A label that is not due yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingLabel {
    /// The time that the label gives, at which it is due.
    pub(super) due: i64,
    /// The order of labels that are due at the same time.
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

impl PartialOrd for WaitingLabel {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for WaitingLabel {
    /// The greatest label is the one that is due first, because a heap returns its greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

/// All labels that are not due yet.
#[derive(Debug)]
pub(super) struct LabelQueue {
    waiting: BinaryHeap<WaitingLabel>,
    most: usize,
    number: u32,
    early: u64,
}

impl LabelQueue {
    pub(super) fn new() -> Self {
        Self { waiting: BinaryHeap::new(), most: MOST, number: 0, early: 0 }
    }

    pub(super) fn push(&mut self, label: WaitingLabel) {
        self.number = self.number.wrapping_add(1);
        self.waiting.push(WaitingLabel { number: self.number, ..label });
    }

    /// Returns the time at which the first label is due: `i64::MIN` if there are too many, `i64::MAX` if there is none.
    pub(super) fn due(&self) -> i64 {
        if self.waiting.len() > self.most {
            return i64::MIN;
        }
        self.waiting.peek().map_or(i64::MAX, |label| label.due)
    }

    /// Removes the first label, and counts it if it is early.
    pub(super) fn pop(&mut self, now: i64) -> Option<WaitingLabel> {
        let label = self.waiting.pop()?;
        self.early += u64::from(label.due > now);
        Some(label)
    }

    /// Removes all labels, and returns them in the order in which they are due.
    pub(super) fn drain(&mut self) -> Vec<WaitingLabel> {
        let mut labels = std::mem::take(&mut self.waiting).into_sorted_vec();
        labels.reverse();
        labels
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns the number of labels that were sent early.
    pub(super) fn early(&self) -> u64 {
        self.early
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(due: &[i64], most: usize) -> LabelQueue {
        let mut queue = LabelQueue { most, ..LabelQueue::new() };
        for (number, due) in due.iter().enumerate() {
            queue.push(WaitingLabel::new(*due, Source::Issuer, [number as u8; 16]));
        }
        queue
    }

    #[test]
    fn labels_come_in_the_order_of_time_and_none_is_too_large() {
        assert_eq!(size_of::<WaitingLabel>(), 32);
        let mut labels = queue(&[5, 3, 9, 3], 10);
        let order: Vec<(i64, u8)> = std::iter::from_fn(|| labels.pop(100)).map(|one| (one.due, one.id[0])).collect();
        assert_eq!(order, [(3, 1), (3, 3), (5, 0), (9, 2)]);
        assert_eq!((labels.due(), labels.early()), (i64::MAX, 0));
        let all = queue(&[5, 3, 9, 3], 10).drain();
        assert_eq!(all.iter().map(|one| (one.due, one.id[0])).collect::<Vec<_>>(), order);
    }

    #[test]
    fn beyond_the_most_the_first_is_early() {
        let mut labels = queue(&[50, 30, 40], 2);
        assert_eq!(labels.due(), i64::MIN);
        assert_eq!(labels.pop(10).map(|label| label.due), Some(30));
        assert_eq!((labels.due(), labels.early(), labels.len()), (40, 1, 2));
    }
}
