//! `rejected_events`: keeping messages, in the batch's own transaction, and reading what was kept.

use std::collections::BTreeMap;

use ccstream_core::batch::RejectedMessage;
use ccstream_core::kept::{Kept, MAX_KEPT_BYTES};
use futures_util::future::BoxFuture;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Transaction};

use crate::error::{Error, Result};
use crate::postgres::derived::rejected_counts::add_replayed;
use crate::postgres::derived::{Derived, Recount, Snapshot, Write};
use crate::postgres::table::{OwnColumn, Table};

/// What is kept of a key or payload.
const HEAD: &str = "card numbers masked; the first 65,536 bytes of it";

const TABLE: Table = Table {
    name: "rejected_events",
    comment: "ccstream: messages that are no valid transaction, as they came (card numbers masked), and why",
    columns: &[
        OwnColumn::new("id", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
        OwnColumn::new("consumer_group", "TEXT NOT NULL"),
        OwnColumn::new("topic", "TEXT NOT NULL"),
        OwnColumn::new("kafka_partition", "INTEGER NOT NULL"),
        OwnColumn::new("kafka_offset", "BIGINT NOT NULL"),
        OwnColumn::new("message_key", "BYTEA").meaning(HEAD),
        OwnColumn::new("payload", "BYTEA").meaning(HEAD),
        OwnColumn::new("masked", "BOOLEAN NOT NULL"),
        OwnColumn::new("reason", "TEXT NOT NULL"),
        OwnColumn::new("detail", "TEXT NOT NULL"),
        OwnColumn::new("rejected_at", "TIMESTAMPTZ NOT NULL DEFAULT now()"),
        OwnColumn::new("replayed_at", "TIMESTAMPTZ"),
        OwnColumn::new("key_bytes", "BIGINT").meaning("the length of the whole key"),
        OwnColumn::new("key_sha256", "BYTEA").meaning("of the whole key, masked"),
        OwnColumn::new("payload_bytes", "BIGINT").meaning("the length of the whole payload"),
        OwnColumn::new("payload_sha256", "BYTEA").meaning("of the whole payload, masked"),
        OwnColumn::new("partial", "BOOLEAN NOT NULL DEFAULT false")
            .meaning("key or payload is longer than what is kept: it cannot be replayed"),
    ],
    ..Table::USUAL
};

/// `rejected_events`.
#[derive(Debug)]
pub(crate) struct Rejected;

impl Derived for Rejected {
    fn table(&self) -> Table {
        TABLE
    }

    fn apply<'w>(&'w self, write: &'w mut Write<'_>) -> BoxFuture<'w, Result<()>> {
        Box::pin(keep(write))
    }

    fn recount<'w>(&'w self, snapshot: &'w Snapshot<'_>) -> BoxFuture<'w, Result<Recount>> {
        Box::pin(recount(snapshot))
    }
}

/// Keys or payloads, as columns.
#[derive(Default)]
struct Parts<'b> {
    heads: Vec<Option<&'b [u8]>>,
    lengths: Vec<Option<i64>>,
    hashes: Vec<Option<&'b [u8]>>,
}

impl<'b> Parts<'b> {
    fn of(parts: impl Iterator<Item = Option<&'b Kept>>) -> Self {
        let mut columns = Self::default();
        for part in parts {
            columns.heads.push(part.map(|part| part.head.as_slice()));
            columns.lengths.push(part.map(|part| part.len as i64));
            columns.hashes.push(part.map(|part| part.sha256.as_slice()));
        }
        columns
    }
}

