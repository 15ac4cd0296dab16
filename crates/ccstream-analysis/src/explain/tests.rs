use super::*;
use crate::rules::{self, Rule};

/// 2026-11-22T10:15:30Z.
const TIME: Micros = Micros(1_795_342_530_000_000);

/// Returns features that all have a value.
fn features(value: f64) -> Features {
    let mut features = Features::default();
    for feature in Feature::ALL {
        features.set(*feature, value);
    }
    features
}

fn with(values: &[(Feature, f64)]) -> Features {
    let mut features = Features::default();
    for (feature, value) in values {
        features.set(*feature, *value);
    }
    features
}

#[test]
fn every_feature_is_a_short_text_whatever_its_value() {
    // Logarithms are negative. No other value is below 0, but for the standard deviations.
    for value in [f64::NAN, -3.0, -1e-3, 0.0, 1e-3, 0.5, 1.0, 1.4, 9.0, 10.0, 63.4, 200.0, 99_999.0] {
        for feature in Feature::ALL {
            let text = explain(&features(value), *feature, TIME);
            assert!((8..=70).contains(&text.chars().count()), "{feature:?} {value}: {text}");
            assert!(!text.contains("NaN") && !text.contains("inf"), "{feature:?} {value}: {text}");
        }
    }
    // All other features can be missing.
    let is_never_missing =
        |feature: &Feature| matches!(feature.definition().source, Source::Transaction | Source::Rules);
    for feature in Feature::ALL.iter().filter(|feature| !is_never_missing(feature)) {
        assert_ne!(explain(&Features::default(), *feature, TIME), UNKNOWN, "{feature:?}");
    }
}

#[test]
fn reasons_read_well_for_high_and_for_low_values() {
    for (feature, high, text, low, other) in [
        (Feature::CardRatio, 8.2, "8.2 times this card's usual amount", 0.02, "2% of this card's usual amount"),
        (
            Feature::CardZ,
            7.3,
            "7.3 standard deviations above this card's usual amount",
            -1.2,
            "1.2 standard deviations below this card's usual amount",
        ),
        (
            Feature::CardAmounts,
            200.0,
            "at least 200 earlier amounts on this card to compare with",
            0.0,
            "no earlier amount on this card to compare with",
        ),
        (
            Feature::CardHour,
            10.0,
            "at least 10 other transactions on this card in the last hour",
            0.0,
            "no other transaction on this card in the last hour",
        ),
        (Feature::CardNewCountry, 1.0, "first time in this country", 0.0, "this card was in this country before"),
        (
            Feature::CardTested,
            5.0,
            "tiny amount on this card at a merchant with 5 other tiny amounts",
            0.0,
            "no tiny amount on this card where others made some",
        ),
        (
            Feature::CardRefundsBeyond,
            2.0,
            "2 refunds more than this card's purchases here",
            0.0,
            "no more refunds than purchases on this card here",
        ),
        (
            Feature::MerchantRatio,
            3f64.ln(),
            "3.0 times this merchant's usual amount",
            0.25f64.ln(),
            "25% of this merchant's usual amount",
        ),
        (
            Feature::MerchantRefundShare,
            0.23,
            "23% of this merchant's recent transactions are refunds",
            0.0,
            "0% of this merchant's recent transactions are refunds",
        ),
    ] {
        assert_eq!(
            explain(
                &with(&[
                    (feature, high),
                    (Feature::CardAmounts, if feature == Feature::CardAmounts { high } else { 1.0 })
                ]),
                feature,
                TIME
            ),
            text
        );
        assert_eq!(explain(&with(&[(feature, low)]), feature, TIME), other);
    }
}

#[test]
fn values_of_several_features_are_in_one_reason() {
    let run = [(Feature::RunFrauds, 3.0), (Feature::RunTransactions, 4.0), (Feature::RunAge, 10.427_43)];
    let far = [(Feature::CardDistance, 1_240.4), (Feature::CardSpeed, 2_100.0)];
    let features = with(&[&run[..], &far].concat());
    assert_eq!(explain(&features, Feature::RunShare, TIME), "3 frauds of 4 known transactions here since November 12");
    assert_eq!(explain(&features, Feature::RunAge, TIME), "known frauds here since November 12");
    let way = "1,240 km from this card's last purchase in person, 2,100 km/h";
    assert_eq!(explain(&features, Feature::CardDistance, TIME), way);
    assert_eq!(explain(&features, Feature::CardSpeed, TIME), way);
    let none = with(&[(Feature::RunFrauds, 0.0), (Feature::CardDistance, 0.0), (Feature::CardSpeed, 0.0)]);
    assert_eq!(explain(&none, Feature::RunShare, TIME), "no known fraud here in the last 64 days");
    assert_eq!(explain(&none, Feature::CardSpeed, TIME), "at the place of this card's last purchase in person");
}

