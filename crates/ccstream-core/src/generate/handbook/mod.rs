//! Generates the simulated transactions of the Fraud Detection Handbook, by its published description (Le Borgne,
//! Siblini, Lebichot, Bontempi: "Reproducible Machine Learning for Credit Card Fraud Detection - Practical Handbook",
//! chapter 3). This module is pure: it uses no clock.
//!
//! Customers and terminals are uniformly distributed in a square, and a customer uses the terminals within a radius.
//! Each customer's amounts are normally distributed about the customer's mean. The number of transactions a day has a
//! Poisson distribution, and the second of the day a normal distribution. There are three kinds of fraud:
//!
//! 1. Every amount above a limit is fraud.
//! 2. Terminals are compromised for weeks. All of their transactions are fraud.
//! 3. The credentials of customers leak. For two weeks, a third of their transactions are fraud, at five times the
//!    amount.
//!
//! If several scenarios make a transaction a fraud, the highest number counts, as in the Handbook. The random numbers
//! are not the Handbook's, and some details differ: times have microseconds, and campaigns begin on the last day too. A
//! leaked customer's amount is multiplied before it is rounded to cents, because multiplied cents would be multiples of
//! five and betray scenario 3. It is multiplied only once even if several leaks take it.

mod feed;
mod frauds;
mod people;
mod settings;
mod terminals;
mod wire;

pub use self::feed::Feed;
use self::frauds::Frauds;
use self::people::{People, Purchase};
pub use self::settings::Settings;
pub use self::wire::Writer;
use crate::error::{Error, Result};
use crate::units::{Cents, Micros};

/// The streams of random numbers from 0 are the customers'. Each day's campaigns have a stream below this one.
const CAMPAIGNS_STREAM: u64 = u64::MAX - 2;
const TERMINALS_STREAM: u64 = u64::MAX - 1;
const IDS_STREAM: u64 = u64::MAX;
const DAY_MICROS: i64 = 86_400_000_000;

/// Lists the Handbook's fraud scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scenario {
    /// The amount is above a limit.
    Amount = 1,
    /// The terminal is compromised.
    Terminal = 2,
    /// The customer's credentials leaked.
    Credentials = 3,
}

impl Scenario {
    /// Returns its name in the truth.
    fn name(self) -> &'static str {
        match self {
            Self::Amount => "S1",
            Self::Terminal => "S2",
            Self::Credentials => "S3",
        }
    }
}

/// Holds a transaction of the Handbook's world, and whether it is fraud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandbookTransaction {
    /// The time of the transaction.
    pub time: Micros,
    /// The amount; it may be 0.
    pub cents: Cents,
    /// The number of the customer, from 0.
    pub customer: u32,
    /// The number of the terminal, from 0.
    pub terminal: u32,
    /// The scenario of a fraud; None for a genuine transaction.
    pub scenario: Option<Scenario>,
    /// The number of the compromise of a terminal or a customer, from 0 and unique in a world; None for scenario 1.
    pub campaign: Option<u32>,
}

/// Generates the transactions in the order of their times. It ends after the last day, or with the year 2099.
///
/// Equal seeds, starts and settings give equal transactions. One day's transactions are held in memory.
///
/// ```
/// use ccstream_core::event::Micros;
/// use ccstream_core::generate::handbook::{Handbook, Settings};
/// let settings: Settings = "handbook,customers=100,days=2".parse().unwrap();
/// let start = Micros(1_522_540_800_000_000);
/// let all: Vec<_> = Handbook::new(7, start, &settings).unwrap().collect();
/// assert!(all.is_sorted_by_key(|transaction| transaction.time));
/// assert_eq!(all, Handbook::new(7, start, &settings).unwrap().collect::<Vec<_>>());
/// ```
#[derive(Debug)]
pub struct Handbook {
    people: People,
    frauds: Frauds,
    start: Micros,
    days: u32,
    /// The next day to generate.
    day: u32,
    /// The transactions of the day before that are still to come, latest first.
    waiting: Vec<HandbookTransaction>,
    /// The purchases of one customer, reused.
    scratch: Vec<Purchase>,
}

/// Fails with [`Error::Config`] if `start` is not midnight UTC of a day from 1970 to 2099.
pub fn check_start(start: Micros) -> Result<()> {
    if !(0..Micros::END.0).contains(&start.0) {
        return Err(Error::config("start_time", Micros::OUT_OF_RANGE));
    }
    if start.0 % DAY_MICROS != 0 {
        let why = "is not midnight UTC, when each day of the preset handbook begins; give a date without a time";
        return Err(Error::config("start_time", format!("{}Z {why}", start.to_utc())));
    }
    Ok(())
}

impl Handbook {
    /// Creates the world that begins at `start`. Fails with [`Error::Config`] if `start` is not midnight UTC of a day
    /// from 1970 to 2099, if a setting is invalid, or if no customer has a terminal within the radius.
    pub fn new(seed: u64, start: Micros, settings: &Settings) -> Result<Self> {
        settings.validate()?;
        check_start(start)?;
        let last = ((Micros::END.0 - start.0) / DAY_MICROS) as u32;
        Ok(Self {
            people: People::draw(seed, settings)?,
            frauds: Frauds::new(seed, settings),
            start,
            days: settings.days.min(last),
            day: 0,
            waiting: Vec::new(),
            scratch: Vec::new(),
        })
    }

    /// Generates the next day.
    fn generate_day(&mut self) {
        let midnight = Micros(self.start.0 + i64::from(self.day) * DAY_MICROS);
        self.frauds.begin_day(self.day, &mut self.people);
        for customer in 0..self.people.count() {
            self.scratch.clear();
            self.people.purchases(customer, self.day, &mut self.scratch);
            for purchase in &self.scratch {
                self.waiting.push(self.frauds.decide(purchase, midnight));
            }
        }
        // The other fields break ties, so that the order does not depend on the sorting algorithm.
        self.waiting.sort_unstable_by_key(|one| std::cmp::Reverse((one.time, one.customer, one.terminal, one.cents)));
        self.day += 1;
    }
}

impl Iterator for Handbook {
    type Item = HandbookTransaction;

    fn next(&mut self) -> Option<HandbookTransaction> {
        while self.waiting.is_empty() && self.day < self.days {
            self.generate_day();
        }
        self.waiting.pop()
    }
}

#[cfg(test)]
mod tests;
