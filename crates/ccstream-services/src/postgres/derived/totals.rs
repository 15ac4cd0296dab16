//! Maintains the totals by minute in `kpi_minute`. Each batch adds its rows in its own transaction.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use ccstream_core::batch::Batch;
use ccstream_core::currency::Currency;
use futures_util::future::BoxFuture;
use tokio_postgres::types::ToSql;

use crate::error::{Error, Result};
use crate::postgres::derived::{Derived, Recount, Snapshot, Write};
use crate::postgres::table::{OwnColumn, Table, Upgrade};

/// The maximum number of cells for a minute and partition. It bounds the table, because senders choose currencies and
/// statuses freely; the number of minutes is bounded by time.
const MOST_CELLS: i64 = 64;
/// Currency and status of the cell that counts all pairs beyond [`MOST_CELLS`].
const OTHERS: (&str, &str) = ("", "(others)");

/// Merges cells of earlier versions, which had one for each spelling of a currency.
const MERGE_CURRENCIES: Upgrade = Upgrade {
    what: "merging currencies of kpi_minute that differ only in case",
    is_needed: "SELECT NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = to_regclass('kpi_minute')
                                   AND conname = 'kpi_minute_currency')",
    statements: "\
WITH odd AS (
    DELETE FROM kpi_minute WHERE currency COLLATE \"C\" !~ '^([A-Z]{3})?$' RETURNING *
)
INSERT INTO kpi_minute AS k
SELECT minute, CASE WHEN currency COLLATE \"C\" ~ '^[A-Za-z]{3}$' THEN upper(currency COLLATE \"C\") ELSE '' END,
       status, kafka_partition, sum(count), sum(sum), min(min), max(max)
FROM odd GROUP BY 1, 2, 3, 4
ON CONFLICT (minute, currency, status, kafka_partition) DO UPDATE SET
    count = k.count + excluded.count, sum = k.sum + excluded.sum,
    min = least(k.min, excluded.min), max = greatest(k.max, excluded.max);
ALTER TABLE kpi_minute ADD CONSTRAINT kpi_minute_currency CHECK (currency COLLATE \"C\" ~ '^([A-Z]{3})?$');",
};

const TABLE: Table = Table {
    name: "kpi_minute",
    comment: "ccstream: totals of orders.value by minute (UTC), exact at every commit; an absent currency or \
              status is empty",
    columns: &[
        OwnColumn::new("minute", "TIMESTAMP NOT NULL").meaning("start of the minute of orders.timestamp, UTC"),
        OwnColumn::new("currency", "VARCHAR(3) NOT NULL")
            .meaning("in capitals; empty if the message had none, or one that is not three letters"),
        OwnColumn::new("status", "VARCHAR(50) NOT NULL"),
        OwnColumn::new("kafka_partition", "INTEGER NOT NULL")
            .meaning("sum over all partitions for a total; each consumer writes only cells of its own partitions"),
        OwnColumn::new("count", "BIGINT NOT NULL").meaning("number of transactions"),
        OwnColumn::new("sum", "NUMERIC(20,2) NOT NULL")
            .meaning("sum of value in this currency; its mean is sum(sum) / sum(count)"),
        OwnColumn::new("min", "NUMERIC(10,2) NOT NULL").meaning("the smallest value"),
        OwnColumn::new("max", "NUMERIC(10,2) NOT NULL").meaning("the greatest value"),
    ],
    constraints: &[
        "PRIMARY KEY (minute, currency, status, kafka_partition)",
        "CONSTRAINT kpi_minute_currency CHECK (currency COLLATE \"C\" ~ '^([A-Z]{3})?$')",
    ],
    fill: Some(fill),
    on_start_over: Some("DELETE FROM kpi_minute;"),
    upgrades: &[MERGE_CURRENCIES],
    ..Table::USUAL
};

/// The derived table `kpi_minute`.
#[derive(Debug)]
pub(crate) struct Totals;

impl Derived for Totals {
    fn table(&self) -> Table {
        TABLE
    }

    fn apply<'w>(&'w self, write: &'w mut Write<'_>) -> BoxFuture<'w, Result<()>> {
        Box::pin(add(write))
    }

    fn recount<'w>(&'w self, snapshot: &'w Snapshot<'_>) -> BoxFuture<'w, Result<Recount>> {
        Box::pin(recount(snapshot))
    }
}

/// The key of a cell: the minute since 1970 UTC, the index of the currency and status in the batch's labels, and the
/// partition.
type CellKey = (i32, u32, i32);

/// A batch's contribution to one cell. Amounts are in cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    count: i64,
    sum: i64,
    min: i64,
    max: i64,
}