#[test]
fn missing_values_say_why() {
    let card = with(&[(Feature::CardAmounts, 0.0), (Feature::RunFrauds, 0.0)]);
    for (features, feature, text) in [
        (&card, Feature::CardSinceLast, "no earlier transaction on this card"),
        (&card, Feature::CardNewCountry, "no country is given"),
        (&card, Feature::RunGenuine, "no known fraud here in the last 64 days"),
        (&Features::default(), Feature::CardNewCountry, "no card is given"),
        (&Features::default(), Feature::MerchantRatio, "no merchant is given"),
        (&Features::default(), Feature::RunGenuine, "no merchant and no terminal is given"),
    ] {
        assert_eq!(explain(features, feature, TIME), text);
    }
}

#[test]
fn a_topic_is_one_reason() {
    let features = with(&[
        (Feature::CardAmounts, 9.0),
        (Feature::CardRatio, 4.0),
        (Feature::CardZ, 6.0),
        (Feature::Amount, 7.0),
        (Feature::CardHour, 2.0),
    ]);
    let of = |weights: &[(Feature, f64)]| words(weights.iter().copied(), &features, TIME);
    let ratio = "4.0 times this card's usual amount";
    let (amount, hour) = ("an amount of 7.00", "2 other transactions on this card in the last hour");
    let (a, z, r, h) = (Feature::Amount, Feature::CardZ, Feature::RuleCard, Feature::CardHour);
    assert_eq!(of(&[(a, 0.8), (z, 0.5), (r, 0.6), (h, 0.2)]), [ratio, amount, hour]);
    assert_eq!(of(&[(a, 0.8), (z, -0.5), (r, 0.6), (h, 0.2)]), [amount, hour, ratio]);
    assert_eq!(of(&[(a, 0.8), (z, -0.6), (r, 0.6), (h, -0.2)]), [amount]);
    assert!(of(&[(a, 0.0)]).is_empty() && of(&[]).is_empty());
    // The score of all rules is about the card here, so it is not another reason.
    assert_eq!(of(&[(Feature::Rules, 0.9), (r, 0.6)]), [ratio]);
}

#[test]
fn missing_values_of_several_topics_are_one_reason() {
    let weights = [(Feature::CardHour, 0.9), (Feature::CardTiny, 0.8), (Feature::MerchantTiny, 0.7)];
    assert_eq!(words(weights, &Features::default(), TIME), ["no card is given", "no merchant is given"]);
}

#[test]
fn the_rules_give_their_reasons_in_order() {
    let features = with(&[
        (Feature::CardAmounts, 9.0),
        (Feature::CardRatio, 2.6),
        (Feature::CardDistance, 4_000.0),
        (Feature::CardSpeed, 8_000.0),
    ]);
    let verdict = rules::score(&features);
    assert_eq!(verdict.reasons().collect::<Vec<_>>(), [Rule::Speed, Rule::Card]);
    assert_eq!(
        of_rules(&verdict, &features, TIME),
        ["4,000 km from this card's last purchase in person, 8,000 km/h", "2.6 times this card's usual amount"]
    );
}

#[test]
fn a_model_gives_the_reasons_of_all_its_features() {
    let names: Vec<&str> = Feature::ALL.iter().map(|feature| feature.definition().name).collect();
    let weight = |feature: &Feature| match feature {
        Feature::CardRatio | Feature::RuleCard | Feature::CardZ | Feature::RunShare => 1.0,
        _ => 0.0,
    };
    let list = |value: &dyn Fn(&Feature) -> f64| Feature::ALL.iter().map(value).collect::<Vec<_>>();
    let file = serde_json::json!({
        "format": crate::models::FORMAT,
        "features": {"version": "1", "names": names},
        "kind": "logistic",
        "model": {"coefficients": list(&weight), "intercept": 0, "means": list(&|_| 0.0)},
        "calibration": {"kind": "platt", "slope": 1, "intercept": 0},
        "card": {},
    });
    let model = Model::read(&file.to_string(), "1", &names).unwrap();
    let features = with(&[
        (Feature::CardAmounts, 9.0),
        (Feature::CardRatio, 4.0),
        (Feature::CardZ, 3.0),
        (Feature::RuleCard, 0.9),
        (Feature::RunShare, 0.5),
        (Feature::RunFrauds, 1.0),
        (Feature::RunTransactions, 2.0),
        (Feature::RunAge, 10.427_43),
    ]);
    assert_eq!(
        of_model(&model, &features, TIME),
        ["4.0 times this card's usual amount", "1 fraud of 2 known transactions here since November 12"]
    );
}
