//! Tests on a real PostgreSQL, at `CCSTREAM_TEST_DATABASE_URL`, which `make test` sets.

mod analysis;
mod duplicates;
mod failures;
mod fence;
mod lost_rows;
mod own_table;
mod refusals;
mod rejected;
mod roundtrip;
mod schema;
mod scripted;
mod settings;
mod shapes;
mod totals;
mod truth;
mod windows;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;

use super::*;
use ccstream_core::batch::Cursor;
use ccstream_core::event::{Cents, Micros, Transaction as Event};

/// A separate schema in the test database.
pub(crate) struct Sandbox {
    runtime: Runtime,
    url: DatabaseUrl,
}

impl Sandbox {
    /// Creates the schema. Returns None, and prints why, if there is no test database.
    pub(crate) fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let Ok(base) = std::env::var("CCSTREAM_TEST_DATABASE_URL") else {
            assert!(std::env::var("CCSTREAM_DEMAND").is_err(), "CCSTREAM_TEST_DATABASE_URL is not set");
            eprintln!("skipped: CCSTREAM_TEST_DATABASE_URL is not set; `make test` starts a PostgreSQL");
            return None;
        };
        let runtime = crate::runtime().unwrap();
        let schema = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let sandbox = Self { runtime, url: DatabaseUrl(format!("{base}?options=-c%20search_path%3D{schema}")) };
        sandbox.execute(&format!("CREATE SCHEMA {schema}"));
        Some(sandbox)
    }

    /// Returns the schema's name, which is unique.
    fn schema(&self) -> String {
        self.url.0.rsplit_once("%3D").unwrap().1.to_owned()
    }

    fn client(&self) -> Client {
        self.runtime.block_on(connect::connect(&self.url)).unwrap()
    }

    fn execute(&self, statement: &str) {
        let client = self.client();
        self.runtime.block_on(client.batch_execute(statement)).unwrap();
    }

    pub(crate) fn number(&self, query: &str) -> i64 {
        let client = self.client();
        self.runtime.block_on(client.query_one(query, &[])).unwrap().get(0)
    }

    pub(crate) fn config(&self) -> ConsumerConfig {
        ConsumerConfig { database_url: self.url.clone(), ..ConsumerConfig::default() }
    }

    fn store(&self) -> Store {
        self.runtime.block_on(Store::connect(&self.config(), &Tables::default(), &Blame::default())).unwrap()
    }

    /// Returns a store with these tables that may start over.
    fn store_to_start_over(&self, tables: &Tables) -> Store {
        let config = ConsumerConfig { start_over: true, ..self.config() };
        self.runtime.block_on(Store::connect(&config, tables, &Blame::default())).unwrap()
    }

    /// Returns a store whose tables exist, with partition 0 taken over.
    fn ready(&self) -> (Store, Positions) {
        let mut store = self.store();
        self.runtime.block_on(store.ensure_schema()).unwrap();
        let positions = self.take_over(&mut store, &Origin::default()).positions;
        (store, positions)
    }

    fn take_over(&self, store: &mut Store, origin: &Origin) -> TakeOver {
        self.runtime.block_on(store.take_over(&[0], origin, false, &|| true)).unwrap().unwrap()
    }

    fn try_write(&self, store: &mut Store, batch: &mut Batch) -> Result<Outcome> {
        batch.seal();
        self.runtime.block_on(store.write(batch))
    }

    fn write(&self, store: &mut Store, batch: &mut Batch) -> Positions {
        match self.try_write(store, batch).unwrap() {
            Outcome::Committed(positions) => positions,
            Outcome::Refused(refusal) => panic!("{refusal:?}"),
        }
    }

    /// Returns the exit status of a `verify` that fails.
    fn refused_by_verify(&self) -> u8 {
        crate::operate::verify::verify(&self.url, &Tables::default(), false).unwrap_err().exit_code()
    }

    /// Asserts that `verify` finds no problem.
    pub(crate) fn verify(&self) {
        assert_eq!(
            crate::operate::verify::verify(&self.url, &Tables::default(), false).unwrap().problems,
            Vec::<String>::new()
        );
    }
}

fn event(id: &str) -> Event<'_> {
    Event::new(id, Micros(60_000_000), Cents(100))
}

/// Returns a batch of partition 0 that starts at the partition's position.
fn batch_at(positions: &Positions, events: impl IntoIterator<Item = Event<'static>>) -> Batch {
    let mut batch = Batch::default();
    let mut cursor = Cursor { epoch: positions[&0].epoch, next: positions[&0].next_offset };
    for event in events {
        let payload = format!("{{\"order_id\":\"{}\"}}", event.order_id);
        batch.push((0, cursor.next), &mut cursor, Some(b"key"), Some(payload.as_bytes()), Ok(event));
    }
    batch
}

fn batch_of(positions: &Positions, ids: &[&'static str]) -> Batch {
    batch_at(positions, ids.iter().map(|id| event(id)))
}

fn counters(consumed: i64, stored: i64, duplicate: i64, rejected: i64) -> Counters {
    Counters { consumed, stored, duplicate, rejected, missing: 0 }
}

/// Computes by how much counters have grown.
impl std::ops::Sub for Counters {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            consumed: self.consumed - other.consumed,
            stored: self.stored - other.stored,
            duplicate: self.duplicate - other.duplicate,
            rejected: self.rejected - other.rejected,
            missing: self.missing - other.missing,
        }
    }
}
