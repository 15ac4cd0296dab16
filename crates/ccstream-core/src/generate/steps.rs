//! What campaigns are made of: whose card, where, when. `scenarios` puts these together.

use super::calendar::{DAY, HOUR, Local, MINUTE};
use super::categories::CATEGORIES;
use super::chance::{Alias, Chance};
use super::cities::{CITIES, CITY_COUNT};
use super::groups::{GROUPS, Group};
use super::later::{Entry, FollowUp, Later};
use super::payment::ECOMMERCE;
use super::people::{Person, Population};
use super::plant::Plant;
use super::purchase::Buyers;
use super::terminals::Terminals;
use super::trips::Whereabouts;

/// Draws that are made for what fits, before what does not fit is taken.
const TRIES: usize = 200;
/// Degrees of longitude between cities that are far apart: no card goes from one to the other within two hours.
const FAR: f64 = 50.0;

/// When people pay, and which cards pay how often.
#[derive(Debug)]
pub(super) struct Habits {
    /// By group, the weights of the hours of its week, local time, and the greatest of them.
    weeks: Vec<([f64; 168], f64)>,
    /// A block of cards, by its payments.
    blocks: Alias,
}

impl Habits {
    pub(super) fn new(population: &Population) -> Self {
        let week = |group: &Group| {
            let week = group.week();
            (week, week.iter().copied().fold(0.0, f64::max))
        };
        let weights = population.blocks.iter().map(|block| f64::from(block.cards) * block.group().activity);
        Self { weeks: GROUPS.iter().map(week).collect(), blocks: Alias::new(&weights.collect::<Vec<_>>()) }
    }
}

/// A payment with the card there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Present {
    pub(super) card: u32,
    pub(super) city: u8,
    pub(super) time: i64,
}

/// Whose card it is.
#[derive(Debug, Clone)]
pub(super) struct Victim {
    pub(super) card: u32,
    pub(super) person: Person,
    /// The place of the person's group.
    group: u8,
}

/// A purchase of a campaign.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buy {
    pub(super) due: i64,
    pub(super) shop: u32,
    pub(super) mode: u8,
    /// The price in US dollars; 0 for what is usual.
    pub(super) dollars: f64,
}

/// A campaign that is put together.
pub(super) struct Steps<'g> {
    pub(super) buyers: &'g mut Buyers,
    pub(super) later: &'g mut Later,
    pub(super) terminals: &'g mut Terminals,
    pub(super) habits: &'g Habits,
    pub(super) present: Option<Present>,
    pub(super) chance: Chance,
    pub(super) plant: Plant,
    pub(super) begins: i64,
    /// When the stream begins: what would come before is left out.
    pub(super) start: i64,
}

