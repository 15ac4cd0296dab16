//! Inserts rows into `orders` by way of a staging table, for batches with ids that may be there already or with many
//! refused rows.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use tokio_postgres::Transaction;

use super::copy::copy_into;
use super::row_refusal::RowRefusal;
use super::statements::Statements;
use crate::error::{Error, Result};
use ccstream_core::batch::Batch;
use ccstream_core::table::{COLUMN_LIST, COLUMNS};

/// The number of rows that [`insert_in_parts`] tries in one statement. If PostgreSQL refuses it, each row is tried
/// alone.
const PART: usize = 32;

/// The statement that creates the staging table. It accepts every row of a batch, because its columns hold every valid
/// value, even if somebody has narrowed the columns of `orders`.
static CREATE_STAGING: LazyLock<String> = LazyLock::new(|| {
    let columns: Vec<String> =
        COLUMNS.iter().map(|column| format!("{} {}", column.name, column.sql_type.declaration())).collect();
    format!("CREATE TEMPORARY TABLE orders_staging ({}) ON COMMIT DROP", columns.join(", "))
});

/// The statements that insert the staged rows part by part. They record in `orders_outcome` each row that was inserted
/// (with no state) or refused. A PL/pgSQL block with an EXCEPTION clause is a savepoint. The conditions that it catches
/// are the SQLSTATE classes 22 and 23, which blame a row: see [`sqlstate::TABLE`](crate::sqlstate::TABLE).
static INSERT_IN_PARTS: LazyLock<String> = LazyLock::new(|| {
    let values: Vec<String> = COLUMNS.iter().map(|column| format!("one.{}", column.name)).collect();
    format!(
        "CREATE TEMPORARY TABLE orders_outcome
             (kafka_partition INTEGER, kafka_offset BIGINT, state TEXT, message TEXT, detail TEXT) ON COMMIT DROP;
         DO $$
         #variable_conflict use_column
         DECLARE
             part orders_staging[];
             one orders_staging;
             refused_state TEXT; refused_message TEXT; refused_detail TEXT;
         BEGIN
             FOR part IN
                 SELECT array_agg(numbered.staged ORDER BY numbered.place) FROM (
                     SELECT staged, row_number() OVER (ORDER BY order_id, kafka_partition, kafka_offset) - 1 AS place
                     FROM orders_staging AS staged
                 ) AS numbered GROUP BY place / {PART} ORDER BY place / {PART}
             LOOP
                 BEGIN
                     WITH inserted AS (
                         INSERT INTO orders ({columns}) SELECT {columns} FROM unnest(part)
                         ON CONFLICT (order_id) DO NOTHING RETURNING kafka_partition, kafka_offset)
                     INSERT INTO orders_outcome (kafka_partition, kafka_offset) SELECT * FROM inserted;
                 EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
                     FOREACH one IN ARRAY part LOOP
                         BEGIN
                             WITH inserted AS (
                                 INSERT INTO orders ({columns}) VALUES ({values})
                                 ON CONFLICT (order_id) DO NOTHING RETURNING kafka_partition, kafka_offset)
                             INSERT INTO orders_outcome (kafka_partition, kafka_offset) SELECT * FROM inserted;
                         EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
                             GET STACKED DIAGNOSTICS refused_state = RETURNED_SQLSTATE,
                                 refused_message = MESSAGE_TEXT, refused_detail = PG_EXCEPTION_DETAIL;
                             INSERT INTO orders_outcome VALUES (one.kafka_partition, one.kafka_offset,
                                 refused_state, refused_message, nullif(refused_detail, ''));
                         END;
                     END LOOP;
                 END;
             END LOOP;
         END $$",
        columns = *COLUMN_LIST,
        values = values.join(", "),
    )
});

/// Copies rows into the staging table.
async fn stage(transaction: &Transaction<'_>, statements: &mut Statements, batch: &Batch, rows: &[u32]) -> Result<()> {
    transaction.batch_execute(&CREATE_STAGING).await.map_err(Error::postgres("creating a staging table"))?;
    let staged = copy_into(transaction, statements, "orders_staging", batch, rows).await?;
    if staged != rows.len() {
        return Err(Error::inconsistent(format!(
            "{} rows were sent to a staging table, but it has {staged}",
            rows.len()
        )));
    }
    Ok(())
}

/// Inserts the rows whose ids `orders` does not have. Returns the inserted ids.
pub(super) async fn insert_new(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    batch: &Batch,
    rows: &[u32],
) -> Result<HashSet<String>> {
    let step = || Error::postgres("inserting rows into orders");
    stage(transaction, statements, batch, rows).await?;
    let inserted = transaction
        .query(
            &format!(
                "INSERT INTO orders ({columns}) SELECT {columns} FROM orders_staging ORDER BY order_id
                 ON CONFLICT (order_id) DO NOTHING RETURNING order_id::text",
                columns = *COLUMN_LIST
            ),
            &[],
        )
        .await
        .map_err(step())?;
    transaction.batch_execute("DROP TABLE orders_staging").await.map_err(step())?;
    Ok(inserted.iter().map(|row| row.get(0)).collect())
}

/// Inserts the rows that PostgreSQL accepts; of several rows with one id, the first that it accepts. Returns the rows
/// that were not inserted, with the reasons. A row whose id is already in `orders` is among them, as
/// [`RowRefusal::left_out`].
///
/// If every second row is refused, this stores about 20 times as many rows per second as one round trip per row.
pub(super) async fn insert_in_parts(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    batch: &Batch,
    rows: &[u32],
) -> Result<Vec<(u32, RowRefusal)>> {
    let step = || Error::postgres("inserting rows into orders in parts");
    stage(transaction, statements, batch, rows).await?;
    transaction.batch_execute(&INSERT_IN_PARTS).await.map_err(step())?;
    let outcomes = transaction.query("SELECT * FROM orders_outcome", &[]).await.map_err(step())?;
    transaction.batch_execute("DROP TABLE orders_staging, orders_outcome").await.map_err(step())?;
    let mut others: HashMap<(i32, i64), u32> = rows.iter().map(|index| (batch.origin(*index), *index)).collect();
    let mut refused = Vec::new();
    for row in outcomes {
        let origin = (row.get(0), row.get(1));
        let Some(index) = others.remove(&origin) else {
            return Err(Error::inconsistent(format!("a row of {origin:?}, which is not in the batch, was inserted")));
        };
        if let Some(state) = row.get::<_, Option<&str>>(2) {
            refused.push((index, RowRefusal::new(state, row.get(3), row.get(4))));
        }
    }
    refused.extend(others.into_values().map(|index| (index, RowRefusal::left_out())));
    refused.sort_unstable_by_key(|(index, _)| *index);
    Ok(refused)
}