/// Inserts a batch's dead letters.
async fn keep(write: &mut Write<'_>) -> Result<()> {
    let messages: Vec<&RejectedMessage> = write.batch.kept().collect();
    if messages.is_empty() {
        return Ok(());
    }
    let partitions: Vec<i32> = messages.iter().map(|message| message.partition).collect();
    let offsets: Vec<i64> = messages.iter().map(|message| message.offset).collect();
    let keys = Parts::of(messages.iter().map(|message| message.key.as_ref()));
    let payloads = Parts::of(messages.iter().map(|message| message.payload.as_ref()));
    let masked: Vec<bool> = messages.iter().map(|message| message.is_masked()).collect();
    let partial: Vec<bool> = messages.iter().map(|message| message.is_partial()).collect();
    let reasons: Vec<&str> = messages.iter().map(|message| message.rejection.reason.as_str()).collect();
    // PostgreSQL's text cannot hold NUL; a detail that quotes one shows its escape.
    let details: Vec<String> = messages.iter().map(|message| message.rejection.detail.replace('\0', "\\0")).collect();
    let source = write.source;
    let kept = write
        .statements
        .execute(
            write.transaction,
            "INSERT INTO rejected_events
                 (consumer_group, topic, kafka_partition, kafka_offset, message_key, key_bytes, key_sha256, payload,
                  payload_bytes, payload_sha256, masked, partial, reason, detail)
             SELECT $1, $2, b.* FROM unnest($3::int[], $4::bigint[], $5::bytea[], $6::bigint[], $7::bytea[],
                 $8::bytea[], $9::bigint[], $10::bytea[], $11::bool[], $12::bool[], $13::text[], $14::text[]) AS b",
            &[
                &source.group,
                &source.topic,
                &partitions,
                &offsets,
                &keys.heads,
                &keys.lengths,
                &keys.hashes,
                &payloads.heads,
                &payloads.lengths,
                &payloads.hashes,
                &masked,
                &partial,
                &reasons,
                &details,
            ],
        )
        .await
        .map_err(Error::postgres("keeping rejected messages"))?;
    if kept != messages.len() as u64 {
        return Err(Error::inconsistent(format!("{} rejected messages became {kept} rows", messages.len())));
    }
    Ok(())
}

/// Compares each partition's counter with the rows that are there.
async fn recount(snapshot: &Snapshot<'_>) -> Result<Recount> {
    let rows = snapshot
        .transaction
        .query_typed(
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
    /// Its key, card numbers masked, as far as it was asked for.
    pub key: Option<Vec<u8>>,
    /// The length of the whole key.
    pub key_bytes: Option<i64>,
    /// Its payload, card numbers masked, as far as it was asked for; None for a tombstone.
    pub payload: Option<Vec<u8>>,
    /// The length of the whole payload.
    pub payload_bytes: Option<i64>,
    /// The SHA-256 of the whole payload, masked; None for a tombstone, and for those that earlier versions stored.
    pub payload_sha256: Option<Vec<u8>>,
    /// Whether a card number was masked.
    pub masked: bool,
    /// Whether the table holds only the head of key or payload.
    pub partial: bool,
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
    /// At most this number, the newest.
    pub limit: Option<i64>,
    /// The most bytes of each key and payload; all that are kept where there is none.
    pub max_bytes: Option<i64>,
}

/// The selected messages, the newest first.
pub(crate) async fn select(reading: &Transaction<'_>, selection: &Selection) -> Result<Vec<KeptMessage>> {
    // Earlier versions kept whole whatever came.
    let most = MAX_KEPT_BYTES as i64;
    let max_bytes = selection.max_bytes.map_or(most, |bytes| bytes.clamp(0, most)) as i32;
    let rows = reading
        .query_typed(
            "SELECT id, topic, kafka_partition, kafka_offset, substring(message_key for $4::int),
                    coalesce(key_bytes, octet_length(message_key)), substring(payload for $4::int),
                    coalesce(payload_bytes, octet_length(payload)), payload_sha256, masked, partial, reason, detail,
                    date_trunc('second', rejected_at)::text, date_trunc('second', replayed_at)::text
             FROM rejected_events
             WHERE ($1::bigint IS NULL OR id = $1) AND ($2::text IS NULL OR reason = $2)
             ORDER BY id DESC LIMIT $3",
            &[
                (&selection.id, Type::INT8),
                (&selection.reason, Type::TEXT),
                (&selection.limit, Type::INT8),
                (&max_bytes, Type::INT4),
            ],
        )
        .await
        .map_err(Error::postgres("reading rejected_events"))?;
    let message = |row: &Row| KeptMessage {
        id: row.get(0),
        topic: row.get(1),
        partition: row.get(2),
        offset: row.get(3),
        key: row.get(4),
        key_bytes: row.get(5),
        payload: row.get(6),
        payload_bytes: row.get(7),
        payload_sha256: row.get(8),
        masked: row.get(9),
        partial: row.get(10),
        reason: row.get(11),
        detail: row.get(12),
        rejected_at: row.get(13),
        replayed_at: row.get(14),
    };
    Ok(rows.iter().map(message).collect())
}

/// The condition of dead letters that can be replayed, whole and not masked.
const SENDABLE: &str = "NOT masked AND NOT partial AND payload IS NOT NULL";

/// Selected dead letters that are not to be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// A card number in them was masked.
    pub(crate) masked: i64,
    /// Only a part of them is kept.
    pub(crate) partial: i64,
    /// They have no payload.
    pub(crate) empty: i64,
    /// They were replayed before.
    pub(crate) replayed: i64,
}

