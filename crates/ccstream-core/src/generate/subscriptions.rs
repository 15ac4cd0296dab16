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
    /// The number a day at the beginning. It numbers the subscriptions, so a change of the rate does not change them.
    first_per_day: u64,
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
        let (day, per_day) = (start.div_euclid(DAY), a_day(per_second));
        let mut made = Self { seed, cards, per_day, first_per_day: per_day, day, place: 0, number: 0, due: 0 };
        made.find(calendar);
        while made.due < start {
            made.advance(calendar);
        }
        made
    }

    /// Changes the number of subscriptions from a time on, to suit a number of events a second.
    ///
    /// Those that were paid before go on, unless there are fewer now. On the day of the change, some are paid twice or not
    /// at all, because the new number of payments is spread over the whole day.
    pub(super) fn change_rate(&mut self, per_second: f64, time: i64, calendar: &mut Calendar) {
        self.per_day = a_day(per_second);
        self.day = time.div_euclid(DAY);
        self.place = (time.rem_euclid(DAY) as f64 / DAY as f64 * self.per_day as f64) as u64;
        self.find(calendar);
        while self.due < time {
            self.advance(calendar);
        }
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
        let (day, days) = (u64::from(date.day - 1), u64::from(LAST_DAY));
        self.number = match self.place.checked_sub(self.first_per_day) {
            None => day * self.first_per_day + self.place,
            Some(beyond) => days * self.first_per_day + beyond * days + day,
        };
        let part = (self.place as f64 + self.current().chance.unit()) / self.per_day as f64;
        self.due = self.day * DAY + (part * DAY as f64) as i64;
    }
}

/// The number of subscriptions that are paid on each day that has any.
fn a_day(per_second: f64) -> u64 {
    (per_second * 86_400.0 * SHARE * DAYS_A_MONTH / f64::from(LAST_DAY)).round() as u64
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
    fn a_change_of_the_rate_keeps_those_that_fit() {
        let mut calendar = Calendar::new();
        // The first of June 2026, and noon of its tenth.
        let (start, change) = (20_605 * DAY, 20_614 * DAY + DAY / 2);
        let mut paid: HashMap<&str, HashMap<u64, u32>> = HashMap::new();
        for (name, rate) in [("same", 0.1), ("more", 0.3), ("fewer", 0.04)] {
            let mut subscriptions = Subscriptions::new(1, 5_000, 0.1, start, &mut calendar);
            while subscriptions.due() < change {
                subscriptions.advance(&mut calendar);
            }
            subscriptions.change_rate(rate, change, &mut calendar);
            assert!(subscriptions.due() >= change && subscriptions.due() < change + DAY / 100);
            let per_second = subscriptions.per_second() / SHARE;
            assert!((per_second / rate - 1.0).abs() < 0.01, "{per_second} of {rate}");
            // From the eleventh on, for a month.
            while subscriptions.due() < change + 31 * DAY {
                if subscriptions.due() > change + DAY {
                    *paid.entry(name).or_default().entry(subscriptions.number).or_default() += 1;
                }
                subscriptions.advance(&mut calendar);
            }
        }
        assert!(paid.values().flat_map(HashMap::values).all(|&times| times == 1));
        assert!(paid["same"].keys().all(|number| paid["more"].contains_key(number)));
        assert!(paid["fewer"].keys().all(|number| paid["same"].contains_key(number)));
        assert!(paid["more"].len() > 2 * paid["same"].len() && paid["same"].len() > 2 * paid["fewer"].len());
    }

    #[test]
    fn at_a_low_rate_there_is_none() {
        let subscriptions = Subscriptions::new(1, 5_000, 0.000_01, 0, &mut Calendar::new());
        assert_eq!(subscriptions.due(), i64::MAX);
    }
}
