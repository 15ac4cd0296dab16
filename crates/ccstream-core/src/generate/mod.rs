//! A seeded stream of plausible card transactions (pure: no clock but the one it is given).
//!
//! ```text
//! card (Zipf) -> its city, or a journey -> category -> merchant (Zipf) -> amount (log-normal)
//!             -> entry mode, refund, discount, decline, risk flag
//! ```
//! The same seed, start time and pace give the same transactions, byte for byte.

mod cards;
mod cities;
mod merchants;

use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::weighted::WeightedAliasIndex;
use rand_distr::{Distribution, LogNormal};

use self::cards::{Card, NETWORKS};
use self::cities::{CITIES, City};
use self::merchants::{CATEGORIES, Category, MERCHANTS_PER_CATEGORY, Merchant, POPULARITY, merchants};
use crate::datum::Datum;
use crate::event::{Cents, Micros, Transaction};
use crate::fields::Place;

/// How far apart events are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// A random 0.5 to 2 seconds, for a person to watch.
    Human,
    /// So many events a second, evenly.
    PerSecond(f64),
    /// As fast as they can be sent; where time is simulated, a thousand a second.
    Max,
}

impl Pace {
    /// How long after the event before it the next one comes.
    pub fn gap(self, rng: &mut impl Rng) -> Duration {
        match self {
            Self::Human => Duration::from_micros(rng.random_range(500_000..=2_000_000)),
            Self::PerSecond(rate) => Duration::from_secs_f64(1.0 / rate),
            Self::Max => Duration::from_millis(1),
        }
    }
}

/// Where timestamps come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The time at which an event is made.
    Now,
    /// From this moment on, by the pace.
    From(Micros),
}

/// Share of refunds, as in public purchase-card data.
const REFUNDS: f64 = 0.028;
/// Share of transactions away from the card's home city.
const JOURNEYS: f64 = 0.08;
/// Share of sales with a discount.
const DISCOUNTED: f64 = 0.15;

/// An endless, seeded source of transactions.
///
/// ```
/// use ccstream_core::event::Micros;
/// use ccstream_core::generate::{Clock, Generator, Pace};
/// let start = Clock::From(Micros(1_795_342_530_000_000));
/// let mut one = Generator::new(7, start, Pace::Max);
/// let mut two = Generator::new(7, start, Pace::Max);
/// assert_eq!(one.next_transaction(), two.next_transaction());
/// ```
#[derive(Debug)]
pub struct Generator {
    rng: ChaCha8Rng,
    clock: Clock,
    pace: Pace,
    cards: Vec<Card>,
    card_choice: WeightedAliasIndex<f64>,
    city_choice: WeightedAliasIndex<f64>,
    category_choice: WeightedAliasIndex<f64>,
    merchants: Vec<Merchant>,
    /// Within any category: the n-th is as popular in one as in another.
    merchant_choice: WeightedAliasIndex<f64>,
    /// The amount in dollars, by category.
    amounts: Vec<LogNormal<f64>>,
    /// The text of the last id made.
    id: String,
}

/// What one draw decides, before it is written down as a transaction.
struct Draw {
    card: usize,
    merchant: usize,
    city: usize,
    online: bool,
    value: Cents,
    discount: u8,
    entry_mode: &'static str,
    response_code: &'static str,
    risky: bool,
}

