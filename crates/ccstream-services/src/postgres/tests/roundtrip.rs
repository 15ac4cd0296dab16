//! What is accepted is stored, and reads back equal.

use std::cell::RefCell;
use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use ccstream_core::codec::Encoder;
use ccstream_core::event::{FIELDS, Kind, TextField};
use ccstream_core::rejection::Reason;
use ccstream_core::validate::validate;

/// Texts with what breaks naive writers: quotes, backslashes, COPY's own marks, every plane of Unicode. One in four is as
/// long as it may be.
fn text(max_chars: usize) -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => proptest::char::range(' ', '~'),
        1 => Just('\\'), 1 => Just('\t'), 1 => Just('\n'), 1 => Just('"'), 1 => Just('\u{1}'),
        1 => any::<char>().prop_filter("NUL is rejected", |character| *character != '\0'),
    ];
    let length = prop_oneof![3 => 0..=max_chars, 1 => Just(max_chars)];
    length.prop_flat_map(move |length| vec(character.clone(), length)).prop_map(String::from_iter)
}

fn degrees(limit: f64) -> impl Strategy<Value = Option<f64>> {
    proptest::option::of((-limit..=limit).prop_map(|degrees| degrees + 0.0))
}

fn any_event() -> impl Strategy<Value = Event<'static>> {
    let texts: Vec<_> = FIELDS
        .iter()
        .filter_map(|field| match field.kind {
            Kind::Text(place) => {
                let not_empty = field.not_empty;
                let text = text(field.max_chars)
                    .prop_filter("not empty where it must not be", move |text| !(not_empty && text.is_empty()));
                Some(proptest::option::of(text).prop_map(move |text| (place, text)))
            }
            _ => None,
        })
        .collect();
    (
        text(49),
        0..Micros::END.0,
        -Cents::MAX.0..=Cents::MAX.0,
        proptest::option::of(0u8..=100),
        (degrees(90.0), degrees(180.0)),
        any::<Option<bool>>(),
        texts,
    )
        .prop_map(|(id, timestamp, value, discount, (latitude, longitude), risk_flag, texts)| {
            let mut event = Event {
                order_id: format!("{id}x").into(),
                timestamp: Micros(timestamp),
                value: Cents(value),
                discount,
                latitude,
                longitude,
                risk_flag,
                ..Event::default()
            };
            for (place, text) in texts {
                event.texts[place as usize] = text.map(Into::into);
            }
            event
        })
}

/// Reads one row back, by SQL that knows nothing of our encoding.
fn read_back(runtime: &Runtime, client: &Client, offset: i64) -> Event<'static> {
    let texts = ["status", "category", "city", "payment_method", "merchant", "mcc", "country", "currency"];
    let more = ["card_token", "card_last4", "entry_mode", "response_code"];
    let query = format!(
        "SELECT order_id::text, (extract(epoch FROM timestamp) * 1000000)::bigint, (value * 100)::bigint,
                (discount * 100)::int, latitude, longitude, risk_flag, {}::text, {}::text
         FROM orders WHERE kafka_offset = $1",
        texts.join("::text, "),
        more.join("::text, ")
    );
    let row = runtime.block_on(client.query_one(&query, &[&offset])).unwrap();
    let mut event = Event {
        order_id: row.get::<_, String>(0).into(),
        timestamp: Micros(row.get(1)),
        value: Cents(row.get(2)),
        discount: row.get::<_, Option<i32>>(3).map(|discount| discount as u8),
        latitude: row.get(4),
        longitude: row.get(5),
        risk_flag: row.get(6),
        ..Event::default()
    };
    for place in TextField::ALL {
        event.texts[*place as usize] = row.get::<_, Option<String>>(7 + *place as usize).map(Into::into);
    }
    event
}

#[test]
fn what_is_accepted_is_stored_and_reads_back_equal() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (store, positions) = sandbox.ready();
    let client = sandbox.client();
    let encoder = Encoder::new();
    // The store, where it stands, and the ids that it has: a failing case is run again, smaller.
    let state = RefCell::new((store, positions, HashSet::new()));
    let cases = vec(any_event(), 1..30);
    let outcome = TestRunner::new(Config { cases: 64, ..Config::default() }).run(&cases, |events| {
        let (store, positions, seen) = &mut *state.borrow_mut();
        let mut cursor = Cursor { epoch: positions[&0].epoch, next: positions[&0].next_offset };
        let mut batch = Batch::default();
        let mut expected = Vec::new();
        for event in &events {
            let mut payload = Vec::new();
            encoder.encode(event, &mut payload);
            match validate(Some(&payload)) {
                Ok(read) => {
                    prop_assert_eq!(&read, event);
                    if seen.insert(event.order_id.to_string()) {
                        expected.push((cursor.next, event));
                        batch.push((0, cursor.next), &mut cursor, None, Some(&payload), Ok(read));
                    }
                }
                // Random digits may be a card number; nothing else of these is rejected.
                Err(rejection) => prop_assert_eq!(rejection.reason, Reason::CardNumber),
            }
        }
        if !batch.is_empty() {
            *positions = sandbox.write(store, &mut batch);
        }
        for (offset, event) in expected {
            prop_assert_eq!(&read_back(&sandbox.runtime, &client, offset), event);
        }
        Ok(())
    });
    outcome.unwrap();
    sandbox.verify();
}
