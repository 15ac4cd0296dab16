//! On a real PostgreSQL: `CCSTREAM_TEST_DATABASE_URL`, which `make test` sets.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;

use super::*;
use crate::codec::Encoder;
use crate::event::{Cents, FIELDS, Kind, Micros, TextField, Transaction as Event};
use crate::rejection::Reason;
use crate::validate::validate;

/// A schema of its own in the test database; None, with a line that says so, where there is none.
struct Sandbox {
    runtime: Runtime,
    url: DatabaseUrl,
}

impl Sandbox {
    fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let Ok(base) = std::env::var("CCSTREAM_TEST_DATABASE_URL") else {
            assert!(std::env::var("CCSTREAM_DEMAND").is_err(), "CCSTREAM_TEST_DATABASE_URL is not set");
            eprintln!("left out: no CCSTREAM_TEST_DATABASE_URL; `make test` starts a PostgreSQL");
            return None;
        };
        let runtime = crate::runtime().unwrap();
        let schema = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let sandbox = Self { runtime, url: DatabaseUrl(format!("{base}?options=-c%20search_path%3D{schema}")) };
        sandbox.execute(&format!("CREATE SCHEMA {schema}"));
        Some(sandbox)
    }

    fn client(&self) -> Client {
        self.runtime.block_on(connect::connect(&self.url)).unwrap()
    }

    fn execute(&self, statement: &str) {
        let client = self.client();
        self.runtime.block_on(client.batch_execute(statement)).unwrap();
    }

    fn number(&self, query: &str) -> i64 {
        let client = self.client();
        self.runtime.block_on(client.query_one(query, &[])).unwrap().get(0)
    }

    fn store(&self) -> Store {
        let source = Source { group: "g".into(), topic: "t".into() };
        self.runtime.block_on(Store::connect(&self.url, source, true)).unwrap()
    }

    /// A store with its tables, and partition 0 taken over.
    fn ready(&self) -> (Store, Positions) {
        let mut store = self.store();
        self.runtime.block_on(store.ensure_schema()).unwrap();
        let (positions, _) = self.runtime.block_on(store.take_over(&[0], None)).unwrap();
        (store, positions)
    }

    fn write(&self, store: &mut Store, batch: &mut Batch, positions: &Positions) -> Outcome {
        batch.seal();
        self.runtime.block_on(store.write(batch, positions)).unwrap()
    }
}

fn event(id: &str) -> Event<'_> {
    Event { order_id: id.into(), timestamp: Micros(60_000_000), value: Cents(100), ..Event::default() }
}

fn batch_of(ids: &[&'static str], from: i64) -> Batch {
    let mut batch = Batch::default();
    for (at, id) in ids.iter().enumerate() {
        let offset = from + at as i64;
        batch.push((0, offset, offset), None, None, Ok(event(id)));
    }
    batch
}

fn committed(outcome: Outcome) -> Positions {
    match outcome {
        Outcome::Committed(positions) => positions,
        Outcome::Refused(refusal) => panic!("{refusal:?}"),
    }
}

#[test]
fn duplicates_are_counted_and_rows_unchanged() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    let positions = committed(sandbox.write(&mut store, &mut batch_of(&["a", "b", "a"], 0), &positions));
    assert_eq!(positions[&0].counters, Counters { consumed: 3, stored: 2, duplicate: 1, rejected: 0, missing: 0 });
    // COPY meets "b", and the batch goes through the staging table.
    let positions = committed(sandbox.write(&mut store, &mut batch_of(&["b", "c"], 3), &positions));
    assert_eq!(store.wary, CLEAN_BATCHES);
    assert_eq!(positions[&0].counters, Counters { consumed: 5, stored: 3, duplicate: 2, rejected: 0, missing: 0 });
    let mut positions = positions;
    for round in 0..i64::from(CLEAN_BATCHES) {
        let id: &'static str = Box::leak(format!("d{round}").into_boxed_str());
        positions = committed(sandbox.write(&mut store, &mut batch_of(&[id], 5 + round), &positions));
    }
    assert_eq!(store.wary, 0);
    assert_eq!(sandbox.number("SELECT count(*) FROM orders"), 3 + i64::from(CLEAN_BATCHES));
    assert_eq!(sandbox.number("SELECT sum(count)::bigint FROM kpi_minute"), 3 + i64::from(CLEAN_BATCHES));
    assert!(crate::verify::verify(&sandbox.url).unwrap().problems.is_empty());
}

