//! Tests of the schema step, which creates, upgrades or refuses tables.

use super::*;
use ccstream_core::fields::FIELDS;
use ccstream_core::validate::validate;

#[test]
fn a_table_that_has_lost_its_rows_starts_over_only_if_that_is_set() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    let mut batch = batch_of(&positions, &["a"]);
    let mut cursor = Cursor { epoch: positions[&0].epoch, next: 1 };
    batch.push((0, 1), &mut cursor, Some(b"k"), Some(b"[]"), validate(Some(b"[]")));
    sandbox.write(&mut store, &mut batch);
    for lose in ["DROP TABLE orders", "CREATE TABLE orders (order_id VARCHAR(50) PRIMARY KEY)"] {
        sandbox.execute(lose);
        let error = sandbox.runtime.block_on(store.ensure_schema()).unwrap_err();
        assert_eq!(error.exit_code(), 5, "{lose}");
        assert!(error.chain().contains("`start_over`"), "{}", error.chain());
    }
    sandbox.execute("DROP TABLE orders");
    let mut store = sandbox.store_to_start_over(&Tables::default());
    let change = sandbox.runtime.block_on(store.ensure_schema()).unwrap();
    assert!(change.created_orders && change.started_over);
    assert_eq!(sandbox.runtime.block_on(store.ensure_schema()).unwrap(), SchemaChange::default());
    let positions = sandbox.take_over(&mut store, &Origin::default()).positions;
    assert_eq!(positions[&0].next_offset, 0);
    sandbox.write(&mut store, &mut batch_of(&positions, &["a"]));
    sandbox.verify();
}

#[test]
fn an_eight_column_table_gets_the_other_columns_and_keeps_its_rows() {
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
    let positions = sandbox.take_over(&mut store, &Origin::default()).positions;
    let positions = sandbox.write(&mut store, &mut batch_of(&positions, &["old", "new"]));
    assert_eq!((positions[&0].counters.stored, positions[&0].counters.duplicate), (1, 1));
    assert_eq!(sandbox.number("SELECT count(*) FROM orders WHERE category = 'Books' AND value = 12.5"), 1);
    let report = crate::operate::verify::verify(&sandbox.url, &Tables::default(), false).unwrap();
    assert_eq!((report.foreign_rows, report.problems), (1, vec![]));
}

#[test]
fn racing_schema_steps_all_succeed() {
    for _ in 0..5 {
        let Some(sandbox) = Sandbox::new() else { return };
        let together = std::sync::Barrier::new(8);
        let step = || {
            let runtime = crate::runtime().unwrap();
            let mut store =
                runtime.block_on(Store::connect(&sandbox.config(), &Tables::default(), &Blame::default())).unwrap();
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

#[test]
fn a_wider_table_is_used_as_it_is() {
    let Some(sandbox) = Sandbox::new() else { return };
    sandbox.execute(
        "CREATE TABLE orders (order_id TEXT PRIMARY KEY, value NUMERIC, city VARCHAR(300), extra INT DEFAULT 7)",
    );
    let (mut store, positions) = sandbox.ready();
    sandbox.write(&mut store, &mut batch_of(&positions, &["a"]));
    assert_eq!(sandbox.number("SELECT count(*) FROM orders WHERE extra = 7 AND value = 1"), 1);
    sandbox.verify();
}

#[test]
fn created_tables_have_the_declared_columns() {
    let Some(sandbox) = Sandbox::new() else { return };
    sandbox.ready();
    let client = sandbox.client();
    let lacking = sandbox.runtime.block_on(version::check(&client, &Tables::default())).unwrap();
    assert_eq!(lacking.in_words(), Vec::<String>::new());
    for table in Tables::default().all().into_iter().filter(|table| table.name != "orders") {
        let found = sandbox.number(&format!(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('{}') AND attnum > 0 AND NOT attisdropped",
            table.name
        ));
        assert_eq!(found, table.columns.len() as i64, "{}", table.name);
    }
}

#[test]
fn tables_of_an_earlier_version_are_upgraded() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    let positions = sandbox.write(&mut store, &mut batch_of(&positions, &["a", "b"]));
    sandbox.execute(
        "DROP TABLE ccstream_version; ALTER TABLE kafka_offsets DROP COLUMN deaths, DROP COLUMN died_at;
         ALTER TABLE rejected_events DROP COLUMN partial; DROP TABLE kpi_minute, rejected_counts",
    );
    assert_eq!(sandbox.refused_by_verify(), 5);
    let mut later = sandbox.store();
    assert_eq!(sandbox.runtime.block_on(later.ensure_schema()).unwrap(), SchemaChange::default());
    sandbox.verify();
    assert_eq!(
        positions,
        sandbox
            .take_over(&mut later, &Origin::default())
            .positions
            .into_iter()
            .map(|(at, one)| (at, Position { epoch: one.epoch - 1, ..one }))
            .collect()
    );
}

#[test]
fn tables_of_a_later_version_or_without_a_counter_are_refused() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    sandbox.write(&mut store, &mut batch_of(&positions, &["a", "b"]));
    sandbox.execute("UPDATE ccstream_version SET version = version + 1");
    let refused = |store: &mut Store, part: &str| {
        let error = sandbox.runtime.block_on(store.ensure_schema()).unwrap_err();
        assert!(error.exit_code() == 5 && error.chain().contains(part), "{}", error.chain());
        assert_eq!(sandbox.refused_by_verify(), 5);
        error.chain()
    };
    refused(&mut store, &(version::VERSION + 1).to_string());
    sandbox.execute("UPDATE ccstream_version SET version = version - 1; ALTER TABLE kafka_offsets DROP COLUMN epoch");
    let advice = refused(&mut store, "column epoch");
    // The statements in the message work.
    sandbox.execute(&advice[advice.find("ALTER TABLE").unwrap()..]);
    assert!(sandbox.runtime.block_on(store.ensure_schema()).unwrap().created_orders);
    let positions = sandbox.take_over(&mut store, &Origin::default()).positions;
    sandbox.write(&mut store, &mut batch_of(&positions, &["a", "b"]));
    sandbox.verify();
}
