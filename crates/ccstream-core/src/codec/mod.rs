//! Encodes transactions as JSON, and decodes JSON objects into the values of known fields.
//!
//! Decoding checks the syntax and finds each field's value. [`validate`](crate::validate) checks the values.

mod plain;

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::event::Transaction;
use crate::fields::{COUNT, Place, place_of_key};

/// Holds the value of a field as it is in the message.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as its text: it is not converted to a float.
    Number(&'a str),
    /// A string with its escapes resolved.
    Text(Cow<'a, str>),
    /// An array or an object. No field accepts such a value.
    Nested,
}

impl Value<'_> {
    /// Returns the JSON type, in words for a message to a user.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Nested => "an array or object",
        }
    }
}

/// Holds the JSON text of each known field's value in one message, in the order of [`FIELDS`](crate::fields::FIELDS).
#[derive(Debug, Default)]
pub struct RawEvent<'a> {
    /// The values under the fields' names. If such a value is absent or null, the value under the field's other name
    /// replaces it.
    pub values: [Option<&'a str>; COUNT],
    /// The values under the fields' other names, unless they have replaced absent or null values.
    pub other_values: [Option<&'a str>; COUNT],
    /// The first known key that appears more than once.
    pub repeated_key: Option<&'static str>,
    /// Whether the whole message is known to be free of escapes, because the reader of plain messages decoded it.
    pub plain: bool,
}

impl<'a> RawEvent<'a> {
    /// Stores a key's value if the key is known.
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

/// Decodes one JSON object. Fails with `serde_json`'s error, which has the line and the column.
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

/// Decodes the text of one value, as [`decode`] returned it; `plain` is [`RawEvent::plain`]. Fails if a string has an
/// escape that is not a character, such as half of a surrogate pair.
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

/// Decodes into an existing event, because moving an event is slow: it is large.
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

/// Holds the place of a key and whether it is the field's other name; None if the key is unknown.
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

/// The order in which fields are written: first those listed here, then the others in the order of
/// [`FIELDS`](crate::fields::FIELDS).
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

/// Encodes transactions as JSON objects. Absent fields are left out.
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
    /// The fields in [`WIRE_ORDER`], each with its `,"key":`.
    order: Vec<(Place, String)>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// Creates an encoder. Reuse it, because it holds the encoded keys.
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
        // This replaces the first field's comma. There is always a first field, the id.
        out[start] = b'{';
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_written_once() {
        let mut places: Vec<Place> = WIRE_ORDER.clone();
        places.sort_unstable();
        assert_eq!(places, Place::all().collect::<Vec<_>>());
    }

    #[test]
    fn escaped_keys_and_texts_are_read() {
        let event = decode(r#"{"\u006frder_id":"a\n\u00e9"}"#).unwrap();
        assert_eq!(read_value(event.values[0].unwrap(), event.plain).unwrap(), Value::Text("a\né".into()));
        assert!(read_value(r#""\ud800""#, false).is_err(), "half of a surrogate pair");
    }
}
