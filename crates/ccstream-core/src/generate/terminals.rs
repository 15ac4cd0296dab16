//! Terminals that are compromised, and those whose chip reader is broken.

use super::calendar::DAY;
use super::categories::{CATEGORIES, FOOD, GAS, GROCERY, RESTAURANTS};
use super::chance::{Alias, Chance};
use super::merchants::Shops;
use super::payment::{MANUAL, SWIPE};
use super::plant::Plant;
use super::purchase::Buyers;

/// Shops of which a terminal may be chosen: many people pay there, and about the same.
const CATEGORIES_CHOSEN: [usize; 4] = [GROCERY, GAS, FOOD, RESTAURANTS];
/// The share of a compromised terminal's purchases that a fraud follows.
pub(super) const FOLLOWED: f64 = 0.4;
/// Days for which a terminal is compromised, and for which one is broken.
const COMPROMISED: (f64, f64) = (14.0, 28.0);
const BROKEN: (f64, f64) = (3.0, 10.0);

/// When a fraud follows at a compromised terminal: while the shop sells, one to four days later.
pub(super) fn following_time(buyers: &Buyers, shop: u32, time: i64, chance: &mut Chance) -> i64 {
    let days = 1 + i64::from(chance.below(4));
    buyers.opening_time(shop, time, days, false, chance)
}

/// Chooses a terminal by its purchases.
#[derive(Debug)]
pub(super) struct Choice {
    shops: Vec<u32>,
    places: Alias,
    /// The share of all purchases of a terminal so chosen, on average.
    share: f64,
}

impl Choice {
    pub(super) fn new(shops: &Shops) -> Self {
        let is_chosen = |shop: &u32| {
            let shop = &shops.all[*shop as usize];
            let at = usize::from(shop.category);
            CATEGORIES_CHOSEN.contains(&at) && !shop.is_online
        };
        let chosen: Vec<u32> = (0..shops.all.len() as u32).filter(is_chosen).collect();
        let weights: Vec<f64> = chosen.iter().map(|&shop| shops.all[shop as usize].share).collect();
        let squares = chosen.iter().map(|&shop| {
            let shop = &shops.all[shop as usize];
            shop.share * shop.share / f64::from(shop.terminals)
        });
        let share = squares.sum::<f64>() / weights.iter().sum::<f64>();
        Self { places: Alias::new(&weights), shops: chosen, share }
    }

    /// Transactions of a campaign, on average, where there are `per_second` purchases.
    pub(super) fn expected(&self, is_broken: bool, per_second: f64) -> f64 {
        let ((least, most), part) = if is_broken { (BROKEN, 1.0) } else { (COMPROMISED, FOLLOWED) };
        self.share * part * per_second * 86_400.0 * (least + most) / 2.0
    }
}

/// A terminal of a campaign.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watched {
    shop: u32,
    pub(super) terminal: u8,
    until: i64,
    pub(super) plant: Plant,
}

/// The terminals of campaigns that are under way.
#[derive(Debug)]
pub(super) struct Terminals {
    pub(super) choice: Choice,
    watched: Vec<Watched>,
    /// By shop, how many of its terminals are watched.
    counts: Vec<u16>,
}

impl Terminals {
    pub(super) fn new(shops: &Shops) -> Self {
        Self { choice: Choice::new(shops), watched: Vec::new(), counts: vec![0; shops.all.len()] }
    }

    /// Begins the campaign of a terminal.
    pub(super) fn begin(&mut self, plant: Plant, begins: i64, shops: &Shops, chance: &mut Chance) {
        let (counts, watched) = (&mut self.counts, &mut self.watched);
        watched.retain(|one| {
            let is_over = one.until < begins;
            counts[one.shop as usize] -= u16::from(is_over);
            !is_over
        });
        let shop = self.choice.shops[self.choice.places.choose(chance)];
        let terminal = chance.below(shops.all[shop as usize].terminals.into()) as u8;
        let (least, most) = if plant.is_fraud() { COMPROMISED } else { BROKEN };
        let until = begins + (chance.between(least, most) * DAY as f64) as i64;
        self.counts[shop as usize] += 1;
        self.watched.push(Watched { shop, terminal, until, plant });
    }

    /// The campaign of a terminal, if one is under way.
    pub(super) fn find(&self, shop: u32, terminal: u8, time: i64) -> Option<Watched> {
        if self.counts[shop as usize] == 0 {
            return None;
        }
        let is_it = |one: &&Watched| (one.shop, one.terminal) == (shop, terminal) && time < one.until;
        self.watched.iter().find(is_it).copied()
    }

    /// How a card is read where the chip cannot be.
    pub(super) fn fall_back(chance: &mut Chance) -> u8 {
        if chance.is(0.7) { SWIPE } else { MANUAL }
    }

    /// What a fraud is at a shop of a category, as a multiple of what is usual there for the person.
    pub(super) fn fraud_of(at: usize, level: f64, chance: &mut Chance) -> f64 {
        CATEGORIES[at].median * level * chance.between(3.5, 9.0)
    }
}
