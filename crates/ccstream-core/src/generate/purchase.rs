//! Draws a purchase: who pays, what for, where, how much, and what the issuer answers.

use super::amounts::price;
use super::calendar::{Calendar, DAY, Local};
use super::cards::Card;
use super::categories::{CATEGORIES, CATEGORY_COUNT, SUBSCRIPTIONS, TRAVEL};
use super::chance::{Alias, Chance, Matter};
use super::cities::CITIES;
use super::declines::{Situation, answer};
use super::groups::GROUPS;
use super::later::Entry;
use super::merchants::Shops;
use super::numbers::{exp, ln};
use super::payment::{ECOMMERCE, Kind, Payment, RECURRING};
use super::people::{Holder, Person, Population};
use super::trips::{Trips, Whereabouts};

/// The share of purchases at a person's usual places, in categories that have any. Of all purchases at home, these are
/// four out of five.
const USUAL: f64 = 0.93;
/// The share of sales with a discount.
const DISCOUNTED: f64 = 0.15;

/// Everything that purchases are drawn from.
#[derive(Debug)]
pub(super) struct Buyers {
    pub(super) seed: u64,
    pub(super) population: Population,
    pub(super) shops: Shops,
    pub(super) trips: Trips,
    /// The categories that are bought, by group and hour. While its shops are closed, a category is only bought online.
    categories: Vec<Alias>,
    pub(super) calendar: Calendar,
    /// The number of payments on each card's last day, by card.
    today: Vec<Today>,
    /// The mean number of payments a card and day.
    a_day: f64,
}

/// A day, in days since 1970, and the number of payments on it.
#[derive(Debug, Clone, Copy, Default)]
struct Today {
    day: u16,
    payments: u16,
}

impl Buyers {
    /// With `subscribed`, subscriptions are not drawn among purchases: they are paid on their days.
    pub(super) fn new(seed: u64, cards: u32, per_second: f64, subscribed: bool) -> Self {
        let categories = |group: usize, hour: u8| {
            let weight = |at: usize| {
                let one = &CATEGORIES[at];
                let open = if one.is_open(hour) { 1.0 } else { one.online };
                let is_bought = !(subscribed && at == SUBSCRIPTIONS);
                if is_bought { one.weight * GROUPS[group].liking(at) * open } else { 0.0 }
            };
            Alias::new(&std::array::from_fn::<f64, CATEGORY_COUNT, _>(weight))
        };
        Self {
            seed,
            population: Population::new(seed, cards),
            shops: Shops::new(),
            trips: Trips::new(seed),
            categories: (0..GROUPS.len())
                .flat_map(|group| (0..24).map(move |hour| (group, hour)))
                .map(|(group, hour)| categories(group, hour))
                .collect(),
            calendar: Calendar::new(),
            today: vec![Today::default(); cards as usize],
            a_day: per_second * 86_400.0 / f64::from(cards),
        }
    }

    /// Changes the number of events a second, by which a card's limit of payments a day is set.
    pub(super) fn change_rate(&mut self, per_second: f64) {
        self.a_day = per_second * 86_400.0 / self.today.len() as f64;
    }

