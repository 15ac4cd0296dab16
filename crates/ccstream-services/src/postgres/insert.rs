//! A batch's rows into `orders`, whatever is there already and whatever PostgreSQL refuses.
//!
//! ```text
//! straight   COPY                                           a key is there: the next way
//! probed     look the ids up, drop the hits, COPY the rest  a key appeared since: the next way
//! staged     staging table, INSERT ... ON CONFLICT DO NOTHING RETURNING
//! ```
//! Each try stands in a savepoint. A row that PostgreSQL refuses is found by trying parts: split at
//! the line that COPY's error names, else in halves; only a row that is refused alone is rejected.

use std::collections::HashMap;

use tokio_postgres::Transaction;

use super::copy::{copy_into, find_existing, insert_new, is_primary_key};
use super::statements::Statements;
use crate::error::{Error, Result};
use crate::sqlstate::{Verdict, verdict};
use ccstream_core::batch::Batch;
use ccstream_core::rejection::{Reason, Rejection};

/// After a repeat was found, ids are looked up first until so many batches had none.
pub(super) const CLEAN_BATCHES: u32 = 20;
/// Refusals of one SQLSTATE in a batch above which it is the table that is wrong, not the messages.
const MOST_REFUSALS: u32 = 100;

/// How a batch's rows are first tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caution {
    /// Straight, where no repeat was found for so many batches: none to go; else looked up first.
    BatchesToGo(u32),
    /// Always by way of the staging table.
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

    /// After a batch.
    fn next(self, repeated: bool) -> Self {
        match self {
            Self::BatchesToGo(_) if repeated => Self::BatchesToGo(CLEAN_BATCHES),
            Self::BatchesToGo(left) => Self::BatchesToGo(left.saturating_sub(1)),
            Self::AlwaysStage => self,
        }
    }
}

/// How rows go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Straight,
    Probed,
    Staged,
}

/// What became of one try.
#[derive(Debug)]
enum Attempt {
    Done,
    /// Done, but for rows that a trigger left out: later messages of their ids are to be tried.
    LeftOut(Vec<u32>),
    /// A key is there already, or a trigger left rows out: which, the next route tells.
    Unclear(Route),
    /// PostgreSQL refused a row.
    Refused {
        state: String,
        reason: String,
        line: Option<usize>,
    },
}

/// Writes the rows and notes in the batch what became of each. Takes and returns how cautious to be.
pub(super) async fn insert(
    transaction: &mut Transaction<'_>,
    statements: &mut Statements,
    batch: &mut Batch,
    caution: Caution,
) -> Result<Caution> {
    let mut route = caution.first_route();
    let mut repeated = false;
    let mut work: Vec<Vec<u32>> = vec![batch.to_store()];
    if route == Route::Probed {
        repeated |= drop_existing(transaction, statements, batch, &mut work).await?;
    }
    let mut refusals: HashMap<String, u32> = HashMap::new();
    while let Some(rows) = work.pop() {
        if rows.is_empty() {
            continue;
        }
        match attempt(transaction, statements, batch, &rows, route).await? {
            Attempt::Done => {}
            Attempt::LeftOut(rows) => {
                let so_far = refusals.entry("none".into()).or_default();
                *so_far += rows.len() as u32;
                if *so_far > MOST_REFUSALS {
                    return Err(too_many("none", LEFT_OUT));
                }
                for index in rows {
                    batch.refuse(index, Rejection::new(Reason::RefusedByPostgres, LEFT_OUT));
                    work.extend(batch.take_repeat(index).map(|repeat| vec![repeat]));
                }
            }
            Attempt::Unclear(next) => {
                work.push(rows);
                route = next;
                repeated = true;
                if route == Route::Probed {
                    drop_existing(transaction, statements, batch, &mut work).await?;
                }
            }
            Attempt::Refused { state, reason, .. } if rows.len() == 1 => {
                // What is stored already was taken once, whatever the table takes today.
                if drop_existing(transaction, statements, batch, &mut [rows.clone()]).await? {
                    continue;
                }
                let so_far = refusals.entry(state.clone()).or_default();
                *so_far += 1;
                if *so_far > MOST_REFUSALS {
                    return Err(too_many(&state, &reason));
                }
                batch.refuse(rows[0], Rejection::new(Reason::RefusedByPostgres, reason));
                work.extend(batch.take_repeat(rows[0]).map(|repeat| vec![repeat]));
            }
            Attempt::Refused { line, .. } => work.extend(split(rows, line)),
        }
    }
    Ok(caution.next(repeated))
}

