//! Adds a derived table as any new one is added: its definition below, and one entry in the registry. The tests check
//! that the schema step, batches, a killed session, verify, doctor, grants and a start over then include it.

use ccstream_core::batch::StoredRow;
use futures_util::future::BoxFuture;

use super::*;
use crate::operate::{doctor, verify};
use crate::postgres::derived::{Derived, Recount, Snapshot, Write};
use crate::postgres::table::{OwnColumn, Table};

/// Counts transactions and sums their amounts by hour of the day and partition.
#[derive(Debug)]
struct ByHour;

const TABLE: Table = Table {
    name: "by_hour",
    comment: "transactions by hour of the day (UTC)",
    columns: &[
        OwnColumn::new("hour", "INTEGER NOT NULL"),
        OwnColumn::new("kafka_partition", "INTEGER NOT NULL"),
        OwnColumn::new("count", "BIGINT NOT NULL"),
        OwnColumn::new("sum", "NUMERIC(20,2) NOT NULL"),
    ],
    constraints: &["PRIMARY KEY (hour, kafka_partition)"],
    on_start_over: Some("DELETE FROM by_hour;"),
    ..Table::USUAL
};

impl Derived for ByHour {
    fn table(&self) -> Table {
        TABLE
    }

    fn apply<'w>(&'w self, write: &'w mut Write<'_>) -> BoxFuture<'w, Result<()>> {
        let hour = |row: StoredRow<'_>| row.timestamp().minute() / 60 % 24;
        Box::pin(async move {
            let stored = write.batch.stored();
            let rows = stored.map(|row| (hour(row), (row.partition(), row.value().0)));
            let (hours, rest): (Vec<i32>, Vec<(i32, i64)>) = rows.unzip();
            let (partitions, cents): (Vec<i32>, Vec<i64>) = rest.into_iter().unzip();
            write
                .statements
                .execute(
                    write.transaction,
                    "INSERT INTO by_hour AS t (hour, kafka_partition, count, sum)
                     SELECT h, p, count(*), sum(c) / 100.0
                     FROM unnest($1::int[], $2::int[], $3::bigint[]) AS b (h, p, c) GROUP BY 1, 2 ORDER BY 1, 2
                     ON CONFLICT (hour, kafka_partition) DO UPDATE SET
                         count = t.count + excluded.count, sum = t.sum + excluded.sum",
                    &[&hours, &partitions, &cents],
                )
                .await
                .map_err(Error::postgres("adding to by_hour"))?;
            Ok(())
        })
    }

    fn recount<'w>(&'w self, snapshot: &'w Snapshot<'_>) -> BoxFuture<'w, Result<Recount>> {
        Box::pin(async move {
            let rows = snapshot
                .transaction
                .query_typed(
                    "SELECT format('by_hour, hour %s: %s counted, %s recounted', hour, t.count, r.count),
                            (t.count, t.sum) IS DISTINCT FROM (r.count, r.sum)
                     FROM by_hour t FULL JOIN (
                         SELECT extract(hour FROM timestamp)::int AS hour, kafka_partition, count(*), sum(value)
                         FROM orders WHERE kafka_partition IS NOT NULL GROUP BY 1, 2
                     ) r USING (hour, kafka_partition)",
                    &[],
                )
                .await
                .map_err(Error::postgres("recounting by_hour"))?;
            let differing = rows.iter().filter(|row| row.get(1)).map(|row| row.get(0));
            Ok(Recount { cells: rows.len() as i64, problems: differing.collect() })
        })
    }
}

/// Returns a batch of 20 events, an hour apart. The first one is a duplicate of the previous batch's last one.
fn batch(positions: &Positions, number: usize) -> Batch {
    let event = |at: usize| {
        let id = format!("{:04}", number * 19 + at);
        Event::new(id, Micros(at as i64 * 3_600_000_000), Cents(100 + at as i64))
    };
    batch_at(positions, (0..20).map(event))
}

#[test]
fn a_new_derived_table_is_one_entry_in_the_registry() {
    let Some(sandbox) = Sandbox::new() else { return };
    let tables = Tables::default().with(ByHour);
    let connect = || sandbox.runtime.block_on(Store::connect(&sandbox.config(), &tables, &Blame::default())).unwrap();
    let problems = || verify::verify(&sandbox.url, &tables, true).unwrap().problems;

    let mut store = connect();
    sandbox.runtime.block_on(store.ensure_schema()).unwrap();
    let mut positions = sandbox.take_over(&mut store, &Origin::default()).positions;
    for number in 0..10 {
        let mut events = batch(&positions, number);
        if number == 5 {
            // The session is killed. Another session writes the batch, which is stored once.
            sandbox.execute(&format!("SELECT pg_terminate_backend({})", store.backend));
            assert!(sandbox.try_write(&mut store, &mut events).is_err());
            store = connect();
        }
        positions = sandbox.write(&mut store, &mut events);
    }

    assert_eq!(sandbox.number("SELECT sum(count)::bigint FROM by_hour"), 191);
    assert_eq!(problems(), Vec::<String>::new());
    sandbox.execute("UPDATE by_hour SET count = count + 1 WHERE hour = 3");
    assert_eq!(problems(), ["by_hour, hour 3: 11 counted, 10 recounted"]);
    sandbox.execute("UPDATE by_hour SET count = count - 1 WHERE hour = 3");

    let kafka = ccstream_core::settings::KafkaConfig { bootstrap_servers: "127.0.0.1:1".into(), ..Default::default() };
    let checks = doctor::doctor(&kafka, &sandbox.url, &tables, (None, None)).unwrap();
    let found = |name: &str| checks.iter().find(|check| check.name == name).unwrap().found.clone();
    assert!(found("tables").contains("latency_minute and by_hour"), "{}", found("tables"));
    assert!(tables.grants("me", "mine").contains(&"GRANT SELECT, INSERT, UPDATE ON by_hour TO me;".to_owned()));
    assert_eq!(
        sandbox
            .number("SELECT count(*) FROM by_hour WHERE has_table_privilege('ccstream_reader', 'by_hour', 'SELECT')"),
        20
    );

    sandbox.execute("DROP TABLE orders");
    let mut store = sandbox.store_to_start_over(&tables);
    let change = sandbox.runtime.block_on(store.ensure_schema()).unwrap();
    assert!(change.started_over);
    assert_eq!(sandbox.number("SELECT count(*) FROM by_hour"), 0);
    sandbox.execute("DROP TABLE by_hour");
    let checks = doctor::doctor(&kafka, &sandbox.url, &tables, (None, None)).unwrap();
    let tables_check = checks.iter().find(|check| check.name == "tables").unwrap();
    assert_eq!(tables_check.found, "the consumer will create by_hour");
}