impl Generator {
    /// A generator; it makes its cards first (about a millisecond).
    pub fn new(seed: u64, clock: Clock, pace: Pace) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let city_choice = choice(CITIES.iter().map(|city| city.weight));
        let cards = cards::issue(&mut rng, &city_choice);
        Self {
            card_choice: choice((0..cards.len()).map(cards::activity)),
            cards,
            city_choice,
            category_choice: choice(CATEGORIES.iter().map(|category| category.weight)),
            merchants: merchants(),
            merchant_choice: choice((1..=MERCHANTS_PER_CATEGORY).map(|rank| (rank as f64).powf(-POPULARITY))),
            amounts: CATEGORIES.iter().map(amount_distribution).collect(),
            id: String::with_capacity(36),
            rng,
            clock,
            pace,
        }
    }

    /// The next transaction, stamped by the clock.
    pub fn next_transaction(&mut self) -> Transaction<'_> {
        let timestamp = match self.clock {
            Clock::Now => Micros(jiff::Timestamp::now().as_microsecond()),
            Clock::From(moment) => {
                let gap = self.pace.gap(&mut self.rng);
                self.clock = Clock::From(Micros(moment.0 + gap.as_micros() as i64));
                moment
            }
        };
        let draw = self.draw();
        self.write_id(timestamp);
        self.transaction(timestamp, &draw)
    }

    fn draw(&mut self) -> Draw {
        let rng = &mut self.rng;
        let card_at = self.card_choice.sample(rng);
        let card = &self.cards[card_at];
        let category_at = self.category_choice.sample(rng);
        let category = &CATEGORIES[category_at];
        let merchant = category_at * MERCHANTS_PER_CATEGORY + self.merchant_choice.sample(rng);
        let online = rng.random_bool(category.online);
        let away = rng.random_bool(JOURNEYS);
        let city = match (online, away) {
            (true, _) => self.merchants[merchant].city,
            (false, true) => self.city_choice.sample(rng),
            (false, false) => card.city,
        };
        let dollars = self.amounts[category_at].sample(rng) * card.level;
        let mut value = price(rng, dollars, &CITIES[city]);
        let refund = rng.random_bool(REFUNDS);
        if refund {
            value = Cents(-value.0);
        }
        let discount = if !refund && rng.random_bool(DISCOUNTED) { rng.random_range(1..=6u8) * 5 } else { 0 };
        let unusual = dollars > 6.0 * category.median;
        let abroad = CITIES[city].country.code != CITIES[card.city].country.code;
        let entry_mode = entry_mode(rng, online, category);
        let decline = 0.035 + if online { 0.03 } else { 0.0 } + if unusual { 0.15 } else { 0.0 };
        let response_code =
            if !refund && rng.random_bool(decline) { decline_code(rng, unusual) } else { APPROVED_CODE };
        let risk = 0.004 + if abroad { 0.02 } else { 0.0 } + if unusual { 0.2 } else { 0.0 };
        let risky = !refund && rng.random_bool(risk);
        Draw { card: card_at, merchant, city, online, value, discount, entry_mode, response_code, risky }
    }

    /// A UUIDv7 whose 12 bits after the milliseconds are the fraction of one (RFC 9562, 6.2, method 3),
    /// so that ids are in the order of their timestamps.
    fn write_id(&mut self, timestamp: Micros) {
        let millis = timestamp.0.max(0) as u64 / 1000;
        let fraction = (timestamp.0.max(0) as u64 % 1000) * 4096 / 1000;
        let mut tail = [0u8; 10];
        self.rng.fill_bytes(&mut tail);
        tail[0] = (fraction >> 8) as u8;
        tail[1] = fraction as u8;
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid();
        self.id.clear();
        self.id.push_str(id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()));
    }

    fn transaction(&self, timestamp: Micros, draw: &Draw) -> Transaction<'_> {
        let card = &self.cards[draw.card];
        let merchant = &self.merchants[draw.merchant];
        let category = &CATEGORIES[merchant.category];
        let city = &CITIES[draw.city];
        let mut transaction = Transaction::new(self.id.as_str(), timestamp, draw.value);
        transaction.set(Place::DISCOUNT, Datum::Share(draw.discount));
        transaction.set(Place::RISK_FLAG, Datum::Flag(draw.risky));
        // An online sale happens nowhere.
        if !draw.online {
            transaction.set(Place::LATITUDE, Datum::Real(city.latitude));
            transaction.set(Place::LONGITUDE, Datum::Real(city.longitude));
        }
        let status = if draw.response_code == APPROVED_CODE { "approved" } else { "declined" };
        for (place, text) in [
            (Place::STATUS, status),
            (Place::CATEGORY, category.name),
            (Place::CITY, city.name),
            (Place::PAYMENT_METHOD, NETWORKS[card.network].0),
            (Place::MERCHANT, merchant.name.as_str()),
            (Place::MCC, category.mcc),
            (Place::COUNTRY, city.country.code),
            (Place::CURRENCY, city.country.currency),
            (Place::CARD_TOKEN, card.token.as_str()),
            (Place::CARD_LAST4, card.last4.as_str()),
            (Place::ENTRY_MODE, draw.entry_mode),
            (Place::RESPONSE_CODE, draw.response_code),
        ] {
            transaction.set(place, Datum::Text(text.into()));
        }
        transaction
    }
}

fn choice(weights: impl Iterator<Item = f64>) -> WeightedAliasIndex<f64> {
    WeightedAliasIndex::new(weights.collect()).expect("weights are positive and finite")
}

fn amount_distribution(category: &Category) -> LogNormal<f64> {
    LogNormal::new(category.median.ln(), category.sigma).expect("sigma is positive and finite")
}

/// An amount in the city's currency. The endings are those of public purchase-card data:
/// 21 % .00, 5 % .99, 4.5 % .50.
fn price(rng: &mut ChaCha8Rng, dollars: f64, city: &City) -> Cents {
    let cents = (dollars * city.country.per_dollar * 100.0).round();
    let cents = cents.clamp(1.0, Cents::MAX.0 as f64) as i64;
    if city.country.whole {
        return Cents((cents / 100).max(1) * 100);
    }
    let ending = rng.random_range(0..1000);
    let units = cents - cents % 100;
    Cents(match ending {
        0..210 if units > 0 => units,
        210..260 => units + 99,
        260..305 => units + 50,
        _ => cents,
    })
}

fn entry_mode(rng: &mut ChaCha8Rng, online: bool, category: &Category) -> &'static str {
    match (online, rng.random_range(0..100)) {
        (true, _) if category.name == "subscriptions" => "recurring",
        (true, _) => "ecommerce",
        (false, 0..58) => "contactless",
        (false, 58..93) => "chip",
        (false, 93..98) => "swipe",
        (false, _) => "manual",
    }
}

/// ISO 8583 field 39.
const APPROVED_CODE: &str = "00";

/// Why a transaction is declined: exceeds a limit, or insufficient funds, do not honour, expired
/// card, issuer not available, invalid card (ISO 8583 field 39).
fn decline_code(rng: &mut ChaCha8Rng, unusual: bool) -> &'static str {
    match rng.random_range(0..100) {
        0..60 if unusual => "61",
        0..45 => "51",
        45..80 => "05",
        80..90 => "54",
        90..95 => "91",
        _ => "14",
    }
}

#[cfg(test)]
mod tests;
