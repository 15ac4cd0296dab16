//! Tests that compare each figure of a shape with one that was computed by hand.

use super::*;

fn describe(payloads: &[String]) -> Shape {
    let mut describer = Describer::default();
    for payload in payloads {
        describer.add(&Record { payload: payload.clone().into_bytes(), ..Record::default() });
    }
    describer.shape()
}

/// Returns an event. `more` has further fields as JSON, without braces.
fn event(amount: &str, timestamp: &str, more: &str) -> String {
    let comma = if more.is_empty() { "" } else { "," };
    format!(r#"{{"transaction_id":"a","amount":{amount},"timestamp":"{timestamp}"{comma}{more}}}"#)
}

const WHEN: &str = "2026-11-22T10:15:30Z";

#[test]
fn nothing_has_no_figures() {
    let shape = describe(&[]);
    assert_eq!((shape.events, shape.first, shape.refunds), (0, None, None));
    assert_eq!((shape.merchants.gini, shape.merchants.top_tenth_share), (None, None));
    assert!(shape.amounts.is_none() && shape.approved.is_none() && shape.response_codes.is_empty());
    assert_eq!(shape.hours, [[0; 24]; 7]);
    let json: serde_json::Value = serde_json::from_str(&shape.to_json()).unwrap();
    assert_eq!((&json["refunds"], &json["cards"]["limit"]), (&serde_json::Value::Null, &1_000_000.into()));
}

#[test]
fn count_span_hours_and_refunds() {
    let shape = describe(&[
        event("1.00", "2026-11-23T00:00:00Z", ""),
        // The earliest event is not the first. 23:30 at an offset of two hours is 21:30 UTC, on a Saturday.
        event("-2.50", "2026-11-21T23:30:00+02:00", ""),
        event("3.00", "2026-11-22T21:59:59.999999Z", ""),
        event("4.00", "2026-11-28T21:00:00Z", ""),
        "{".into(),
        event("1.234", WHEN, ""),
        event("1.999", WHEN, ""),
    ]);
    assert_eq!(shape.events, 4);
    assert_eq!(shape.malformed, BTreeMap::from([("invalid_json", 1), ("invalid_amount", 2)]));
    let micros = |text: &str| crate::validate::parse_moment(text).unwrap().0;
    assert_eq!(shape.first, Some(micros("2026-11-21T21:30:00Z")));
    assert_eq!(shape.last, Some(micros("2026-11-28T21:00:00Z")));
    assert_eq!(shape.refunds, Some(0.25));
    let mut hours = [[0; 24]; 7];
    (hours[0][0], hours[5][21], hours[6][21]) = (1, 2, 1);
    assert_eq!(shape.hours, hours);
}

#[test]
fn merchants_and_cards() {
    let mut payloads = Vec::new();
    // Ten merchants have 5040 / n events each, so the exponent is 1. One more merchant has a single event.
    for merchant in 1..=10 {
        let payload = event("1.00", WHEN, &format!(r#""merchant":"shop {merchant:02}""#));
        payloads.extend(std::iter::repeat_n(payload, 5040 / merchant));
    }
    payloads.push(event("1.00", WHEN, r#""merchant":"rare""#));
    // The counts 4, 3, 2 and 1 have a Gini coefficient of a quarter.
    for (card, count) in [("a", 4), ("b", 3), ("c", 2), ("d", 1)] {
        payloads.extend(std::iter::repeat_n(event("1.00", WHEN, &format!(r#""card_token":"{card}""#)), count));
    }
    let shape = describe(&payloads);
    let NamesShape { distinct, events, beyond_limit, zipf, top_tenth_share, ranks, top, .. } = shape.merchants;
    assert_eq!((distinct, events, beyond_limit), (11, 14_763, 0));
    let ZipfFit { exponent, ranks: fitted, least } = zipf.unwrap();
    assert!((exponent - 1.0).abs() < 1e-9, "{exponent}");
    assert_eq!((fitted, least), (10, 504));
    // The top tenth of eleven merchants is two merchants.
    assert!((top_tenth_share.unwrap() - f64::from(5040 + 2520) / 14_763.0).abs() < 1e-12);
    assert_eq!(ranks, [(1, 5040), (2, 2520), (5, 1008), (10, 504)]);
    assert_eq!((top.len(), top[1].clone()), (10, ("shop 02".to_owned(), 2520)));
    let cards = shape.cards;
    assert_eq!((cards.distinct, cards.events, cards.top.len()), (4, 10, 0));
    assert!((cards.gini.unwrap() - 0.25).abs() < 1e-12 && cards.zipf.is_none());
}

#[test]
fn amounts_are_of_the_most_frequent_currency() {
    let priced = |amount: &str, more: &str| event(amount, WHEN, more);
    let shape = describe(&[
        priced("100.00", r#""currency":"EUR","category":"food""#),
        priced("10000.00", r#""currency":"eur","category":"food""#),
        priced("7.99", r#""currency":"EUR""#),
        priced("7.50", r#""currency":"USD""#),
    ]);
    let amounts = shape.amounts.unwrap();
    assert_eq!((amounts.currency.as_str(), amounts.share, amounts.all.count), ("EUR", 0.75, 3));
    let food = &amounts.by_category[0];
    let ten = 10f64.ln();
    assert!((food.mu - 3.0 * ten).abs() < 1e-9 && (food.sigma - ten).abs() < 1e-9, "{food:?}");
    assert_eq!((amounts.by_category[1].name.as_str(), amounts.by_category[1].count), ("", 1));
    let thirds: Vec<u8> = amounts.endings.iter().map(|(_, share)| (share * 3.0).round() as u8).collect();
    assert_eq!(thirds, [2, 1, 0]);
}

#[test]
fn approvals_and_codes() {
    let with = |status: &str, network: &str, code: &str| {
        event("1.00", WHEN, &format!(r#""status":"{status}","payment_method":"{network}","response_code":"{code}""#))
    };
    let shape = describe(&[
        with("approved", "visa", "00"),
        with("Completed", "visa", "00"),
        with("declined", "visa", "51"),
        with("declined", "amex", "91"),
        // This status is in no rate, but the event has a code.
        with("refunded", "amex", "00"),
        event("1.00", WHEN, r#""status":"approved""#),
    ]);
    let all = shape.approved.unwrap();
    assert_eq!((all.count, all.share), (5, 0.6));
    let found: Vec<(&str, u64, f64)> =
        shape.by_network.iter().map(|one| (one.name.as_str(), one.count, one.share)).collect();
    assert_eq!(found, [("visa", 3, 2.0 / 3.0), ("amex", 1, 0.0)]);
    let codes: Vec<(&str, u64, f64)> =
        shape.response_codes.iter().map(|one| (one.code.as_str(), one.count, one.share)).collect();
    assert_eq!(codes, [("00", 3, 0.6), ("51", 1, 0.2), ("91", 1, 0.2)]);
}

#[test]
fn issuers_are_described_if_events_have_them() {
    let shape = describe(&[
        event("1.00", WHEN, r#""status":"approved","issuer":"Bank of Mars""#),
        event("1.00", WHEN, r#""status":"declined","issuer":"Bank of Mars""#),
    ]);
    let has_field = Place::all().any(|place| place.field().column == "issuer");
    let expected = ApprovedShape { name: "Bank of Mars".into(), count: 2, share: 0.5 };
    assert_eq!(shape.by_issuer, if has_field { vec![expected] } else { Vec::new() });
}
