//! This module writes a batch of truth in one transaction: its rows, and the offsets of its partitions.

use std::collections::{BTreeMap, HashSet};

use tokio_postgres::Transaction;

use super::TruthStore;
use super::batch::{Advance, Skipped, TruthBatch, TruthOutcome, TruthRow};
use crate::error::{Error, Result};
use crate::postgres::begin;
use crate::postgres::row_refusal::RowRefusal;
use crate::postgres::statements::Statements;

/// The reason for a row that was not inserted although no other row has its key.
const LEFT_OUT: &str = "a trigger or rule of the table truth left the row out without an error";

/// Tells what became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// The batch is committed, now or by an earlier attempt whose answer was lost.
    Committed(TruthOutcome),
    /// The batch was not written: a partition's offset is not where the batch begins, because another run reads the
    /// same topic.
    Moved,
}

/// Collects the rows that were not inserted.
#[derive(Debug, Default)]
struct Inserted {
    /// Number of messages whose content was in the table already, by partition.
    duplicates: BTreeMap<i32, i64>,
    refused: Vec<Skipped>,
}

impl TruthStore {
    /// Writes a batch in one transaction.
    pub(crate) async fn write(&mut self, batch: &mut TruthBatch) -> Result<Written> {
        let mut transaction = begin(&mut self.client).await?;
        match fence(&transaction, &mut self.statements, &self.topic, self.writer, &batch.advances).await? {
            Fence::Ready => {}
            Fence::Written => return Ok(batch.attempted.take().map_or(Written::Moved, Written::Committed)),
            Fence::Moved => return Ok(Written::Moved),
        }
        let step = || Error::postgres("writing truth");
        // A deferred constraint would fail only at COMMIT, and its error would not name a row.
        transaction.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").await.map_err(step())?;
        batch.rows.sort_by_key(|row| row.id);
        let inserted = insert(&mut transaction, &mut self.statements, &batch.rows).await?;
        let outcome = batch.outcome(&inserted.duplicates, inserted.refused);
        for (partition, counted) in &outcome.counted {
            let to = batch.advances[partition].to;
            self.statements
                .execute(
                    &transaction,
                    "UPDATE truth_offsets SET next_offset = $3, stored = stored + $4, duplicate = duplicate + $5,
                         skipped = skipped + $6, missing = missing + $7, writer = $8, updated_at = now()
                     WHERE topic = $1 AND partition = $2",
                    &[
                        &self.topic,
                        partition,
                        &to,
                        &counted.stored,
                        &counted.duplicate,
                        &counted.skipped,
                        &counted.missing,
                        &self.writer,
                    ],
                )
                .await
                .map_err(step())?;
        }
        // The answer to COMMIT can be lost. The result is saved first, and reported once the transaction is known to be
        // committed.
        batch.attempted = Some(outcome.clone());
        transaction.commit().await.map_err(Error::postgres("committing truth"))?;
        Ok(Written::Committed(outcome))
    }
}

/// Tells how the offsets in PostgreSQL compare with a batch.
#[derive(Debug, PartialEq, Eq)]
enum Fence {
    /// Every partition's offset is where the batch begins.
    Ready,
    /// Every partition's offset is where the batch ends, and this run wrote last.
    Written,
    /// The offsets are elsewhere. If another run has written after the answer to a COMMIT was lost, the batch may be
    /// committed. It is then counted in the table, but not reported.
    Moved,
}

/// Locks the offset rows of a batch and compares them with the batch.
async fn fence(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    topic: &str,
    writer: i64,
    advances: &BTreeMap<i32, Advance>,
) -> Result<Fence> {
    let partitions: Vec<i32> = advances.keys().copied().collect();
    let rows = statements
        .query(
            transaction,
            "SELECT partition, next_offset, writer FROM truth_offsets
             WHERE topic = $1 AND partition = ANY($2) ORDER BY partition FOR NO KEY UPDATE",
            &[&topic, &partitions],
        )
        .await
        .map_err(Error::postgres("locking truth_offsets"))?;
    let found: BTreeMap<i32, (i64, i64)> = rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
    let all = |is: &dyn Fn(&Advance, (i64, i64)) -> bool| {
        advances.iter().all(|(partition, advance)| found.get(partition).is_some_and(|at| is(advance, *at)))
    };
    Ok(if all(&|advance, (next, _)| next == advance.from) {
        Fence::Ready
    } else if all(&|advance, (next, last)| next == advance.to && last == writer) {
        Fence::Written
    } else {
        Fence::Moved
    })
}