impl Steps<'_> {
    /// One of a few.
    pub(super) fn one_of(&mut self, of: &[usize]) -> usize {
        of[self.chance.below(of.len() as u32) as usize]
    }

    /// A card, by its payments.
    pub(super) fn victim(&mut self) -> Victim {
        let block = &self.buyers.population.blocks[self.habits.blocks.choose(&mut self.chance)];
        let holder = Population::draw(block, &mut self.chance);
        Victim { card: holder.card, person: self.buyers.population.person(block, holder.card), group: block.group }
    }

    /// The card with a number.
    pub(super) fn victim_of(&self, card: u32) -> Victim {
        let block = self.buyers.population.block_of(card);
        Victim { card, person: self.buyers.population.person(block, card), group: block.group }
    }

    /// The card of somebody else in the same country.
    pub(super) fn compatriot(&mut self, victim: &Victim) -> Option<u32> {
        let country = victim.person.home().country.number;
        (0..TRIES).map(|_| self.victim()).find_map(|other| {
            let is_other = other.person.number != victim.person.number;
            (is_other && other.person.home().country.number == country).then_some(other.card)
        })
    }

    /// Where the person is.
    pub(super) fn whereabouts(&self, victim: &Victim, time: i64) -> Whereabouts {
        let trips = GROUPS[usize::from(victim.group)].trips;
        self.buyers.trips.whereabouts(&victim.person, trips, time)
    }

    /// A time within a day, at an hour at which the person pays, and at which shops of a category sell in a city.
    pub(super) fn usual_time(&mut self, victim: &Victim, open: Option<usize>, city: u8, from: i64) -> i64 {
        let (week, most) = self.habits.weeks[usize::from(victim.group)];
        let mut time = from;
        for _ in 0..TRIES {
            time = from + (self.chance.unit() * DAY as f64) as i64;
            let local = local(city, time);
            let weekday = (local.days + 3).rem_euclid(7) as usize;
            let is_open = open.is_none_or(|at| CATEGORIES[at].is_open(local.hour));
            if is_open && self.chance.is(week[weekday * 24 + usize::from(local.hour)] / most) {
                break;
            }
        }
        time
    }

    /// A time in one of the nights that follow: from 23 to 6 o'clock where the person lives.
    pub(super) fn night(&mut self, victim: &Victim, nights: u32) -> i64 {
        let ahead = i64::from(victim.person.home().minutes_ahead) * MINUTE;
        let midnight = (self.begins + ahead).div_euclid(DAY) * DAY - ahead;
        let day = 1 + i64::from(self.chance.below(nights));
        midnight + day * DAY + (self.chance.between(-1.0, 6.0) * HOUR as f64) as i64
    }

    /// A category of these that is open in a city; the last one where none is.
    pub(super) fn open_of(&mut self, of: &[usize], city: u8, time: i64) -> usize {
        let hour = local(city, time).hour;
        for _ in 0..TRIES {
            let at = self.one_of(of);
            if CATEGORIES[at].is_open(hour) {
                return at;
            }
        }
        of[of.len() - 1]
    }

    /// A place where the person does not usually go.
    pub(super) fn strange(&mut self, victim: &Victim, at: usize, is_online: bool) -> u32 {
        let person = &victim.person;
        let city = (!is_online).then_some(usize::from(person.city));
        let mut shop = 0;
        for _ in 0..TRIES {
            // Where few people go, few have been before.
            shop = self.buyers.shops.any(city, at, &mut self.chance);
            let usual = 0..CATEGORIES[at].favourites;
            if !usual.clone().any(|which| self.buyers.favourite(person, at, is_online, which) == shop) {
                break;
            }
        }
        shop
    }

    /// The place where the person usually buys what is of a category.
    pub(super) fn usual(&self, victim: &Victim, at: usize, is_online: bool) -> u32 {
        self.buyers.favourite(&victim.person, at, is_online, 0)
    }

    /// A city that is far from another.
    pub(super) fn far_city(&mut self, from: u8) -> Option<u8> {
        (0..TRIES).map(|_| self.chance.below(CITY_COUNT as u32) as u8).find(|&city| is_far(city, from))
    }

    /// Adds a purchase.
    pub(super) fn buy(&mut self, victim: &Victim, buy: Buy, then: FollowUp) {
        let cents = if buy.dollars > 0.0 { (buy.dollars * 100.0).max(1.0) as i64 } else { 0 };
        self.add(victim, buy, cents, then);
    }

    /// Adds a purchase of the campaign.
    pub(super) fn plant(&mut self, victim: &Victim, buy: Buy) {
        self.buy(victim, buy, FollowUp::Planted { plant: Some(self.plant), terminal: None, answer: None });
    }

    /// Adds what comes later; for a refund in hundredths of the person's currency.
    pub(super) fn add(&mut self, victim: &Victim, buy: Buy, cents: i64, then: FollowUp) {
        if buy.due < self.start {
            return;
        }
        let is_online = buy.mode >= ECOMMERCE;
        let city = if is_online { victim.person.city } else { self.buyers.shops.all[buy.shop as usize].city };
        self.later.push(Entry::new(buy.due, victim.card, buy.shop, cents, city, buy.mode, then));
    }
}

/// The time on the clocks of a city.
pub(super) fn local(city: u8, time: i64) -> Local {
    Local::at(time, CITIES[usize::from(city)].minutes_ahead)
}

pub(super) fn is_far(one: u8, other: u8) -> bool {
    let apart = (CITIES[usize::from(one)].longitude - CITIES[usize::from(other)].longitude).abs();
    apart.min(360.0 - apart) >= FAR
}
