//! Compares the decoding of any text with that of serde_json, and reads written transactions back.

#![no_main]

use std::collections::BTreeMap;

use ccstream_core::codec::{Encoder, decode};
use ccstream_core::datum::Datum;
use ccstream_core::event::{Cents, Micros, Transaction};
use ccstream_core::fields::{COUNT, FIELDS, Place};
use ccstream_core::sql_type::SqlType;
use ccstream_core::validate::validate;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

#[derive(Debug, Arbitrary)]
enum Input {
    Text(String),
    Written(Written),
}

/// Holds values for each field. The field's type determines which of them is used.
#[derive(Debug, Arbitrary)]
struct Written {
    values: [Option<Any>; COUNT],
}

#[derive(Debug, Arbitrary)]
struct Any {
    text: String,
    number: i64,
    real: f64,
}

fuzz_target!(|input: Input| match input {
    Input::Text(text) => check_text(&text),
    Input::Written(written) => check_written(written),
});

/// A text is valid if and only if serde_json accepts it, and each field's value has the same text in both.
fn check_text(text: &str) {
    let (event, theirs) = match (decode(text), serde_json::from_str::<BTreeMap<String, &RawValue>>(text)) {
        (Ok(event), Ok(theirs)) => (event, theirs),
        (Err(_), Err(_)) => return,
        (ours, theirs) => panic!("{text}: {:?}, {:?}", ours.err(), theirs.err()),
    };
    // Both keep the last value of a duplicate key.
    for (at, field) in FIELDS.iter().enumerate() {
        let raw = |key: &str| theirs.get(key).map(|value| value.get());
        let (named, other) = (raw(field.key), field.other_key.and_then(raw));
        let expected = if other.is_some() && matches!(named, None | Some("null")) { other } else { named };
        assert_eq!(event.values[at], expected, "{} in {text}", field.key);
    }
}

/// A transaction that is written and read again is unchanged, unless its values are invalid.
fn check_written(written: Written) {
    let mut transaction = Transaction::default();
    for (place, any) in Place::all().zip(written.values) {
        let Some(Any { text, number, real }) = any else { continue };
        let value = match place.field().sql_type {
            SqlType::Id(_) | SqlType::Text(_) => Datum::Text(text.into()),
            SqlType::Cents => Datum::Cents(Cents(number % (Cents::MAX.0 + 1))),
            SqlType::Share => Datum::Share(number as u8),
            SqlType::Instant => Datum::Instant(Micros(number.rem_euclid(Micros::END.0))),
            SqlType::Flag => Datum::Flag(number % 2 == 0),
            _ if real.is_finite() => Datum::Real(real),
            _ => continue,
        };
        transaction.set(place, value);
    }
    let mut payload = Vec::new();
    Encoder::new().encode(&transaction, &mut payload);
    assert!(decode(std::str::from_utf8(&payload).expect("written JSON is UTF-8")).is_ok());
    if let Ok(read) = validate(Some(&payload)) {
        assert_eq!(read, transaction);
    }
}