    /// Draws a purchase by a card of a block.
    pub(super) fn purchase(&mut self, block: usize, time: i64, chance: &mut Chance) -> Payment {
        let block = &self.population.blocks[block];
        let holder = Population::draw(block, chance);
        let person = self.population.person(block, holder.card);
        let whereabouts = self.trips.whereabouts(&person, block.group().trips, time);
        let here = match whereabouts {
            // Another of the family, with a card of the same account, has stayed at home.
            Whereabouts::Away(_) if person.is_shared && chance.is(0.5) => person.city,
            Whereabouts::Away(city) => city,
            Whereabouts::Home | Whereabouts::Travelling => person.city,
        };
        let local = Local::at(time, CITIES[usize::from(here)].minutes_ahead);
        let mut at = self.categories[usize::from(block.group) * 24 + usize::from(local.hour)].choose(chance);
        let is_travelling = whereabouts == Whereabouts::Travelling;
        if is_travelling && CATEGORIES[at].online <= 0.0 {
            at = TRAVEL;
        }
        let category = &CATEGORIES[at];
        let online = if category.online < 1.0 { category.online * person.online } else { 1.0 };
        let is_online = is_travelling || !category.is_open(local.hour) || chance.is(online);
        let is_here = is_online || here == person.city;
        let is_usual = is_here && category.has_favourites(is_online) && chance.is(USUAL);
        let shop = match (is_usual, is_online) {
            (true, _) => self.usual_place(&person, at, is_online, chance),
            (false, true) => self.shops.online(at, chance),
            (false, false) if here == person.city => self.shops.near(here.into(), at, person.at, chance),
            // A visitor may stay anywhere in the city.
            (false, false) => self.shops.near(here.into(), at, (0.0, 0.0), chance),
        };
        let entry_mode = if is_online { ECOMMERCE } else { read_mode(person.age, chance) };
        let city = if is_online { person.city } else { here };
        let deviation = chance.normal() * category.sigma * person.spread;
        let sale = Sale { holder, person: &person, at, shop, city, entry_mode, is_usual, local, deviation };
        self.sale(&sale, chance)
    }

    /// Draws one of a person's usual places for a category. The first of two is drawn three times as often.
    fn usual_place(&self, person: &Person, category: usize, is_online: bool, chance: &mut Chance) -> u32 {
        let count = CATEGORIES[category].favourites;
        let which = if count > 1 && chance.is(0.5) { 0 } else { chance.below(count.into()) as u8 };
        self.favourite(person, category, is_online, which)
    }

    /// A usual place of a person, by its number.
    pub(super) fn favourite(&self, person: &Person, category: usize, is_online: bool, which: u8) -> u32 {
        let place = (category as u64) << 8 | u64::from(which) << 1 | u64::from(is_online);
        let number = u64::from(person.number) << 16 | place;
        let mut fixed = Chance::of(self.seed, Matter::Favourite, number);
        if is_online {
            self.shops.online(category, &mut fixed)
        } else {
            self.shops.near(person.city.into(), category, person.at, &mut fixed)
        }
    }

    /// Draws a terminal of a shop.
    pub(super) fn terminal(&self, shop: u32, chance: &mut Chance) -> u8 {
        chance.below(self.shops.all[shop as usize].terminals.into()) as u8
    }

    /// A purchase that was decided on before.
    pub(super) fn planted(&mut self, entry: &Entry, time: i64, chance: &mut Chance) -> Payment {
        let block = self.population.block_of(entry.card);
        let person = self.population.person(block, entry.card);
        let at = usize::from(self.shops.all[entry.shop as usize].category);
        let category = &CATEGORIES[at];
        let deviation = if entry.cents == 0 {
            chance.normal() * category.sigma * person.spread
        } else {
            ln(entry.cents as f64 / 100.0 / category.median / person.level)
        };
        let holder = Holder { card: entry.card, activity: Population::activity(block, entry.card) };
        let local = Local::at(time, CITIES[usize::from(entry.city)].minutes_ahead);
        let (shop, city, entry_mode) = (entry.shop, entry.city, entry.mode);
        let sale = Sale { holder, person: &person, at, shop, city, entry_mode, is_usual: false, local, deviation };
        self.sale(&sale, chance)
    }