/// The parts to try instead, the first last: around the line that was named, else halves.
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

fn too_many(state: &str, reason: &str) -> Error {
    Error::Schema(format!(
        "PostgreSQL refused more than {MOST_REFUSALS} rows of one batch with SQLSTATE {state}, the last with: {reason}. \
         It is the table orders that does not take them, not the messages that are bad: change its constraint, \
         trigger or column, then start the consumer again; nothing of the batch is stored, and nothing is lost"
    ))
}

/// Takes out of the work what `orders` has already; whether there was any.
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

/// Tries one part in a savepoint; nothing of it stays unless it is done.
async fn attempt(
    transaction: &mut Transaction<'_>,
    statements: &mut Statements,
    batch: &mut Batch,
    rows: &[u32],
    route: Route,
) -> Result<Attempt> {
    let step = || Error::postgres("writing rows into orders");
    let savepoint = transaction.savepoint("rows").await.map_err(step())?;
    let tried = if route == Route::Staged {
        stage(&savepoint, statements, batch, rows).await
    } else {
        copy_into(&savepoint, statements, "orders", batch, rows)
            .await
            .map(|copied| if copied == rows.len() { Attempt::Done } else { Attempt::Unclear(Route::Staged) })
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
            let Some(refusal) = RowRefusal::of(&error) else { return Err(error) };
            savepoint.rollback().await.map_err(step())?;
            if route != Route::Staged
                && refusal.state == "23505"
                && is_primary_key(transaction, &refusal.constraint).await?
            {
                return Ok(Attempt::Unclear(if route == Route::Straight { Route::Probed } else { Route::Staged }));
            }
            Ok(Attempt::Refused { state: refusal.state, reason: refusal.reason, line: refusal.line })
        }
    }
}

/// By way of a staging table. A row that is not inserted is a duplicate if its id is there, and else
/// was left out by a trigger.
async fn stage(
    savepoint: &Transaction<'_>,
    statements: &mut Statements,
    batch: &mut Batch,
    rows: &[u32],
) -> Result<Attempt> {
    let inserted = insert_new(savepoint, statements, batch, rows).await?;
    if inserted.len() == rows.len() {
        return Ok(Attempt::Done);
    }
    let others: Vec<u32> = rows.iter().copied().filter(|index| !inserted.contains(batch.id(*index))).collect();
    if others.len() + inserted.len() != rows.len() {
        return Err(Error::inconsistent(format!("{} ids were inserted, some of them not the batch's", inserted.len())));
    }
    let existing = find_existing(savepoint, statements, batch, &others).await?;
    let (repeats, left_out): (Vec<u32>, Vec<u32>) =
        others.into_iter().partition(|index| existing.contains(batch.id(*index)));
    for index in repeats {
        batch.mark_duplicate(index);
    }
    Ok(Attempt::LeftOut(left_out))
}

const LEFT_OUT: &str = "a trigger or rule of the table orders left the row out without a word";

/// An error that blames a row.
struct RowRefusal {
    state: String,
    constraint: String,
    reason: String,
    /// COPY's line, from 1. PostgreSQL may speak another language: it only says where to look first.
    line: Option<usize>,
}

impl RowRefusal {
    fn of(error: &Error) -> Option<Self> {
        let Error::Postgres { source, .. } = error else { return None };
        let db = source.as_db_error()?;
        let state = db.code().code();
        if verdict(state) != Verdict::Reject {
            return None;
        }
        let mut reason = format!("{} (SQLSTATE {state})", db.message());
        if let Some(detail) = db.detail() {
            reason.extend(["; ", detail]);
        }
        Some(Self {
            state: state.to_owned(),
            constraint: db.constraint().unwrap_or_default().to_owned(),
            reason,
            line: db.where_().and_then(line),
        })
    }
}

/// The line in COPY's context: "COPY orders, line 7, column value: ..." or "COPY orders, line 7".
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
        // A line that is none of the part's cannot be believed.
        for line in [None, Some(0), Some(4)] {
            assert_eq!(split(vec![5, 6, 7], line), [vec![6, 7], vec![5]]);
        }
    }
}
