//! In a subscription, the same card pays the same merchant the same amount on the same day of each month.
//!
//! The day, card, merchant and amount of a subscription follow from its number, so that none needs memory. The
//! subscriptions of a day are paid one after the other, throughout the day.

use super::amounts::price;
use super::calendar::{Calendar, DAY, Local};
use super::cards::Card;
use super::categories::{CATEGORIES, SUBSCRIPTIONS};
use super::chance::{Chance, Matter};
use super::declines::{Situation, answer};
use super::numbers::exp;
use super::payment::{Kind, Payment, RECURRING};
use super::purchase::Buyers;

/// The share of subscriptions in all payments.
const SHARE: f64 = 0.035;
/// The last day of the month with subscriptions. Every month has this day.
const LAST_DAY: u8 = 28;
const DAYS_A_MONTH: f64 = 30.44;

/// The payments of subscriptions, one after the other.
#[derive(Debug)]
pub(super) struct Subscriptions {
    seed: u64,
    cards: u32,
    per_day: u64,
    /// The day of the next payment, in days since 1970.
    day: i64,
    place: u64,
    number: u64,
    due: i64,
}

/// A subscription.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    card: u32,
    /// The stream that decides its merchant and its amount.
    chance: Chance,
}

impl Subscriptions {
    pub(super) fn new(seed: u64, cards: u32, per_second: f64, start: i64, calendar: &mut Calendar) -> Self {
        let per_day = per_second * 86_400.0 * SHARE * DAYS_A_MONTH / f64::from(LAST_DAY);
        let day = start.div_euclid(DAY);
        let mut made = Self { seed, cards, per_day: per_day.round() as u64, day, place: 0, number: 0, due: 0 };
        made.find(calendar);
        while made.due < start {
            made.advance(calendar);
        }
        made
    }

    /// The mean number of payments a second.
    pub(super) fn per_second(&self) -> f64 {
        self.per_day as f64 * f64::from(LAST_DAY) / DAYS_A_MONTH / 86_400.0
    }

    /// The time of the next payment; `i64::MAX` if there are no subscriptions.
    pub(super) fn due(&self) -> i64 {
        self.due
    }

    /// The subscription that is paid next.
    pub(super) fn current(&self) -> Subscription {
        let (number, cards) = (self.number, u64::from(self.cards));
        Subscription {
            // A large prime scatters the cards that pay on one day.
            card: (number % cards * 982_451_653 % cards) as u32,
            chance: Chance::of(self.seed, Matter::Subscription, number),
        }
    }

    /// Moves on to the payment after the next one.
    pub(super) fn advance(&mut self, calendar: &mut Calendar) {
        self.place += 1;
        self.find(calendar);
    }

    fn find(&mut self, calendar: &mut Calendar) {
        if self.per_day == 0 {
            self.due = i64::MAX;
            return;
        }
        if self.place >= self.per_day {
            self.day += 1;
            self.place = 0;
        }
        let mut date = calendar.date(self.day);
        while date.day > LAST_DAY {
            self.day += 1;
            self.place = 0;
            date = calendar.date(self.day);
        }
        self.number = u64::from(date.day - 1) * self.per_day + self.place;
        let part = (self.place as f64 + self.current().chance.unit()) / self.per_day as f64;
        self.due = self.day * DAY + (part * DAY as f64) as i64;
    }
}

impl Buyers {
    /// Makes the payment of a subscription.
    pub(super) fn subscription(&mut self, subscription: &Subscription, time: i64, chance: &mut Chance) -> Payment {
        let block = self.population.block_of(subscription.card);
        let person = self.population.person(block, subscription.card);
        let card = Card::new(self.seed, subscription.card, person.home().country);
        let mut fixed = subscription.chance.clone();
        let category = &CATEGORIES[SUBSCRIPTIONS];
        let dollars = category.median * exp(category.sigma * fixed.normal());
        let country = person.home().country;
        let value = price(dollars, country, &mut fixed);
        let shop = self.shops.online(SUBSCRIPTIONS, &mut fixed);
        let local = Local::at(time, person.home().minutes_ahead);
        let date = self.calendar.date(local.days);
        let situation = Situation {
            is_expired: card.is_expired(date.months, date.day),
            of_limit: 0.0,
            of_most: 0.0,
            is_tight: person.is_tight,
            day_of_month: date.day,
            is_online: true,
            is_typed: false,
            is_abroad: false,
        };
        Payment {
            kind: Kind::Subscription,
            number: subscription.card,
            card,
            shop,
            terminal: self.terminal(shop, chance),
            value,
            city: person.city,
            discount: 0,
            entry_mode: RECURRING,
            answer: answer(&situation, chance),
            is_risky: chance.is(0.001),
            plant: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn each_is_paid_once_a_month_on_its_day() {
        let mut calendar = Calendar::new();
        let start = 20_000 * DAY + DAY / 3;
        let mut subscriptions = Subscriptions::new(1, 5_000, 0.1, start, &mut calendar);
        assert!(subscriptions.due() >= start);
        let mut paid: HashMap<u64, Vec<i64>> = HashMap::new();
        let mut count = 0;
        while subscriptions.due() < start + 365 * DAY {
            paid.entry(subscriptions.number).or_default().push(subscriptions.due());
            count += 1;
            subscriptions.advance(&mut calendar);
        }
        let planned = subscriptions.per_second() * 365.0 * 86_400.0;
        assert!((f64::from(count) / planned - 1.0).abs() < 0.01, "{count} of {planned}");
        for times in paid.values() {
            assert!((12..=13).contains(&times.len()), "{times:?}");
            let dates: Vec<_> = times.iter().map(|time| calendar.date(time.div_euclid(DAY))).collect();
            assert!(dates.windows(2).all(|two| two[0].day == two[1].day && two[0].months + 1 == two[1].months));
        }
    }

    #[test]
    fn at_a_low_rate_there_is_none() {
        let subscriptions = Subscriptions::new(1, 5_000, 0.000_01, 0, &mut Calendar::new());
        assert_eq!(subscriptions.due(), i64::MAX);
    }
}
