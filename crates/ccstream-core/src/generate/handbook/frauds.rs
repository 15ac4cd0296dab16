//! Plans which terminals and customers are compromised, and decides which transactions are frauds.

use std::collections::HashMap;

use rand::seq::index;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::people::{People, Purchase};
use super::settings::Settings;
use super::{HandbookTransaction, Scenario};
use crate::units::{Cents, Micros};

/// Holds a terminal that is compromised.
#[derive(Debug)]
struct Compromised {
    /// The first day on which it is no longer compromised.
    end: u32,
    campaign: u32,
}

/// Holds the leak of a day, which reveals the credentials of several customers.
///
/// The purchases that become frauds are a random sample of a known size from a known number of purchases. Selection
/// sampling (Knuth, volume 2, algorithm S) draws it in one pass, from these two counts alone.
#[derive(Debug)]
struct Leak {
    /// The first day on which the credentials are no longer used.
    end: u32,
    /// The number of the customers' purchases that are still to come before the end.
    purchases: u32,
    /// The number of these that become frauds.
    frauds: u32,
    rng: ChaCha8Rng,
}

/// Holds the part that one customer has in a leak.
#[derive(Debug)]
struct Leaked {
    /// The day of the leak.
    day: u32,
    campaign: u32,
}

impl Leak {
    /// Returns whether the next purchase becomes a fraud.
    fn takes_next(&mut self) -> bool {
        let is_fraud = self.rng.random_range(0..self.purchases) < self.frauds;
        self.purchases -= 1;
        self.frauds -= u32::from(is_fraud);
        is_fraud
    }
}

/// Holds all campaigns that are under way.
#[derive(Debug)]
pub(super) struct Frauds {
    seed: u64,
    settings: Settings,
    /// The campaign that compromised each terminal last.
    terminals: HashMap<u32, Compromised>,
    /// The leak of each day.
    leaks: HashMap<u32, Leak>,
    /// The leaks of each customer, oldest first.
    customers: HashMap<u32, Vec<Leaked>>,
    /// The purchases of a leak's customers, reused.
    scratch: Vec<Purchase>,
}

impl Frauds {
    pub(super) fn new(seed: u64, settings: &Settings) -> Self {
        Self {
            seed,
            settings: settings.clone(),
            terminals: HashMap::new(),
            leaks: HashMap::new(),
            customers: HashMap::new(),
            scratch: Vec::new(),
        }
    }

    /// Ends the campaigns that are over, and begins those of a day. Days must be given in order.
    pub(super) fn begin_day(&mut self, day: u32, people: &mut People) {
        self.terminals.retain(|_, terminal| terminal.end > day);
        self.leaks.retain(|_, leak| leak.end > day);
        self.customers.retain(|_, parts| {
            parts.retain(|part| self.leaks.contains_key(&part.day));
            !parts.is_empty()
        });
        let Settings { s2_terminals, s2_days, s3_customers, s3_days, s3_share, .. } = self.settings;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(super::CAMPAIGNS_STREAM - u64::from(day));
        let mut campaign = day * (s2_terminals + s3_customers);
        let terminals = index::sample(&mut rng, self.settings.terminals as usize, s2_terminals as usize);
        for terminal in terminals {
            self.terminals.insert(terminal as u32, Compromised { end: day + s2_days, campaign });
            campaign += 1;
        }
        let end = (day + s3_days).min(self.settings.days);
        self.scratch.clear();
        for customer in index::sample(&mut rng, self.settings.customers as usize, s3_customers as usize) {
            let customer = customer as u32;
            self.customers.entry(customer).or_default().push(Leaked { day, campaign });
            campaign += 1;
            for used in day..end {
                people.purchases(customer, used, &mut self.scratch);
            }
        }
        let purchases = self.scratch.len() as u32;
        // A third of 3 must be 1, though 1/3 is rounded down as a float.
        let frauds = (f64::from(purchases) * s3_share + 1e-9).floor() as u32;
        self.leaks.insert(day, Leak { end, purchases, frauds, rng });
    }

    /// Decides whether a purchase is a fraud, and of which scenario. Each purchase must be decided once.
    pub(super) fn decide(&mut self, purchase: &Purchase, midnight: Micros) -> HandbookTransaction {
        let &Purchase { customer, terminal, micros, amount } = purchase;
        let genuine = cents(amount);
        // If there are several campaigns, the last one counts.
        let mut leak = None;
        for part in self.customers.get(&customer).into_iter().flatten() {
            if self.leaks.get_mut(&part.day).is_some_and(Leak::takes_next) {
                leak = Some(part.campaign);
            }
        }
        let (cents, scenario, campaign) = if let Some(leak) = leak {
            (cents(amount * self.settings.s3_factor), Some(Scenario::Credentials), Some(leak))
        } else if let Some(compromised) = self.terminals.get(&terminal) {
            (genuine, Some(Scenario::Terminal), Some(compromised.campaign))
        } else {
            (genuine, (genuine > cents(self.settings.s1_above)).then_some(Scenario::Amount), None)
        };
        HandbookTransaction { time: Micros(midnight.0 + micros), cents, customer, terminal, scenario, campaign }
    }
}

fn cents(amount: f64) -> Cents {
    Cents(((amount * 100.0).round() as i64).min(Cents::MAX.0))
}
