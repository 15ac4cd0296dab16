use std::collections::{HashMap, HashSet};

use super::*;
use crate::codec::Encoder;
use crate::datum::Datum;
use crate::validate::validate;

const START: Clock = Clock::From(Micros(1_795_342_530_000_000));

fn payloads(seed: u64, clock: Clock, pace: Pace, count: usize) -> Vec<Vec<u8>> {
    let mut generator = Generator::new(seed, clock, pace);
    let encoder = Encoder::new();
    let payload = |_| {
        let mut payload = Vec::new();
        encoder.encode(&generator.next_transaction(), &mut payload);
        payload
    };
    (0..count).map(payload).collect()
}

#[test]
fn the_same_seed_and_start_give_the_same_bytes() {
    for pace in [Pace::Human, Pace::PerSecond(50.0), Pace::Max] {
        assert_eq!(payloads(7, START, pace, 2_000), payloads(7, START, pace, 2_000), "{pace:?}");
    }
    assert_ne!(payloads(7, START, Pace::Max, 10), payloads(8, START, Pace::Max, 10));
    let later = Clock::From(Micros(1_795_342_530_000_001));
    assert_ne!(payloads(7, START, Pace::Max, 10), payloads(7, later, Pace::Max, 10));
}

#[test]
fn everything_generated_is_valid_and_reads_back_equal() {
    let mut generator = Generator::new(1, START, Pace::Max);
    let encoder = Encoder::new();
    let mut payload = Vec::new();
    for _ in 0..50_000 {
        payload.clear();
        let transaction = generator.next_transaction();
        encoder.encode(&transaction, &mut payload);
        let read = validate(Some(&payload)).unwrap_or_else(|rejection| panic!("{rejection:?}"));
        assert_eq!(read, transaction);
    }
}

#[test]
fn ids_are_unique_and_in_the_order_of_time() {
    let mut generator = Generator::new(3, START, Pace::Max);
    let ids: Vec<String> = (0..20_000).map(|_| generator.next_transaction().order_id.into_owned()).collect();
    assert!(ids.is_sorted());
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
}

#[test]
fn the_mix_is_as_documented() {
    const COUNT: usize = 100_000;
    let mut generator = Generator::new(5, START, Pace::Max);
    let (mut refunds, mut declined, mut risky, mut discounted) = (0, 0, 0, 0);
    let mut seen: HashMap<Place, HashMap<String, usize>> = HashMap::new();
    for _ in 0..COUNT {
        let transaction = generator.next_transaction();
        refunds += usize::from(transaction.value < Cents(0));
        declined += usize::from(transaction.text(Place::STATUS) == Some("declined"));
        assert_eq!(
            transaction.text(Place::STATUS) == Some("approved"),
            transaction.text(Place::RESPONSE_CODE) == Some("00")
        );
        risky += usize::from(transaction.flag(Place::RISK_FLAG) == Some(true));
        discounted += usize::from(transaction.get(Place::DISCOUNT) != Some(Datum::Share(0)));
        for field in [Place::CATEGORY, Place::MCC, Place::MERCHANT, Place::CITY, Place::COUNTRY] {
            let text = transaction.text(field).unwrap().to_owned();
            *seen.entry(field).or_default().entry(text).or_default() += 1;
        }
    }
    let share = |count: usize| count as f64 / COUNT as f64;
    assert!((0.025..0.031).contains(&share(refunds)), "refunds {}", share(refunds));
    assert!((0.03..0.10).contains(&share(declined)), "declined {}", share(declined));
    assert!((0.005..0.03).contains(&share(risky)), "risky {}", share(risky));
    assert!((0.12..0.17).contains(&share(discounted)), "discounted {}", share(discounted));
    assert!(seen[&Place::CATEGORY].len() >= 14);
    assert_eq!(seen[&Place::MCC].len(), seen[&Place::CATEGORY].len());
    assert!(seen[&Place::CITY].len() >= 50);
    assert!(seen[&Place::COUNTRY].len() >= 10);
    let mut popularity: Vec<usize> = seen[&Place::MERCHANT].values().copied().collect();
    popularity.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
    assert!(popularity.len() >= 300, "{} merchants", popularity.len());
    let top_tenth: usize = popularity[..popularity.len() / 10].iter().sum();
    assert!(share(top_tenth) > 0.4, "the top tenth of the merchants have {}", share(top_tenth));
}

#[test]
fn amounts_are_log_normal_by_category() {
    let mut generator = Generator::new(9, START, Pace::Max);
    let mut coffee: Vec<i64> = Vec::new();
    for _ in 0..100_000 {
        let transaction = generator.next_transaction();
        let is = |field, text| transaction.text(field) == Some(text);
        if is(Place::CATEGORY, "food_dining") && is(Place::CURRENCY, "USD") {
            coffee.push(transaction.value.0.abs());
        }
    }
    coffee.sort_unstable();
    let median = coffee[coffee.len() / 2];
    assert!((1300..1600).contains(&median), "median of food_dining: {median} cents of 1450");
}

#[test]
fn merchants_have_names_of_their_own() {
    let merchants = merchants();
    let mut names: Vec<(&str, usize)> = merchants.iter().map(|one| (one.name.as_str(), one.category)).collect();
    names.sort_unstable();
    names.dedup_by_key(|name| name.0);
    assert_eq!(names.len(), merchants.len());
}
