//! Texts as a general JSON reader sees them, and transactions written and read again.

#![no_main]

use std::borrow::Cow;
use std::collections::BTreeMap;

use ccstream_core::codec::{Encoder, decode};
use ccstream_core::event::{Cents, FIELDS, Micros, TextField, Transaction};
use ccstream_core::validate::validate;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

#[derive(Debug, Arbitrary)]
enum Input {
    Text(String),
    Written(Written),
}

#[derive(Debug, Arbitrary)]
struct Written {
    order_id: String,
    timestamp: i64,
    value: i64,
    discount: Option<u8>,
    latitude: Option<f64>,
    longitude: Option<f64>,
    risk_flag: Option<bool>,
    texts: [Option<String>; TextField::COUNT],
}

fuzz_target!(|input: Input| match input {
    Input::Text(text) => check_text(&text),
    Input::Written(written) => check_written(written),
});

/// Sound to us is sound to a general reader, and each field has the text that it gives it.
fn check_text(text: &str) {
    let (event, theirs) = match (decode(text), serde_json::from_str::<BTreeMap<String, &RawValue>>(text)) {
        (Ok(event), Ok(theirs)) => (event, theirs),
        (Err(_), Err(_)) => return,
        (ours, theirs) => panic!("{text}: {:?}, {:?}", ours.err(), theirs.err()),
    };
    // Of a key that stands there twice it keeps the last, as we do.
    for (at, field) in FIELDS.iter().enumerate() {
        let raw = |key: &str| theirs.get(key).map(|value| value.get());
        let (named, other) = (raw(field.key), field.other_key.and_then(raw));
        let expected = if other.is_some() && matches!(named, None | Some("null")) { other } else { named };
        assert_eq!(event.values[at], expected, "{} in {text}", field.key);
    }
}

/// A transaction that we write is read as the same, or refused for what is in it.
fn check_written(written: Written) {
    let finite = |degrees: Option<f64>| degrees.filter(|degrees| degrees.is_finite());
    let transaction = Transaction {
        order_id: Cow::Owned(written.order_id),
        timestamp: Micros(written.timestamp.rem_euclid(Micros::END.0)),
        value: Cents(written.value % (Cents::MAX.0 + 1)),
        discount: written.discount,
        latitude: finite(written.latitude),
        longitude: finite(written.longitude),
        risk_flag: written.risk_flag,
        texts: written.texts.map(|text| text.map(Cow::Owned)),
    };
    let mut payload = Vec::new();
    Encoder::new().encode(&transaction, &mut payload);
    assert!(decode(std::str::from_utf8(&payload).expect("we write UTF-8")).is_ok());
    if let Ok(read) = validate(Some(&payload)) {
        assert_eq!(read, transaction);
    }
}
