//! Implements `ccstream verify`, which compares the counters and totals with a recount of the rows by plain SQL, in one
//! snapshot. The comparison is exact even while consumers run.

use std::collections::BTreeMap;

use crate::analyze::recount;
use crate::error::{Error, Result};
use crate::live::check;
use crate::postgres::Counters;
use crate::postgres::derived::{Recount, Snapshot};
use crate::postgres::reading::{NO_LIMIT, Reader, end_when_left};
use crate::postgres::tables::Tables;
use ccstream_core::settings::DatabaseUrl;

/// The counters of one partition of a group's topic, and the rows found for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionReport {
    /// The consumer group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The offset of the next message to read.
    pub next_offset: i64,
    /// The counters in the partition's offset row.
    pub counters: Counters,
    /// The number of rows in `orders` that came from a partition of this number, whatever its topic and group.
    pub rows: i64,
    /// The number of the partition's dead letters in `rejected_events`.
    pub kept: i64,
}

/// The result of the whole comparison. `problems` is empty if everything agrees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Reports of all partitions, ordered by group, topic and partition.
    pub partitions: Vec<PartitionReport>,
    /// The number of cells of derived tables that were compared.
    pub cells: i64,
    /// The number of figures of the dashboard's engine that were compared with PostgreSQL's own.
    pub figures: u64,
    /// The number of rows in `orders` that another program inserted. They are in no counter.
    pub foreign_rows: i64,
    /// The number of rows in `orders` for each partition without an offset row, for example after `kafka_offsets` was
    /// emptied.
    pub unknown_rows: BTreeMap<i32, i64>,
    /// The number of stored rows that were deleted as expired: they are all rows of the oldest minutes, and no others.
    pub expired_rows: i64,
    /// The minute before which rows have expired, in microseconds since 1970 UTC; None if none have.
    pub expired_before: Option<i64>,
    /// The number of scores that were computed again from `orders` and `labels`.
    pub scores: i64,
    /// The number of scores that were not, because the consumer has not stored a transaction yet or stores it no longer,
    /// or because their model cannot be used.
    pub scores_not_compared: i64,
    /// The number of labels that were applied again.
    pub labels: i64,
    /// The number of rows of windows that were compared with a recount.
    pub window_rows: i64,
    /// Descriptions of the differences, each with both figures.
    pub problems: Vec<String>,
}

/// Runs the comparison. `counters_only` leaves out the figures of the dashboard's engine, which take long.
///
/// Errors: the database cannot be read, or its tables do not exist yet or cannot be used. Differences are not errors:
/// they are in [`VerifyReport::problems`].
pub fn verify(url: &DatabaseUrl, tables: &Tables, counters_only: bool) -> Result<VerifyReport> {
    crate::runtime()?.block_on(count_again(url, tables, counters_only, true))
}

/// Does the same as [`verify`], asynchronously, and computes the analysis again only with `analysis`. If the future is
/// dropped, PostgreSQL 14 or later cancels its queries.
pub async fn count_again(
    url: &DatabaseUrl,
    tables: &Tables,
    counters_only: bool,
    analysis: bool,
) -> Result<VerifyReport> {
    let mut reader = Reader::connect(url, tables).await?;
    let mut reading = reader.begin(NO_LIMIT).await?;
    end_when_left(&mut reading).await?;
    reading.check_tables(tables).await?;
    let mut snapshot = Snapshot { transaction: &reading.transaction, since: None };
    let mut report = VerifyReport::default();
    compare_partitions(&snapshot, &mut report).await?;
    compare_rows(&mut snapshot, &mut report).await?;
    for derived in tables.derived() {
        let Recount { cells, mut problems } = derived.recount(&snapshot).await?;
        report.cells += cells;
        report.problems.append(&mut problems);
    }
    if !counters_only {
        let (figures, mut differing) = check::compare(snapshot.transaction).await?;
        report.figures = figures;
        report.problems.append(&mut differing);
    }
    reading.end().await?;
    // This takes another snapshot. The tables of the analysis are compared with each other and with `orders`.
    if let Some(mut found) = if analysis { recount(url).await? } else { None } {
        report.scores = found.scores;
        report.scores_not_compared = found.not_compared;
        report.labels = found.labels;
        report.window_rows = found.window_rows;
        report.problems.append(&mut found.problems);
    }
    Ok(report)
}

