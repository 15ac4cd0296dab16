//! The cards of the generator: opaque tokens with a home, a network and a spending level.

use rand::{Rng, RngExt};
use rand_distr::weighted::WeightedAliasIndex;
use rand_distr::{Distribution, LogNormal};

/// How many cards there are.
pub(super) const CARDS: usize = 5_000;

/// Zipf's exponent of cards' activity: a Gini coefficient of about 0.6, as in public purchase-card data.
const ACTIVITY: f64 = 0.75;

/// Payment methods with their shares.
pub(super) static NETWORKS: [(&str, f64); 6] =
    [("visa", 48.0), ("mastercard", 32.0), ("amex", 9.0), ("discover", 5.0), ("unionpay", 3.0), ("jcb", 3.0)];

/// A card. There is no number behind it: the token is random.
#[derive(Debug)]
pub(super) struct Card {
    pub(super) token: String,
    pub(super) last4: String,
    pub(super) network: usize,
    pub(super) city: usize,
    /// What its holder pays, as a multiple of everybody's median.
    pub(super) level: f64,
}

/// How often the card at this place is used, relative to the others.
pub(super) fn activity(place: usize) -> f64 {
    ((place + 1) as f64).powf(-ACTIVITY)
}

/// Makes the cards.
pub(super) fn issue(rng: &mut impl Rng, cities: &WeightedAliasIndex<f64>) -> Vec<Card> {
    let networks =
        WeightedAliasIndex::new(NETWORKS.iter().map(|network| network.1).collect()).expect("weights are positive");
    let level = LogNormal::new(0.0, 0.4).expect("sigma is positive and finite");
    let card = |_| Card {
        // Letters alone: a token must never look like a card number.
        token: "tok_".chars().chain((0..16).map(|_| char::from(rng.random_range(b'a'..=b'z')))).collect(),
        last4: format!("{:04}", rng.random_range(0..10_000)),
        network: networks.sample(rng),
        city: cities.sample(rng),
        level: level.sample(rng),
    };
    (0..CARDS).map(card).collect()
}
