//! Invalid messages, each made from a valid one by a mistake that senders make, with the reason that the consumer rejects
//! it for.
//!
//! Three reasons have no kind here. `too_large` needs a message above the producer's and the broker's default limit,
//! `invalid_score` needs a score, which no field is, and `refused_by_postgres` depends on the table.

use super::chance::{Chance, Matter};
use crate::record::Record;
use crate::rejection::Reason;

/// One kind of invalid message.
#[derive(Debug)]
pub(super) struct Mistake {
    /// The word by which the truth names it.
    pub(super) name: &'static str,
    /// Why the consumer rejects it.
    pub(super) reason: Reason,
    /// Makes the payload from a valid one; None is a null payload.
    spoil: fn(&str) -> Option<Vec<u8>>,
}

/// Every kind. All are equally likely.
pub(super) static MISTAKES: [Mistake; 28] = [
    mistake("truncated", Reason::InvalidJson, |good| bytes(&good[..good.len() / 2])),
    mistake("two_objects", Reason::InvalidJson, |good| text(format!("{good}{good}"))),
    mistake("not_a_number", Reason::InvalidJson, |good| with(good, "amount", "NaN")),
    mistake("single_quotes", Reason::InvalidJson, |good| text(good.replace('"', "'"))),
    mistake("utf_16", Reason::InvalidUtf8, |good| Some(utf_16(good))),
    mistake("latin_1", Reason::InvalidUtf8, |good| Some(latin_1(good))),
    mistake("empty", Reason::Empty, |_| bytes("")),
    mistake("tombstone", Reason::Tombstone, |_| None),
    mistake("array", Reason::NotAnObject, |good| text(format!("[{good}]"))),
    mistake("encoded_twice", Reason::NotAnObject, |good| text(serde_json::Value::from(good).to_string())),
    mistake("schema_registry", Reason::NotAnObject, |good| text(format!("\0\0\0\0\u{7}{good}"))),
    mistake("too_deep", Reason::TooDeep, |good| more(good, "route", &format!("{}{}", "[".repeat(40), "]".repeat(40)))),
    mistake("repeated_key", Reason::RepeatedKey, |good| more(good, "amount", "0.00")),
    mistake("conflicting_names", Reason::ConflictingNames, |good| more(good, "order_id", "\"1\"")),
    mistake("no_id", Reason::MissingField, |good| renamed(good, "transaction_id", "id")),
    mistake("null_timestamp", Reason::MissingField, |good| with(good, "timestamp", "null")),
    mistake("envelope", Reason::MissingField, |good| text(format!("{{\"schema\":null,\"payload\":{good}}}"))),
    mistake("amount_as_object", Reason::WrongType, |good| with(good, "amount", "{\"units\":12,\"cents\":50}")),
    mistake("no_currency", Reason::EmptyText, |good| with(good, "currency", "\"\"")),
    mistake("long_currency", Reason::TextTooLong, |good| with(good, "currency", "\"EURO\"")),
    mistake("nul_character", Reason::NulCharacter, |good| with(good, "merchant", "\"Shop\\u0000\\u0000\"")),
    mistake("amount_with_comma", Reason::InvalidAmount, |good| with(good, "amount", "\"12,50\"")),
    // What Java's BigDecimal prints of 12 with a scale of -8.
    mistake("negative_scale", Reason::InvalidAmount, |good| with(good, "amount", "1.2E+9")),
    mistake("discount_in_percent", Reason::InvalidDiscount, |good| with(good, "discount", "15")),
    mistake("local_date", Reason::InvalidTimestamp, |good| with(good, "timestamp", "\"22.11.2026 10:15\"")),
    // The last year that is a moment for the consumer, so that it is ahead of every clock.
    mistake("far_ahead", Reason::InTheFuture, |good| with(good, "timestamp", "\"2099-11-22T10:15:30Z\"")),
    mistake("microdegrees", Reason::InvalidCoordinate, |good| with(good, "latitude", "52520008")),
    mistake("card_number", Reason::CardNumber, |good| with(good, "card_token", "\"4111111111111111\"")),
];

const fn mistake(name: &'static str, reason: Reason, spoil: fn(&str) -> Option<Vec<u8>>) -> Mistake {
    Mistake { name, reason, spoil }
}

