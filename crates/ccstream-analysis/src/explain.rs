//! Explains a score in words: which features raise it most, with their values.
//!
//! ```text
//! rules: Verdict ──┐
//!                  ├─> weights of features ─> topics, the greatest first ─> explain: a reason in words for each
//! model: Model ────┘
//! ```
//! Features that say nearly the same are one topic. A topic has the weight of all its features, and the words of
//! the one that weighs most.

mod phrase;
mod topic;

use ccstream_core::event::Micros;

use self::phrase::{bound, count, date, flag, money, number, percent, since, times};
use crate::features::{Feature, Features, Source};
use crate::models::{MAX_REASONS, Model};
use crate::numbers::exp;
use crate::rules::Verdict;

/// The number of transactions that a card remembers.
const KEPT: f64 = 10.0;
/// The number of amounts from which a card counts no further.
const AMOUNTS: f64 = 200.0;
/// The reason for a missing value that the state never gives.
const UNKNOWN: &str = "a value that is not known";

/// Returns the reasons of a score by the rules, the greatest first: at most [`MAX_REASONS`]. `time` is that of the
/// transaction.
///
/// ```
/// use ccstream_analysis::{Event, Settings, State, explain};
/// use ccstream_core::event::{Cents, Micros};
/// let mut state = State::new(&Settings::default());
/// let usual = Event { amount: Cents(1_000), card: Some("c1"), merchant: Some("m1"), ..Event::default() };
/// for day in 0..5 {
///     state.score_input(&Event { time: Micros(day * 86_400_000_000), ..usual });
/// }
/// let time = Micros(450_000_000_000);
/// let scored = state.score_input(&Event { amount: Cents(8_200), time, ..usual });
/// let reasons = explain::of_rules(&scored.verdict, &scored.features, time);
/// assert_eq!(reasons, ["8.2 times this card's usual amount", "8.2 times this merchant's usual amount"]);
/// ```
pub fn of_rules(verdict: &Verdict, features: &Features, time: Micros) -> Vec<String> {
    words(verdict.reasons().map(|rule| (rule.feature(), verdict.rules[rule as usize])), features, time)
}

/// Returns the reasons of a score by a model, the greatest first: at most [`MAX_REASONS`]. `time` is that of the
/// transaction.
///
/// # Panics
/// The model was not read for the features of this crate.
pub fn of_model(model: &Model, features: &Features, time: Micros) -> Vec<String> {
    let mut contributions = [0.0; Feature::ALL.len()];
    model.contributions(&features.0, &mut contributions);
    words(Feature::ALL.iter().copied().zip(contributions), features, time)
}

/// Returns reasons in words, the greatest first: at most [`MAX_REASONS`]. `weights` says by how much each feature raises
/// the score, and `time` is that of the transaction. Give the weights of all features, also those that lower the score: a
/// topic is a reason only if its features raise the score together.
///
/// ```
/// use ccstream_analysis::{Event, Feature, Settings, State, explain};
/// use ccstream_core::event::Micros;
/// let features = State::new(&Settings::default()).score_input(&Event { card: Some("c1"), ..Event::default() }).features;
/// let weights = [(Feature::CardHour, 0.5), (Feature::CardDay, 0.4), (Feature::CardAmounts, 0.7), (Feature::Refund, -0.1)];
/// assert_eq!(
///     explain::words(weights, &features, Micros(0)),
///     ["no other transaction on this card in the last hour", "no earlier amount on this card to compare with"],
/// );
/// ```
pub fn words(weights: impl IntoIterator<Item = (Feature, f64)>, features: &Features, time: Micros) -> Vec<String> {
    let mut reasons = Vec::with_capacity(MAX_REASONS);
    for feature in topic::greatest(weights, features) {
        let reason = explain(features, feature, time);
        // Without a card, for example, several topics have the same words.
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
        if reasons.len() == MAX_REASONS {
            break;
        }
    }
    reasons
}

