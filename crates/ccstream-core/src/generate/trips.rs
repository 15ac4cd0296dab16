//! Trips decide where a person is. A trip follows from the person and the period of 60 days, so it needs no memory.

use super::calendar::DAY;
use super::chance::{Alias, Chance, Matter};
use super::cities::{CITIES, CITY_COUNT};
use super::people::Person;

/// A person has at most one trip in each period.
const PERIOD: i64 = 60 * DAY;
/// The least and the greatest length of a trip, in days.
const DAYS: (f64, f64) = (2.0, 14.0);
/// The time on the way, at the beginning and at the end of a trip.
const ON_THE_WAY: i64 = DAY / 2;

/// The place where a person is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whereabouts {
    Home,
    /// The person is on the way, and buys online only.
    Travelling,
    /// The person is in another city.
    Away(u8),
}

/// Decides trips.
#[derive(Debug)]
pub(super) struct Trips {
    seed: u64,
    /// Destinations by home city. Cities of the same country have four times the weight.
    destinations: Vec<Alias>,
}

impl Trips {
    pub(super) fn new(seed: u64) -> Self {
        let destinations = |from: usize| {
            let weight = |to: usize| {
                let is_domestic = CITIES[to].country.code == CITIES[from].country.code;
                CITIES[to].weight * if to == from { 0.0 } else { 1.0 + 3.0 * f64::from(u8::from(is_domestic)) }
            };
            Alias::new(&std::array::from_fn::<f64, CITY_COUNT, _>(weight))
        };
        Self { seed, destinations: (0..CITY_COUNT).map(destinations).collect() }
    }

    /// Decides where the person is. A `share` of the periods have a trip.
    pub(super) fn whereabouts(&self, person: &Person, share: f64, time: i64) -> Whereabouts {
        // People's periods begin on different days.
        let shifted = time + i64::from(person.number % 60) * DAY;
        let (period, moment) = (shifted.div_euclid(PERIOD), shifted.rem_euclid(PERIOD));
        let number = u64::from(person.number) << 32 | (period & 0xffff_ffff) as u64;
        let mut chance = Chance::of(self.seed, Matter::Trip, number);
        if !chance.is(share) {
            return Whereabouts::Home;
        }
        let length = (chance.between(DAYS.0, DAYS.1) * DAY as f64) as i64;
        let start = ((PERIOD - length) as f64 * chance.unit()) as i64;
        let since = moment - start;
        if !(0..length).contains(&since) {
            return Whereabouts::Home;
        }
        if since < ON_THE_WAY || since >= length - ON_THE_WAY {
            return Whereabouts::Travelling;
        }
        Whereabouts::Away(self.destinations[usize::from(person.city)].choose(&mut chance) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::people::Population;

    #[test]
    fn a_trip_lasts_2_to_14_days_and_goes_elsewhere() {
        let (population, trips) = (Population::new(3, 5_000), Trips::new(3));
        let hour = DAY / 24;
        let mut lengths = Vec::new();
        for card in (0..2_000).step_by(10) {
            let person = population.person(population.block_of(card), card);
            let mut away = 0;
            for moment in 0..24 * 365 {
                match trips.whereabouts(&person, 0.5, 20_000 * DAY + moment * hour) {
                    Whereabouts::Home if away > 0 => {
                        lengths.push(away);
                        away = 0;
                    }
                    Whereabouts::Home => {}
                    Whereabouts::Travelling => away += 1,
                    Whereabouts::Away(city) => {
                        assert_ne!(city, person.city);
                        away += 1;
                    }
                }
            }
        }
        assert!(lengths.len() > 400, "{} trips of 200 people in a year", lengths.len());
        // A trip at the end of a period and one at the beginning of the next may be counted as one.
        let within = lengths.iter().filter(|&&hours| (47..=14 * 24 + 1).contains(&hours)).count();
        assert!(within as f64 > 0.97 * lengths.len() as f64, "{lengths:?}");
    }
}