/// Counts the selected dead letters that are not to be replayed; with the number of the newest there is.
pub(crate) async fn count_left_out(reading: &Transaction<'_>, selection: &Selection) -> Result<(LeftOut, i64)> {
    let sql = format!(
        "SELECT count(*) FILTER (WHERE masked),
                count(*) FILTER (WHERE NOT masked AND partial),
                count(*) FILTER (WHERE NOT masked AND NOT partial AND payload IS NULL),
                count(*) FILTER (WHERE {SENDABLE} AND replayed_at IS NOT NULL),
                coalesce(max(id), 0)
         FROM rejected_events WHERE ($1::bigint IS NULL OR id = $1) AND ($2::text IS NULL OR reason = $2)"
    );
    let row = reading.query_typed_one(&sql, &[(&selection.id, Type::INT8), (&selection.reason, Type::TEXT)]).await;
    let row = row.map_err(Error::postgres("reading rejected_events"))?;
    let left_out = LeftOut { masked: row.get(0), partial: row.get(1), empty: row.get(2), replayed: row.get(3) };
    Ok((left_out, row.get(4)))
}

/// A message that can be sent again: its number, topic, key and payload.
pub(crate) type Sendable = (i64, String, Option<Vec<u8>>, Vec<u8>);

/// The next selected messages that can be sent again, oldest first: after one and up to another, at most `limit`.
pub(crate) async fn sendable(
    reading: &Transaction<'_>,
    selection: &Selection,
    (after, to): (i64, i64),
    limit: i64,
) -> Result<Vec<Sendable>> {
    let sql = format!(
        "SELECT id, topic, message_key, payload FROM rejected_events
         WHERE ($1::bigint IS NULL OR id = $1) AND ($2::text IS NULL OR reason = $2)
           AND {SENDABLE} AND replayed_at IS NULL AND id > $3 AND id <= $4
         ORDER BY id LIMIT $5"
    );
    let bounds = [after, to, limit];
    let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> =
        vec![(&selection.id, Type::INT8), (&selection.reason, Type::TEXT)];
    parameters.extend(bounds.iter().map(|bound| (bound as &(dyn ToSql + Sync), Type::INT8)));
    let rows = reading.query_typed(&sql, &parameters).await;
    let rows = rows.map_err(Error::postgres("reading rejected_events"))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect())
}

/// Notes that messages were sent again.
pub(crate) async fn mark_replayed(client: &mut Client, ids: &[i64]) -> Result<()> {
    let step = || Error::postgres("noting what was sent again");
    let transaction = client.transaction().await.map_err(step())?;
    let marked = transaction
        .query_typed(
            "UPDATE rejected_events SET replayed_at = now() WHERE id = ANY($1) AND replayed_at IS NULL
             RETURNING consumer_group, topic, kafka_partition, reason",
            &[(&ids, Type::INT8_ARRAY)],
        )
        .await
        .map_err(step())?;
    let mut cells = BTreeMap::new();
    for row in marked {
        *cells.entry((row.get(0), row.get(1), row.get(2), row.get(3))).or_default() += 1;
    }
    add_replayed(&transaction, &cells).await?;
    transaction.commit().await.map_err(step())
}