impl Mistake {
    /// Makes the mistake in a valid message; its key is not changed.
    pub(super) fn spoil(&self, record: &mut Record) {
        let good = String::from_utf8_lossy(&record.payload);
        let spoilt = (self.spoil)(&good);
        record.is_tombstone = spoilt.is_none();
        record.payload = spoilt.unwrap_or_default();
    }
}

/// Which messages are malformed, and how.
#[derive(Debug)]
pub(super) struct Mistakes {
    share: f64,
    chance: Chance,
}

impl Mistakes {
    pub(super) fn new(seed: u64, share: f64) -> Self {
        Self { share, chance: Chance::of(seed, Matter::Malformed, 0) }
    }

    /// The next message's mistake, if there is one.
    pub(super) fn draw(&mut self) -> Option<&'static Mistake> {
        if self.share <= 0.0 || !self.chance.is(self.share) {
            return None;
        }
        Some(&MISTAKES[self.chance.below(MISTAKES.len() as u32) as usize])
    }
}

fn bytes(payload: &str) -> Option<Vec<u8>> {
    text(payload.to_owned())
}

#[allow(clippy::unnecessary_wraps, reason = "every kind but one has a payload")]
fn text(payload: String) -> Option<Vec<u8>> {
    Some(payload.into_bytes())
}

/// The object with another value of a key that it has. In a generated message no text holds a comma before a quote.
fn with(good: &str, key: &str, value: &str) -> Option<Vec<u8>> {
    let start = good.find(&format!("\"{key}\":"))? + key.len() + 3;
    let end = good[start..].find(",\"").map_or(good.len() - 1, |length| start + length);
    text(format!("{}{value}{}", &good[..start], &good[end..]))
}

/// The object with a further key at its end.
fn more(good: &str, key: &str, value: &str) -> Option<Vec<u8>> {
    text(format!("{},\"{key}\":{value}}}", &good[..good.len() - 1]))
}

fn renamed(good: &str, key: &str, other: &str) -> Option<Vec<u8>> {
    text(good.replacen(&format!("\"{key}\":"), &format!("\"{other}\":"), 1))
}

/// Little-endian, with its byte order mark.
fn utf_16(good: &str) -> Vec<u8> {
    std::iter::once(0xfeff).chain(good.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

/// A merchant with an umlaut in one byte.
fn latin_1(good: &str) -> Vec<u8> {
    let mut payload = with(good, "merchant", "\"Z\u{1}rich Market\"").unwrap_or_default();
    for byte in &mut payload {
        if *byte == 1 {
            *byte = 0xfc;
        }
    }
    payload
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::generate::{Generator, Message, Pace, World};
    use crate::units::Micros;
    use crate::validate::validate_until;

    /// 2026-11-22, and two days later: what a consumer of then takes.
    const START: Micros = Micros(1_795_342_530_000_000);
    const LATEST: Micros = Micros(START.0 + 2 * 86_400_000_000);

    #[test]
    fn each_is_rejected_for_its_reason() {
        let world = World { start: Some(START), pace: Pace::PerSecond(5.0), ..World::default() };
        let (mut generator, mut message) = (Generator::new(&world).unwrap(), Message::default());
        for _ in 0..200 {
            generator.next_message(&mut message);
            assert!(validate_until(Some(&message.record.payload), LATEST).is_ok());
            for mistake in &MISTAKES {
                let mut record = message.record.clone();
                mistake.spoil(&mut record);
                let payload = (!record.is_tombstone).then_some(record.payload.as_slice());
                let rejection = validate_until(payload, LATEST).expect_err(mistake.name);
                assert_eq!(rejection.reason, mistake.reason, "{}: {}", mistake.name, rejection.detail);
                assert_eq!(record.key, message.record.key);
                assert!(record.payload.len() < 4_000, "{}: {} bytes", mistake.name, record.payload.len());
            }
        }
    }

    #[test]
    fn every_reason_that_can_be_made_is_made() {
        let made: HashSet<Reason> = MISTAKES.iter().map(|mistake| mistake.reason).collect();
        let missing: Vec<Reason> = Reason::ALL.iter().copied().filter(|reason| !made.contains(reason)).collect();
        assert_eq!(missing, [Reason::TooLarge, Reason::InvalidScore, Reason::RefusedByPostgres]);
        let names: HashSet<&str> = MISTAKES.iter().map(|mistake| mistake.name).collect();
        assert_eq!(names.len(), MISTAKES.len());
    }
}
