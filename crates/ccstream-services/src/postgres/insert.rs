//! Writes a batch's rows into `orders`, although some may be there already and PostgreSQL may refuse others.
//!
//! There are four routes. A primary key conflict moves the batch from the first to the second, and from the second to
//! the third. A trigger that leaves rows out moves it from either to the third. The fourth follows once PostgreSQL has
//! refused several rows.
//!
//! ```text
//! straight   COPY all rows
//! probed     query which ids exist, drop those rows, COPY the rest
//! staged     COPY into a staging table, INSERT ... ON CONFLICT DO NOTHING RETURNING
//! in parts   COPY into a staging table, a loop within PostgreSQL
//! ```
//! Each attempt runs in a savepoint. A row that PostgreSQL refuses is found by trying smaller parts, split at the line
//! that COPY's error names, or into halves if it names none. A row becomes a dead letter only if PostgreSQL refuses it
//! alone. Each refusal costs at least one round trip, so after [`SINGLE_REFUSALS`] of them a loop within PostgreSQL
//! tries the remaining rows.

use std::collections::HashSet;

use tokio_postgres::Transaction;

use super::blame::Refusals;
use super::copy::{copy_into, find_existing, is_primary_key};
use super::row_refusal::RowRefusal;
use super::staging::{insert_in_parts, insert_new};
use super::statements::Statements;
use crate::error::{Error, Result};
use ccstream_core::batch::Batch;
use ccstream_core::rejection::{Reason, Rejection};

/// The number of batches after a duplicate for which ids are queried before the COPY. Another duplicate starts the
/// count again.
pub(super) const CLEAN_BATCHES: u32 = 20;
/// The number of refusals in a batch after which its remaining rows take [`Route::InParts`].
const SINGLE_REFUSALS: usize = 16;

/// Determines the first route that a batch's rows take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caution {
    /// The number of batches for which ids are still queried before the COPY. At 0 the COPY comes at once.
    BatchesToGo(u32),
    /// Every batch takes the staging table.
    AlwaysStage,
}

impl Default for Caution {
    fn default() -> Self {
        Self::BatchesToGo(0)
    }
}

impl Caution {
    fn first_route(self) -> Route {
        match self {
            Self::BatchesToGo(0) => Route::Straight,
            Self::BatchesToGo(_) => Route::Probed,
            Self::AlwaysStage => Route::Staged,
        }
    }

    /// Returns the caution for the next batch. `repeated` is whether this batch had an id that `orders` already had, or
    /// a row that a trigger left out.
    fn next(self, repeated: bool) -> Self {
        match self {
            Self::BatchesToGo(_) if repeated => Self::BatchesToGo(CLEAN_BATCHES),
            Self::BatchesToGo(left) => Self::BatchesToGo(left.saturating_sub(1)),
            Self::AlwaysStage => self,
        }
    }
}

/// A way of rows into `orders`, as the module's table describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Straight,
    Probed,
    Staged,
    InParts,
}

/// The outcome of one attempt to insert rows.
#[derive(Debug)]
enum Attempt {
    /// The rows are inserted, except for these.
    Done(Vec<(u32, RowRefusal)>),
    /// The attempt cannot tell which rows are duplicates or were left out by a trigger. The given route can.
    Unclear(Route),
    /// PostgreSQL refused a row, and with it the whole attempt. The number is the line that COPY's error names, if any.
    Refused(RowRefusal, Option<usize>),
}

/// What one batch teaches about the next.
#[derive(Debug)]
pub(super) struct Learned {
    /// The caution for the next batch.
    pub(super) caution: Caution,
    /// What PostgreSQL refused of this batch.
    pub(super) refusals: Refusals,
}

