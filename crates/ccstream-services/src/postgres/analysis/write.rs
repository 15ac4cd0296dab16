//! This module writes a batch of the analysis in one transaction.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::Transaction;

use super::AnalysisStore;
use super::batch::{Advance, Advances, AnalysisBatch, ScoreRow};
use super::lease::{Fence, fence};
use super::models::Scoring;
use super::read::{Verdict, verdicts};
use super::tally;
use super::windows;
use super::{alerts, anomalies};
use crate::error::{Error, Result};
use crate::postgres::begin;
use crate::postgres::statements::Statements;
use ccstream_core::binary::{COPY_HEADER, COPY_TRAILER, POSTGRES_EPOCH};

/// The maximum size of one piece of COPY data, unless a single row is larger.
const CHUNK_BYTES: usize = 256 * 1024;
/// The number of columns of `scores`.
const COLUMNS: i16 = 15;
/// The type of PostgreSQL's texts, as in its catalogue.
const TEXT: u32 = 25;

/// Says what became of a batch.
#[derive(Debug, PartialEq)]
pub(crate) enum Written {
    /// The batch is committed, now or by an earlier attempt whose answer was lost.
    Committed {
        /// The models that score now.
        scoring: Scoring,
        /// The least score among the top cards of each day of the batch that has all of them, by days since 1970.
        floors: BTreeMap<i32, f64>,
        /// The labels of analysts that are not due.
        verdicts: Vec<Verdict>,
    },
    /// Nothing was written, because another run has the lease.
    Lost,
}

impl AnalysisStore {
    /// Writes a batch in one transaction. `number` is how many batches were committed before it;
    /// `events` and `labels` are the names of the topics.
    pub(crate) async fn write(
        &mut self,
        epoch: i64,
        number: i64,
        (events, labels): (&str, &str),
        batch: &AnalysisBatch,
    ) -> Result<Written> {
        let step = || Error::postgres("writing the analysis");
        let transaction = begin(&mut self.client).await?;
        let (fence, scoring) = fence(&transaction, &mut self.statements, epoch, number).await?;
        match fence {
            Fence::Ready => {}
            Fence::Written => {
                return Ok(Written::Committed { scoring, floors: BTreeMap::new(), verdicts: Vec::new() });
            }
            Fence::Lost => return Ok(Written::Lost),
        }
        copy_scores(&transaction, &mut self.statements, batch).await?;
        write_labels(&transaction, &mut self.statements, batch).await?;
        let floors = tally::add(&transaction, &mut self.statements, batch).await?;
        advance(&transaction, &mut self.statements, events, &batch.events).await?;
        advance(&transaction, &mut self.statements, labels, &batch.labels).await?;
        windows::write(&transaction, &mut self.statements, &batch.windows).await?;
        alerts::write(&transaction, &mut self.statements, &batch.alerts).await?;
        anomalies::write(&transaction, &mut self.statements, batch.seq, &batch.anomalies).await?;
        let verdicts = verdicts(&transaction, &mut self.statements).await?;
        self.statements
            .execute(
                &transaction,
                "UPDATE analysis SET batch = batch + 1, seq = $1, late = $3, renewed_at = now(),
                     event_time = timestamp '1970-01-01' + $2::bigint * interval '1 microsecond'",
                &[&batch.seq, &batch.time.map(|time| time.0), &batch.late],
            )
            .await
            .map_err(step())?;
        transaction.commit().await.map_err(Error::postgres("committing the analysis"))?;
        Ok(Written::Committed { scoring, floors, verdicts })
    }
}

/// Appends the scores by COPY.
async fn copy_scores(transaction: &Transaction<'_>, statements: &mut Statements, batch: &AnalysisBatch) -> Result<()> {
    if batch.scores.is_empty() {
        return Ok(());
    }
    let step = || Error::postgres("copying rows into scores");
    let statement = "COPY scores (seq, order_id, event_time, score, ratio, level, tested, model, terminal, kafka_partition, \
                     kafka_offset, card, reasons, shadow, shadow_model) FROM STDIN (FORMAT binary)";
    let statement = statements.get(transaction, statement).await.map_err(step())?;
    let sink = transaction.copy_in::<_, Bytes>(&statement).await.map_err(step())?;
    let mut sink = std::pin::pin!(sink);
    let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
    chunk.extend_from_slice(COPY_HEADER);
    for row in &batch.scores {
        if chunk.len() + 512 > CHUNK_BYTES {
            sink.send(chunk.split().freeze()).await.map_err(step())?;
            chunk.reserve(CHUNK_BYTES);
        }
        encode(row, &batch.model, batch.shadow.as_deref(), &mut chunk);
    }
    chunk.extend_from_slice(COPY_TRAILER);
    sink.send(chunk.freeze()).await.map_err(step())?;
    let copied = sink.finish().await.map_err(step())?;
    if copied != batch.scores.len() as u64 {
        return Err(Error::Schema(
            "a trigger or rule on the table scores left rows out; remove it, because the analysis needs each row"
                .into(),
        ));
    }
    Ok(())
}

