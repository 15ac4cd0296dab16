//! Writes rows into a table by binary COPY, and finds ids that `orders` already has.

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::Transaction;

use super::statements::Statements;
use crate::error::{Error, Result};
use ccstream_core::batch::Batch;
use ccstream_core::binary::{COPY_HEADER, COPY_TRAILER};
use ccstream_core::table::COLUMN_LIST;

/// The maximum size of one piece of COPY data, unless a single row is larger.
const CHUNK_BYTES: usize = 256 * 1024;

/// Copies rows of the batch into a table. Returns the number of rows that PostgreSQL inserted, which is smaller if a
/// trigger left rows out.
pub(super) async fn copy_into(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    table: &str,
    batch: &Batch,
    rows: &[u32],
) -> Result<usize> {
    let step = || Error::postgres(format!("copying rows into {table}"));
    let statement = format!("COPY {table} ({}) FROM STDIN (FORMAT binary)", *COLUMN_LIST);
    let statement = statements.get(transaction, &statement).await.map_err(step())?;
    let sink = transaction.copy_in::<_, Bytes>(&statement).await.map_err(step())?;
    let mut sink = std::pin::pin!(sink);
    let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
    chunk.extend_from_slice(COPY_HEADER);
    for index in rows {
        let row = batch.row(*index);
        if chunk.len() + row.len() > CHUNK_BYTES {
            sink.send(chunk.split().freeze()).await.map_err(step())?;
            chunk.reserve(CHUNK_BYTES);
        }
        chunk.extend_from_slice(row);
    }
    chunk.extend_from_slice(COPY_TRAILER);
    sink.send(chunk.freeze()).await.map_err(step())?;
    Ok(sink.finish().await.map_err(step())? as usize)
}

/// Selects those ids of an array that are in `orders`. It takes the array as `$1`. Ids above the greatest one in
/// `orders` are not searched for, which spares nearly all searches if ids grow with time, as UUIDv7 do. PostgreSQL
/// makes the comparison, because only it knows the column's collation.
pub(super) const FIND_EXISTING: &str = "SELECT order_id::text FROM orders WHERE order_id = ANY (ARRAY(
     SELECT id FROM unnest($1::varchar[]) AS id WHERE id <= (SELECT max(order_id) FROM orders)))";

/// Returns those of the rows' ids that `orders` already has.
pub(super) async fn find_existing(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    batch: &Batch,
    rows: &[u32],
) -> Result<HashSet<String>> {
    let ids: Vec<&str> = rows.iter().map(|index| batch.id(*index)).collect();
    let found = statements.query(transaction, FIND_EXISTING, &[&ids]).await;
    let found = found.map_err(Error::postgres("looking for ids in orders"))?;
    Ok(found.iter().map(|row| row.get(0)).collect())
}

/// Returns whether a violated constraint is the primary key of `orders`.
pub(super) async fn is_primary_key(transaction: &Transaction<'_>, constraint: &str) -> Result<bool> {
    let row = transaction
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                            WHERE i.indrelid = to_regclass('orders') AND i.indisprimary AND c.relname = $1)",
            &[&constraint],
        )
        .await
        .map_err(Error::postgres("looking for the primary key of orders"))?;
    Ok(row.get(0))
}
