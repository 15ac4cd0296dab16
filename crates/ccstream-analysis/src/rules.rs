//! Scores a transaction without a model: rules by hand give probabilities, which are combined.
//!
//! The rules' constants are chosen for plausibility, and nothing is learnt. The probability of a rule is that of a fraud
//! if nothing else spoke for one. The score is the probability that at least one rule is right, with all rules as
//! independent: one minus the product of one minus each probability.

use crate::features::{Feature, Features};
use crate::numbers::{exp, ln};

/// Lists the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// The amount is unusual for the card: its credentials leaked.
    Card,
    /// The amount is unusual for the merchant.
    Merchant,
    /// The terminal has a run of known frauds.
    Terminal,
    /// The card was elsewhere shortly before.
    Speed,
    /// The card paid a tiny amount at a merchant where others did.
    Tested,
    /// The card has more refunds than purchases at the merchant.
    Refunds,
}

impl Rule {
    /// Lists every rule.
    pub const ALL: [Self; 6] = [Self::Card, Self::Merchant, Self::Terminal, Self::Speed, Self::Tested, Self::Refunds];

    /// Returns the feature that says in words why the rule speaks for a fraud.
    pub fn feature(self) -> Feature {
        match self {
            Self::Card => Feature::CardRatio,
            Self::Merchant => Feature::MerchantRatio,
            Self::Terminal => Feature::RunFrauds,
            Self::Speed => Feature::CardSpeed,
            Self::Tested => Feature::CardTested,
            Self::Refunds => Feature::CardRefundsBeyond,
        }
    }
}

/// Holds the score of a transaction by the rules.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The probability of a fraud, above 0 and below 1.
    pub probability: f64,
    /// The probability of a fraud by each rule alone, in the order of [`Rule::ALL`].
    pub rules: [f64; Rule::ALL.len()],
}

/// The probability if no rule speaks for a fraud.
const FLOOR: f64 = 1e-9;

/// Returns the value of a feature, or another value if it is missing.
fn value_or(features: &Features, feature: Feature, missing: f64) -> f64 {
    let value = f64::from(features.get(feature));
    if value.is_nan() { missing } else { value }
}

/// Returns the probability whose log odds are `x`.
fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x.clamp(-60.0, 60.0)))
}

fn card(features: &Features) -> f64 {
    let ratio = value_or(features, Feature::CardRatio, 1.0).max(1e-3);
    let outliers = value_or(features, Feature::CardOutliers14d, 0.0).min(3.0);
    // Three times the usual amount is as likely fraud as not, or a little less if the card had outliers of late.
    0.95 * logistic(8.0 * (ln(ratio) - 1.08) + outliers)
}

fn merchant(features: &Features) -> f64 {
    0.3 * logistic(8.0 * (value_or(features, Feature::MerchantRatio, 0.0) - 1.6))
}

fn terminal(features: &Features) -> f64 {
    let frauds = value_or(features, Feature::RunFrauds, 0.0);
    if frauds <= 0.0 {
        return 0.0;
    }
    let transactions = value_or(features, Feature::RunTransactions, 0.0).max(frauds);
    let genuine = value_or(features, Feature::RunGenuine, 0.0);
    let age = (value_or(features, Feature::RunAge, 0.0) / 35.0).max(0.0);
    // Each genuine transaction since the last fraud is evidence that the run is over. So is its age.
    let is_on = exp(-1.2 * genuine) / (1.0 + age * age * age * age);
    0.95 * frauds / (transactions + 0.3) * is_on
}

fn speed(features: &Features) -> f64 {
    let distance = value_or(features, Feature::CardDistance, 0.0);
    if distance < 200.0 {
        return 0.0;
    }
    0.7 * logistic(4.0 * (ln(value_or(features, Feature::CardSpeed, 0.0).max(1.0)) - ln(900.0)))
}

fn tested(features: &Features) -> f64 {
    let tested = value_or(features, Feature::CardTested, 0.0);
    if tested < 1.0 {
        return 0.0;
    }
    0.5 * logistic(2.0 * (tested - 4.0))
}

fn refunds(features: &Features) -> f64 {
    let beyond = value_or(features, Feature::CardRefundsBeyond, 0.0) * value_or(features, Feature::Refund, 0.0);
    if beyond < 1.0 { 0.0 } else { 0.6 * logistic(2.0 * (beyond - 2.0)) }
}

/// Scores a transaction by the rules.
///
/// ```
/// use ccstream_analysis::rules::{Rule, score};
/// use ccstream_analysis::{Event, Settings, State};
/// use ccstream_core::event::{Cents, Micros};
/// let mut state = State::new(&Settings::default());
/// let usual = Event { amount: Cents(1_000), card: Some("c1"), merchant: Some("m1"), ..Event::default() };
/// for day in 0..5 {
///     state.score_input(&Event { time: Micros(day * 86_400_000_000), ..usual });
/// }
/// let verdict = score(&state.score_input(&Event { amount: Cents(8_000), time: Micros(450_000_000_000), ..usual }).features);
/// assert!(verdict.probability > 0.9);
/// assert_eq!(verdict.reasons().next(), Some(Rule::Card));
/// ```
pub fn score(features: &Features) -> Verdict {
    let rules =
        [card(features), merchant(features), terminal(features), speed(features), tested(features), refunds(features)];
    let none = rules.iter().fold(1.0 - FLOOR, |none, probability| none * (1.0 - probability));
    Verdict { probability: 1.0 - none, rules }
}

impl Verdict {
    /// Returns the natural logarithm of the odds.
    pub fn log_odds(&self) -> f64 {
        ln(self.probability / (1.0 - self.probability))
    }

    /// Sets the features that are scores by rules.
    pub(crate) fn fill(&self, features: &mut Features) {
        let [card, merchant, terminal, ..] = self.rules;
        features.set(Feature::RuleCard, card);
        features.set(Feature::RuleMerchant, merchant);
        features.set(Feature::RuleTerminal, terminal);
        features.set(Feature::Rules, self.probability);
        features.set(Feature::RulesLogOdds, self.log_odds());
    }

    /// Returns the rules whose probability is at least 0.05, the most probable first.
    pub fn reasons(&self) -> impl Iterator<Item = Rule> {
        let mut order: Vec<usize> = (0..self.rules.len()).filter(|at| self.rules[*at] >= 0.05).collect();
        order.sort_by(|a, b| self.rules[*b].total_cmp(&self.rules[*a]));
        order.into_iter().map(|at| Rule::ALL[at])
    }
}
