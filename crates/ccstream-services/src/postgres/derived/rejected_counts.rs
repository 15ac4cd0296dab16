//! Counts dead letters by reason in `rejected_counts`. Each batch updates the counts in its own transaction, so that
//! readers need not count `rejected_events`.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use tokio_postgres::types::Type;
use tokio_postgres::{Row, Transaction};

use crate::error::{Error, Result};
use crate::postgres::derived::{Derived, Recount, Snapshot, Write};
use crate::postgres::table::{OwnColumn, Table};

const FILL: &str = "INSERT INTO rejected_counts
SELECT consumer_group, topic, kafka_partition, reason, count(*), count(*) FILTER (WHERE masked),
       count(*) FILTER (WHERE NOT masked AND partial), count(replayed_at), max(rejected_at)
FROM rejected_events GROUP BY 1, 2, 3, 4;";

const TABLE: Table = Table {
    name: "rejected_counts",
    comment: "ccstream: number of dead letters in rejected_events by reason, exact at every commit",
    columns: &[
        OwnColumn::new("consumer_group", "TEXT NOT NULL"),
        OwnColumn::new("topic", "TEXT NOT NULL"),
        OwnColumn::new("kafka_partition", "INTEGER NOT NULL"),
        OwnColumn::new("reason", "TEXT NOT NULL"),
        OwnColumn::new("count", "BIGINT NOT NULL"),
        OwnColumn::new("masked", "BIGINT NOT NULL")
            .meaning("those with a masked card number, which cannot be replayed"),
        OwnColumn::new("partial", "BIGINT NOT NULL")
            .meaning("those not masked but too large to be stored whole, which cannot be replayed"),
        OwnColumn::new("replayed", "BIGINT NOT NULL").meaning("those that were replayed"),
        OwnColumn::new("last_at", "TIMESTAMPTZ NOT NULL").meaning("time of the last rejection"),
    ],
    constraints: &["PRIMARY KEY (consumer_group, topic, kafka_partition, reason)"],
    fill: Some(|| FILL.to_owned()),
    ..Table::USUAL
};

/// The derived table `rejected_counts`.
#[derive(Debug)]
pub(crate) struct RejectedCounts;

