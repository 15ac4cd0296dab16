//! What waits until it is due, in a queue of a limited length.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// What can wait in a [`Queue`].
pub(super) trait Wait {
    /// When it is due, and its number, which orders what is due at the same time.
    fn place(&self) -> (i64, u32);

    /// Keeps the number. Beside each of a million items, it would take 8 MB because of its alignment.
    fn set_number(&mut self, number: u32);
}

/// The greatest is the one that is due first, because a heap returns its greatest.
#[derive(Debug)]
struct First<T>(T);

impl<T: Wait> PartialEq for First<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.place() == other.0.place()
    }
}

impl<T: Wait> Eq for First<T> {}

impl<T: Wait> PartialOrd for First<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Wait> Ord for First<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.place().cmp(&self.0.place())
    }
}

/// Items that wait until they are due.
#[derive(Debug)]
pub(super) struct Queue<T> {
    waiting: BinaryHeap<First<T>>,
    most: usize,
    number: u32,
    early: u64,
}

impl<T: Wait> Queue<T> {
    /// Makes an empty queue. Beyond `most` items, the one that is due first is early, and counted.
    pub(super) fn new(most: usize) -> Self {
        Self { waiting: BinaryHeap::new(), most, number: 0, early: 0 }
    }

    pub(super) fn push(&mut self, mut item: T) {
        self.number = self.number.wrapping_add(1);
        item.set_number(self.number);
        self.waiting.push(First(item));
    }

    /// Returns the time at which the first item is due: `i64::MIN` if there are too many, `i64::MAX` if there is none.
    pub(super) fn due(&self) -> i64 {
        if self.waiting.len() > self.most {
            return i64::MIN;
        }
        self.waiting.peek().map_or(i64::MAX, |First(item)| item.place().0)
    }

    /// Removes the first item, and counts it if it is early.
    pub(super) fn pop(&mut self, now: i64) -> Option<T> {
        let First(item) = self.waiting.pop()?;
        self.early += u64::from(item.place().0 > now);
        Some(item)
    }

    /// Returns all items, in the order in which they are due.
    pub(super) fn in_order(&self) -> Vec<&T> {
        let mut all: Vec<&T> = self.waiting.iter().map(|First(item)| item).collect();
        all.sort_unstable_by_key(|item| item.place());
        all
    }

    /// Removes all items, and counts none of them as early.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns the number of items that were early.
    pub(super) fn early(&self) -> u64 {
        self.early
    }
}

/// The numbers of items that were sent before they were due, because too many waited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Early {
    /// Labels. They have their own dates nevertheless.
    pub labels: u64,
    /// Refunds, retries and steps of campaigns.
    pub follow_ups: u64,
    /// Late and second messages.
    pub messages: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Item {
        due: i64,
        number: u32,
    }

    impl Wait for Item {
        fn place(&self) -> (i64, u32) {
            (self.due, self.number)
        }

        fn set_number(&mut self, number: u32) {
            self.number = number;
        }
    }

    fn of(due: &[i64], most: usize) -> Queue<Item> {
        let mut queue = Queue::new(most);
        for &due in due {
            queue.push(Item { due, number: 0 });
        }
        queue
    }

    #[test]
    fn items_come_in_the_order_in_which_they_are_due() {
        let mut queue = of(&[5, 3, 9, 3], 10);
        let expected = [(3, 2), (3, 4), (5, 1), (9, 3)];
        assert_eq!(queue.in_order().iter().map(|item| (item.due, item.number)).collect::<Vec<_>>(), expected);
        assert_eq!((queue.due(), queue.len()), (3, 4));
        let popped: Vec<_> = std::iter::from_fn(|| queue.pop(100)).map(|item| (item.due, item.number)).collect();
        assert_eq!(popped, expected);
        assert_eq!((queue.due(), queue.early(), queue.is_empty()), (i64::MAX, 0, true));
    }

    #[test]
    fn beyond_the_most_the_first_is_early() {
        let mut queue = of(&[50, 30, 40], 2);
        assert_eq!(queue.due(), i64::MIN);
        assert_eq!(queue.pop(10).map(|item| item.due), Some(30));
        assert_eq!((queue.due(), queue.early(), queue.len()), (40, 1, 2));
        assert_eq!(queue.pop(40).map(|item| item.due), Some(40));
        queue.clear();
        assert_eq!((queue.early(), queue.len()), (1, 0));
    }
}
