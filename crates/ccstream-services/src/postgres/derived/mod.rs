//! Tables that are made of each batch's rows, in the batch's own transaction.

pub(super) mod latency;
pub(crate) mod rejected;
pub(crate) mod rejected_counts;
pub(super) mod totals;

use std::fmt::Debug;

use ccstream_core::batch::Batch;
use futures_util::future::BoxFuture;
use tokio_postgres::Transaction;

use super::offsets::Source;
use super::statements::Statements;
use super::table::Table;
use crate::error::Result;

/// What a batch brings, in its own transaction.
#[allow(missing_debug_implementations, reason = "the driver's transaction has none")]
pub struct Write<'w> {
    /// The batch's transaction, which holds its rows already.
    pub transaction: &'w Transaction<'w>,
    /// Statements that the session has prepared.
    pub statements: &'w mut Statements,
    /// Whose messages these are.
    pub source: &'w Source,
    /// The batch, with what became of each row: [`Batch::stored`], [`Batch::kept`].
    pub batch: &'w Batch,
}

/// What a recount reads.
#[allow(missing_debug_implementations, reason = "the driver's transaction has none")]
pub struct Snapshot<'s> {
    /// A transaction with one snapshot.
    pub transaction: &'s Transaction<'s>,
    /// The minute before which `orders` has no rows any more, where old ones are deleted; as SQL writes a TIMESTAMP.
    pub since: Option<String>,
}

/// What a recount of a derived table found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recount {
    /// Cells that were compared.
    pub cells: i64,
    /// What disagrees, each with both figures.
    pub problems: Vec<String>,
}

/// A table that is made of each batch's rows, in the batch's own transaction.
pub trait Derived: Debug + Send + Sync {
    /// The table.
    fn table(&self) -> Table;

    /// Adds what a batch brings.
    fn apply<'w>(&'w self, write: &'w mut Write<'_>) -> BoxFuture<'w, Result<()>>;

    /// Compares it with a recount by plain SQL; nothing where no row says how it came to be.
    fn recount<'w>(&'w self, snapshot: &'w Snapshot<'_>) -> BoxFuture<'w, Result<Recount>>;
}
