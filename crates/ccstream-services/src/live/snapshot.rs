//! This module reads what one snapshot of the database tells about the table and the consumers.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row as SqlRow, Transaction};

use crate::error::{Error, Result};
use crate::postgres::Counters;

/// Describes a partition, from its offset row in `kafka_offsets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    /// The consumer group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The offset that is read next.
    pub next_offset: i64,
    /// What became of the partition's messages.
    pub counters: Counters,
    /// When a batch of it was last committed, in microseconds since 1970 UTC.
    pub updated_at: i64,
}

/// Identifies a table. A table with another identity is read from the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The server's system identifier, if the login may read it.
    pub(crate) system: Option<i64>,
    /// The database's object id.
    pub(crate) database: u32,
    /// The table's object id.
    pub(crate) table: u32,
    /// The number of the table's file. It changes by TRUNCATE, VACUUM FULL and CLUSTER, after which rows are in other
    /// places.
    pub(crate) file: u32,
}

/// Describes the database at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// The time by PostgreSQL's clock, in microseconds since 1970 UTC.
    pub(crate) at: i64,
    pub(crate) identity: Identity,
    /// Number of pages of the table.
    pub(crate) pages: u32,
    pub(crate) page_bytes: i32,
    /// Number of rows that were deleted or changed, from the statistics just before the snapshot.
    pub(crate) changed: i64,
    /// The oldest transaction that was open. The snapshot may lack rows of this transaction and of later ones.
    pub(crate) horizon: i64,
    pub(crate) partitions: Vec<PartitionState>,
    /// Number of consumers that have a session.
    pub(crate) consumers: i64,
    /// Whether PostgreSQL reads a `ctid` range without reading the whole table, which it does since version 14.
    pub(crate) seeks: bool,
}

impl Snapshot {
    /// Returns how many rows the consumers have stored.
    pub(crate) fn stored(&self) -> i64 {
        self.partitions.iter().map(|partition| partition.counters.stored).sum()
    }
}

/// Returns how many rows of `orders` were deleted or changed so far, from the statistics. They include changes by
/// transactions that were rolled back.
pub(super) async fn changed(client: &Client) -> Result<i64> {
    let sql = "SELECT coalesce(pg_stat_get_tuples_deleted(t) + pg_stat_get_tuples_updated(t), 0)
               FROM (SELECT to_regclass('orders')::oid AS t) AS o";
    let row = client.query_typed_one(sql, &[]).await.map_err(Error::postgres("reading the statistics of orders"))?;
    Ok(row.get(0))
}

/// Reads a snapshot. `changed` must have been read before it, so that the snapshot sees every change counted there.
pub(super) async fn look(transaction: &Transaction<'_>, changed: i64) -> Result<Snapshot> {
    let step = || Error::postgres("querying the state of orders and kafka_offsets");
    let row = transaction
        .query_typed_one(
            "SELECT (extract(epoch FROM now()) * 1000000)::bigint,
                    CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE')
                         THEN (SELECT system_identifier FROM pg_control_system()) END,
                    (SELECT oid FROM pg_database WHERE datname = current_database()), c.oid,
                    coalesce(pg_relation_filenode(c.oid), 0::oid),
                    (pg_relation_size(c.oid) / current_setting('block_size')::int)::int,
                    current_setting('block_size')::int,
                    txid_snapshot_xmin(txid_current_snapshot()),
                    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted
                         AND classid::bigint = $1::bigint >> 32 AND objid::bigint = $1::bigint & 4294967295
                         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
                    current_setting('server_version_num')::int >= 140000
             FROM pg_class c WHERE c.oid = to_regclass('orders')",
            &[(&crate::postgres::MARK, Type::INT8)],
        )
        .await
        .map_err(step())?;
    let partitions = transaction
        .query_typed(
            "SELECT consumer_group, topic, partition, next_offset, consumed, stored, duplicate, rejected, missing,
                    (extract(epoch FROM updated_at) * 1000000)::bigint
             FROM kafka_offsets ORDER BY 1, 2, 3",
            &[],
        )
        .await
        .map_err(step())?;
    let partition = |row: &SqlRow| PartitionState {
        group: row.get(0),
        topic: row.get(1),
        partition: row.get(2),
        next_offset: row.get(3),
        counters: Counters {
            consumed: row.get(4),
            stored: row.get(5),
            duplicate: row.get(6),
            rejected: row.get(7),
            missing: row.get(8),
        },
        updated_at: row.get(9),
    };
    Ok(Snapshot {
        at: row.get(0),
        identity: Identity { system: row.get(1), database: row.get(2), table: row.get(3), file: row.get(4) },
        pages: row.get::<_, i32>(5) as u32,
        page_bytes: row.get(6),
        changed,
        horizon: row.get(7),
        partitions: partitions.iter().map(partition).collect(),
        consumers: row.get(8),
        seeks: row.get(9),
    })
}