/// Writes the batch's rows into `orders`, and records in the batch which were duplicates or refused.
pub(super) async fn insert(
    transaction: &mut Transaction<'_>,
    statements: &mut Statements,
    batch: &mut Batch,
    caution: Caution,
) -> Result<Learned> {
    let mut route = caution.first_route();
    let mut repeated = false;
    let mut work: Vec<Vec<u32>> = vec![batch.to_store()];
    let mut refusals = Refusals::of(work[0].len());
    if route == Route::Probed {
        repeated |= drop_existing(transaction, statements, batch, &mut work).await?;
    }
    while let Some(mut rows) = work.pop() {
        if refusals.count() >= SINGLE_REFUSALS {
            route = Route::InParts;
            // This part gets all remaining rows, and for each row the batch's later messages of its id. `work` is a
            // stack, so its last part has the first rows.
            rows.extend(work.drain(..).rev().flatten());
            let distinct = rows.len();
            rows = batch.with_repeats(&rows);
            refusals.expect(rows.len() - distinct);
        }
        if rows.is_empty() {
            continue;
        }
        let refused = match attempt(transaction, statements, batch, &rows, route).await? {
            Attempt::Done(refused) => refused,
            Attempt::Unclear(next) => {
                work.push(rows);
                route = next;
                repeated = true;
                if route == Route::Probed {
                    drop_existing(transaction, statements, batch, &mut work).await?;
                }
                continue;
            }
            Attempt::Refused(refusal, _) if rows.len() == 1 => vec![(rows[0], refusal)],
            Attempt::Refused(_, line) => {
                work.extend(split(rows, line));
                continue;
            }
        };
        if refused.is_empty() {
            continue;
        }
        let indices: Vec<u32> = refused.iter().map(|(index, _)| *index).collect();
        let existing = find_existing(transaction, statements, batch, &indices).await?;
        // A refused row whose id is in `orders` is a duplicate: it was accepted once, whatever the table accepts today.
        // The exception is an id that a later message of this batch has just inserted.
        let inserted = rows.into_iter().filter(|index| indices.binary_search(index).is_err());
        let overtaken: HashSet<u32> = inserted.flat_map(|index| batch.earlier_of_its_id(index)).collect();
        for (index, refusal) in refused {
            if existing.contains(batch.id(index)) && !overtaken.contains(&index) {
                batch.mark_duplicate(index);
                continue;
            }
            refusals.add(&refusal);
            batch.refuse(index, Rejection::new(Reason::RefusedByPostgres, refusal.reason));
            if route != Route::InParts {
                let repeat = batch.take_repeat(index);
                refusals.expect(usize::from(repeat.is_some()));
                work.extend(repeat.map(|repeat| vec![repeat]));
            }
        }
    }
    Ok(Learned { caution: caution.next(repeated), refusals })
}

/// Splits refused rows into the parts to try next: around the line that COPY named, or into halves. The part with the
/// first rows is the last, as the caller's stack needs it.
fn split(mut rows: Vec<u32>, line: Option<usize>) -> Vec<Vec<u32>> {
    match line {
        Some(line) if (1..=rows.len()).contains(&line) => {
            let after = rows.split_off(line);
            let named = rows.split_off(line - 1);
            vec![after, named, rows]
        }
        _ => {
            let second = rows.split_off(rows.len() / 2);
            vec![second, rows]
        }
    }
}

/// Removes rows whose ids `orders` already has, and marks them as duplicates. Returns whether there were any.
async fn drop_existing(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    batch: &mut Batch,
    work: &mut [Vec<u32>],
) -> Result<bool> {
    let mut found = false;
    for rows in work {
        let existing = find_existing(transaction, statements, batch, rows).await?;
        rows.retain(|index| {
            let exists = existing.contains(batch.id(*index));
            if exists {
                found = true;
                batch.mark_duplicate(*index);
            }
            !exists
        });
    }
    Ok(found)
}

