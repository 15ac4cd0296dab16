//! This module writes rows of windows, and what counting continues from, in the transaction of a batch.

use tokio_postgres::Transaction;
use tokio_postgres::types::ToSql;

use super::batch::{CountedWindow, WindowsBatch};
use super::ddl::{SUMS, upsert};
use crate::error::{Error, Result};
use crate::postgres::analysis::AnalysisStore;
use crate::postgres::statements::Statements;
use ccstream_analysis::windows::{Totals, WindowRow};

impl AnalysisStore {
    /// Writes what belongs to windows alone. Returns false if the lease is lost.
    pub(crate) async fn write_windows(&mut self, epoch: i64, batch: &WindowsBatch) -> Result<bool> {
        let Self { client, statements, .. } = self;
        let transaction = crate::postgres::begin(client).await?;
        if !crate::postgres::analysis::lease::is_held(&transaction, epoch).await? {
            return Ok(false);
        }
        write(&transaction, statements, batch).await?;
        transaction.commit().await.map_err(Error::postgres("committing windows"))?;
        Ok(true)
    }
}

/// Writes the windows of a batch.
pub(in super::super) async fn write(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    batch: &WindowsBatch,
) -> Result<()> {
    if !batch.missed.is_empty() {
        let names: Vec<&str> = batch.missed.iter().map(|one| one.name.as_str()).collect();
        let versions: Vec<i32> = batch.missed.iter().map(|one| one.version).collect();
        let days: Vec<i32> = batch.missed.iter().map(|one| one.day).collect();
        let late: Vec<i64> = batch.missed.iter().map(|one| one.missed.late).collect();
        let no_room: Vec<i64> = batch.missed.iter().map(|one| one.missed.no_room).collect();
        statements
            .execute(
                transaction,
                "INSERT INTO windows_late AS t (name, version, day, late, no_room)
                 SELECT name, version, date '1970-01-01' + day, late, no_room
                 FROM unnest($1::text[], $2::int[], $3::int[], $4::bigint[], $5::bigint[])
                     AS n (name, version, day, late, no_room)
                     JOIN windows AS w USING (name, version)
                 -- An earlier attempt may have been committed although its answer was lost. A batch is fenced against that.
                 WHERE $6::bigint IS NULL OR w.counted < $6
                 ON CONFLICT (name, version, day)
                 DO UPDATE SET late = t.late + excluded.late, no_room = t.no_room + excluded.no_room",
                &[&names, &versions, &days, &late, &no_room, &batch.followed],
            )
            .await
            .map_err(Error::postgres("adding to windows_late"))?;
    }
    for one in &batch.counted {
        write_rows(transaction, statements, one).await?;
        write_state(transaction, statements, one).await?;
    }
    Ok(())
}

async fn write_rows(transaction: &Transaction<'_>, statements: &mut Statements, one: &CountedWindow) -> Result<()> {
    let table = one.definition.table();
    let step = || Error::postgres(format!("writing {table}"));
    if !one.flushed.gone.is_empty() {
        let (starts, keys): (Vec<i64>, Vec<i64>) =
            one.flushed.gone.iter().map(|(start, key)| (*start, *key as i64)).unzip();
        let delete = format!(
            "DELETE FROM {table} AS t USING unnest($2::bigint[], $3::bigint[]) AS g (start, key)
             WHERE t.version = $1 AND t.key = g.key
               AND t.window_start = timestamp '1970-01-01' + g.start * interval '1 microsecond'"
        );
        statements.execute(transaction, &delete, &[&one.version, &starts, &keys]).await.map_err(step())?;
    }
    let rows = &one.flushed.rows;
    if rows.is_empty() {
        return Ok(());
    }
    let given = Given::new(rows, one.definition.by.len());
    statements
        .execute(transaction, &upsert(&one.definition), &given.parameters(&one.version))
        .await
        .map(drop)
        .map_err(step())
}