#[test]
fn a_partition_taken_over_is_refused_to_the_one_before() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut before, old) = sandbox.ready();
    let (mut after, new) = sandbox.ready();
    assert_eq!(new[&0].epoch, old[&0].epoch + 1);
    let refused = sandbox.write(&mut before, &mut batch_of(&["zombie"], 0), &old);
    assert!(matches!(refused, Outcome::Refused(Refusal::TakenOver { partition: 0 })), "{refused:?}");
    committed(sandbox.write(&mut after, &mut batch_of(&["a"], 0), &new));
    assert_eq!(sandbox.number("SELECT count(*) FROM orders WHERE order_id = 'zombie'"), 0);
}

#[test]
fn a_batch_that_begins_elsewhere_is_refused() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    committed(sandbox.write(&mut store, &mut batch_of(&["a"], 0), &positions));
    // The same batch again, as after a COMMIT whose answer was lost.
    let refused = sandbox.write(&mut store, &mut batch_of(&["a"], 0), &positions);
    assert!(matches!(refused, Outcome::Refused(Refusal::Moved { partition: 0 })), "{refused:?}");
    let reread = sandbox.runtime.block_on(store.reread(&positions)).unwrap();
    assert_eq!((reread[&0].next_offset, reread[&0].counters.consumed), (1, 1));
}

#[test]
fn another_cluster_is_read_from_its_beginning() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, _) = sandbox.ready();
    let take =
        |store: &mut Store, cluster: &str| sandbox.runtime.block_on(store.take_over(&[0], Some(cluster))).unwrap();
    let (positions, elsewhere) = take(&mut store, "one");
    assert!(elsewhere.is_empty());
    committed(sandbox.write(&mut store, &mut batch_of(&["a"], 0), &positions));
    let (positions, elsewhere) = take(&mut store, "one");
    assert_eq!((positions[&0].next_offset, elsewhere), (1, vec![]));
    let (positions, elsewhere) = take(&mut store, "two");
    assert_eq!((positions[&0].next_offset, elsewhere), (0, vec![0]));
    let positions = committed(sandbox.write(&mut store, &mut batch_of(&["a", "b"], 0), &positions));
    assert_eq!((positions[&0].counters.stored, positions[&0].counters.duplicate), (2, 1));
    assert!(crate::verify::verify(&sandbox.url).unwrap().problems.is_empty());
}

#[test]
fn a_new_table_starts_over() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    let mut batch = batch_of(&["a"], 0);
    batch.push((0, 1, 1), Some(b"k"), Some(b"[]"), validate(Some(b"[]")));
    committed(sandbox.write(&mut store, &mut batch, &positions));
    sandbox.execute("DROP TABLE orders");
    let change = sandbox.runtime.block_on(store.ensure_schema()).unwrap();
    assert!(change.created_orders && change.started_over);
    let (positions, _) = sandbox.runtime.block_on(store.take_over(&[0], None)).unwrap();
    assert_eq!(positions[&0].next_offset, 0);
    committed(sandbox.write(&mut store, &mut batch_of(&["a"], 0), &positions));
    assert!(crate::verify::verify(&sandbox.url).unwrap().problems.is_empty());
}

#[test]
fn an_eight_column_table_is_brought_up_and_keeps_its_rows() {
    let Some(sandbox) = Sandbox::new() else { return };
    sandbox.execute(
        "CREATE TABLE orders (order_id VARCHAR(50) PRIMARY KEY, status VARCHAR(50), category VARCHAR(50),
             value NUMERIC(10,2), timestamp TIMESTAMP, city VARCHAR(100), payment_method VARCHAR(50),
             discount NUMERIC(4,2));
         INSERT INTO orders VALUES ('old', 'completed', 'Books', 12.50, '2024-01-01', 'Paris', 'card', 0.1)",
    );
    let mut store = sandbox.store();
    let change = sandbox.runtime.block_on(store.ensure_schema()).unwrap();
    assert!(!change.created_orders && change.added_columns.len() == FIELDS.len() - 8 + 2);
    assert_eq!(sandbox.runtime.block_on(store.ensure_schema()).unwrap(), SchemaChange::default());
    let (positions, _) = sandbox.runtime.block_on(store.take_over(&[0], None)).unwrap();
    let positions = committed(sandbox.write(&mut store, &mut batch_of(&["old", "new"], 0), &positions));
    assert_eq!((positions[&0].counters.stored, positions[&0].counters.duplicate), (1, 1));
    assert_eq!(sandbox.number("SELECT count(*) FROM orders WHERE category = 'Books' AND value = 12.5"), 1);
    let report = crate::verify::verify(&sandbox.url).unwrap();
    assert_eq!((report.foreign_rows, report.problems), (1, vec![]));
}

