//! Tests of rows whose ids are already in `orders`.

use super::insert::{CLEAN_BATCHES, Caution};
use super::*;

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

#[test]
fn duplicates_are_counted_and_rows_unchanged() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    let positions = sandbox.write(&mut store, &mut batch_of(&positions, &["a", "b", "a"]));
    assert_eq!((positions[&0].counters, store.caution), (counters(3, 2, 1, 0), Caution::default()));
    // COPY fails because of "b". From now on, ids are queried before the COPY.
    let mut positions = sandbox.write(&mut store, &mut batch_of(&positions, &["b", "c"]));
    assert_eq!((positions[&0].counters, store.caution), (counters(5, 3, 2, 0), Caution::BatchesToGo(CLEAN_BATCHES)));
    for round in 0..i64::from(CLEAN_BATCHES) {
        positions = sandbox.write(&mut store, &mut batch_of(&positions, &[leak(format!("d{round}"))]));
    }
    assert_eq!(store.caution, Caution::default());
    // These ids are below the greatest id, between others, and above it.
    positions = sandbox.write(&mut store, &mut batch_of(&positions, &["a", "aa", "d19", "z"]));
    assert_eq!((positions[&0].counters, store.caution), (counters(29, 25, 4, 0), Caution::BatchesToGo(CLEAN_BATCHES)));
    positions = sandbox.write(&mut store, &mut batch_of(&positions, &["a", "aa", "z"]));
    assert_eq!(positions[&0].counters, counters(32, 25, 7, 0));
    assert_eq!(sandbox.number("SELECT count(*) FROM orders"), 25);
    sandbox.verify();
}

#[test]
fn a_key_that_another_transaction_inserts_meanwhile_is_a_duplicate() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    for wary in [0, 1] {
        let ids: &[&str] = if wary == 0 { &["p", "q"] } else { &["r", "s"] };
        let other = sandbox.client();
        let insert = format!("BEGIN; INSERT INTO orders (order_id) VALUES ('{}')", ids[0]);
        sandbox.runtime.block_on(other.batch_execute(&insert)).unwrap();
        store.caution = Caution::BatchesToGo(wary);
        let at =
            if wary == 0 { positions.clone() } else { sandbox.take_over(&mut store, &Origin::default()).positions };
        let mut batch = batch_of(&at, ids);
        batch.seal();
        // The query of ids does not see the other transaction's row. The COPY waits for that transaction.
        let write = store.write(&mut batch);
        let commit = async {
            let watch = sandbox_waits(&sandbox).await;
            assert!(watch, "nobody waited");
            other.batch_execute("COMMIT").await.unwrap();
        };
        let (written, ()) = sandbox.runtime.block_on(async { tokio::join!(write, commit) });
        let Outcome::Committed(after) = written.unwrap() else { panic!("refused") };
        let expected = if wary == 0 { counters(2, 1, 1, 0) } else { counters(4, 2, 2, 0) };
        assert_eq!(after[&0].counters, expected);
    }
    let report = crate::operate::verify::verify(&sandbox.url, &Tables::default(), false).unwrap();
    assert_eq!((report.foreign_rows, report.problems), (2, vec![]));
}

/// Waits until some session waits for another session's transaction. Returns false if none does within 5 s.
async fn sandbox_waits(sandbox: &Sandbox) -> bool {
    let client = connect::connect(&sandbox.url).await.unwrap();
    for _ in 0..500 {
        let query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'";
        if client.query_one(query, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[test]
fn always_staging_yields_equal_counts() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    store.caution = Caution::AlwaysStage;
    let positions = sandbox.write(&mut store, &mut batch_of(&positions, &["a", "b", "a"]));
    let positions = sandbox.write(&mut store, &mut batch_of(&positions, &["b", "c"]));
    assert_eq!((positions[&0].counters, store.caution), (counters(5, 3, 2, 0), Caution::AlwaysStage));
    sandbox.verify();
}

#[test]
fn ids_are_queried_by_the_key_in_a_table_without_statistics() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    sandbox.write(&mut store, &mut batch_of(&positions, &["a", "b"]));
    let sql = copy::FIND_EXISTING.replace("$1", "ARRAY['a', 'c']");
    let plan = sandbox.runtime.block_on(store.client.query(&format!("EXPLAIN {sql}"), &[])).unwrap();
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    assert!(plan.iter().any(|line| line.contains("orders_pkey")), "{plan:?}");
    assert!(!plan.iter().any(|line| line.contains("Seq Scan on orders")), "{plan:?}");
}