/// Inserts rows that are sorted by their key. If PostgreSQL refuses one, it is found by bisection, with savepoints.
async fn insert(transaction: &mut Transaction<'_>, statements: &mut Statements, rows: &[TruthRow]) -> Result<Inserted> {
    let step = || Error::postgres("writing truth");
    let mut inserted = Inserted::default();
    let mut parts = vec![rows];
    while let Some(part) = parts.pop().filter(|part| !part.is_empty()) {
        let savepoint = transaction.savepoint("truth").await.map_err(step())?;
        match insert_part(&savepoint, statements, part, &mut inserted).await {
            Ok(()) => savepoint.commit().await.map_err(step())?,
            Err(error) => {
                let Some(refusal) = RowRefusal::of(&error) else { return Err(error) };
                savepoint.rollback().await.map_err(step())?;
                if let [row] = part {
                    inserted.refused.push(skipped(row, refusal.reason));
                } else {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            }
        }
    }
    Ok(inserted)
}

fn skipped(row: &TruthRow, why: impl Into<String>) -> Skipped {
    Skipped { partition: row.partition, offset: row.offset, why: why.into() }
}

/// Inserts rows with one statement, and adds those that were not inserted to `inserted`.
async fn insert_part(
    savepoint: &Transaction<'_>,
    statements: &mut Statements,
    rows: &[TruthRow],
    inserted: &mut Inserted,
) -> Result<()> {
    let step = || Error::postgres("writing truth");
    let ids: Vec<&[u8]> = rows.iter().map(|row| row.id.as_slice()).collect();
    let kinds: Vec<&str> = rows.iter().map(|row| row.truth.kind).collect();
    let transactions: Vec<Option<&str>> = rows.iter().map(|row| row.truth.transaction_id.as_deref()).collect();
    let scenarios: Vec<Option<&str>> = rows.iter().map(|row| row.truth.scenario.as_deref()).collect();
    let campaigns: Vec<Option<i64>> = rows.iter().map(|row| row.truth.campaign).collect();
    let begins: Vec<i64> = rows.iter().map(|row| row.truth.timestamp.0).collect();
    let ends: Vec<Option<i64>> = rows.iter().map(|row| row.truth.until.map(|until| until.0)).collect();
    let subjects: Vec<Option<&str>> = rows.iter().map(|row| row.truth.subject.as_deref()).collect();
    let details: Vec<Option<&str>> = rows.iter().map(|row| row.truth.detail.as_deref()).collect();
    let partitions: Vec<i32> = rows.iter().map(|row| row.partition).collect();
    let offsets: Vec<i64> = rows.iter().map(|row| row.offset).collect();
    let new = statements
        .query(
            savepoint,
            "INSERT INTO truth (id, kind, transaction_id, scenario, campaign, timestamp, until, subject, detail,
                                kafka_partition, kafka_offset)
             SELECT id, kind, tx, scenario, campaign, timestamp '1970-01-01' + begins * interval '1 microsecond',
                    timestamp '1970-01-01' + ends * interval '1 microsecond', subject, detail, p, o
             FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
                         $8::text[], $9::text[], $10::int[], $11::bigint[])
                 WITH ORDINALITY AS t (id, kind, tx, scenario, campaign, begins, ends, subject, detail, p, o, place)
             ORDER BY place
             ON CONFLICT (id) DO NOTHING RETURNING kafka_partition, kafka_offset",
            &[
                &ids,
                &kinds,
                &transactions,
                &scenarios,
                &campaigns,
                &begins,
                &ends,
                &subjects,
                &details,
                &partitions,
                &offsets,
            ],
        )
        .await
        .map_err(step())?;
    if new.len() == rows.len() {
        return Ok(());
    }
    let new: HashSet<(i32, i64)> = new.iter().map(|row| (row.get(0), row.get(1))).collect();
    let there = statements.query(savepoint, "SELECT id FROM truth WHERE id = ANY($1)", &[&ids]).await.map_err(step())?;
    let there: HashSet<Vec<u8>> = there.iter().map(|row| row.get(0)).collect();
    for row in rows.iter().filter(|row| !new.contains(&(row.partition, row.offset))) {
        if there.contains(row.id.as_slice()) {
            *inserted.duplicates.entry(row.partition).or_default() += 1;
        } else {
            inserted.refused.push(skipped(row, LEFT_OUT));
        }
    }
    Ok(())
}
