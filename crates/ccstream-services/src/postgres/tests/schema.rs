//! The schema step: tables made, brought up, refused.

use super::*;
use ccstream_core::fields::FIELDS;
use ccstream_core::validate::validate;

#[test]
fn a_new_table_starts_over() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    let mut batch = batch_of(&positions, &["a"]);
    let mut cursor = Cursor { epoch: positions[&0].epoch, next: 1 };
    batch.push((0, 1), &mut cursor, Some(b"k"), Some(b"[]"), validate(Some(b"[]")));
    sandbox.write(&mut store, &mut batch);
    sandbox.execute("DROP TABLE orders");
    let change = sandbox.runtime.block_on(store.ensure_schema()).unwrap();
    assert!(change.created_orders && change.started_over);
    let positions = sandbox.take_over(&mut store, &Origin::default()).positions;
    assert_eq!(positions[&0].next_offset, 0);
    sandbox.write(&mut store, &mut batch_of(&positions, &["a"]));
    sandbox.verify();
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
    let positions = sandbox.take_over(&mut store, &Origin::default()).positions;
    let positions = sandbox.write(&mut store, &mut batch_of(&positions, &["old", "new"]));
    assert_eq!((positions[&0].counters.stored, positions[&0].counters.duplicate), (1, 1));
    assert_eq!(sandbox.number("SELECT count(*) FROM orders WHERE category = 'Books' AND value = 12.5"), 1);
    let report = crate::operate::verify::verify(&sandbox.url, &Tables::default(), false).unwrap();
    assert_eq!((report.foreign_rows, report.problems), (1, vec![]));
}

#[test]
fn tables_that_cannot_be_used_are_refused_with_the_reason() {
    for (create, part) in [
        ("CREATE TABLE orders (order_id VARCHAR(50), value NUMERIC(10,2))", "ADD PRIMARY KEY"),
        ("CREATE TABLE orders (order_id VARCHAR(50) PRIMARY KEY DEFERRABLE)", "not deferrable"),
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
