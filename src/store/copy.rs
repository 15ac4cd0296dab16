//! Rows into `orders`: by binary COPY straight into the table, and through a staging table where
//! some are there already.

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;

use crate::batch::Batch;
use crate::columns::{COLUMN_LIST, COPY_HEADER, COPY_TRAILER};
use crate::error::{Error, Result};

/// COPY's bytes go out in pieces of this size.
const CHUNK_BYTES: usize = 256 * 1024;

/// Whether the error is a row whose key is there already.
fn is_repeat(error: &Error) -> bool {
    error.sql_state() == Some(&SqlState::UNIQUE_VIOLATION)
}

/// Copies the batch straight into `orders`, inside a savepoint. False, with nothing written, where
/// a key is there already.
pub(crate) async fn copy(transaction: &mut Transaction<'_>, batch: &Batch) -> Result<bool> {
    let step = || Error::postgres("copying rows into orders");
    let savepoint = transaction.savepoint("rows").await.map_err(step())?;
    match copy_into(&savepoint, "orders", batch).await {
        Ok(()) => {
            savepoint.commit().await.map_err(step())?;
            Ok(true)
        }
        Err(error) if is_repeat(&error) => {
            savepoint.rollback().await.map_err(step())?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Copies the batch into a staging table and inserts from there what `orders` does not have;
/// leaves in the batch only the rows that were inserted.
pub(crate) async fn insert_new(transaction: &Transaction<'_>, batch: &mut Batch) -> Result<()> {
    let step = || Error::postgres("inserting rows into orders");
    transaction
        .batch_execute(&format!(
            "CREATE TEMPORARY TABLE orders_staging ON COMMIT DROP AS SELECT {} FROM orders WITH NO DATA",
            *COLUMN_LIST
        ))
        .await
        .map_err(step())?;
    copy_into(transaction, "orders_staging", batch).await?;
    let inserted = transaction
        .query(
            &format!(
                "INSERT INTO orders ({columns}) SELECT {columns} FROM orders_staging ORDER BY order_id
                 ON CONFLICT (order_id) DO NOTHING RETURNING kafka_partition, kafka_offset",
                columns = *COLUMN_LIST
            ),
            &[],
        )
        .await
        .map_err(step())?;
    transaction.batch_execute("DROP TABLE orders_staging").await.map_err(step())?;
    let inserted: HashSet<(i32, i64)> = inserted.iter().map(|row| (row.get(0), row.get(1))).collect();
    batch.retain_stored(|partition, offset| inserted.contains(&(partition, offset)));
    if batch.rows().len() != inserted.len() {
        return Err(Error::Inconsistent(format!(
            "{} rows were inserted, {} of them are the batch's",
            inserted.len(),
            batch.rows().len()
        )));
    }
    Ok(())
}

async fn copy_into(transaction: &Transaction<'_>, table: &str, batch: &Batch) -> Result<()> {
    let step = || Error::postgres(format!("copying rows into {table}"));
    let statement = format!("COPY {table} ({}) FROM STDIN (FORMAT binary)", *COLUMN_LIST);
    let sink = transaction.copy_in::<_, Bytes>(&statement).await.map_err(step())?;
    let mut sink = std::pin::pin!(sink);
    let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
    chunk.extend_from_slice(COPY_HEADER);
    for row in batch.rows() {
        if chunk.len() + row.len() > CHUNK_BYTES {
            sink.send(chunk.split().freeze()).await.map_err(step())?;
            chunk.reserve(CHUNK_BYTES);
        }
        chunk.extend_from_slice(row);
    }
    chunk.extend_from_slice(COPY_TRAILER);
    sink.send(chunk.freeze()).await.map_err(step())?;
    let copied = sink.finish().await.map_err(step())?;
    if copied != batch.rows().len() as u64 {
        return Err(Error::Inconsistent(format!("{} rows were sent to {table}, {copied} arrived", batch.rows().len())));
    }
    Ok(())
}
