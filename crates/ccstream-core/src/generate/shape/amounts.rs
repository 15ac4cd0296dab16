//! Tests of amounts.

use super::*;
use crate::generate::categories::{CATEGORIES, SUBSCRIPTIONS};
use crate::generate::payment::Kind;

#[test]
fn amounts_are_log_normal_by_category() {
    let mut generator = generator(7, 1.2, 20_000);
    let seen = stream(&mut generator, 400_000);
    for (at, category) in CATEGORIES.iter().enumerate() {
        let is_it = |one: &&Seen| {
            let shop = &generator.buyers.shops.all[one.payment.shop as usize];
            let is_bought = matches!(one.payment.kind, Kind::Purchase | Kind::Subscription);
            is_bought && usize::from(shop.category) == at && one.payment.country().currency == "USD"
        };
        let logs: Vec<f64> = seen.iter().filter(is_it).map(|one| (one.payment.value.0 as f64 / 100.0).ln()).collect();
        let count = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / count;
        let sigma = (logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / count).sqrt();
        // People's levels have a standard deviation of 0.35 of a logarithm, and groups' levels about 0.27.
        let people = if at == SUBSCRIPTIONS { 0.0 } else { 0.35f64.hypot(0.27) };
        let planned = category.sigma.hypot(people);
        println!(
            "{:15} {count:6} mu {mean:.3} ({:.3}) sigma {sigma:.3} ({planned:.3})",
            category.name,
            category.median.ln()
        );
        assert!((mean - category.median.ln()).abs() < 0.2, "{}: mu {mean}", category.name);
        assert!((sigma / planned - 1.0).abs() < 0.1, "{}: sigma {sigma} of {planned}", category.name);
    }
}

#[test]
fn amounts_end_as_prices_do() {
    let mut generator = generator(8, 1.2, 20_000);
    let seen = stream(&mut generator, 200_000);
    let is_bought = |one: &Seen| one.payment.kind == Kind::Purchase && !one.payment.country().whole;
    let bought: Vec<Seen> = seen.into_iter().filter(is_bought).collect();
    for (ending, planned) in [(0, 0.217), (99, 0.057), (50, 0.052)] {
        let found = share(&bought, |one| one.payment.value.0 % 100 == ending);
        println!("ending .{ending:02}: {found:.4}");
        assert!((found - planned).abs() < 0.004, "{found} of {planned}");
    }
}

#[test]
fn discounts_and_risk_flags_are_as_documented() {
    let mut generator = generator(9, 1.2, 20_000);
    let seen = stream(&mut generator, 100_000);
    let discounted = share(&seen, |one| one.payment.discount > 0);
    let risky = share(&seen, |one| one.payment.is_risky);
    assert!((0.12..0.16).contains(&discounted), "discounted {discounted}");
    assert!((0.005..0.03).contains(&risky), "risky {risky}");
    assert!(seen.iter().all(|one| one.payment.discount <= 30));
}
