//! Messages that are sent later than their events: late ones, and those sent for a second time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::message::Message;

/// Messages that are held at most, about 20 MB. Beyond, the first one that is due is sent at once.
const MOST: usize = 20_000;

/// A message that is sent later.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// Which came first, where two are due at the same time.
    number: u64,
    pub(super) message: Message,
    /// The transaction's id, where the message is a second one.
    pub(super) copy_of: Option<String>,
}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    /// The greatest is the one that is due first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.message.due, other.number).cmp(&(self.message.due, self.number))
    }
}

/// All messages that are sent later, in the order in which they are due.
#[derive(Debug)]
pub(super) struct Holding {
    waiting: BinaryHeap<Held>,
    most: usize,
    number: u64,
}

impl Holding {
    pub(super) fn new() -> Self {
        Self { waiting: BinaryHeap::new(), most: MOST, number: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn push(&mut self, message: Message, copy_of: Option<String>) {
        self.number += 1;
        self.waiting.push(Held { number: self.number, message, copy_of });
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes all of them, in the order in which they are due.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Held> {
        std::mem::take(&mut self.waiting).into_sorted_vec().into_iter().rev()
    }

    /// Takes the first one, if it is due at this time or too many wait.
    pub(super) fn take(&mut self, time: i64) -> Option<Held> {
        let first = self.waiting.peek()?;
        let is_due = first.message.due.0 <= time || self.waiting.len() > self.most;
        if is_due { self.waiting.pop() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Micros;

    fn of(due: &[i64], most: usize) -> Holding {
        let mut holding = Holding { most, ..Holding::new() };
        for due in due {
            holding.push(Message { due: Micros(*due), ..Message::default() }, None);
        }
        holding
    }

    #[test]
    fn they_come_when_they_are_due() {
        let mut holding = of(&[5, 3, 9, 3], 10);
        let taken = |holding: &mut Holding, time| holding.take(time).map(|held| (held.message.due.0, held.number));
        assert_eq!(taken(&mut holding, 2), None);
        assert_eq!([4, 4, 4].map(|time| taken(&mut holding, time)), [Some((3, 2)), Some((3, 4)), None]);
        assert_eq!([9, 9, 9].map(|time| taken(&mut holding, time)), [Some((5, 1)), Some((9, 3)), None]);
        assert!(holding.is_empty());
    }

    #[test]
    fn all_are_taken_in_the_order_in_which_they_are_due() {
        let mut holding = of(&[5, 3, 9, 3], 10);
        let all: Vec<_> = holding.drain().map(|held| (held.message.due.0, held.number)).collect();
        assert_eq!((all, holding.len()), (vec![(3, 2), (3, 4), (5, 1), (9, 3)], 0));
    }

    #[test]
    fn too_many_do_not_wait() {
        let mut holding = of(&[7, 5, 6], 2);
        assert_eq!(holding.take(0).map(|held| held.message.due.0), Some(5));
        assert_eq!(holding.take(0), None);
    }
}
