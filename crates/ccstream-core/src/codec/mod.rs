//! Transactions to JSON bytes, and JSON bytes to the values of known fields (pure).
//!
//! Reading goes as far as the text's soundness and each field's raw value; what a value must be
//! is [`validate`](crate::validate)'s matter.

mod plain;

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::event::Transaction;
use crate::fields::{COUNT, Place, place_of_key};

/// A field's value as the message has it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as its own text: no float in between.
    Number(&'a str),
    /// A text, its escapes resolved.
    Text(Cow<'a, str>),
    /// An array or an object, which no field is.
    Nested,
}

impl Value<'_> {
    /// What it is, in a message to a person.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::Nested => "an array or object",
        }
    }
}

/// The known fields of one message, in the order of [`FIELDS`](crate::fields::FIELDS), each value as its own text.
#[derive(Debug, Default)]
pub struct RawEvent<'a> {
    /// By the field's name, or by its other name where only that is given.
    pub values: [Option<&'a str>; COUNT],
    /// By the field's other name, where both are given.
    pub other_values: [Option<&'a str>; COUNT],
    /// The first known key that stands there twice.
    pub repeated_key: Option<&'static str>,
    /// No text in it has escapes.
    pub plain: bool,
}

impl<'a> RawEvent<'a> {
    /// Takes a key's value, if it is a known one.
    fn note(&mut self, key: &str, raw: &'a str) {
        if let Some(place) = place_of_key(key) {
            self.put(place, raw);
        }
    }

    fn put(&mut self, (place, other): (Place, bool), raw: &'a str) {
        let values = if other { &mut self.other_values } else { &mut self.values };
        if values[place.index()].replace(raw).is_some() && self.repeated_key.is_none() {
            let field = place.field();
            self.repeated_key = Some(if other { field.column } else { field.key });
        }
    }
}

/// Reads one JSON object. The error is in `serde_json`'s words, with line and column.
///
/// ```
/// use ccstream_core::codec::{decode, read_value, Value};
/// let event = decode(r#"{"order_id":"a","amount":1.50,"unknown":[{}]}"#).unwrap();
/// assert_eq!(event.values[0], Some(r#""a""#));
/// assert_eq!(read_value("1.50", event.plain).unwrap(), Value::Number("1.50"));
/// assert!(decode(r#"{"order_id":"a""#).is_err());
/// ```
pub fn decode(text: &str) -> Result<RawEvent<'_>, serde_json::Error> {
    let mut event = RawEvent::default();
    event.plain = plain::read(text, &mut event);
    if !event.plain {
        event = RawEvent::default();
        let mut reader = serde_json::Deserializer::from_str(text);
        reader.deserialize_map(FieldsVisitor { event: &mut event })?;
        reader.end()?;
    }
    for (value, other) in event.values.iter_mut().zip(&mut event.other_values) {
        if other.is_some() && matches!(value, None | Some("null")) {
            *value = other.take();
        }
    }
    Ok(event)
}

/// Reads a value's own text, which [`decode`] has found sound; `plain` as the event has it. Errors: an escape that
/// stands for no character.
pub fn read_value(raw: &str, plain: bool) -> Result<Value<'_>, serde_json::Error> {
    Ok(match raw.as_bytes().first() {
        Some(b'n') => Value::Null,
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'"') if plain || memchr::memchr(b'\\', raw.as_bytes()).is_none() => {
            Value::Text(Cow::Borrowed(&raw[1..raw.len() - 1]))
        }
        Some(b'"') => Value::Text(Cow::Owned(serde_json::from_str(raw)?)),
        Some(b'[' | b'{') => Value::Nested,
        _ => Value::Number(raw),
    })
}

/// Fills the event in where it is: it is too large to be moved about.
struct FieldsVisitor<'e, 'de> {
    event: &'e mut RawEvent<'de>,
}

impl<'de> Visitor<'de> for FieldsVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let event = self.event;
        while let Some(Key(key)) = map.next_key()? {
            match key {
                Some(place) => event.put(place, map.next_value::<&RawValue>()?.get()),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// A key's place; None for a key that is not ours.
struct Key(Option<(Place, bool)>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(Key(place_of_key(key)))
    }
}

/// The fields in the order in which we write an event: these first, then all others as [`FIELDS`](crate::fields::FIELDS) has them.
pub(crate) static WIRE_ORDER: LazyLock<Vec<Place>> = LazyLock::new(|| {
    let first = [
        "transaction_id",
        "timestamp",
        "card_token",
        "card_last4",
        "merchant",
        "mcc",
        "category",
        "location",
        "country",
        "latitude",
        "longitude",
        "amount",
        "currency",
        "discount",
        "payment_method",
        "entry_mode",
        "status",
        "response_code",
        "risk_flag",
    ];
    let first: Vec<Place> = first.iter().filter_map(|key| place_of_key(key).map(|(place, _)| place)).collect();
    let others = Place::all().filter(|place| !first.contains(place));
    first.iter().copied().chain(others).collect()
});

/// Writes one transaction as a JSON object; absent fields are left out.
///
/// ```
/// use ccstream_core::codec::Encoder;
/// use ccstream_core::event::{Cents, Micros, Transaction};
/// let transaction = Transaction::new("a", Micros(1_000_001), Cents(1250));
/// let mut payload = Vec::new();
/// Encoder::new().encode(&transaction, &mut payload);
/// assert_eq!(payload, br#"{"transaction_id":"a","timestamp":"1970-01-01T00:00:01.000001Z","amount":12.50}"#);
/// ```
#[derive(Debug)]
pub struct Encoder {
    /// Fields in the order of the wire, each with its `,"key":`.
    order: Vec<(Place, String)>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder, to be kept: it holds the keys ready.
    pub fn new() -> Self {
        Self { order: WIRE_ORDER.iter().map(|&place| (place, format!(",\"{}\":", place.field().key))).collect() }
    }

    /// Appends the transaction's JSON to `out`.
    pub fn encode(&self, transaction: &Transaction<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        for (place, key) in &self.order {
            transaction.look(*place, |value| {
                out.extend_from_slice(key.as_bytes());
                value.push_json(out);
            });
        }
        // In the first comma's place: the id, which comes first, is always there.
        out[start] = b'{';
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_its_place_on_the_wire() {
        let mut places: Vec<Place> = WIRE_ORDER.clone();
        places.sort_unstable();
        assert_eq!(places, Place::all().collect::<Vec<_>>());
    }

    #[test]
    fn escaped_keys_and_texts_are_read() {
        let event = decode(r#"{"\u006frder_id":"a\n\u00e9"}"#).unwrap();
        assert_eq!(read_value(event.values[0].unwrap(), event.plain).unwrap(), Value::Text("a\né".into()));
        assert!(read_value(r#""\ud800""#, false).is_err(), "half a pair");
    }
}
