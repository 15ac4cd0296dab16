//! Stores dead letters in `rejected_events`, in the batch's own transaction, and reads them.

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

/// The comment of the columns with keys and payloads.
const HEAD: &str = "its first 65,536 bytes, card numbers masked";

const TABLE: Table = Table {
    name: "rejected_events",
    comment: "ccstream: dead letters: messages that could not be stored, as they came (card numbers masked), and why",
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
        OwnColumn::new("key_bytes", "BIGINT").meaning("length of the whole key"),
        OwnColumn::new("key_sha256", "BYTEA").meaning("SHA-256 of the whole key, card numbers masked"),
        OwnColumn::new("payload_bytes", "BIGINT").meaning("length of the whole payload"),
        OwnColumn::new("payload_sha256", "BYTEA").meaning("SHA-256 of the whole payload, card numbers masked"),
        OwnColumn::new("partial", "BOOLEAN NOT NULL DEFAULT false")
            .meaning("key or payload is longer than what is stored here, so it cannot be replayed"),
    ],
    ..Table::USUAL
};

/// The derived table `rejected_events`.
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

/// Holds keys or payloads as columns.
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
    // PostgreSQL's TEXT cannot hold NUL. A detail that quotes one has its escape sequence instead.
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
        .map_err(Error::postgres("storing dead letters"))?;
    if kept != messages.len() as u64 {
        return Err(Error::inconsistent(format!("{} dead letters became {kept} rows", messages.len())));
    }
    Ok(())
}

/// Compares each partition's counter of rejected messages with the rows of `rejected_events`.
async fn recount(snapshot: &Snapshot<'_>) -> Result<Recount> {
    let rows = snapshot
        .transaction
        .query_typed(
            "SELECT format('group %s, topic %s, partition %s: kafka_offsets counts %s rejected messages, but '
                           'rejected_events has %s',
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

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptMessage {
    /// The dead letter's id in `rejected_events`.
    pub id: i64,
    /// The topic from which the message came.
    pub topic: String,
    /// The message's partition.
    pub partition: i32,
    /// The message's offset.
    pub offset: i64,
    /// The first bytes of the key, card numbers masked, up to [`Selection::max_bytes`]; None without a key.
    pub key: Option<Vec<u8>>,
    /// The length of the whole key in bytes; None without a key.
    pub key_bytes: Option<i64>,
    /// The first bytes of the payload, card numbers masked, up to [`Selection::max_bytes`]; None for a tombstone.
    pub payload: Option<Vec<u8>>,
    /// The length of the whole payload in bytes; None for a tombstone.
    pub payload_bytes: Option<i64>,
    /// The SHA-256 of the whole payload, card numbers masked. None for a tombstone, and for messages that an earlier
    /// version stored without it.
    pub payload_sha256: Option<Vec<u8>>,
    /// Whether a card number was masked. Such a message cannot be replayed.
    pub masked: bool,
    /// Whether only the first bytes of key or payload are stored. Such a message cannot be replayed.
    pub partial: bool,
    /// The reason for the rejection, a stable word such as `missing_field`.
    pub reason: String,
    /// The reason for the rejection in detail, for a person.
    pub detail: String,
    /// The time of the rejection to the second, as PostgreSQL writes a TIMESTAMPTZ.
    pub rejected_at: String,
    /// The time at which it was replayed; None if it was not.
    pub replayed_at: Option<String>,
}

/// Selects dead letters. The default selects all.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Selects only the dead letter with this id.
    pub id: Option<i64>,
    /// Selects only dead letters with this reason.
    pub reason: Option<String>,
    /// Selects at most this number of dead letters, the newest.
    pub limit: Option<i64>,
    /// The maximum number of bytes of each key and payload; None for all that are stored.
    pub max_bytes: Option<i64>,
}

/// Returns the selected dead letters, newest first.
pub(crate) async fn select(reading: &Transaction<'_>, selection: &Selection) -> Result<Vec<KeptMessage>> {
    // Earlier versions stored keys and payloads of any length.
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

/// SQL condition: whether a dead letter can be replayed, because it is complete and nothing in it was masked.
const SENDABLE: &str = "NOT masked AND NOT partial AND payload IS NOT NULL";

/// Counts selected dead letters that a replay leaves out, by the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// A card number in them was masked.
    pub(crate) masked: i64,
    /// Only their first bytes are stored.
    pub(crate) partial: i64,
    /// They have no payload.
    pub(crate) empty: i64,
    /// They were replayed before.
    pub(crate) replayed: i64,
}

/// Counts the selected dead letters that a replay leaves out. Also returns the id of the newest selected one.
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

/// A dead letter to replay: its id, topic, key and payload.
pub(crate) type Sendable = (i64, String, Option<Vec<u8>>, Vec<u8>);

/// Returns the next selected dead letters to replay, oldest first: those with ids above `after` and up to `to`, at most
/// `limit`.
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

/// Records that dead letters were replayed.
pub(crate) async fn mark_replayed(client: &mut Client, ids: &[i64]) -> Result<()> {
    let step = || Error::postgres("recording replayed messages");
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
