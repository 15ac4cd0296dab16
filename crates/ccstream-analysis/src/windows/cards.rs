//! Counts distinct cards: exactly up to a limit, and beyond it by a sketch (hyper-log-log) with a standard error of 2.3 %.
//!
//! Cards are known by keys of 64 bits. A sketch of a set depends only on the set, not on the order in which it grew.

use hashbrown::HashSet;

use crate::bytes::{Number, Reader, Result, check};
use crate::key::Key;

/// The maximum number of cards that are counted exactly.
pub(super) const MAX_EXACT: usize = 10_000;
/// From this number of cards on, a sketch takes less memory.
const SMALL: usize = 256;
/// Up to this number of cards, a list is searched.
const FEW: usize = 16;
/// The number of bits of a key that choose a register.
const BITS: u32 = 11;
const REGISTERS: usize = 1 << BITS;

/// The distinct cards of a cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cards {
    Few(Vec<Key>),
    Set(HashSet<Key>),
    Sketch(Box<[u8; REGISTERS]>),
}

impl Default for Cards {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Cards {
    /// Adds a card. With `has_room` false, a set that is not small becomes a sketch. Returns by how much the number of
    /// keys that are held has changed.
    pub(super) fn add(&mut self, card: Key, has_room: bool) -> isize {
        match self {
            Self::Few(few) => {
                if few.contains(&card) {
                    return 0;
                }
                few.push(card);
                if few.len() > FEW {
                    *self = Self::Set(few.iter().copied().collect());
                }
                1
            }
            Self::Set(set) => {
                if !set.insert(card) {
                    return 0;
                }
                let len = set.len();
                if len > MAX_EXACT || (!has_room && len > SMALL) {
                    *self = Self::Sketch(sketch(set.iter().copied()));
                    return 1 - len as isize;
                }
                1
            }
            Self::Sketch(registers) => {
                note(registers, card);
                0
            }
        }
    }

    /// Returns the number of keys that are held.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Set(set) => set.len(),
            Self::Sketch(_) => 0,
        }
    }

    fn keys(&self) -> impl Iterator<Item = Key> {
        let (few, set) = match self {
            Self::Few(few) => (Some(few), None),
            Self::Set(set) => (None, Some(set)),
            Self::Sketch(_) => (None, None),
        };
        few.into_iter().flatten().chain(set.into_iter().flatten()).copied()
    }

    /// Adds the cards of another cell.
    pub(super) fn merge(&mut self, other: &Self) {
        if let (Self::Sketch(own), Self::Sketch(theirs)) = (&mut *self, other) {
            own.iter_mut().zip(theirs.iter()).for_each(|(own, theirs)| *own = (*own).max(*theirs));
            return;
        }
        if let Self::Sketch(theirs) = other {
            let mut merged = theirs.clone();
            self.keys().for_each(|card| note(&mut merged, card));
            *self = Self::Sketch(merged);
            return;
        }
        for card in other.keys() {
            self.add(card, true);
        }
    }

    /// Returns the number of distinct cards, and whether it is exact.
    pub(super) fn count(&self) -> (u64, bool) {
        match self {
            Self::Few(few) => (few.len() as u64, true),
            Self::Set(set) => (set.len() as u64, true),
            Self::Sketch(registers) => (estimate(registers), false),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if let Self::Sketch(registers) = self {
            u32::MAX.push(out);
            out.extend_from_slice(&registers[..]);
            return;
        }
        (self.held() as u32).push(out);
        self.keys().for_each(|card| card.push(out));
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let count = reader.u32()?;
        if count == u32::MAX {
            let mut registers = Box::new([0; REGISTERS]);
            for register in registers.iter_mut() {
                *register = reader.u8()?;
            }
            return Ok(Self::Sketch(registers));
        }
        let count = check(count as usize, |count| count <= MAX_EXACT, "number of cards")?;
        if count <= FEW {
            return Ok(Self::Few((0..count).map(|_| reader.u64()).collect::<Result<_>>()?));
        }
        Ok(Self::Set((0..count).map(|_| reader.u64()).collect::<Result<_>>()?))
    }
}

fn sketch(cards: impl Iterator<Item = Key>) -> Box<[u8; REGISTERS]> {
    let mut registers = Box::new([0; REGISTERS]);
    cards.for_each(|card| note(&mut registers, card));
    registers
}

fn note(registers: &mut [u8; REGISTERS], card: Key) {
    let hash = mix(card);
    let rank = ((hash << BITS) | 1 << (BITS - 1)).leading_zeros() as u8 + 1;
    let register = &mut registers[(hash >> (64 - BITS)) as usize];
    *register = (*register).max(rank);
}

/// Mixes the bits of a key, as the generator split-mix does: a register needs each of them to be random.
fn mix(card: Key) -> u64 {
    let first = (card ^ card >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let second = (first ^ first >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    second ^ second >> 31
}

/// Estimates the number of cards, as in Flajolet et al. 2007.
fn estimate(registers: &[u8; REGISTERS]) -> u64 {
    let count = REGISTERS as f64;
    let alpha = 0.7213 / (1.0 + 1.079 / count);
    // The sum is exact, because each term is a power of two.
    let sum: f64 = registers.iter().map(|rank| libm::ldexp(1.0, -i32::from(*rank))).sum();
    let raw = alpha * count * count / sum;
    let empty = registers.iter().map(|rank| usize::from(*rank == 0)).sum::<usize>();
    let estimate = if raw <= 2.5 * count && empty > 0 { count * libm::log(count / empty as f64) } else { raw };
    libm::floor(estimate + 0.5) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key;

    fn cards(range: std::ops::Range<u64>, has_room: bool) -> Cards {
        let mut cards = Cards::default();
        let held: isize = range.map(|number| cards.add(key::of(&format!("card{number}")), has_room)).sum();
        assert_eq!(held, cards.held() as isize);
        cards
    }

    #[test]
    fn counts_are_exact_up_to_the_limit_and_estimated_beyond() {
        for (number, has_room, is_exact) in [
            (0, true, true),
            (16, true, true),
            (17, true, true),
            (10_000, true, true),
            (10_001, true, false),
            (256, false, true),
            (257, false, false),
            (100_000, true, false),
            (1_000_000, true, false),
        ] {
            let (count, found) = cards(0..number, has_room).count();
            assert_eq!(found, is_exact, "{number}");
            let error = count.abs_diff(number);
            assert!(error == 0 || !is_exact && error * 15 < number, "{count} instead of {number}");
        }
        let mut again = cards(0..5_000, true);
        assert_eq!((0..5_000).map(|number| again.add(key::of(&format!("card{number}")), true)).sum::<isize>(), 0);
    }

    #[test]
    fn a_sketch_depends_only_on_the_set() {
        let all = cards(0..30_000, true);
        for (first, second) in [(0..500, 300..30_000), (0..20_000, 10_000..30_000), (0..9_000, 9_000..30_000)] {
            let (one, other) = (cards(first, true), cards(second, true));
            for (mut one, other) in [(one.clone(), &other), (other.clone(), &one)] {
                one.merge(other);
                assert_eq!(one, all);
            }
        }
    }

    #[test]
    fn cards_survive_being_written() {
        for number in [0, 3, 16, 17, 10_000, 20_000] {
            let one = cards(0..number, true);
            let mut out = Vec::new();
            one.write(&mut out);
            assert_eq!(Cards::read(&mut Reader(&out)).unwrap(), one);
        }
    }
}
