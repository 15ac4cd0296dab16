//! `rejected_events`: keeping messages, in the batch's own transaction, and reading what was kept.

use ccstream_core::batch::RejectedMessage;
use futures_util::future::BoxFuture;
use tokio_postgres::{Client, Row, Transaction};

use crate::error::{Error, Result};
use crate::postgres::derived::{Derived, Recount, Write};
use crate::postgres::table::{Table, WRITES};

const CREATE_REJECTED: &str = "\
CREATE TABLE rejected_events (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer_group TEXT NOT NULL,
    topic TEXT NOT NULL,
    kafka_partition INTEGER NOT NULL,
    kafka_offset BIGINT NOT NULL,
    message_key BYTEA,
    payload BYTEA,
    masked BOOLEAN NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    rejected_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    replayed_at TIMESTAMPTZ
);
COMMENT ON TABLE rejected_events IS
    'ccstream: messages that are no valid transaction, as they came (card numbers masked), and why';";

/// `rejected_events`.
#[derive(Debug)]
pub(crate) struct Rejected;

impl Derived for Rejected {
    fn table(&self) -> Table {
        Table {
            name: "rejected_events",
            ddl: || CREATE_REJECTED.to_owned(),
            privileges: WRITES,
            reader: true,
            on_new_orders: None,
        }
    }

    fn apply<'w>(&'w self, write: &'w mut Write<'_>) -> BoxFuture<'w, Result<()>> {
        Box::pin(keep(write))
    }

    fn recount<'w>(&'w self, snapshot: &'w Transaction<'_>) -> BoxFuture<'w, Result<Recount>> {
        Box::pin(recount(snapshot))
    }
}

/// Inserts a batch's kept messages.
async fn keep(write: &mut Write<'_>) -> Result<()> {
    let messages: Vec<&RejectedMessage> = write.batch.kept().collect();
    if messages.is_empty() {
        return Ok(());
    }
    let partitions: Vec<i32> = messages.iter().map(|message| message.partition).collect();
    let offsets: Vec<i64> = messages.iter().map(|message| message.offset).collect();
    let keys: Vec<Option<&[u8]>> = messages.iter().map(|message| message.key.as_deref()).collect();
    let payloads: Vec<Option<&[u8]>> = messages.iter().map(|message| message.payload.as_deref()).collect();
    let masked: Vec<bool> = messages.iter().map(|message| message.masked).collect();
    let reasons: Vec<&str> = messages.iter().map(|message| message.rejection.reason.as_str()).collect();
    // PostgreSQL's text cannot hold NUL; a detail that quotes one shows its escape.
    let details: Vec<String> = messages.iter().map(|message| message.rejection.detail.replace('\0', "\\0")).collect();
    let source = write.source;
    let kept = write
        .statements
        .execute(
            write.transaction,
            "INSERT INTO rejected_events
                 (consumer_group, topic, kafka_partition, kafka_offset, message_key, payload, masked, reason, detail)
             SELECT $1, $2, b.* FROM unnest($3::int[], $4::bigint[], $5::bytea[], $6::bytea[], $7::bool[],
                 $8::text[], $9::text[]) AS b",
            &[&source.group, &source.topic, &partitions, &offsets, &keys, &payloads, &masked, &reasons, &details],
        )
        .await
        .map_err(Error::postgres("keeping rejected messages"))?;
    if kept != messages.len() as u64 {
        return Err(Error::inconsistent(format!("{} rejected messages became {kept} rows", messages.len())));
    }
    Ok(())
}

/// Compares each partition's counter with the rows that are there.
async fn recount(snapshot: &Transaction<'_>) -> Result<Recount> {
    let rows = snapshot
        .query(
            "SELECT format('group %s, topic %s, partition %s: rejected %s but %s rows in rejected_events',
                           o.consumer_group, o.topic, o.partition, o.rejected, coalesce(r.kept, 0))
             FROM kafka_offsets o LEFT JOIN (
                 SELECT consumer_group, topic, kafka_partition, count(*) AS kept FROM rejected_events GROUP BY 1, 2, 3
             ) r ON (r.consumer_group, r.topic, r.kafka_partition) = (o.consumer_group, o.topic, o.partition)
             WHERE o.rejected <> coalesce(r.kept, 0)
             ORDER BY o.consumer_group, o.topic, o.partition",
            &[],
        )
        .await
        .map_err(Error::postgres("recounting rejected_events"))?;
    Ok(Recount { cells: 0, problems: rows.iter().map(|row| row.get(0)).collect() })
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
    /// When the last one came, as PostgreSQL writes it.
    pub last: String,
}