/// Appends a row in the format of COPY.
fn encode(row: &ScoreRow, model: &str, shadow: Option<&str>, out: &mut BytesMut) {
    fn field(value: &[u8], out: &mut BytesMut) {
        out.extend_from_slice(&(value.len() as i32).to_be_bytes());
        out.extend_from_slice(value);
    }
    fn optional(value: Option<&[u8]>, out: &mut BytesMut) {
        match value {
            Some(value) => field(value, out),
            None => out.extend_from_slice(&(-1i32).to_be_bytes()),
        }
    }
    out.extend_from_slice(&COLUMNS.to_be_bytes());
    field(&row.seq.to_be_bytes(), out);
    field(row.id.as_bytes(), out);
    field(&(row.known.time.0 - POSTGRES_EPOCH).to_be_bytes(), out);
    optional(row.score.map(f64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice), out);
    optional(row.known.ratio.map(f32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice), out);
    optional(row.level.map(f32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice), out);
    field(&row.tested.to_be_bytes(), out);
    optional(row.score.is_some().then_some(model.as_bytes()), out);
    optional(row.known.terminal.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice), out);
    field(&row.partition.to_be_bytes(), out);
    field(&row.offset.to_be_bytes(), out);
    optional(row.card.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice), out);
    optional(row.reasons.as_deref().map(texts).as_deref(), out);
    optional(row.shadow.map(f64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice), out);
    optional(row.shadow.and(shadow).map(str::as_bytes), out);
}

/// Returns texts in the binary format of an array: the number of dimensions, whether there are NULLs, the type of the
/// elements, the length and the first index, and the elements.
fn texts(texts: &[String]) -> Vec<u8> {
    let mut out = Vec::with_capacity(20 + texts.iter().map(|text| 4 + text.len()).sum::<usize>());
    // An empty array has no dimension.
    let header: &[u32] = if texts.is_empty() { &[0, 0, TEXT] } else { &[1, 0, TEXT, texts.len() as u32, 1] };
    for number in header {
        out.extend_from_slice(&number.to_be_bytes());
    }
    for text in texts {
        out.extend_from_slice(&(text.len() as u32).to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// Inserts labels that were received, and writes the places of those that became due.
async fn write_labels(transaction: &Transaction<'_>, statements: &mut Statements, batch: &AnalysisBatch) -> Result<()> {
    let step = || Error::postgres("writing labels");
    if !batch.received.is_empty() {
        let ids: Vec<&str> = batch.received.iter().map(|one| one.label.transaction_id.as_str()).collect();
        let sources: Vec<&str> = batch.received.iter().map(|one| one.label.source.as_str()).collect();
        let times: Vec<i64> = batch.received.iter().map(|one| one.label.labelled_at.0).collect();
        let frauds: Vec<bool> = batch.received.iter().map(|one| one.label.is_fraud).collect();
        let partitions: Vec<i32> = batch.received.iter().map(|one| one.partition).collect();
        let offsets: Vec<i64> = batch.received.iter().map(|one| one.offset).collect();
        statements
            .execute(
                transaction,
                "INSERT INTO labels (transaction_id, source, labelled_at, fraud, kafka_partition, kafka_offset)
                 SELECT id, source, timestamp '1970-01-01' + at * interval '1 microsecond', fraud, p, o
                 FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bool[], $5::int[], $6::bigint[])
                     AS t (id, source, at, fraud, p, o)",
                &[&ids, &sources, &times, &frauds, &partitions, &offsets],
            )
            .await
            .map_err(step())?;
    }
    if !batch.applied.is_empty() {
        let ids: Vec<&str> = batch.applied.iter().map(|one| one.label.transaction_id.as_str()).collect();
        let sources: Vec<&str> = batch.applied.iter().map(|one| one.label.source.as_str()).collect();
        let times: Vec<i64> = batch.applied.iter().map(|one| one.label.labelled_at.0).collect();
        let places: Vec<i64> = batch.applied.iter().map(|one| one.seq).collect();
        let terminals: Vec<Option<i64>> = batch.applied.iter().map(|one| one.terminal).collect();
        let updated = statements
            .execute(
                transaction,
                "UPDATE labels AS l SET seq = t.seq, terminal = t.terminal
                 FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
                     AS t (id, source, at, seq, terminal)
                 WHERE l.transaction_id = t.id AND l.source = t.source
                   AND l.labelled_at = timestamp '1970-01-01' + t.at * interval '1 microsecond'",
                &[&ids, &sources, &times, &places, &terminals],
            )
            .await
            .map_err(step())?;
        if updated != batch.applied.len() as u64 {
            return Err(Error::Schema(
                "the table labels lacks rows that the analysis has stored; restore the table".into(),
            ));
        }
    }
    Ok(())
}

/// Advances the offsets and counters of a topic.
async fn advance(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    topic: &str,
    Advances(partitions): &Advances,
) -> Result<()> {
    if partitions.is_empty() {
        return Ok(());
    }
    let numbers: Vec<i32> = partitions.keys().copied().collect();
    let column = |pick: fn(&Advance) -> i64| partitions.values().map(pick).collect::<Vec<i64>>();
    let advanced = statements
        .execute(
            transaction,
            "UPDATE analysis_offsets AS o SET next_offset = b.next, accepted = o.accepted + b.accepted,
                 duplicate = o.duplicate + b.duplicate, rejected = o.rejected + b.rejected,
                 missing = o.missing + b.missing, updated_at = now()
             FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
                 AS b (partition, next, accepted, duplicate, rejected, missing)
             WHERE o.topic = $1 AND o.partition = b.partition",
            &[
                &topic,
                &numbers,
                &column(|advance| advance.to),
                &column(|advance| advance.counted.accepted),
                &column(|advance| advance.counted.duplicate),
                &column(|advance| advance.counted.rejected),
                &column(|advance| advance.counted.missing),
            ],
        )
        .await
        .map_err(Error::postgres("advancing analysis_offsets"))?;
    if advanced != partitions.len() as u64 {
        return Err(Error::Schema(
            "the table analysis_offsets lacks rows of partitions that are read; restore the table".into(),
        ));
    }
    Ok(())
}
