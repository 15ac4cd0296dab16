//! Counts distinct cards. For each card, the bits of a word are the slots of time in which the card was seen.

use std::collections::HashSet;

use super::dictionary::UNKNOWN;

/// The number of slots in a card's 64 bits, without the one for rows outside of all buckets.
pub(crate) const FEW: usize = 63;
/// The bit for rows outside of all buckets.
pub(crate) const OUTSIDE: u32 = FEW as u32;

/// Counts the distinct cards of each slot and of all slots. Single rows cannot be subtracted, but slots can be cleared.
#[derive(Debug, Clone)]
pub(crate) struct Cards {
    seen: Vec<u64>,
    by_slot: [u64; FEW + 1],
    total: u64,
}

impl Default for Cards {
    fn default() -> Self {
        Self { seen: Vec::new(), by_slot: [0; FEW + 1], total: 0 }
    }
}

impl Cards {
    /// Makes room for codes below `len`.
    pub(crate) fn reserve(&mut self, len: usize) {
        if self.seen.len() < len {
            self.seen.resize(len, 0);
        }
    }

    pub(crate) fn add(&mut self, card: u32, slot: u32) {
        let seen = &mut self.seen[card as usize];
        let bit = 1 << slot;
        if *seen & bit == 0 && card != UNKNOWN {
            self.by_slot[slot as usize] += 1;
            self.total += u64::from(*seen == 0);
            *seen |= bit;
        }
    }

    /// Returns the number of bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.seen.len() * 8
    }

    /// Clears a slot.
    pub(crate) fn clear(&mut self, slot: usize) {
        if self.by_slot[slot] == 0 {
            return;
        }
        let bit = 1 << slot;
        for seen in self.seen.iter_mut().filter(|seen| **seen & bit != 0) {
            *seen &= !bit;
            self.total -= u64::from(*seen == 0);
        }
        self.by_slot[slot] = 0;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.reserve(other.seen.len());
        self.seen.iter_mut().zip(&other.seen).for_each(|(mine, theirs)| *mine |= theirs);
        self.total = self.seen.iter().filter(|seen| **seen != 0).count() as u64;
        self.by_slot = [0; FEW + 1];
        for seen in &self.seen {
            let mut rest = *seen;
            while rest != 0 {
                self.by_slot[rest.trailing_zeros() as usize] += 1;
                rest &= rest - 1;
            }
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn in_slot(&self, slot: usize) -> u64 {
        self.by_slot[slot]
    }
}

/// Holds the distinct cards of each group, for groups that are not slots of time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pairs {
    seen: HashSet<u64, hashbrown::DefaultHashBuilder>,
}

impl Pairs {
    pub(crate) fn add(&mut self, card: u32, group: u32) {
        if card != UNKNOWN {
            self.seen.insert(u64::from(group) << 32 | u64::from(card));
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.seen.extend(&other.seen);
    }

    /// Returns the number of bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.seen.capacity() * 9
    }

    /// Returns the group and the card of each pair.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.seen.iter().map(|pair| ((pair >> 32) as u32, *pair as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_by_slot() {
        let (mut cards, mut other) = (Cards::default(), Cards::default());
        cards.reserve(4);
        other.reserve(6);
        for (card, slot) in [(1, 0), (1, 0), (1, 5), (2, 5), (0, 5)] {
            cards.add(card, slot);
        }
        assert_eq!((cards.total(), cards.in_slot(0), cards.in_slot(5)), (2, 1, 2));
        other.add(2, OUTSIDE);
        other.add(5, 5);
        cards.merge(&other);
        assert_eq!((cards.total(), cards.in_slot(5), cards.in_slot(OUTSIDE as usize)), (3, 3, 1));
        cards.clear(5);
        assert_eq!((cards.total(), cards.in_slot(0), cards.in_slot(5)), (2, 1, 0));
    }
}
