//! Tests of refunds, retries, subscriptions and the causes of declines.

use std::collections::HashMap;

use super::*;
use crate::generate::calendar::{Calendar, DAY, Local};
use crate::generate::declines::Answer;
use crate::generate::payment::Kind;

const DAYS: i64 = 70;

fn weeks() -> (Generator, Vec<Seen>) {
    let mut generator = generator(10, 0.08, 4_000);
    let count = (0.08 * 86_400.0 * DAYS as f64) as usize;
    let seen = stream(&mut generator, count);
    (generator, seen)
}

#[test]
fn a_refund_is_of_a_purchase_of_the_last_30_days() {
    let (generator, seen) = weeks();
    let population = &generator.buyers.population;
    let person = |number| population.person(population.block_of(number), number).number;
    let mut purchases: HashMap<[u8; 16], &Seen> = HashMap::new();
    let (mut refunds, mut corrections, mut partial, mut to_other) = (0.0, 0.0, 0.0, 0.0);
    for one in &seen {
        let Kind::Refund(id) = one.payment.kind else {
            assert!(one.payment.value.0 > 0);
            purchases.insert(one.id, one);
            continue;
        };
        let bought = purchases.remove(&id).expect("a purchase that was not refunded before");
        assert_eq!(bought.payment.answer, Answer::Approved);
        assert_eq!(one.payment.shop, bought.payment.shop);
        assert_eq!(person(one.payment.number), person(bought.payment.number));
        to_other += f64::from(u8::from(one.payment.number != bought.payment.number));
        assert_eq!(one.payment.country().currency, bought.payment.country().currency);
        assert!(one.payment.value.0 < 0 && -one.payment.value.0 <= bought.payment.value.0);
        assert!((0..=30 * DAY).contains(&(one.time - bought.time)));
        refunds += 1.0;
        corrections += f64::from(u8::from(one.time - bought.time < DAY / 20));
        partial += f64::from(u8::from(-one.payment.value.0 < bought.payment.value.0));
    }
    println!("{refunds} refunds, {:.3} within the hour, {:.3} of a part", corrections / refunds, partial / refunds);
    assert!((0.035..0.08).contains(&(to_other / refunds)), "{} to another card", to_other / refunds);
    // During the first month, refunds of purchases before the start are missing.
    let settled = &seen[seen.len() / 2..];
    let share = share(settled, |one| matches!(one.payment.kind, Kind::Refund(_)));
    let (early, part) = (corrections / refunds, partial / refunds);
    println!("{share:.4} are refunds; of these {early:.3} within the hour, and {part:.3} of a part");
    assert!((0.025..0.031).contains(&share), "refunds {share}");
    assert!((0.08..0.18).contains(&early) && (0.1..0.2).contains(&part));
}

#[test]
fn a_retry_follows_a_decline_of_the_same_card_at_the_same_shop() {
    let (_, seen) = weeks();
    let mut declined: HashMap<(u32, u32), (i64, i64)> = HashMap::new();
    let mut retries = 0;
    for one in &seen {
        let place = (one.payment.number, one.payment.shop);
        if matches!(one.payment.kind, Kind::Retry(_)) {
            let (time, value) = declined[&place];
            assert!(
                (10_000_000..200_000_000).contains(&(one.time - time)),
                "{} s later",
                (one.time - time) / 1_000_000
            );
            assert!(one.payment.value.0 <= value);
            retries += 1;
        } else if one.payment.answer != Answer::Approved {
            declined.insert(place, (one.time, one.payment.value.0));
        }
    }
    let share = f64::from(retries) / seen.len() as f64;
    assert!((0.008..0.02).contains(&share), "retries {share}");
}

#[test]
fn a_subscription_is_paid_monthly_at_one_amount() {
    let (_, seen) = weeks();
    let mut paid: HashMap<(u32, u32, i64), Vec<i64>> = HashMap::new();
    for one in seen.iter().filter(|one| one.payment.kind == Kind::Subscription) {
        paid.entry((one.payment.number, one.payment.shop, one.payment.value.0)).or_default().push(one.time);
    }
    let repeated = paid.values().filter(|times| times.len() >= 2).count();
    assert!(repeated as f64 > 0.95 * paid.len() as f64, "{repeated} of {}", paid.len());
    let share = share(&seen, |one| one.payment.kind == Kind::Subscription);
    assert!((0.033..0.039).contains(&share), "subscriptions {share}");
}

#[test]
fn declines_have_their_causes() {
    let (generator, seen) = weeks();
    let mut calendar = Calendar::new();
    let mut by_day = [[0.0; 2]; 2];
    let mut causes: HashMap<&str, usize> = HashMap::new();
    let population = &generator.buyers.population;
    for one in &seen {
        let payment = &one.payment;
        let person = population.person(population.block_of(payment.number), payment.number);
        let local = Local::at(one.time, person.home().minutes_ahead);
        let date = calendar.date(local.days);
        *causes.entry(payment.answer.code()).or_default() += 1;
        let is_late = usize::from(date.day > 24);
        if date.day <= 12 || is_late == 1 {
            by_day[is_late][0] += f64::from(u8::from(payment.answer == Answer::InsufficientFunds));
            by_day[is_late][1] += 1.0;
        }
        if payment.answer == Answer::ExpiredCard {
            assert!(payment.card.replaced > 0 && date.day <= 21, "it is the month after the expiry");
        }
    }
    println!("{causes:?}");
    let [early, late] = by_day.map(|counts| counts[0] / counts[1]);
    assert!(late > 3.0 * early, "insufficient funds: {early} early in the month, {late} at its end");
    for code in ["00", "05", "14", "51", "54", "61", "65", "91"] {
        assert!(causes.get(code).is_some_and(|&count| count >= 10), "{code} of {causes:?}");
    }
    let declined = 1.0 - causes["00"] as f64 / seen.len() as f64;
    assert!((0.03..0.08).contains(&declined), "declined {declined}");
}