/// Tries to insert one part within a savepoint. Only [`Attempt::Done`] leaves rows in `orders`.
async fn attempt(
    transaction: &mut Transaction<'_>,
    statements: &mut Statements,
    batch: &mut Batch,
    rows: &[u32],
    route: Route,
) -> Result<Attempt> {
    let step = || Error::postgres("writing rows into orders");
    let savepoint = transaction.savepoint("rows").await.map_err(step())?;
    let tried = match route {
        Route::Staged => stage(&savepoint, statements, batch, rows).await,
        Route::InParts => insert_in_parts(&savepoint, statements, batch, rows).await.map(Attempt::Done),
        Route::Straight | Route::Probed => {
            copy_into(&savepoint, statements, "orders", batch, rows).await.map(|copied| {
                if copied == rows.len() { Attempt::Done(Vec::new()) } else { Attempt::Unclear(Route::Staged) }
            })
        }
    };
    match tried {
        Ok(unclear @ Attempt::Unclear(_)) => {
            savepoint.rollback().await.map_err(step())?;
            Ok(unclear)
        }
        Ok(done) => {
            savepoint.commit().await.map_err(step())?;
            Ok(done)
        }
        Err(error) => {
            let Some(Blamed { refusal, constraint, line }) = Blamed::row(&error) else { return Err(error) };
            savepoint.rollback().await.map_err(step())?;
            let is_copy = matches!(route, Route::Straight | Route::Probed);
            if is_copy && refusal.state == "23505" && is_primary_key(transaction, &constraint).await? {
                return Ok(Attempt::Unclear(if route == Route::Straight { Route::Probed } else { Route::Staged }));
            }
            Ok(Attempt::Refused(refusal, line))
        }
    }
}

/// Inserts rows by way of a staging table. A row that is not inserted is reported as left out by a trigger; the caller
/// finds out whether it is a duplicate instead.
async fn stage(
    savepoint: &Transaction<'_>,
    statements: &mut Statements,
    batch: &mut Batch,
    rows: &[u32],
) -> Result<Attempt> {
    let inserted = insert_new(savepoint, statements, batch, rows).await?;
    if inserted.len() == rows.len() {
        return Ok(Attempt::Done(Vec::new()));
    }
    let others: Vec<u32> = rows.iter().copied().filter(|index| !inserted.contains(batch.id(*index))).collect();
    if others.len() + inserted.len() != rows.len() {
        return Err(Error::inconsistent(format!("{} ids were inserted, some of them not the batch's", inserted.len())));
    }
    Ok(Attempt::Done(others.into_iter().map(|index| (index, RowRefusal::left_out())).collect()))
}

/// An error of PostgreSQL that blames a row.
struct Blamed {
    refusal: RowRefusal,
    /// The violated constraint's name; empty if the error names none.
    constraint: String,
    /// The line that COPY's error names, counted from 1. It is only a hint, because PostgreSQL's messages may be
    /// translated.
    line: Option<usize>,
}

impl Blamed {
    /// Returns what an error says about a row; None if it does not blame one.
    fn row(error: &Error) -> Option<Self> {
        let refusal = RowRefusal::of(error)?;
        let Error::Postgres { source, .. } = error else { return None };
        let db = source.as_db_error()?;
        Some(Self {
            refusal,
            constraint: db.constraint().unwrap_or_default().to_owned(),
            line: db.where_().and_then(line),
        })
    }
}

/// Reads the line number from COPY's context: "COPY orders, line 7, column value: ..." or "COPY orders, line 7".
fn line(context: &str) -> Option<usize> {
    let copy = context.lines().find(|line| line.starts_with("COPY "))?;
    let digits = copy.split_once("line ")?.1;
    digits[..digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_copy() {
        for (context, expected) in [
            ("COPY orders, line 7, column value: 1", Some(7)),
            ("COPY orders, line 12", Some(12)),
            ("PL/pgSQL function f() line 3 at RAISE\nCOPY orders, line 5", Some(5)),
            ("COPY orders, Zeile 7", None),
            ("PL/pgSQL function f() line 3 at RAISE", None),
            ("", None),
        ] {
            assert_eq!(line(context), expected, "{context}");
        }
    }

    #[test]
    fn parts_are_tried_in_order_and_none_is_left_out() {
        assert_eq!(split(vec![5, 6, 7, 8], Some(2)), [vec![7, 8], vec![6], vec![5]]);
        assert_eq!(split(vec![5, 6, 7], Some(1)), [vec![6, 7], vec![5], vec![]]);
        assert_eq!(split(vec![5, 6, 7], Some(3)), [vec![], vec![7], vec![5, 6]]);
        // A line number beyond the part is ignored.
        for line in [None, Some(0), Some(4)] {
            assert_eq!(split(vec![5, 6, 7], line), [vec![6, 7], vec![5]]);
        }
    }
}
