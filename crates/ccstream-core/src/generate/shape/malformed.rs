//! How many messages are malformed, by kind, and what the truth says of them.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::generate::calendar::{DAY, HOUR};
use crate::generate::malformed::MISTAKES;
use crate::generate::{LabelDelay, Message, Topic};
use crate::validate::validate_until;

#[test]
fn the_share_is_as_wanted_and_each_has_its_truth() {
    const SHARE: f64 = 0.2;
    let pace = Pace::PerSecond(2.0);
    let world = World {
        start: Some(Micros(MONDAY)),
        pace,
        fraud: 0.02,
        label_delay: LabelDelay::Fixed(HOUR),
        malformed: SHARE,
        ..World::default()
    };
    let (mut generator, mut message) = (Generator::new(&world).unwrap(), Message::default());
    let (mut orders, mut rejected) = (0.0, HashMap::<&str, u32>::new());
    let (mut told, mut valid, mut following) = (HashMap::<String, u32>::new(), HashSet::new(), Vec::new());
    let mut about = [0; Topic::ALL.len()];
    let latest = Micros(MONDAY + 90 * DAY);
    while orders < 100_000.0 {
        generator.next_message(&mut message);
        if message.topic == Topic::Orders {
            orders += 1.0;
            let payload = (!message.record.is_tombstone).then_some(message.record.payload.as_slice());
            match validate_until(payload, latest) {
                Ok(order) => drop(valid.insert(order.order_id.into_owned())),
                Err(rejection) => *rejected.entry(rejection.reason.as_str()).or_default() += 1,
            }
            continue;
        }
        let found: serde_json::Value = serde_json::from_slice(&message.record.payload).unwrap();
        let is_valid = valid.contains(found["transaction_id"].as_str().unwrap());
        // A label has no kind.
        let is_malformed = found["kind"] == "malformed";
        assert_ne!(is_malformed, is_valid, "{found}");
        if is_malformed {
            *told.entry(found["scenario"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        about[message.topic as usize] += 1;
        following.extend(found["subject"].as_str().map(str::to_owned));
    }
    let total = f64::from(rejected.values().sum::<u32>());
    assert!((total / orders / SHARE - 1.0).abs() < 0.05, "{total} of {orders}");
    let expected = total / MISTAKES.len() as f64;
    for mistake in &MISTAKES {
        let count = f64::from(told.get(mistake.name).copied().unwrap_or_default());
        assert!((count - expected).abs() < 5.0 * expected.sqrt(), "{} {count}", mistake.name);
    }
    for (reason, count) in rejected {
        let kinds = MISTAKES.iter().filter(|mistake| mistake.reason.as_str() == reason);
        assert_eq!(kinds.map(|mistake| told[mistake.name]).sum::<u32>(), count, "{reason}");
    }
    assert!(about[Topic::Labels as usize] > 1_000 && about[Topic::Truth as usize] > 25_000, "{about:?}");
    assert!(following.len() > 1_000 && following.iter().all(|purchase| valid.contains(purchase)));
}