/// Totals the stored rows by minute, currency and status, and partition.
fn cells(batch: &Batch) -> BTreeMap<CellKey, Cell> {
    // PostgreSQL waits meanwhile. Hashing first and sorting the few cells afterwards is faster than a B-tree for each
    // row.
    let mut cells: HashMap<CellKey, Cell, hashbrown::DefaultHashBuilder> = HashMap::default();
    for row in batch.stored() {
        let cents = row.value().0;
        let cell = cells.entry((row.timestamp().minute(), row.label(), row.partition()));
        let cell = cell.or_insert(Cell { count: 0, sum: 0, min: cents, max: cents });
        cell.count += 1;
        cell.sum += cents;
        cell.min = cell.min.min(cents);
        cell.max = cell.max.max(cents);
    }
    cells.into_iter().collect()
}

/// The statement that adds a batch's cells. `$1` to `$8` are minutes, currencies, statuses, partitions, counts, and the
/// sums, minima and maxima in cents, which an exact division converts to NUMERIC.
///
/// A pair of currency and status that already has a cell is added to it. Of the other pairs, those with the most rows
/// get new cells until there are [`MOST_CELLS`]; the rest is added to [`OTHERS`]. Counting cells needs no lock, because
/// only a partition's owner writes its cells.
static ADD: LazyLock<String> = LazyLock::new(|| {
    let (currency, status) = OTHERS;
    let room = MOST_CELLS - 1;
    format!(
        "INSERT INTO kpi_minute AS k (minute, currency, status, kafka_partition, count, sum, min, max)
         SELECT minute, CASE WHEN fits THEN currency ELSE '{currency}' END,
                CASE WHEN fits THEN status ELSE '{status}' END, kafka_partition,
                sum(count), sum(sum) / 100.0, min(min) / 100.0, max(max) / 100.0
         FROM (
             SELECT *, has_cell OR place <= {room} AND place + (
                 SELECT count(*) FROM kpi_minute c
                 WHERE c.minute = ranked.minute AND c.kafka_partition = ranked.kafka_partition
                   AND (c.currency, c.status) <> ('{currency}', '{status}')) <= {room} AS fits
             FROM (
                 SELECT *, row_number() OVER (PARTITION BY minute, kafka_partition, has_cell
                                              ORDER BY count DESC, currency, status) AS place
                 FROM (
                     SELECT *, EXISTS (
                         SELECT FROM kpi_minute c
                         WHERE (c.minute, c.currency, c.status, c.kafka_partition)
                             = (cells.minute, cells.currency, cells.status, cells.kafka_partition)) AS has_cell
                     FROM (
                         SELECT timestamp '1970-01-01' + m * interval '1 minute' AS minute, currency, status,
                                kafka_partition, sum(n) AS count, sum(total) AS sum, min(low) AS min, max(high) AS max
                         FROM unnest($1::int[], $2::text[], $3::text[], $4::int[], $5::bigint[], $6::bigint[],
                                     $7::bigint[], $8::bigint[])
                             AS b (m, currency, status, kafka_partition, n, total, low, high)
                         GROUP BY 1, 2, 3, 4
                     ) AS cells
                 ) AS known
             ) AS ranked
         ) AS fitted
         GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
         ON CONFLICT (minute, currency, status, kafka_partition) DO UPDATE SET
             count = k.count + excluded.count, sum = k.sum + excluded.sum,
             min = least(k.min, excluded.min), max = greatest(k.max, excluded.max)"
    )
});

/// Adds the batch's rows, which make only a few cells, in the order of the cells' keys.
async fn add(write: &mut Write<'_>) -> Result<()> {
    let cells = cells(write.batch);
    if cells.is_empty() {
        return Ok(());
    }
    let (mut minutes, mut partitions) = (Vec::new(), Vec::new());
    let (mut currencies, mut statuses) = (Vec::new(), Vec::new());
    let mut figures: [Vec<i64>; 4] = Default::default();
    for ((minute, label, partition), cell) in &cells {
        let (currency, status) = write.batch.label_text(*label);
        minutes.push(*minute);
        currencies.push(currency);
        statuses.push(status);
        partitions.push(*partition);
        for (figure, value) in figures.iter_mut().zip([cell.count, cell.sum, cell.min, cell.max]) {
            figure.push(value);
        }
    }
    let [counts, sums, mins, maxs] = figures;
    let figures: &[&(dyn ToSql + Sync)] =
        &[&minutes, &currencies, &statuses, &partitions, &counts, &sums, &mins, &maxs];
    write
        .statements
        .execute(write.transaction, &ADD, figures)
        .await
        .map_err(Error::postgres("adding to kpi_minute"))?;
    Ok(())
}

