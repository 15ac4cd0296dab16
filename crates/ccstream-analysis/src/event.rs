//! Defines what is folded into the state: an event of a transaction, and a label.

use ccstream_core::datum::Datum;
use ccstream_core::event::{Cents, Micros, Transaction};
use ccstream_core::fields::Place;
use ccstream_core::status::is_approved;

use crate::key::{self, Key};

/// The entry modes that are distinguished; all others count as one. In the first [`ONLINE`] no card is present. In the next
/// [`FALLBACK`] a card is present, and its chip is not read.
const MODES: [&str; 15] = [
    "ecommerce",
    "recurring",
    "online",
    "internet",
    "moto",
    "card_not_present",
    "stored",
    "swipe",
    "manual",
    "magstripe",
    "magnetic_stripe",
    "keyed",
    "fallback",
    "chip",
    "contactless",
];
const ONLINE: usize = 7;
const FALLBACK: usize = 6;
/// An amount is tiny below this multiple of the card's mean.
const TINY: f32 = 0.08;

/// Holds what the features need of a transaction. Its texts are borrowed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Event<'a> {
    /// The time of the transaction.
    pub time: Micros,
    /// The amount, negative for a refund.
    pub amount: Cents,
    /// The currency of the amount. A card or a merchant has separate means in each currency.
    pub currency: Option<&'a str>,
    /// The token of the card. Without one, the features of the card are missing.
    pub card: Option<&'a str>,
    /// The merchant's name.
    pub merchant: Option<&'a str>,
    /// The terminal's id within its merchant. Frauds are counted by terminal, or by merchant if there is none.
    pub terminal: Option<&'a str>,
    /// The country.
    pub country: Option<&'a str>,
    /// How the card was read.
    pub entry_mode: Option<&'a str>,
    /// Whether the issuer declined the transaction.
    pub is_declined: bool,
    /// The latitude and the longitude, in degrees.
    pub place: Option<(f64, f64)>,
}

impl<'a> From<&'a Transaction<'_>> for Event<'a> {
    fn from(transaction: &'a Transaction<'_>) -> Self {
        let real = |place| match transaction.get(place) {
            Some(Datum::Real(real)) => Some(real),
            _ => None,
        };
        let is_declined = match transaction.text(Place::RESPONSE_CODE) {
            Some(code) => code != "00",
            None => transaction.text(Place::STATUS).and_then(is_approved) == Some(false),
        };
        Self {
            time: transaction.timestamp,
            amount: transaction.value,
            currency: transaction.text(Place::CURRENCY),
            card: transaction.text(Place::CARD_TOKEN),
            merchant: transaction.text(Place::MERCHANT),
            terminal: transaction.text(Place::TERMINAL_ID),
            country: transaction.text(Place::COUNTRY),
            entry_mode: transaction.text(Place::ENTRY_MODE),
            is_declined,
            place: real(Place::LATITUDE).zip(real(Place::LONGITUDE)),
        }
    }
}

/// Returns the key of a terminal, by which labels are counted. It is the merchant's if there is no terminal.
pub fn terminal_key(merchant: Option<&str>, terminal: Option<&str>) -> Option<Key> {
    terminal_of(merchant.map(key::of), terminal)
}

fn terminal_of(merchant: Option<Key>, terminal: Option<&str>) -> Option<Key> {
    match (merchant, terminal.map(key::of)) {
        (Some(merchant), Some(terminal)) => Some(key::pair(merchant, terminal)),
        (one, other) => one.or(other),
    }
}

/// Holds a label of a transaction that was folded before. The caller has stored what the label needs of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Label {
    /// The time of the transaction, not of the label.
    pub event_time: Micros,
    /// The [`terminal_key`] of the transaction, which [`Seen::terminal`] has.
    pub terminal: Option<Key>,
    /// The [`Carried::ratio`](crate::Carried::ratio) of the transaction, which `score_input` returned.
    pub ratio: f32,
    /// Whether the transaction is a fraud.
    pub fraud: bool,
}

/// Holds what has to be stored with an event, because the state cannot give it again later.
///
/// A label needs the ratio. A recovery needs all of it: when it folds an event into a card, the merchant may already be
/// past it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Carried {
    /// The feature `card_ratio`; NaN if the card or its mean is unknown.
    pub ratio: f32,
    /// The feature `merchant_ratio`; NaN if the merchant or its mean is unknown, or if the amount is 0.
    pub level: f32,
    /// The feature `merchant_tiny`, rounded, if the amount is tiny; otherwise 0.
    pub tested: u8,
}

impl Carried {
    pub(crate) fn is_tiny(self, seen: &Seen) -> bool {
        self.ratio < TINY && !seen.is_refund
    }
}

/// Holds an event with its names as keys and its codes as flags.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// The time in microseconds, from 1970 to 2100.
    pub time: i64,
    /// The absolute amount in units of the currency.
    pub(crate) amount: f64,
    pub(crate) is_refund: bool,
    pub(crate) is_declined: bool,
    pub(crate) is_online: bool,
    /// Whether the card was present. It is false if the entry mode is unknown.
    pub(crate) is_present: bool,
    pub(crate) is_fallback: bool,
    pub(crate) card: Option<Key>,
    /// The merchant in its currency.
    pub(crate) merchant: Option<Key>,
    /// The terminal, or the merchant if there is no terminal.
    pub terminal: Option<Key>,
    /// The merchant in any currency, as a short key; 0 if there is none.
    pub(crate) merchant_name: u16,
    /// The country as a short key; 0 if there is none.
    pub(crate) country: u16,
    /// The entry mode's bit, by its place in [`MODES`]; 0 if there is none.
    pub(crate) mode: u16,
    pub(crate) place: Option<(f32, f32)>,
}

impl Seen {
    /// Returns a number for the card in its currency; None without a card.
    pub fn card(&self) -> Option<Key> {
        self.card
    }
}

impl From<&Event<'_>> for Seen {
    fn from(event: &Event<'_>) -> Self {
        let is_mode = |mode: &str| MODES.iter().position(|one| one.eq_ignore_ascii_case(mode)).unwrap_or(MODES.len());
        let mode = event.entry_mode.map(is_mode);
        let currency = event.currency.map_or(0, key::of);
        let merchant = event.merchant.map(key::of);
        let is_online = mode.is_some_and(|mode| mode < ONLINE);
        let is_valid = |(latitude, longitude): &(f64, f64)| latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        Self {
            time: event.time.0.clamp(0, Micros::END.0),
            amount: event.amount.0.unsigned_abs() as f64 / 100.0,
            is_refund: event.amount.0 < 0,
            is_declined: event.is_declined,
            is_online,
            is_present: !is_online && mode.is_some(),
            is_fallback: mode.is_some_and(|mode| (ONLINE..ONLINE + FALLBACK).contains(&mode)),
            card: event.card.map(|card| key::pair(key::of(card), currency)),
            merchant: merchant.map(|merchant| key::pair(merchant, currency)),
            terminal: terminal_of(merchant, event.terminal),
            merchant_name: merchant.map_or(0, key::short),
            country: event.country.map_or(0, |country| key::short(key::of(country))),
            mode: mode.map_or(0, |mode| 1 << mode),
            place: event.place.filter(is_valid).map(|(latitude, longitude)| (latitude as f32, longitude as f32)),
        }
    }
}
