//! What was decided before and is not due yet: refunds, retries and steps of campaigns.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::declines::Answer;
use super::plant::Plant;

/// The maximum number of entries. Beyond it, the entry that is due first is sent early, and counted.
const MOST: usize = 1_000_000;

/// A refund or a retry that is not due yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Entry {
    pub(super) due: i64,
    /// The order of entries that are due at the same time.
    number: u32,
    pub(super) card: u32,
    pub(super) shop: u32,
    /// The amount, in the currency of the city. For a purchase of a campaign it is in US dollars, and 0 for a usual amount.
    pub(super) cents: i64,
    pub(super) city: u8,
    pub(super) mode: u8,
    pub(super) follow_up: FollowUp,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum FollowUp {
    /// The purchase with this id is refunded.
    Refund([u8; 16]),
    /// The purchase with this id was declined: it is tried again, and gets this answer.
    Retry([u8; 16], Answer),
    /// A purchase that belongs to a campaign. Without `plant`, it only prepares one.
    Planted { plant: Option<Plant>, terminal: Option<u8>, answer: Option<Answer> },
    /// A purchase of a campaign of honest returns. It is refunded at the time `due`, to the card `to`.
    Returned { plant: Plant, due: i64, to: u32 },
    /// A refund that belongs to a campaign. It is of the purchase with this id, or of none.
    Credit { plant: Plant, of: Option<[u8; 16]> },
}

impl Entry {
    pub(super) fn new(due: i64, card: u32, shop: u32, cents: i64, city: u8, mode: u8, then: FollowUp) -> Self {
        Self { due, number: 0, card, shop, cents, city, mode, follow_up: then }
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The greatest entry is the one that is due first, because a heap returns its greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

/// All refunds and retries that are not due yet.
#[derive(Debug)]
pub(super) struct Later {
    waiting: BinaryHeap<Entry>,
    most: usize,
    number: u32,
    early: u64,
}

impl Later {
    pub(super) fn new() -> Self {
        Self { waiting: BinaryHeap::new(), most: MOST, number: 0, early: 0 }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.number = self.number.wrapping_add(1);
        self.waiting.push(Entry { number: self.number, ..entry });
    }

    /// The time at which the first entry is due: `i64::MIN` if there are too many entries, `i64::MAX` if there is none.
    pub(super) fn due(&self) -> i64 {
        if self.waiting.len() > self.most {
            return i64::MIN;
        }
        self.waiting.peek().map_or(i64::MAX, |entry| entry.due)
    }

    /// Removes the first entry, and counts it if it is early.
    pub(super) fn pop(&mut self, now: i64) -> Option<Entry> {
        let entry = self.waiting.pop()?;
        self.early += u64::from(entry.due > now);
        Some(entry)
    }

    /// The number of entries that were sent early.
    pub(super) fn early(&self) -> u64 {
        self.early
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due_at(due: i64) -> Entry {
        Entry::new(due, 1, 2, 3, 4, 5, FollowUp::Refund([6; 16]))
    }

    #[test]
    fn they_come_in_the_order_of_time_and_none_is_too_large() {
        assert!(size_of::<Entry>() <= 64, "{} bytes", size_of::<Entry>());
        let mut later = Later::new();
        for due in [5, 3, 9, 3, 7] {
            later.push(due_at(due));
        }
        let order: Vec<i64> = std::iter::from_fn(|| later.pop(100)).map(|entry| entry.due).collect();
        assert_eq!(order, [3, 3, 5, 7, 9]);
        assert_eq!((later.due(), later.early()), (i64::MAX, 0));
    }

    #[test]
    fn beyond_the_most_the_first_comes_early() {
        let mut later = Later { most: 2, ..Later::new() };
        for due in [50, 30, 40] {
            later.push(due_at(due));
        }
        assert_eq!(later.due(), i64::MIN);
        assert_eq!(later.pop(10).map(|entry| entry.due), Some(30));
        assert_eq!((later.due(), later.early()), (40, 1));
    }
}