/// Rows as arrays.
pub(super) struct Given<'a> {
    starts: Vec<i64>,
    ends: Vec<i64>,
    keys: Vec<i64>,
    closed: Vec<bool>,
    cards: Vec<i64>,
    exact: Vec<bool>,
    sums: Vec<Vec<i64>>,
    dimensions: Vec<Vec<Option<&'a str>>>,
}

impl<'a> Given<'a> {
    pub(super) fn new(rows: &'a [WindowRow], dimensions: usize) -> Self {
        Self {
            starts: rows.iter().map(|row| row.start).collect(),
            ends: rows.iter().map(|row| row.end).collect(),
            keys: rows.iter().map(|row| row.key as i64).collect(),
            closed: rows.iter().map(|row| row.is_closed).collect(),
            cards: rows.iter().map(|row| row.cards.0 as i64).collect(),
            exact: rows.iter().map(|row| row.cards.1).collect(),
            sums: (0..SUMS.len()).map(|at| rows.iter().map(|row| sum(&row.totals, at)).collect()).collect(),
            dimensions: self::dimensions(rows, dimensions),
        }
    }

    /// Returns the parameters of statements with these rows.
    pub(super) fn parameters<'p>(&'p self, version: &'p i32) -> Vec<&'p (dyn ToSql + Sync)> {
        let Self { starts, ends, keys, closed, cards, exact, sums, dimensions } = self;
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![version, starts, ends, keys, closed, cards, exact];
        parameters.extend(sums.iter().map(|column| column as &(dyn ToSql + Sync)));
        parameters.extend(dimensions.iter().map(|column| column as &(dyn ToSql + Sync)));
        parameters
    }
}

fn sum(totals: &Totals, at: usize) -> i64 {
    let Totals { count, late, sum, min, max, approved, decided, scored, score_sum, high } = *totals;
    [count, late, sum, min, max, approved, decided, scored, score_sum, high][at]
}

/// Returns the values of each dimension.
fn dimensions(rows: &[WindowRow], count: usize) -> Vec<Vec<Option<&str>>> {
    let mut columns = vec![Vec::with_capacity(rows.len()); count];
    for row in rows {
        columns.iter_mut().zip(row.values()).for_each(|(column, value)| column.push(value));
    }
    columns
}

async fn write_state(transaction: &Transaction<'_>, statements: &mut Statements, one: &CountedWindow) -> Result<()> {
    let step = || Error::postgres("writing windows_state");
    let name = &one.definition.name;
    if !one.parts.is_empty() {
        let parts: Vec<i32> = one.parts.iter().map(|part| part.part as i32).collect();
        let data: Vec<&[u8]> = one.parts.iter().map(|part| part.data.as_slice()).collect();
        statements
            .execute(
                transaction,
                "INSERT INTO windows_state (name, part, seq, reached, data)
                 SELECT $1, part, $2, $3, data FROM unnest($4::int[], $5::bytea[]) AS t (part, data)
                 ON CONFLICT (name, part)
                 DO UPDATE SET seq = excluded.seq, reached = excluded.reached, data = excluded.data",
                &[name, &one.seq, &one.reached, &parts, &data],
            )
            .await
            .map_err(step())?;
    }
    let unchanged: Vec<i32> = one.unchanged.iter().map(|part| *part as i32).collect();
    let statement = "UPDATE windows_state SET seq = $2, reached = $3 WHERE name = $1 AND part = ANY ($4) AND seq < $2";
    statements.execute(transaction, statement, &[name, &one.seq, &one.reached, &unchanged]).await.map_err(step())?;
    let updated = statements
        .execute(
            transaction,
            "UPDATE windows SET seq = greatest(seq, $3), counted = $4,
                 lacking = lacking + CASE WHEN counted < $3 THEN $5::bigint ELSE 0 END
             WHERE name = $1 AND version = $2",
            &[name, &one.version, &one.seq, &one.counted, &one.lacking],
        )
        .await
        .map_err(Error::postgres("advancing windows"))?;
    if updated == 0 {
        return Err(Error::Schema(format!("the table windows lacks the row of {name}; restore the table")));
    }
    Ok(())
}
