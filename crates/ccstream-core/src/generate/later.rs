//! What was decided before and is not due yet: refunds, retries and steps of campaigns.

use super::declines::Answer;
use super::plant::Plant;
use super::queue::{Queue, Wait};

/// The maximum number of entries. Beyond it, the entry that is due first is sent early, and counted.
pub(super) const MOST: usize = 1_000_000;

/// All refunds, retries and steps of campaigns that are not due yet.
pub(super) type Later = Queue<Entry>;

/// A refund, a retry or a step of a campaign that is not due yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Entry {
    pub(super) due: i64,
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

impl Wait for Entry {
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
    fn a_million_entries_take_little_memory() {
        assert!(size_of::<Entry>() <= 64, "{} bytes", size_of::<Entry>());
    }
}
