//! What `ccstream verify` does: counts again, by plain SQL in one snapshot, all that the counters
//! and totals say. Exact while consumers run.

use std::collections::BTreeMap;

use tokio_postgres::{IsolationLevel, Transaction};

use crate::error::{Error, Result};
use crate::live::check;
use crate::postgres::Counters;
use crate::postgres::connect::{connect, end_when_left};
use crate::postgres::derived::Recount;
use crate::postgres::tables::Tables;
use ccstream_core::settings::DatabaseUrl;

/// One partition of one group's topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionReport {
    /// The consumer group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset that is read next.
    pub next_offset: i64,
    /// What its offset row says.
    pub counters: Counters,
    /// Rows of `orders` that came from a partition of this number, of any topic and group.
    pub rows: i64,
    /// Messages of it in `rejected_events`.
    pub kept: i64,
}

/// The whole comparison. `problems` is empty where everything agrees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// By group, topic and partition.
    pub partitions: Vec<PartitionReport>,
    /// Cells of derived tables that were compared.
    pub cells: i64,
    /// Figures of the dashboard's engine that were compared with PostgreSQL's own.
    pub figures: u64,
    /// Rows of `orders` that another program inserted; no counter knows them.
    pub foreign_rows: i64,
    /// What disagrees, each with both figures.
    pub problems: Vec<String>,
}

/// Counts everything again; `counters_only` leaves out the dashboard's figures, which take the longest. Errors: no
/// database, or no tables yet.
pub fn verify(url: &DatabaseUrl, tables: &Tables, counters_only: bool) -> Result<VerifyReport> {
    crate::runtime()?.block_on(count_again(url, tables, counters_only))
}

/// The same. Dropped before its end, it leaves nothing that goes on in PostgreSQL (from 14 on).
pub async fn count_again(url: &DatabaseUrl, tables: &Tables, counters_only: bool) -> Result<VerifyReport> {
    let mut client = connect(url).await?;
    end_when_left(&client).await;
    let snapshot = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await
        .map_err(Error::postgres("beginning a snapshot"))?;
    check_tables(&snapshot, tables).await?;
    let mut report = VerifyReport::default();
    compare_partitions(&snapshot, &mut report).await?;
    for derived in tables.derived() {
        let Recount { cells, mut problems } = derived.recount(&snapshot).await?;
        report.cells += cells;
        report.problems.append(&mut problems);
    }
    if !counters_only {
        let (figures, mut differing) = check::compare(&snapshot).await?;
        report.figures = figures;
        report.problems.append(&mut differing);
    }
    Ok(report)
}

async fn check_tables(snapshot: &Transaction<'_>, tables: &Tables) -> Result<()> {
    let row = snapshot
        .query_one(
            "SELECT string_agg(t, ', ') FROM unnest($1::text[]) AS t WHERE to_regclass(t) IS NULL",
            &[&tables.names()],
        )
        .await
        .map_err(Error::postgres("looking for the tables"))?;
    match row.get::<_, Option<String>>(0) {
        None => Ok(()),
        Some(missing) => Err(Error::Schema(format!("there is no table {missing}; start the consumer once"))),
    }
}

async fn compare_partitions(snapshot: &Transaction<'_>, report: &mut VerifyReport) -> Result<()> {
    let step = || Error::postgres("counting rows");
    let mut rows_of: BTreeMap<i32, i64> = BTreeMap::new();
    for row in snapshot.query("SELECT kafka_partition, count(*) FROM orders GROUP BY 1", &[]).await.map_err(step())? {
        match row.get::<_, Option<i32>>(0) {
            Some(partition) => drop(rows_of.insert(partition, row.get(1))),
            None => report.foreign_rows = row.get(1),
        }
    }
    let rows = snapshot
        .query(
            "SELECT o.consumer_group, o.topic, o.partition, o.next_offset, o.consumed, o.stored, o.duplicate,
                    o.rejected, o.missing, coalesce(r.kept, 0)
             FROM kafka_offsets o LEFT JOIN (
                 SELECT consumer_group, topic, kafka_partition, count(*) AS kept FROM rejected_events GROUP BY 1, 2, 3
             ) r ON (r.consumer_group, r.topic, r.kafka_partition) = (o.consumer_group, o.topic, o.partition)
             ORDER BY 1, 2, 3",
            &[],
        )
        .await
        .map_err(step())?;
    let mut stored_of: BTreeMap<i32, i64> = BTreeMap::new();
    for row in &rows {
        let counters = Counters {
            consumed: row.get(4),
            stored: row.get(5),
            duplicate: row.get(6),
            rejected: row.get(7),
            missing: row.get(8),
        };
        let partition: i32 = row.get(2);
        *stored_of.entry(partition).or_default() += counters.stored;
        let one = PartitionReport {
            group: row.get(0),
            topic: row.get(1),
            partition,
            next_offset: row.get(3),
            counters,
            rows: rows_of.get(&partition).copied().unwrap_or_default(),
            kept: row.get(9),
        };
        let place = format!("group {}, topic {}, partition {partition}", one.group, one.topic);
        let parts = counters.stored + counters.duplicate + counters.rejected;
        if counters.consumed != parts {
            report.problems.push(format!(
                "{place}: consumed {} is not stored + duplicate + rejected = {parts}",
                counters.consumed
            ));
        }
        report.partitions.push(one);
    }
    // Two topics' partitions of one number share their rows' number: compared together.
    for partition in rows_of.keys().chain(stored_of.keys()).collect::<std::collections::BTreeSet<_>>() {
        let rows = rows_of.get(partition).copied().unwrap_or_default();
        let stored = stored_of.get(partition).copied().unwrap_or_default();
        if rows != stored {
            report.problems.push(format!("partition {partition}: stored {stored} but {rows} rows in orders"));
        }
    }
    Ok(())
}