/// A kept message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptMessage {
    /// Its number in `rejected_events`.
    pub id: i64,
    /// Where it came from.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key, card numbers masked.
    pub key: Option<Vec<u8>>,
    /// Its payload, card numbers masked; None for a tombstone.
    pub payload: Option<Vec<u8>>,
    /// Whether a card number was masked.
    pub masked: bool,
    /// Why it was rejected.
    pub reason: String,
    /// The same for a person.
    pub detail: String,
    /// When, as PostgreSQL writes it.
    pub rejected_at: String,
    /// When it was sent again, if it was.
    pub replayed_at: Option<String>,
}

/// Which kept messages.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only this one.
    pub id: Option<i64>,
    /// Only those of this reason.
    pub reason: Option<String>,
    /// At most so many, the newest.
    pub limit: Option<i64>,
}

/// Counts by reason, the most frequent first.
pub(crate) async fn count(client: &Client) -> Result<Vec<ReasonCount>> {
    let rows = client
        .query(
            "SELECT reason, count(*), count(replayed_at), count(*) FILTER (WHERE masked),
                    date_trunc('second', max(rejected_at))::text
             FROM rejected_events GROUP BY reason ORDER BY 2 DESC, 1",
            &[],
        )
        .await
        .map_err(Error::postgres("reading rejected_events"))?;
    let count = |row: &Row| ReasonCount {
        reason: row.get(0),
        count: row.get(1),
        replayed: row.get(2),
        masked: row.get(3),
        last: row.get(4),
    };
    Ok(rows.iter().map(count).collect())
}

/// The selected messages, the newest first.
pub(crate) async fn select(client: &Client, selection: &Selection) -> Result<Vec<KeptMessage>> {
    let rows = client
        .query(
            "SELECT id, topic, kafka_partition, kafka_offset, message_key, payload, masked, reason, detail,
                    date_trunc('second', rejected_at)::text, date_trunc('second', replayed_at)::text
             FROM rejected_events
             WHERE ($1::bigint IS NULL OR id = $1) AND ($2::text IS NULL OR reason = $2)
             ORDER BY id DESC LIMIT $3",
            &[&selection.id, &selection.reason, &selection.limit],
        )
        .await
        .map_err(Error::postgres("reading rejected_events"))?;
    let message = |row: &Row| KeptMessage {
        id: row.get(0),
        topic: row.get(1),
        partition: row.get(2),
        offset: row.get(3),
        key: row.get(4),
        payload: row.get(5),
        masked: row.get(6),
        reason: row.get(7),
        detail: row.get(8),
        rejected_at: row.get(9),
        replayed_at: row.get(10),
    };
    Ok(rows.iter().map(message).collect())
}

/// Counts the selected messages that are not to be sent again: masked, without a payload, sent before;
/// and the newest message there is.
pub(crate) async fn count_left_out(client: &Client, selection: &Selection) -> Result<(i64, i64, i64, i64)> {
    let row = client
        .query_one(
            "SELECT count(*) FILTER (WHERE masked),
                    count(*) FILTER (WHERE NOT masked AND payload IS NULL),
                    count(*) FILTER (WHERE NOT masked AND payload IS NOT NULL AND replayed_at IS NOT NULL),
                    coalesce(max(id), 0)
             FROM rejected_events WHERE ($1::bigint IS NULL OR id = $1) AND ($2::text IS NULL OR reason = $2)",
            &[&selection.id, &selection.reason],
        )
        .await
        .map_err(Error::postgres("reading rejected_events"))?;
    Ok((row.get(0), row.get(1), row.get(2), row.get(3)))
}

/// A message that can be sent again: its number, topic, key and payload.
pub(crate) type Sendable = (i64, String, Option<Vec<u8>>, Vec<u8>);

/// The next selected messages that can be sent again, oldest first: after one and up to another, at most `limit`.
pub(crate) async fn sendable(
    client: &Client,
    selection: &Selection,
    (after, to): (i64, i64),
    limit: i64,
) -> Result<Vec<Sendable>> {
    let rows = client
        .query(
            "SELECT id, topic, message_key, payload FROM rejected_events
             WHERE ($1::bigint IS NULL OR id = $1) AND ($2::text IS NULL OR reason = $2)
               AND NOT masked AND payload IS NOT NULL AND replayed_at IS NULL AND id > $3 AND id <= $4
             ORDER BY id LIMIT $5",
            &[&selection.id, &selection.reason, &after, &to, &limit],
        )
        .await
        .map_err(Error::postgres("reading rejected_events"))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect())
}

/// Notes that messages were sent again.
pub(crate) async fn mark_replayed(client: &Client, ids: &[i64]) -> Result<()> {
    client
        .execute("UPDATE rejected_events SET replayed_at = now() WHERE id = ANY($1)", &[&ids])
        .await
        .map_err(Error::postgres("noting what was sent again"))?;
    Ok(())
}
