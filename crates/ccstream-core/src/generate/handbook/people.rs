//! Draws the customers, and what they buy on a day.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal, Poisson};

use super::settings::Settings;
use super::terminals::Terminals;
use crate::error::{Error, Result};

const DAY_SECONDS: f64 = 86_400.0;

/// Holds the facts of a customer.
#[derive(Debug)]
struct Customer {
    position: (f64, f64),
    mean_amount: f64,
    /// The mean number of transactions per day; 0 if no terminal is within reach.
    daily: f64,
}

/// Holds a genuine transaction, before a fraud may change it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Purchase {
    pub(super) customer: u32,
    pub(super) terminal: u32,
    /// The microseconds since midnight.
    pub(super) micros: i64,
    /// The amount, not rounded to cents.
    pub(super) amount: f64,
}

/// Holds all customers and terminals.
///
/// Each customer has a separate stream of random numbers, and each day begins at a fixed position of it. A customer's
/// purchases of any day can therefore be computed at any time. Scenario 3 needs those of the following days.
#[derive(Debug)]
pub(super) struct People {
    customers: Vec<Customer>,
    terminals: Terminals,
    second: Normal<f64>,
    deviation: f64,
    redraw: f64,
    rng: ChaCha8Rng,
}

/// The number of random 32-bit words between the beginnings of two days.
const DAY_WORDS: u128 = 1 << 16;

impl People {
    /// Draws all customers and terminals. Fails with [`Error::Config`] if no terminal is within reach of any customer.
    pub(super) fn draw(seed: u64, settings: &Settings) -> Result<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(super::TERMINALS_STREAM);
        let terminals = Terminals::draw(settings, &mut rng);
        let customers: Vec<Customer> =
            (0..settings.customers).map(|number| customer(number, settings, &terminals, &mut rng)).collect();
        if customers.iter().all(|customer| customer.daily == 0.0) {
            let radius = settings.radius;
            let why = format!("no customer has a terminal within the radius of {radius}; increase radius or terminals");
            return Err(Error::config("preset", why));
        }
        let second = Normal::new(settings.second_mean, settings.second_deviation).expect("the settings are valid");
        Ok(Self { customers, terminals, second, deviation: settings.deviation, redraw: settings.redraw, rng })
    }

    /// Returns the number of customers.
    pub(super) fn count(&self) -> u32 {
        self.customers.len() as u32
    }

    /// Appends a customer's purchases of a day, in random order.
    pub(super) fn purchases(&mut self, number: u32, day: u32, out: &mut Vec<Purchase>) {
        let customer = &self.customers[number as usize];
        // No Poisson distribution has the mean 0.
        let Ok(daily) = Poisson::new(customer.daily) else { return };
        let rng = &mut self.rng;
        rng.set_stream(number.into());
        rng.set_word_pos((u128::from(day) + 1) * DAY_WORDS);
        let count: f64 = daily.sample(rng);
        for _ in 0..count as u32 {
            let second = self.second.sample(rng);
            if (0.0..DAY_SECONDS).contains(&second) {
                let amount = amount(customer.mean_amount, self.deviation, self.redraw, rng);
                let terminal = self.terminals.near(customer.position, rng);
                out.push(Purchase { customer: number, terminal, micros: (second * 1e6) as i64, amount });
            }
        }
    }
}

fn customer(number: u32, settings: &Settings, terminals: &Terminals, rng: &mut ChaCha8Rng) -> Customer {
    rng.set_stream(number.into());
    rng.set_word_pos(0);
    let position = (rng.random_range(0.0..settings.side), rng.random_range(0.0..settings.side));
    let mean_amount = rng.random_range(settings.mean_min..=settings.mean_max);
    let daily = rng.random_range(settings.daily_min..=settings.daily_max);
    Customer { position, mean_amount, daily: if terminals.reach(position) { daily } else { 0.0 } }
}

fn amount(mean: f64, deviation: f64, redraw: f64, rng: &mut impl Rng) -> f64 {
    let amount = Normal::new(mean, mean * deviation).expect("the settings are valid").sample(rng);
    if amount < 0.0 { rng.random_range(0.0..mean * redraw) } else { amount }
}