/// Returns a reason in words, with the value of the feature. `time` is that of the transaction.
///
/// ```
/// use ccstream_analysis::{Event, Feature, Settings, State, explain::explain};
/// use ccstream_core::event::{Cents, Micros};
/// let mut state = State::new(&Settings::default());
/// let event = Event { amount: Cents(120_000), card: Some("c1"), ..Event::default() };
/// let features = state.score_input(&event).features;
/// assert_eq!(explain(&features, Feature::Amount, event.time), "an amount of 1,200.00");
/// assert_eq!(explain(&features, Feature::CardSinceLast, event.time), "no earlier transaction on this card");
/// assert_eq!(explain(&features, Feature::CardNewMerchant, event.time), "no merchant is given");
/// ```
pub fn explain(features: &Features, feature: Feature, time: Micros) -> String {
    use Feature as F;
    let feature = match feature {
        F::RuleCard => F::CardRatio,
        F::RuleMerchant => F::MerchantRatio,
        F::RuleTerminal | F::RunTransactions | F::RunShare => F::RunFrauds,
        F::RulesLogOdds => F::Rules,
        feature => feature,
    };
    let value = f64::from(features.get(feature));
    if value.is_nan() {
        return missing(features, feature).to_owned();
    }
    match feature {
        F::Amount => format!("an amount of {}", money(value)),
        F::Refund => flag(value, "a refund", "a purchase, not a refund"),
        F::Declined => flag(value, "declined by the issuer", "not declined by the issuer"),
        F::Fallback => flag(value, "card swiped or keyed in, chip not read", "card not swiped or keyed in"),
        F::CardRatio | F::RuleCard => format!("{} this card's usual amount", times(value)),
        F::CardZ => {
            let side = if value < 0.0 { "below" } else { "above" };
            format!("{} standard deviations {side} this card's usual amount", number(value.abs()))
        }
        F::CardAmounts => {
            format!(
                "{} on this card to compare with",
                bound(count(value.min(AMOUNTS), "earlier amount"), value >= AMOUNTS)
            )
        }
        F::CardSinceLast => format!("{} since this card's last transaction", since(value)),
        F::CardSinceOutlier => format!("{} since this card's last unusual amount", since(value)),
        F::CardOutliers1d | F::CardOutliers7d | F::CardOutliers14d => {
            format!("{} on this card (older ones count less)", count(value, "recent unusual amount"))
        }
        F::CardGreatestRatio => format!("recently up to about {} this card's usual amount", times(value)),
        F::CardHour => format!("{} on this card in the last hour", kept(value, "other transaction")),
        F::CardDay => format!("{} on this card in the last 24 hours", kept(value, "other transaction")),
        F::CardNewMerchant => flag(value, "merchant new to this card", "merchant known to this card"),
        F::CardNewCountry => flag(value, "first time in this country", "this card was in this country before"),
        F::CardNewMode => {
            flag(value, "first time that this card is read in this way", "this card was read in this way before")
        }
        F::CardDeclines => format!("{} on this card in the last 24 hours", kept(value, "declined transaction")),
        F::CardTiny => format!("{} on this card in the last 40 hours", kept(value, "tiny amount")),
        F::CardTested if value < 1.0 => "no tiny amount on this card where others made some".to_owned(),
        F::CardTested => {
            format!("tiny amount on this card at a merchant with {}", count(value, "other tiny amount"))
        }
        F::CardOnline => format!("{} on this card in the last 76 hours", kept(value, "online purchase")),
        F::CardOnlineNew => format!("{} at new merchants in the last 76 hours", kept(value, "online purchase")),
        F::CardOnlineNight => {
            format!("{} at new merchants at night in 76 hours", kept(value, "online purchase"))
        }
        F::CardPresent => format!("{} in person in the last 2 hours", kept(value, "other purchase")),
        F::CardPresentNew => format!("{} in person at new merchants in the last 2 hours", kept(value, "purchase")),
        F::CardRise if value <= 0.0 => "no rising amounts in person in the last 2 hours".to_owned(),
        F::CardRise => format!("rising amounts in person in the last 2 hours, by {}", number(value)),
        F::CardDistance | F::CardSpeed => journey(features),
        F::CardRefunds => format!("{} on this card in the last 8 days", kept(value, "refund")),
        F::CardRefundsBeyond if value < 1.0 => "no more refunds than purchases on this card here".to_owned(),
        F::CardRefundsBeyond => format!("{} more than this card's purchases here", count(value, "refund")),
        F::MerchantRatio | F::RuleMerchant => format!("{} this merchant's usual amount", times(exp(value))),
        F::CardLevel => format!("{} what this card would usually pay here", times(exp(value))),
        F::MerchantTiny => format!("{} at this merchant", count(value, "recent tiny amount")),
        F::MerchantRefunds => format!("{} at this merchant", count(value, "recent refund")),
        F::MerchantRefundShare => format!("{} of this merchant's recent transactions are refunds", percent(value)),
        F::TerminalFallback => format!("{} of recent cards here were swiped or keyed in", percent(value)),
        F::RunAge => format!("known frauds here since {}", date(time, value)),
        F::RunAgeAtMost => format!("frauds here began after {}", date(time, value)),
        F::RunSince => format!("last known fraud here on {}", date(time, value)),
        F::RunFrauds | F::RunTransactions | F::RunShare | F::RuleTerminal => run(features, time),
        F::RunGenuine => format!("{} here since the last fraud", count(value, "known genuine transaction")),
        F::TerminalKnownSince => format!("last transaction here that is old enough for labels: {}", date(time, value)),
        F::TerminalKnown => format!("{} here old enough for labels", count(value, "recent transaction")),
        F::Rules | F::RulesLogOdds => {
            format!("the rules give a probability of fraud of {}", percent(value))
        }
    }
}

