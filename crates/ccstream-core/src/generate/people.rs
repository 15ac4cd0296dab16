//! Cards in blocks, and the people who hold them.
//!
//! A block is a range of card numbers: the cards of one group in one time zone. All facts of a card or a person follow
//! from the seed and the number, so they need no memory.

use super::chance::{Alias, Chance, Matter};
use super::cities::{CITIES, City};
use super::groups::{GROUPS, Group};
use super::numbers::exp;

/// The cities of one standard time.
#[derive(Debug)]
pub(super) struct Zone {
    pub(super) minutes_ahead: i16,
    cities: Vec<u8>,
    choice: Alias,
}

/// The cards of one group in one time zone.
#[derive(Debug)]
pub(super) struct Block {
    /// The index of its group in [`GROUPS`].
    pub(super) group: u8,
    /// The index of its time zone.
    pub(super) zone: u8,
    pub(super) first: u32,
    pub(super) cards: u32,
    /// The distance between the numbers of two cards of adjacent ranks. It gives a person's cards different activities.
    stride: u32,
    /// The number that undoes it.
    inverse: u32,
}

impl Block {
    pub(super) fn group(&self) -> &'static Group {
        &GROUPS[usize::from(self.group)]
    }
}

/// All cards and people.
#[derive(Debug)]
pub(super) struct Population {
    seed: u64,
    pub(super) zones: Vec<Zone>,
    pub(super) blocks: Vec<Block>,
}

/// A drawn card: its number and its activity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holder {
    pub(super) card: u32,
    /// The number of its payments, as a multiple of its block's mean.
    pub(super) activity: f64,
}

/// Bounds the most active card, at 53 times the mean.
const OFFSET: f64 = 0.002;
const ROOT: f64 = 0.459_863_297_826_770_3; // OFFSET to the power of 1/8
const SPAN: f64 = 1.000_249_781_523_045 - ROOT; // (1 + OFFSET) to the power of 1/8

/// The payments of a card, as a multiple of its block's mean, by the eighth root of its rank's share.
fn activity(root: f64) -> f64 {
    let cube = root * root * root;
    0.125 / (SPAN * cube * cube * root)
}

/// By a card's place among ten, that of its holder's first one: three people have one card, two have two, one has three.
const FIRST_OF: [u32; 10] = [0, 1, 1, 3, 4, 4, 4, 7, 8, 8];

impl Population {
    pub(super) fn new(seed: u64, cards: u32) -> Self {
        let mut zones: Vec<Zone> = Vec::new();
        for (at, city) in CITIES.iter().enumerate() {
            let known = zones.iter_mut().find(|zone| zone.minutes_ahead == city.minutes_ahead);
            match known {
                Some(zone) => zone.cities.push(at as u8),
                None => zones.push(Zone {
                    minutes_ahead: city.minutes_ahead,
                    cities: vec![at as u8],
                    choice: Alias::default(),
                }),
            }
        }
        for zone in &mut zones {
            let weights: Vec<f64> = zone.cities.iter().map(|&city| CITIES[usize::from(city)].weight).collect();
            zone.choice.rebuild(&weights);
        }
        let blocks = blocks(seed, cards, &zones);
        Self { seed, zones, blocks }
    }

    /// Draws a card of a block by its activity.
    ///
    /// Activity falls with the rank as `(rank + OFFSET) ^ -7/8`. With the differences between groups, payments by card
    /// have a Gini coefficient of about 0.6; public purchase-card data has 0.64. The inverse of this distribution is an
    /// eighth power, so a draw takes the same time for any number of cards.
    pub(super) fn draw(block: &Block, chance: &mut Chance) -> Holder {
        let root = ROOT + SPAN * chance.unit();
        let fourth = (root * root) * (root * root);
        let share = (fourth * fourth - OFFSET).max(0.0);
        let rank = ((share * f64::from(block.cards)) as u32).min(block.cards - 1);
        let place = (u64::from(rank) * u64::from(block.stride) % u64::from(block.cards)) as u32;
        Holder { card: block.first + place, activity: activity(root) }
    }

    /// How active a card is, as [`draw`](Self::draw) has it.
    pub(super) fn activity(block: &Block, card: u32) -> f64 {
        let rank = u64::from(card - block.first) * u64::from(block.inverse) % u64::from(block.cards);
        let share = (rank as f64 + 0.5) / f64::from(block.cards) + OFFSET;
        activity(share.sqrt().sqrt().sqrt())
    }

    /// The block of a card.
    pub(super) fn block_of(&self, card: u32) -> &Block {
        let after = self.blocks.partition_point(|block| block.first <= card);
        &self.blocks[after.saturating_sub(1)]
    }

    /// Another card of the same person, if there is one.
    pub(super) fn other_card(block: &Block, card: u32) -> u32 {
        let place = card - block.first;
        let first = FIRST_OF[(place % 10) as usize];
        let next = place + 1;
        let is_same = !next.is_multiple_of(10) && FIRST_OF[(next % 10) as usize] == first && next < block.cards;
        block.first + if is_same { next } else { place / 10 * 10 + first }
    }

