//! Tests of merchants, cards, and where people go.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::generate::categories::CATEGORIES;
use crate::generate::cities::CITIES;
use crate::generate::payment::Kind;

/// Zipf's exponent: the slope of counts by rank, both as logarithms, over merchants with at least five payments. Public
/// purchase-card data has 1.16 by the same measure.
fn zipf(counts: &[f64]) -> f64 {
    let frequent = counts.iter().enumerate().filter(|(_, count)| **count >= 5.0);
    let points: Vec<(f64, f64)> = frequent.map(|(rank, count)| (((rank + 1) as f64).ln(), count.ln())).collect();
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(&|point| point.0), mean(&|point| point.1));
    -mean(&|point| (point.0 - x) * (point.1 - y)) / mean(&|point| (point.0 - x).powi(2))
}

fn gini(mut counts: Vec<f64>) -> f64 {
    counts.sort_by(f64::total_cmp);
    let (count, total) = (counts.len() as f64, counts.iter().sum::<f64>());
    let weighted: f64 = counts.iter().enumerate().map(|(rank, value)| (rank + 1) as f64 * value).sum();
    2.0 * weighted / (count * total) - (count + 1.0) / count
}

#[test]
fn merchants_follow_zipf_and_cards_are_unequal() {
    const COUNT: usize = 100_000;
    for seed in 1..=3 {
        let mut generator = generator(seed, 1.2, 5_000);
        let (mut merchants, mut cards) = (HashMap::<String, f64>::new(), vec![0.0; 5_000]);
        for seen in stream(&mut generator, COUNT) {
            let shop = &generator.buyers.shops.all[seen.payment.shop as usize];
            *merchants.entry(shop.name.clone()).or_default() += 1.0;
            cards[seen.payment.number as usize] += 1.0;
        }
        let mut counts: Vec<f64> = merchants.into_values().collect();
        counts.sort_by(|one, other| other.total_cmp(one));
        let top = counts[..counts.len() / 10].iter().sum::<f64>() / COUNT as f64;
        let (zipf, gini) = (zipf(&counts), gini(cards));
        println!("seed {seed}: {} merchants, Zipf {zipf:.3}, top tenth {top:.3}, Gini {gini:.3}", counts.len());
        assert!((1.1..=1.25).contains(&zipf), "Zipf's exponent {zipf}");
        assert!((0.75..=0.9).contains(&top), "the top tenth has {top}");
        assert!((0.55..=0.7).contains(&gini), "Gini {gini}");
    }
}

#[test]
fn people_go_to_their_usual_places_and_on_trips() {
    let mut generator = generator(4, 0.5, 20_000);
    let seen = stream(&mut generator, 200_000);
    let population = &generator.buyers.population;
    let (mut usual, mut away, mut foreign, mut places) = (0.0, 0.0, 0.0, 0.0);
    for one in &seen {
        let payment = &one.payment;
        let person = population.person(population.block_of(payment.number), payment.number);
        let shop = &generator.buyers.shops.all[payment.shop as usize];
        let favourites: HashSet<u32> = generator.buyers.favourites(&person).into_iter().collect();
        places += favourites.len() as f64;
        usual += f64::from(u8::from(favourites.contains(&payment.shop)));
        if !payment.is_online() {
            away += f64::from(u8::from(shop.city != person.city));
            assert_eq!(payment.city, shop.city, "it is paid in the shop's currency");
        } else if !matches!(payment.kind, Kind::Refund(_)) {
            assert_eq!(payment.city, person.city, "it is paid in the holder's currency");
        }
        foreign += f64::from(u8::from(payment.country().code != person.home().country.code));
    }
    let count = seen.len() as f64;
    println!("at favourites {:.3} of {:.1}, in other cities {:.3}", usual / count, places / count, away / count);
    assert!((0.6..=0.85).contains(&(usual / count)));
    assert!((10.0..=16.0).contains(&(places / count)));
    assert!((0.02..=0.08).contains(&(away / count)));
    assert!((0.005..=0.05).contains(&(foreign / count)));
}

#[test]
fn shops_have_1_to_20_terminals_and_names_of_their_own() {
    let generator = generator(1, 1.0, 5_000);
    let shops = &generator.buyers.shops.all;
    let (mut terminals, mut categories) = (HashSet::new(), HashMap::new());
    for shop in shops {
        assert!((1..=20).contains(&shop.terminals));
        for terminal in 0..shop.terminals {
            assert!(terminals.insert(shop.terminal(terminal)), "{} twice", shop.name);
        }
        assert_eq!(*categories.entry(shop.name.as_str()).or_insert(shop.category), shop.category, "{}", shop.name);
        let (latitude, longitude) = shop.coordinates();
        let city = &CITIES[usize::from(shop.city)];
        assert!((latitude - city.latitude).abs() < 0.11 && (longitude - city.longitude).abs() < 0.11);
    }
    assert!(shops.iter().any(|shop| shop.terminals == 20) && shops.iter().any(|shop| shop.terminals == 1));
    // A chain has a shop in every city; any other merchant has one shop.
    let mut of_name: HashMap<&str, usize> = HashMap::new();
    for shop in shops {
        *of_name.entry(shop.name.as_str()).or_default() += 1;
    }
    let chains = of_name.values().filter(|&&count| count > 1).collect::<Vec<_>>();
    assert!(chains.iter().all(|&&count| count == CITIES.len()), "{chains:?}");
    assert!(chains.len() >= 3 * CATEGORIES.iter().filter(|category| category.online < 1.0).count());
    println!("{} shops of {} merchants, {} terminals", shops.len(), of_name.len(), terminals.len());
}
