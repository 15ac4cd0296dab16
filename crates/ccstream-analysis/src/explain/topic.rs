//! Groups features that say nearly the same.

use crate::features::{Feature, Features};
use crate::rules;

/// Lists what features are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Topic {
    Amount,
    AmountOfCard,
    AmountOfMerchant,
    History,
    Outliers,
    Pace,
    NewMerchant,
    Country,
    EntryMode,
    Fallback,
    FallbackHere,
    Declines,
    Tested,
    TinyHere,
    Online,
    InPerson,
    Journey,
    Refunds,
    RefundsHere,
    Run,
    Known,
    Rules,
}

impl Topic {
    fn of(feature: Feature) -> Self {
        use Feature as F;
        match feature {
            F::Amount => Self::Amount,
            F::CardRatio | F::CardZ | F::CardLevel | F::RuleCard => Self::AmountOfCard,
            F::MerchantRatio | F::RuleMerchant => Self::AmountOfMerchant,
            F::CardAmounts => Self::History,
            F::CardSinceOutlier | F::CardOutliers1d | F::CardOutliers7d | F::CardOutliers14d | F::CardGreatestRatio => {
                Self::Outliers
            }
            F::CardSinceLast | F::CardHour | F::CardDay => Self::Pace,
            F::CardNewMerchant => Self::NewMerchant,
            F::CardNewCountry => Self::Country,
            F::CardNewMode => Self::EntryMode,
            F::Fallback => Self::Fallback,
            F::TerminalFallback => Self::FallbackHere,
            F::Declined | F::CardDeclines => Self::Declines,
            F::CardTiny | F::CardTested => Self::Tested,
            F::MerchantTiny => Self::TinyHere,
            F::CardOnline | F::CardOnlineNew | F::CardOnlineNight => Self::Online,
            F::CardPresent | F::CardPresentNew | F::CardRise => Self::InPerson,
            F::CardDistance | F::CardSpeed => Self::Journey,
            F::Refund | F::CardRefunds | F::CardRefundsBeyond => Self::Refunds,
            F::MerchantRefunds | F::MerchantRefundShare => Self::RefundsHere,
            F::RunAge
            | F::RunAgeAtMost
            | F::RunSince
            | F::RunFrauds
            | F::RunTransactions
            | F::RunShare
            | F::RunGenuine
            | F::RuleTerminal => Self::Run,
            F::TerminalKnownSince | F::TerminalKnown => Self::Known,
            F::Rules | F::RulesLogOdds => Self::Rules,
        }
    }
}

/// Holds a topic with the sum of its weights, and its feature that weighs most.
#[derive(Debug)]
struct Group {
    topic: Topic,
    sum: f64,
    feature: Feature,
    greatest: f64,
}

/// Returns a feature for each topic whose weights have a sum above 0, the greatest topic first. Of equal ones, the one
/// that came first is first.
pub(super) fn greatest(
    weights: impl IntoIterator<Item = (Feature, f64)>,
    features: &Features,
) -> impl Iterator<Item = Feature> {
    // The score of all rules says what the most probable rule says.
    let rule = rules::score(features).reasons().next().map(rules::Rule::feature);
    let mut groups: Vec<Group> = Vec::new();
    for (feature, weight) in weights {
        let feature = match (feature, rule) {
            (Feature::Rules | Feature::RulesLogOdds, Some(rule)) => rule,
            _ => feature,
        };
        let topic = Topic::of(feature);
        match groups.iter_mut().find(|group| group.topic == topic) {
            Some(group) => {
                group.sum += weight;
                if weight > group.greatest {
                    (group.feature, group.greatest) = (feature, weight);
                }
            }
            None => groups.push(Group { topic, sum: weight, feature, greatest: weight }),
        }
    }
    groups.retain(|group| group.sum > 0.0);
    groups.sort_by(|a, b| b.sum.total_cmp(&a.sum));
    groups.into_iter().map(|group| group.feature)
}