/// Returns the query that totals `orders` by minute, currency, status and partition, without [`MOST_CELLS`] as a limit.
fn cells_of_orders() -> String {
    format!(
        "SELECT date_trunc('minute', timestamp) AS minute, coalesce({currency}, '') AS currency,
                coalesce(status, '') AS status, kafka_partition, count(*), sum(value), min(value), max(value)
         FROM orders WHERE kafka_partition IS NOT NULL GROUP BY 1, 2, 3, 4",
        currency = Currency::sql("currency"),
    )
}

/// Returns the statement that fills a new table from `orders`.
fn fill() -> String {
    let ((currency, status), room) = (OTHERS, MOST_CELLS - 1);
    format!(
        "INSERT INTO kpi_minute (minute, currency, status, kafka_partition, count, sum, min, max)
         SELECT minute, CASE WHEN place <= {room} THEN currency ELSE '{currency}' END,
                CASE WHEN place <= {room} THEN status ELSE '{status}' END, kafka_partition,
                sum(count), sum(sum), min(min), max(max)
         FROM (
             SELECT *, row_number() OVER (PARTITION BY minute, kafka_partition
                                          ORDER BY count DESC, currency, status) AS place
             FROM ({cells}) AS cells
         ) AS ranked
         GROUP BY 1, 2, 3, 4;",
        cells = cells_of_orders(),
    )
}

/// Compares the cells with a recount of `orders`. Rows of pairs without a cell have to add up to the cell [`OTHERS`].
async fn recount(snapshot: &Snapshot<'_>) -> Result<Recount> {
    let step = || Error::postgres("recounting kpi_minute");
    let since = snapshot.since.as_deref().unwrap_or("-infinity");
    let count = format!("SELECT count(*) FROM kpi_minute WHERE minute >= '{since}'");
    let count = snapshot.transaction.query_typed_one(&count, &[]).await.map_err(step())?;
    let sql = format!(
        "WITH recount AS ({cells}),
         counted AS (
             SELECT minute, CASE WHEN k.minute IS NULL THEN '{no_currency}' ELSE r.currency END AS currency,
                    CASE WHEN k.minute IS NULL THEN '{others}' ELSE r.status END AS status, kafka_partition,
                    sum(r.count)::bigint AS count, sum(r.sum) AS sum, min(r.min) AS min, max(r.max) AS max
             FROM recount r LEFT JOIN (SELECT minute, currency, status, kafka_partition FROM kpi_minute) k
                  USING (minute, currency, status, kafka_partition)
             GROUP BY 1, 2, 3, 4)
         SELECT format('minute %s, currency %L, status %L, partition %s: kpi_minute has count %s, sum %s, min %s, '
                       'max %s; orders has %s, %s, %s, %s',
                       minute, currency, status, kafka_partition, coalesce(k.count, 0), k.sum, k.min, k.max,
                       coalesce(r.count, 0), r.sum, r.min, r.max),
                count(*) OVER ()
         FROM (SELECT * FROM kpi_minute WHERE minute >= '{since}') k FULL JOIN counted r USING (minute, currency, status, kafka_partition)
         WHERE (k.count, k.sum, k.min, k.max) IS DISTINCT FROM (r.count, r.sum, r.min, r.max)
         ORDER BY minute LIMIT 1",
        cells = cells_of_orders(),
        no_currency = OTHERS.0,
        others = OTHERS.1,
    );
    let differing = snapshot.transaction.query_typed(&sql, &[]).await.map_err(step())?;
    let problems = differing.first().map(|row| {
        let (first, cells): (String, i64) = (row.get(0), row.get(1));
        format!("kpi_minute differs from orders in {cells} cells, the first at {first}")
    });
    Ok(Recount { cells: count.get(0), problems: problems.into_iter().collect() })
}

#[cfg(test)]
mod tests {
    use ccstream_core::batch::Cursor;
    use ccstream_core::event::{Cents, Micros, Transaction as Event};
    use ccstream_core::fields::Place;

    use super::*;

    #[test]
    fn totals_are_of_stored_rows() {
        let mut batch = Batch::default();
        for (id, offset) in [("a", 1), ("b", 2), ("c", 3)] {
            let event = Event::new(id, Micros(61_000_000), Cents(offset * 100)).with(Place::CURRENCY, "EUR");
            batch.push((0, offset), &mut Cursor { epoch: 1, next: offset }, None, None, Ok(event));
        }
        batch.seal();
        batch.mark_duplicate(1);
        let cells = cells(&batch);
        assert_eq!(cells.len(), 1);
        let ((minute, label, partition), cell) = cells.first_key_value().unwrap();
        assert_eq!((*minute, batch.label_text(*label), *partition), (1, ("EUR", ""), 0));
        assert_eq!(*cell, Cell { count: 2, sum: 400, min: 100, max: 300 });
    }
}