impl Derived for RejectedCounts {
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

/// Adds the batch's dead letters, in the order of the table's keys: transactions that update several rows in one order
/// cannot deadlock.
async fn add(write: &mut Write<'_>) -> Result<()> {
    let mut cells: BTreeMap<(i32, &str), (i64, i64, i64)> = BTreeMap::new();
    for message in write.batch.kept() {
        let cell = cells.entry((message.partition, message.rejection.reason.as_str())).or_default();
        let masked = message.is_masked();
        cell.0 += 1;
        cell.1 += i64::from(masked);
        cell.2 += i64::from(message.is_partial() && !masked);
    }
    if cells.is_empty() {
        return Ok(());
    }
    let partitions: Vec<i32> = cells.keys().map(|(partition, _)| *partition).collect();
    let reasons: Vec<&str> = cells.keys().map(|(_, reason)| *reason).collect();
    let counts: Vec<i64> = cells.values().map(|cell| cell.0).collect();
    let masked: Vec<i64> = cells.values().map(|cell| cell.1).collect();
    let partial: Vec<i64> = cells.values().map(|cell| cell.2).collect();
    write
        .statements
        .execute(
            write.transaction,
            "INSERT INTO rejected_counts AS c
                 (consumer_group, topic, kafka_partition, reason, count, masked, partial, replayed, last_at)
             SELECT $1, $2, b.*, 0, now()
             FROM unnest($3::int[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[]) AS b
             ON CONFLICT (consumer_group, topic, kafka_partition, reason) DO UPDATE SET
                 count = c.count + excluded.count, masked = c.masked + excluded.masked,
                 partial = c.partial + excluded.partial, last_at = greatest(c.last_at, excluded.last_at)",
            &[&write.source.group, &write.source.topic, &partitions, &reasons, &counts, &masked, &partial],
        )
        .await
        .map_err(Error::postgres("counting dead letters"))?;
    Ok(())
}

/// Adds replayed messages to the counts of their group, topic, partition and reason.
pub(super) async fn add_replayed(
    transaction: &Transaction<'_>,
    cells: &BTreeMap<(String, String, i32, String), i64>,
) -> Result<()> {
    for ((group, topic, partition, reason), count) in cells {
        transaction
            .execute_typed(
                "UPDATE rejected_counts SET replayed = replayed + $5
                 WHERE consumer_group = $1 AND topic = $2 AND kafka_partition = $3 AND reason = $4",
                &[
                    (group, Type::TEXT),
                    (topic, Type::TEXT),
                    (partition, Type::INT4),
                    (reason, Type::TEXT),
                    (count, Type::INT8),
                ],
            )
            .await
            .map_err(Error::postgres("counting replayed messages"))?;
    }
    Ok(())
}

/// Compares the counts with the rows of `rejected_events`.
async fn recount(snapshot: &Snapshot<'_>) -> Result<Recount> {
    let rows = snapshot
        .transaction
        .query_typed(
            "SELECT format('group %s, topic %s, partition %s, reason %s: rejected_counts has %s, rejected_events has %s '
                           '(count, masked, partial, replayed)', consumer_group,
                           topic, kafka_partition, reason, coalesce(c.figures::text, 'nothing'),
                           coalesce(r.figures::text, 'nothing')), c.figures IS DISTINCT FROM r.figures
             FROM (SELECT consumer_group, topic, kafka_partition, reason,
                          ROW(count, masked, partial, replayed) AS figures FROM rejected_counts) AS c
             FULL JOIN (
                 SELECT consumer_group, topic, kafka_partition, reason,
                        ROW(count(*), count(*) FILTER (WHERE masked), count(*) FILTER (WHERE NOT masked AND partial),
                            count(replayed_at)) AS figures
                 FROM rejected_events GROUP BY 1, 2, 3, 4
             ) AS r USING (consumer_group, topic, kafka_partition, reason)
             ORDER BY 1",
            &[],
        )
        .await
        .map_err(Error::postgres("recounting rejected_events by reason"))?;
    let wrong = rows.iter().filter(|row| row.get(1));
    Ok(Recount { cells: rows.len() as i64, problems: wrong.map(|row| row.get(0)).collect() })
}

/// Counts the dead letters with one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonCount {
    /// The reason for the rejection.
    pub reason: String,
    /// The number of dead letters.
    pub count: i64,
    /// The number of dead letters that were replayed.
    pub replayed: i64,
    /// The number of dead letters with a masked card number, which cannot be replayed.
    pub masked: i64,
    /// The number of other dead letters that were too large to be stored whole, which cannot be replayed.
    pub partial: i64,
    /// The time of the last rejection to the second, as PostgreSQL writes a TIMESTAMPTZ.
    pub last: String,
}

/// Reads the counts by reason, the most frequent first.
pub(crate) async fn count(reading: &Transaction<'_>) -> Result<Vec<ReasonCount>> {
    let rows = reading
        .query_typed(
            "SELECT reason, sum(count)::bigint, sum(replayed)::bigint, sum(masked)::bigint, sum(partial)::bigint,
                    date_trunc('second', max(last_at))::text
             FROM rejected_counts GROUP BY reason ORDER BY 2 DESC, 1",
            &[],
        )
        .await
        .map_err(Error::postgres("reading rejected_counts"))?;
    let count = |row: &Row| ReasonCount {
        reason: row.get(0),
        count: row.get(1),
        replayed: row.get(2),
        masked: row.get(3),
        partial: row.get(4),
        last: row.get(5),
    };
    Ok(rows.iter().map(count).collect())
}
