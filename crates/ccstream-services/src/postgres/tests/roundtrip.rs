//! Tests that every accepted message is stored, and that the stored row equals it.

use std::cell::RefCell;
use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use ccstream_core::codec::Encoder;
use ccstream_core::datum::Datum;
use ccstream_core::fields::{FIELDS, Place};
use ccstream_core::rejection::Reason;
use ccstream_core::sql_type::SqlType;
use ccstream_core::validate::validate;

/// Generates texts with characters that break naive writers: quotes, backslashes, COPY's delimiters, every plane of
/// Unicode. One in four has the maximum length.
fn text(max_chars: usize) -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => proptest::char::range(' ', '~'),
        1 => Just('\\'), 1 => Just('\t'), 1 => Just('\n'), 1 => Just('"'), 1 => Just('\u{1}'),
        1 => any::<char>().prop_filter("NUL is rejected", |character| *character != '\0'),
    ];
    let length = prop_oneof![3 => 0..=max_chars, 1 => Just(max_chars)];
    length.prop_flat_map(move |length| vec(character.clone(), length)).prop_map(String::from_iter)
}

/// Generates any value of a field. The id gets a placeholder.
fn any_value(place: Place) -> BoxedStrategy<Option<Datum<'static>>> {
    let field = place.field();
    let value = match field.sql_type {
        SqlType::Id(_) => Just(Datum::Text("".into())).boxed(),
        SqlType::Text(chars) => {
            let not_empty = field.not_empty;
            let text =
                text(chars).prop_filter("not empty where it must not be", move |text| !(not_empty && text.is_empty()));
            text.prop_map(|text| Datum::Text(text.into())).boxed()
        }
        SqlType::Cents => (-Cents::MAX.0..=Cents::MAX.0).prop_map(|cents| Datum::Cents(Cents(cents))).boxed(),
        SqlType::Share => (0u8..=100).prop_map(Datum::Share).boxed(),
        SqlType::Instant => (0..Micros::END.0).prop_map(|micros| Datum::Instant(Micros(micros))).boxed(),
        // -0.0 reads back as 0.0.
        SqlType::Degrees(limit) => (-limit..=limit).prop_map(|degrees| Datum::Real(degrees + 0.0)).boxed(),
        SqlType::Score => (0.0..=1.0).prop_map(Datum::Real).boxed(),
        SqlType::Flag => any::<bool>().prop_map(Datum::Flag).boxed(),
        SqlType::Integer | SqlType::BigInt => unreachable!("no field's"),
    };
    if field.required { value.prop_map(Some).boxed() } else { proptest::option::of(value).boxed() }
}

fn any_event() -> impl Strategy<Value = Event<'static>> {
    let values: Vec<_> = Place::all().map(any_value).collect();
    (text(49), values).prop_map(|(id, values)| {
        let mut event = Event::default();
        for (place, value) in Place::all().zip(values) {
            if let Some(value) = value {
                event.set(place, value);
            }
        }
        event.order_id = format!("{id}x").into();
        event
    })
}

/// Reads one row back with plain SQL, independently of the binary encoding.
fn read_back(runtime: &Runtime, client: &Client, offset: i64) -> Event<'static> {
    let columns = FIELDS.iter().map(|field| match field.sql_type {
        SqlType::Id(_) | SqlType::Text(_) => format!("{}::text", field.column),
        SqlType::Cents | SqlType::Share => format!("({} * 100)::bigint", field.column),
        SqlType::Instant => format!("(extract(epoch FROM {}) * 1000000)::bigint", field.column),
        _ => field.column.to_owned(),
    });
    let query = format!("SELECT {} FROM orders WHERE kafka_offset = $1", columns.collect::<Vec<_>>().join(", "));
    let row = runtime.block_on(client.query_one(&query, &[&offset])).unwrap();
    let mut event = Event::default();
    for place in Place::all() {
        let at = place.index();
        let value = match place.field().sql_type {
            SqlType::Id(_) | SqlType::Text(_) => row.get::<_, Option<String>>(at).map(|text| Datum::Text(text.into())),
            SqlType::Cents => row.get::<_, Option<i64>>(at).map(|cents| Datum::Cents(Cents(cents))),
            SqlType::Share => row.get::<_, Option<i64>>(at).map(|share| Datum::Share(share as u8)),
            SqlType::Instant => row.get::<_, Option<i64>>(at).map(|micros| Datum::Instant(Micros(micros))),
            SqlType::Flag => row.get::<_, Option<bool>>(at).map(Datum::Flag),
            _ => row.get::<_, Option<f64>>(at).map(Datum::Real),
        };
        if let Some(value) = value {
            event.set(place, value);
        }
    }
    event
}

#[test]
fn what_is_accepted_is_stored_and_reads_back_equal() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (store, positions) = sandbox.ready();
    let client = sandbox.client();
    let encoder = Encoder::new();
    // All cases share the store, its positions and its ids, because proptest runs a failing case again with smaller
    // inputs.
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
                // Random digits may happen to be a card number. There is no other reason to reject these events.
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