/// Returns the number of transactions among those that a card remembers.
fn kept(value: f64, what: &str) -> String {
    bound(count(value.min(KEPT), what), value >= KEPT)
}

/// Returns the way from the last purchase in person.
fn journey(features: &Features) -> String {
    let [distance, speed] = [Feature::CardDistance, Feature::CardSpeed].map(|one| f64::from(features.get(one)));
    if distance == 0.0 {
        return "at the place of this card's last purchase in person".to_owned();
    }
    format!("{} km from this card's last purchase in person, {} km/h", number(distance), number(speed))
}

/// Returns the known frauds of the terminal's run.
fn run(features: &Features, time: Micros) -> String {
    let [frauds, transactions, age] =
        [Feature::RunFrauds, Feature::RunTransactions, Feature::RunAge].map(|one| f64::from(features.get(one)));
    if frauds <= 0.0 {
        return missing(features, Feature::RunAge).to_owned();
    }
    let known = count(transactions, "known transaction");
    format!("{} of {known} here since {}", count(frauds, "fraud"), date(time, age))
}

/// Returns why a feature is missing.
fn missing(features: &Features, feature: Feature) -> &'static str {
    use Feature as F;
    let is_missing = |feature: F| features.get(feature).is_nan();
    match feature.definition().source {
        Source::Card if is_missing(F::CardAmounts) => return "no card is given",
        Source::Merchant if is_missing(F::MerchantTiny) => return "no merchant is given",
        Source::Terminal if is_missing(F::RunFrauds) => return "no merchant and no terminal is given",
        _ => {}
    }
    match feature {
        F::CardSinceLast => "no earlier transaction on this card",
        F::CardSinceOutlier => "no unusual amount on this card before",
        F::CardNewMerchant | F::CardRefundsBeyond => "no merchant is given",
        F::CardNewCountry => "no country is given",
        F::CardNewMode => "no entry mode is given",
        F::CardDistance | F::CardSpeed => "no known way from this card's last purchase in person",
        F::MerchantRatio | F::CardLevel => "no known usual amount of this merchant",
        F::TerminalFallback => "no earlier purchase in person here",
        F::RunAgeAtMost if !is_missing(F::RunAge) => "no known genuine transaction here before the frauds",
        F::RunAge | F::RunAgeAtMost | F::RunSince | F::RunGenuine => "no known fraud here in the last 64 days",
        F::TerminalKnownSince => "no transaction here that is old enough for labels",
        F::CardRatio | F::CardZ => "no known usual amount of this card",
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests;