    /// The person who holds a card.
    pub(super) fn person(&self, block: &Block, card: u32) -> Person {
        let place = card - block.first;
        let number = block.first + place / 10 * 10 + FIRST_OF[(place % 10) as usize];
        let mut chance = Chance::of(self.seed, Matter::Person, u64::from(number));
        let zone = &self.zones[usize::from(block.zone)];
        let city = zone.cities[zone.choice.choose(&mut chance)];
        let bits = chance.bits();
        // Each trait has ten of the bits.
        let trait_of = |place: u32| ((bits >> (10 * place)) & 1023) as f64 / 1024.0;
        let (least, most) = block.group().ages;
        let age = least + (trait_of(0) * f64::from(most - least)) as u8;
        Person {
            number,
            city,
            age,
            level: block.group().level * exp(0.35 * chance.normal() - 0.06),
            spread: 0.75 + 0.5 * trait_of(1),
            online: block.group().online * (0.4 + 1.2 * trait_of(2)) * if age < 35 { 1.2 } else { 1.0 },
            at: ((trait_of(3) - 0.5) as f32, (trait_of(4) - 0.5) as f32),
            is_tight: trait_of(5) < 0.25,
            is_shared: bits >> 60 < 3,
        }
    }
}

/// A person.
#[derive(Debug, Clone)]
pub(super) struct Person {
    /// The number of the person's first card.
    pub(super) number: u32,
    pub(super) city: u8,
    pub(super) age: u8,
    /// The median of the person's amounts, as a multiple of everybody's.
    pub(super) level: f64,
    /// The spread of amounts, as a multiple of a category's sigma.
    pub(super) spread: f64,
    /// The share of purchases online, as a multiple of a category's.
    pub(super) online: f64,
    /// The home's place in the city, in a shop's terms.
    pub(super) at: (f32, f32),
    /// Whether the money may not last until the month's end.
    pub(super) is_tight: bool,
    /// Whether two people hold cards of the same account.
    pub(super) is_shared: bool,
}

impl Person {
    pub(super) fn home(&self) -> &'static City {
        &CITIES[usize::from(self.city)]
    }
}

fn blocks(seed: u64, cards: u32, zones: &[Zone]) -> Vec<Block> {
    let people: f64 = CITIES.iter().map(|city| city.weight).sum();
    let groups: f64 = GROUPS.iter().map(|group| group.share).sum();
    let mut chance = Chance::of(seed, Matter::Blocks, 0);
    let (mut blocks, mut share, mut first) = (Vec::new(), 0.0, 0);
    for (at, group) in GROUPS.iter().enumerate() {
        for (zone, part) in zones.iter().enumerate() {
            let weight: f64 = part.cities.iter().map(|&city| CITIES[usize::from(city)].weight).sum();
            share += group.share / groups * weight / people;
            let end = ((f64::from(cards) * share).round() as u32).clamp(first, cards);
            if end > first {
                let cards = end - first;
                let stride = stride(cards, &mut chance);
                blocks.push(Block {
                    group: at as u8,
                    zone: zone as u8,
                    first,
                    cards,
                    stride,
                    inverse: inverse(stride, cards),
                });
            }
            first = end;
        }
    }
    blocks
}

/// Draws a number without a common factor with the number of cards: its multiples visit each card.
fn stride(cards: u32, chance: &mut Chance) -> u32 {
    let divisor = |mut one: u32, mut other: u32| {
        while other != 0 {
            (one, other) = (other, one % other);
        }
        one
    };
    let from = cards / 3 + chance.below(cards / 3 + 1);
    (from.max(1)..=cards).find(|&stride| divisor(stride, cards) == 1).unwrap_or(1)
}

/// The number whose product with the stride is 1, but for a multiple of the number of cards (Euclid's algorithm).
fn inverse(stride: u32, cards: u32) -> u32 {
    let (mut one, mut other) = ((i64::from(cards), 0), (i64::from(stride), 1));
    while other.0 != 0 {
        let times = one.0 / other.0;
        (one, other) = (other, (one.0 - times * other.0, one.1 - times * other.1));
    }
    one.1.rem_euclid(i64::from(cards)) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_card_is_in_one_block_and_has_one_person() {
        for cards in [1, 7, 5_000, 100_003] {
            let population = Population::new(1, cards);
            let mut next = 0;
            for block in &population.blocks {
                assert_eq!(block.first, next);
                next += block.cards;
                let place = |rank: u32| u64::from(rank) * u64::from(block.stride) % u64::from(block.cards);
                assert_eq!((0..block.cards).map(place).collect::<HashSet<_>>().len(), block.cards as usize);
            }
            assert_eq!(next, cards);
            let mut held = vec![0; cards as usize];
            for card in 0..cards {
                let block = population.block_of(card);
                assert!((block.first..block.first + block.cards).contains(&card));
                held[population.person(block, card).number as usize] += 1;
            }
            assert!(held.iter().all(|&count| count <= 3));
        }
    }

    #[test]
    fn activity_is_the_share_of_draws() {
        const COUNT: u32 = 400_000;
        // With few cards a rank is a large part of its block, and activity differs within it.
        let population = Population::new(1, 200_000);
        let block = &population.blocks[0];
        let mut chance = Chance::of(1, Matter::Stream, 0);
        let mut seen = vec![0u32; block.cards as usize];
        let mut expected = 0.0;
        for _ in 0..COUNT {
            let holder = Population::draw(block, &mut chance);
            seen[(holder.card - block.first) as usize] += 1;
            expected += holder.activity;
        }
        let mean = f64::from(COUNT) / f64::from(block.cards);
        // The expected square of a Poisson count is the mean's square plus the mean.
        let squares: f64 = seen.iter().map(|&count| f64::from(count) * (f64::from(count) - 1.0) / mean).sum();
        assert!((expected / squares - 1.0).abs() < 0.05, "{expected} {squares}");
    }
}