/// Checks that each partition's counters add up, and counts the rows of `orders` by partition.
async fn compare_partitions(snapshot: &Snapshot<'_>, report: &mut VerifyReport) -> Result<()> {
    let step = || Error::postgres("counting rows");
    let mut rows_of: BTreeMap<i32, i64> = BTreeMap::new();
    let found = "SELECT kafka_partition, count(*) FROM orders GROUP BY 1";
    for row in snapshot.transaction.query_typed(found, &[]).await.map_err(step())? {
        match row.get::<_, Option<i32>>(0) {
            Some(partition) => drop(rows_of.insert(partition, row.get(1))),
            None => report.foreign_rows = row.get(1),
        }
    }
    let rows = snapshot
        .transaction
        .query_typed(
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
    for row in &rows {
        let counters = Counters {
            consumed: row.get(4),
            stored: row.get(5),
            duplicate: row.get(6),
            rejected: row.get(7),
            missing: row.get(8),
        };
        let partition: i32 = row.get(2);
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
    rows_of.retain(|partition, _| report.partitions.iter().all(|one| one.partition != *partition));
    report.unknown_rows = rows_of;
    Ok(())
}

/// Compares the number of rows in `orders` with the number of stored rows. If exactly the rows of the oldest minutes
/// are missing, they were deleted as expired, and only the minutes after them are compared from then on.
async fn compare_rows(snapshot: &mut Snapshot<'_>, report: &mut VerifyReport) -> Result<()> {
    let step = || Error::postgres("finding missing rows");
    // Rows record their partition's number, but not its topic. Partitions of several topics with one number are
    // therefore compared together.
    let mut partitions: BTreeMap<i32, (i64, i64)> = BTreeMap::new();
    for one in &report.partitions {
        let (stored, rows) = partitions.entry(one.partition).or_default();
        *stored += one.counters.stored;
        *rows = one.rows;
    }
    for (partition, rows) in &report.unknown_rows {
        partitions.insert(*partition, (0, *rows));
    }
    if partitions.values().all(|(stored, rows)| stored == rows) {
        return Ok(());
    }
    let row = snapshot
        .transaction
        .query_typed_one(
            "SELECT minute::text, (extract(epoch FROM minute) * 1000000)::bigint
             FROM (SELECT date_trunc('minute', min(timestamp)) AS minute
                   FROM orders WHERE kafka_partition IS NOT NULL) AS o",
            &[],
        )
        .await
        .map_err(step())?;
    if let Some(oldest) = row.get::<_, Option<String>>(0) {
        let sql =
            format!("SELECT kafka_partition, sum(count)::bigint FROM kpi_minute WHERE minute < '{oldest}' GROUP BY 1");
        let rows = snapshot.transaction.query_typed(&sql, &[]).await.map_err(step())?;
        let gone: BTreeMap<i32, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let is_gone = |(partition, (stored, rows)): (&i32, &(i64, i64))| {
            stored - rows == gone.get(partition).copied().unwrap_or_default()
        };
        if partitions.iter().all(is_gone) {
            report.expired_rows = gone.values().sum();
            report.expired_before = row.get(1);
            snapshot.since = Some(oldest);
            return Ok(());
        }
    }
    for (partition, (stored, rows)) in &partitions {
        if stored != rows {
            report.problems.push(format!("partition {partition}: {stored} rows were stored, but orders has {rows}"));
        }
    }
    let row = snapshot
        .transaction
        .query_typed_one(
            "SELECT coalesce(sum(lacking), 0)::bigint, count(*), min(minute)::text, max(minute)::text
             FROM (SELECT minute, counted - coalesce(found, 0) AS lacking
                   FROM (SELECT minute, sum(count) AS counted FROM kpi_minute GROUP BY 1) AS k
                   LEFT JOIN (SELECT date_trunc('minute', timestamp) AS minute, count(*) AS found
                              FROM orders WHERE kafka_partition IS NOT NULL GROUP BY 1) AS o USING (minute)) AS m
             WHERE lacking > 0",
            &[],
        )
        .await
        .map_err(step())?;
    let (lacking, minutes): (i64, i64) = (row.get(0), row.get(1));
    if let (Some(first), Some(last)) = (row.get::<_, Option<String>>(2), row.get::<_, Option<String>>(3)) {
        report.problems.push(format!(
            "orders lacks {lacking} rows that were stored, from {minutes} minutes between {first} and {last} (UTC)"
        ));
    }
    Ok(())
}