#[test]
fn tables_that_cannot_be_used_are_refused_with_the_reason() {
    for (create, part) in [
        ("CREATE TABLE orders (order_id VARCHAR(50), value NUMERIC(10,2))", "ADD PRIMARY KEY"),
        ("CREATE TABLE orders (order_id VARCHAR(20) PRIMARY KEY)", "ALTER COLUMN order_id TYPE VARCHAR(50)"),
        ("CREATE TABLE orders (order_id VARCHAR(50) PRIMARY KEY, value REAL)", "ALTER COLUMN value TYPE NUMERIC(10,2)"),
    ] {
        let Some(sandbox) = Sandbox::new() else { return };
        sandbox.execute(create);
        let mut store = sandbox.store();
        let error = sandbox.runtime.block_on(store.ensure_schema()).unwrap_err();
        assert_eq!(error.exit_code(), 5);
        assert!(error.chain().contains(part), "{error}");
    }
}

#[test]
fn racing_schema_steps_all_succeed() {
    for _ in 0..5 {
        let Some(sandbox) = Sandbox::new() else { return };
        let together = std::sync::Barrier::new(8);
        let step = || {
            let runtime = crate::runtime().unwrap();
            let source = Source { group: "g".into(), topic: "t".into() };
            let mut store = runtime.block_on(Store::connect(&sandbox.url, source, true)).unwrap();
            together.wait();
            u32::from(runtime.block_on(store.ensure_schema()).unwrap().created_orders)
        };
        let made: u32 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(step)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(made, 1);
    }
}

/// Texts with what breaks naive writers: quotes, backslashes, COPY's own marks, every plane of Unicode.
fn text(max_chars: usize) -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => proptest::char::range(' ', '~'),
        1 => Just('\\'), 1 => Just('\t'), 1 => Just('\n'), 1 => Just('"'), 1 => Just('\u{1}'),
        1 => any::<char>().prop_filter("NUL is rejected", |character| *character != '\0'),
    ];
    proptest::collection::vec(character, 0..=max_chars).prop_map(String::from_iter)
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
                let text = text(field.max_chars.min(60))
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
    let cases = proptest::collection::vec(any_event(), 1..30);
    let outcome = TestRunner::new(Config { cases: 64, ..Config::default() }).run(&cases, |events| {
        let (store, positions, seen) = &mut *state.borrow_mut();
        let from = positions[&0].next_offset;
        let mut batch = Batch::default();
        let mut expected = Vec::new();
        for event in &events {
            let mut payload = Vec::new();
            encoder.encode(event, &mut payload);
            match validate(Some(&payload)) {
                Ok(read) => {
                    prop_assert_eq!(&read, event);
                    if seen.insert(event.order_id.to_string()) {
                        let offset = from + expected.len() as i64;
                        batch.push((0, offset, offset), None, Some(&payload), Ok(read));
                        expected.push((offset, event));
                    }
                }
                // Random digits may be a card number; nothing else of these is rejected.
                Err(rejection) => prop_assert_eq!(rejection.reason, Reason::CardNumber),
            }
        }
        if !batch.is_empty() {
            *positions = committed(sandbox.write(store, &mut batch, positions));
        }
        for (offset, event) in expected {
            prop_assert_eq!(&read_back(&sandbox.runtime, &client, offset), event);
        }
        Ok(())
    });
    outcome.unwrap();
    assert!(crate::verify::verify(&sandbox.url).unwrap().problems.is_empty());
}