    fn sale(&mut self, sale: &Sale<'_>, chance: &mut Chance) -> Payment {
        let &Sale { holder, person, at, shop, city, entry_mode, is_usual, local, deviation } = sale;
        let category = &CATEGORIES[at];
        let country = CITIES[usize::from(city)].country;
        let card = Card::new(self.seed, holder.card, person.home().country);
        let multiple = person.level * exp(deviation);
        let is_unusual = deviation > 1.8;
        let is_online = entry_mode >= ECOMMERCE;
        let is_abroad = country.number != person.home().country.number;
        let date = self.calendar.date(local.days);
        let most = card.most_a_day * (2.0 + holder.activity * self.a_day) + 3.0;
        let situation = Situation {
            is_expired: card.is_expired(date.months, date.day),
            of_limit: multiple / card.limit,
            of_most: f64::from(self.count(holder.card, local.days)) / most,
            is_tight: person.is_tight,
            day_of_month: date.day,
            is_online,
            is_typed: is_online && !is_usual,
            is_abroad,
        };
        let answer = answer(&situation, chance);
        let risk = 0.004 + if is_abroad { 0.02 } else { 0.0 } + if is_unusual { 0.2 } else { 0.0 };
        let discount = if chance.is(DISCOUNTED) { 5 * (1 + chance.below(6)) as u8 } else { 0 };
        // Subscriptions are among purchases only at the pace of a load test, where they have no days.
        let entry_mode = if at == SUBSCRIPTIONS { RECURRING } else { entry_mode };
        Payment {
            kind: Kind::Purchase,
            number: holder.card,
            card,
            shop,
            terminal: self.terminal(shop, chance),
            value: price(category.median * multiple, country, chance),
            city,
            discount,
            entry_mode,
            answer,
            is_risky: chance.is(risk),
            plant: None,
        }
    }

    /// Counts a payment of a card, and returns how many it has had on this day.
    fn count(&mut self, card: u32, day: i64) -> u16 {
        let today = &mut self.today[card as usize];
        if today.day != day as u16 {
            *today = Today { day: day as u16, payments: 0 };
        }
        today.payments = today.payments.saturating_add(1);
        today.payments
    }

    /// Draws a time at which a shop is open, a number of days after another time.
    pub(super) fn opening_time(&self, shop: u32, time: i64, days: i64, is_online: bool, chance: &mut Chance) -> i64 {
        let shop = &self.shops.all[shop as usize];
        let ahead = i64::from(CITIES[usize::from(shop.city)].minutes_ahead) * super::calendar::MINUTE;
        let (from, until) = if is_online { (0, 24) } else { CATEGORIES[usize::from(shop.category)].open };
        let midnight = (time + ahead).div_euclid(DAY) * DAY;
        let hours = chance.between(f64::from(from), f64::from(until));
        midnight + days * DAY + (hours * super::calendar::HOUR as f64) as i64 - ahead
    }
}

/// The part of a purchase that is decided before the issuer's answer.
struct Sale<'p> {
    holder: Holder,
    person: &'p Person,
    /// The index of the category.
    at: usize,
    shop: u32,
    city: u8,
    entry_mode: u8,
    is_usual: bool,
    local: Local,
    /// The logarithm of the amount, as a multiple of what is usual for the person and the category.
    deviation: f64,
}

/// Draws how a card is read in a shop. Younger people use contactless cards more often.
pub(super) fn read_mode(age: u8, chance: &mut Chance) -> u8 {
    let contactless = if age < 35 {
        70
    } else if age < 60 {
        60
    } else {
        42
    };
    match chance.below(100) {
        draw if draw < contactless => 0,
        0..93 => 1,
        93..98 => 2,
        _ => 3,
    }
}

#[cfg(test)]
impl Buyers {
    /// All usual places of a person.
    pub(super) fn favourites(&self, person: &Person) -> Vec<u32> {
        let of = |at: usize, is_online: bool| {
            (0..CATEGORIES[at].favourites).map(move |which| self.favourite(person, at, is_online, which))
        };
        let ways = |at: usize| [false, true].into_iter().filter(move |&online| CATEGORIES[at].has_favourites(online));
        (0..CATEGORY_COUNT).flat_map(|at| ways(at).flat_map(move |online| of(at, online))).collect()
    }
}
