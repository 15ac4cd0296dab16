//! Cards are opaque tokens with a network, an issuer, limits and an expiry. All of it follows from seed and number.

use super::chance::{Chance, Matter};
use super::cities::Country;

/// Payment methods with their shares in percent.
pub(super) static NETWORKS: [(&str, u8); 6] =
    [("visa", 48), ("mastercard", 32), ("amex", 9), ("discover", 5), ("unionpay", 3), ("jcb", 3)];

/// The names of banks, all made up.
pub(super) static ISSUERS: [&str; 24] = [
    "Alderbank",
    "Brightwater Bank",
    "Castlemoor Trust",
    "Dunmore Savings",
    "Elmstead Bank",
    "Fernhill Mutual",
    "Goldcrest Bank",
    "Highmoor Credit Union",
    "Ironbridge Bank",
    "Junewell Bank",
    "Kestrel Bank",
    "Larchmont Trust",
    "Moorland Savings",
    "Northmere Bank",
    "Oakhaven Bank",
    "Pinecrest Mutual",
    "Quillford Bank",
    "Rookwood Bank",
    "Stonefield Savings",
    "Thornbury Trust",
    "Underhill Bank",
    "Valemont Bank",
    "Westmarch Bank",
    "Yarrow Credit Union",
];

/// The number of issuers in each country. The first two issue visa and mastercard, the third all other networks.
const ISSUERS_OF_COUNTRY: usize = 3;

/// A card. There is no number behind it: the token is random.
#[derive(Debug, Clone, Copy)]
pub(super) struct Card {
    /// Sixteen letters: a token must never look like a card number.
    pub(super) token: [u8; 16],
    pub(super) last4: [u8; 4],
    /// The index in [`NETWORKS`].
    pub(super) network: u8,
    /// The index in [`ISSUERS`].
    pub(super) issuer: u8,
    /// The greatest amount that the issuer approves, as a multiple of the category's median.
    pub(super) limit: f64,
    /// The number of payments a day that the issuer approves, as a multiple of the card's mean.
    pub(super) most_a_day: f64,
    /// The month at whose end the card expires, from 0 to 35: it expires every three years.
    pub(super) expires: u8,
    /// The day of the following month from which its replacement is used; 0 if that came in time.
    pub(super) replaced: u8,
}

impl Card {
    pub(super) fn new(seed: u64, number: u32, country: &'static Country) -> Self {
        let mut chance = Chance::of(seed, Matter::Card, u64::from(number));
        // No two numbers have the same 64 bits, so no two cards have the same token.
        let letters = chance.bits();
        let token = std::array::from_fn(|at| b'a' + ((letters >> (4 * at)) & 15) as u8);
        let digits = chance.below(10_000);
        let last4 = [1000, 100, 10, 1].map(|unit| b'0' + (digits / unit % 10) as u8);
        let bits = chance.bits();
        let percent = |place: u32| ((((bits >> (16 * place)) & 0xffff) * 100) >> 16) as u8;
        let mut left = percent(0);
        let network = NETWORKS.iter().position(|network| {
            let is_it = left < network.1;
            left = left.saturating_sub(network.1);
            is_it
        });
        let network = network.unwrap_or(0);
        let of_country = match (network, percent(1)) {
            (0 | 1, 0..62) => 0,
            (0 | 1, _) => 1,
            _ => 2,
        };
        let late = percent(2);
        let kind = percent(3);
        Self {
            token,
            last4,
            network: network as u8,
            issuer: ((usize::from(country.number) * ISSUERS_OF_COUNTRY + of_country) % ISSUERS.len()) as u8,
            limit: 8.0 + f64::from(kind) * 0.4,
            most_a_day: if kind < 10 { 1.5 } else { 4.0 },
            expires: (chance.bits() % 36) as u8,
            replaced: if late < 70 { 0 } else { 1 + (late - 70) * 2 / 3 },
        }
    }

    /// Whether the card has expired and its replacement is not used yet. The date is a day and months since 1970.
    pub(super) fn is_expired(&self, months: i32, day: u8) -> bool {
        (months - 1).rem_euclid(36) == i32::from(self.expires) && day < self.replaced
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::generate::cities::CITIES;

    #[test]
    fn tokens_are_unique_and_shares_as_planned() {
        const COUNT: u32 = 100_000;
        let cards: Vec<Card> = (0..COUNT).map(|number| Card::new(9, number, CITIES[0].country)).collect();
        assert_eq!(cards.iter().map(|card| card.token).collect::<HashSet<_>>().len(), COUNT as usize);
        for (at, network) in NETWORKS.iter().enumerate() {
            let share = cards.iter().filter(|card| usize::from(card.network) == at).count() as f64 / f64::from(COUNT);
            assert!((share * 100.0 - f64::from(network.1)).abs() < 0.7, "{} {share}", network.0);
        }
        let expired = cards.iter().filter(|card| card.is_expired(700, 3)).count() as f64 / f64::from(COUNT);
        assert!((0.005..0.009).contains(&expired), "{expired}");
        for (issuer, planned) in [(0, 0.5), (1, 0.3), (2, 0.2)] {
            let share = cards.iter().filter(|card| card.issuer == issuer).count() as f64 / f64::from(COUNT);
            assert!((share - planned).abs() < 0.02, "issuer {issuer} {share}");
        }
    }
}
