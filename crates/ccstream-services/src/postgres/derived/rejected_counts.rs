//! `rejected_counts`: how many messages were rejected by reason, carried forward in the batch's own transaction, so that
//! nobody has to count them.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use tokio_postgres::{Client, Row, Transaction};

use crate::error::{Error, Result};
use crate::postgres::derived::{Derived, Recount, Write};
use crate::postgres::table::{Table, WRITES};

const CREATE_COUNTS: &str = "\
CREATE TABLE rejected_counts (
    consumer_group TEXT NOT NULL,
    topic TEXT NOT NULL,
    kafka_partition INTEGER NOT NULL,
    reason TEXT NOT NULL,
    count BIGINT NOT NULL,
    masked BIGINT NOT NULL,
    partial BIGINT NOT NULL,
    replayed BIGINT NOT NULL,
    last_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (consumer_group, topic, kafka_partition, reason)
);
COMMENT ON TABLE rejected_counts IS 'ccstream: messages of rejected_events, counted, exact at every commit';
COMMENT ON COLUMN rejected_counts.masked IS 'with a masked card number: they cannot be replayed';
COMMENT ON COLUMN rejected_counts.partial IS 'kept in part, for their size, and not masked: they cannot be replayed';
COMMENT ON COLUMN rejected_counts.replayed IS 'that were replayed';
COMMENT ON COLUMN rejected_counts.last_at IS 'when the last one was rejected';
INSERT INTO rejected_counts
SELECT consumer_group, topic, kafka_partition, reason, count(*), count(*) FILTER (WHERE masked),
       count(*) FILTER (WHERE NOT masked AND partial), count(replayed_at), max(rejected_at)
FROM rejected_events GROUP BY 1, 2, 3, 4;";

/// `rejected_counts`.
#[derive(Debug)]
pub(crate) struct RejectedCounts;

impl Derived for RejectedCounts {
    fn table(&self) -> Table {
        Table {
            name: "rejected_counts",
            ddl: || CREATE_COUNTS.to_owned(),
            privileges: WRITES,
            reader: true,
            on_new_orders: None,
            upgrades: &[],
        }
    }

    fn apply<'w>(&'w self, write: &'w mut Write<'_>) -> BoxFuture<'w, Result<()>> {
        Box::pin(add(write))
    }

    fn recount<'w>(&'w self, snapshot: &'w Transaction<'_>) -> BoxFuture<'w, Result<Recount>> {
        Box::pin(recount(snapshot))
    }
}

/// Adds the batch's kept messages, in the order of their cells: who updates several always does so in this order.
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
        .map_err(Error::postgres("counting rejected messages"))?;
    Ok(())
}

/// Adds messages that were replayed, by group, topic, partition and reason.
pub(super) async fn add_replayed(
    transaction: &Transaction<'_>,
    cells: &BTreeMap<(String, String, i32, String), i64>,
) -> Result<()> {
    for ((group, topic, partition, reason), count) in cells {
        transaction
            .execute(
                "UPDATE rejected_counts SET replayed = replayed + $5
                 WHERE consumer_group = $1 AND topic = $2 AND kafka_partition = $3 AND reason = $4",
                &[group, topic, partition, reason, count],
            )
            .await
            .map_err(Error::postgres("counting replayed messages"))?;
    }
    Ok(())
}

/// Compares it with the messages that are there.
async fn recount(snapshot: &Transaction<'_>) -> Result<Recount> {
    let rows = snapshot
        .query(
            "SELECT format('rejected_counts: group %s, topic %s, partition %s, reason %s: %s but %s', consumer_group,
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

/// How many messages of one reason are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonCount {
    /// The reason.
    pub reason: String,
    /// How many are kept.
    pub count: i64,
    /// How many of them were sent again.
    pub replayed: i64,
    /// How many hold a masked card number, and so cannot be.
    pub masked: i64,
    /// How many others are kept in part, and so cannot be.
    pub partial: i64,
    /// When the last one came, as PostgreSQL writes it.
    pub last: String,
}

/// Counts by reason, the most frequent first.
pub(crate) async fn count(client: &Client) -> Result<Vec<ReasonCount>> {
    let rows = client
        .query(
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
