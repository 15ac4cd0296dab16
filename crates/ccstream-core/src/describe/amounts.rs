//! This module describes amounts by currency and category. The figures are of one currency, because amounts of
//! different currencies cannot be compared.

use std::collections::HashMap;

use super::statistics::Moments;
use crate::event::Cents;

/// Maximum number of pairs of currency and category. Further pairs are only in the totals of their currency.
const MAX_PAIRS: usize = 10_000;
/// Maximum number of currencies; ISO 4217 has fewer than 200. Amounts of further ones are only in the total of all.
const MAX_CURRENCIES: usize = 300;
/// The cents with which prices often end.
const ENDINGS: [u8; 3] = [0, 99, 50];

/// Describes the purchases of one currency. The moments are of ln(amount).
#[derive(Debug, Default)]
struct Purchases {
    all: Moments,
    by_category: HashMap<String, Moments>,
    /// Number of purchases that end with each of [`ENDINGS`].
    endings: [u64; ENDINGS.len()],
}

/// Holds the parameters of a log-normal distribution.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct LogNormal {
    /// The category; empty for all purchases.
    pub name: String,
    /// Number of purchases.
    pub count: u64,
    /// The mean of ln(amount).
    pub mu: f64,
    /// The standard deviation of ln(amount).
    pub sigma: f64,
}

impl LogNormal {
    fn of(name: &str, moments: &Moments) -> Self {
        Self { name: name.to_owned(), count: moments.count(), mu: moments.mean(), sigma: moments.deviation() }
    }
}

/// Describes the purchases of the currency that has most of them.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct AmountsShape {
    /// The currency; empty if the events have none.
    pub currency: String,
    /// Its share of all purchases.
    pub share: f64,
    /// All purchases in this currency.
    pub all: LogNormal,
    /// The purchases by category, the most frequent first.
    pub by_category: Vec<LogNormal>,
    /// An ending in cents, and the share of purchases that have it.
    pub endings: Vec<(u8, f64)>,
}

/// Collects amounts. Those above zero are purchases.
#[derive(Debug, Default)]
pub(super) struct Amounts {
    currencies: HashMap<String, Purchases>,
    /// Number of pairs of currency and category that are counted separately.
    pairs: usize,
    /// Number of purchases in all currencies.
    purchases: u64,
}

impl Amounts {
    pub(super) fn add(&mut self, currency: &str, category: &str, amount: Cents) {
        if amount.0 <= 0 {
            return;
        }
        self.purchases += 1;
        if !self.currencies.contains_key(currency) {
            if self.currencies.len() == MAX_CURRENCIES {
                return;
            }
            self.currencies.insert(currency.to_owned(), Purchases::default());
        }
        let Some(purchases) = self.currencies.get_mut(currency) else { return };
        let logarithm = (amount.0 as f64 / 100.0).ln();
        purchases.all.add(logarithm);
        if let Some(at) = ENDINGS.iter().position(|ending| i64::from(*ending) == amount.0 % 100) {
            purchases.endings[at] += 1;
        }
        if let Some(moments) = purchases.by_category.get_mut(category) {
            moments.add(logarithm);
        } else if self.pairs < MAX_PAIRS {
            self.pairs += 1;
            purchases.by_category.entry(category.to_owned()).or_default().add(logarithm);
        }
    }

    /// Returns the figures; None without a purchase.
    pub(super) fn shape(&self) -> Option<AmountsShape> {
        // Ties are broken by name, so that the same events always have the same shape.
        let by_count =
            |(name, purchases): &(&String, &Purchases)| (purchases.all.count(), std::cmp::Reverse((*name).clone()));
        let (currency, purchases) = self.currencies.iter().max_by_key(by_count)?;
        let count = purchases.all.count() as f64;
        let mut by_category: Vec<LogNormal> =
            purchases.by_category.iter().map(|(name, moments)| LogNormal::of(name, moments)).collect();
        by_category.sort_unstable_by(|one, other| other.count.cmp(&one.count).then_with(|| one.name.cmp(&other.name)));
        Some(AmountsShape {
            currency: currency.clone(),
            share: count / self.purchases as f64,
            all: LogNormal::of("", &purchases.all),
            by_category,
            endings: ENDINGS.into_iter().zip(purchases.endings.map(|ending| ending as f64 / count)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_purchases_in_the_most_frequent_currency() {
        let mut amounts = Amounts::default();
        assert_eq!(amounts.shape(), None);
        // The logarithms of 100.00 and 10000.00 are 2 and 4 times ln(10). Mu is their mean, and sigma half of their
        // difference.
        for (currency, category, cents) in [
            ("EUR", "food", 10_000),
            ("EUR", "food", 1_000_000),
            ("EUR", "fuel", 1_050),
            ("EUR", "fuel", 1_099),
            ("EUR", "fuel", 1_001),
            // Refunds and other currencies are not included.
            ("EUR", "food", -500),
            ("EUR", "food", 0),
            ("JPY", "food", 500_000),
        ] {
            amounts.add(currency, category, Cents(cents));
        }
        let shape = amounts.shape().unwrap();
        assert_eq!((shape.currency.as_str(), shape.all.count), ("EUR", 5));
        assert!((shape.share - 5.0 / 6.0).abs() < 1e-12);
        assert_eq!(shape.endings, [(0, 0.4), (99, 0.2), (50, 0.2)]);
        let [fuel, food] = &shape.by_category[..] else { panic!("{shape:?}") };
        assert_eq!((fuel.name.as_str(), fuel.count, food.name.as_str(), food.count), ("fuel", 3, "food", 2));
        let ten = 10f64.ln();
        assert!((food.mu - 3.0 * ten).abs() < 1e-9 && (food.sigma - ten).abs() < 1e-9, "{food:?}");
    }

    #[test]
    fn categories_and_currencies_have_a_limit() {
        let mut amounts = Amounts::default();
        for number in 0..MAX_PAIRS + 5 {
            amounts.add("EUR", &format!("category {number}"), Cents(100));
        }
        let shape = amounts.shape().unwrap();
        assert_eq!((shape.by_category.len(), shape.all.count), (MAX_PAIRS, MAX_PAIRS as u64 + 5));
        for number in 0..MAX_CURRENCIES + 5 {
            amounts.add(&number.to_string(), "food", Cents(100));
        }
        assert_eq!(amounts.currencies.len(), MAX_CURRENCIES);
    }
}
