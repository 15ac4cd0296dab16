//! Defines derived tables, which each batch updates from its rows in its own transaction.

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

/// Holds what a derived table needs to add a batch.
#[allow(missing_debug_implementations, reason = "the driver's transaction has none")]
pub struct Write<'w> {
    /// The batch's transaction, which has already inserted the batch's rows into `orders`.
    pub transaction: &'w Transaction<'w>,
    /// The session's prepared statements.
    pub statements: &'w mut Statements,
    /// The consumer group and the topic of the messages.
    pub source: &'w Source,
    /// The batch, with the outcome of each message: [`Batch::stored`], [`Batch::kept`].
    pub batch: &'w Batch,
}

/// Holds what a recount reads.
#[allow(missing_debug_implementations, reason = "the driver's transaction has none")]
pub struct Snapshot<'s> {
    /// A transaction with one snapshot for all of its statements.
    pub transaction: &'s Transaction<'s>,
    /// The first minute of which `orders` still has rows, if older rows were deleted, as SQL writes a TIMESTAMP. None
    /// if all rows are there.
    pub since: Option<String>,
}

/// The result of recounting a derived table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recount {
    /// The number of cells that were compared.
    pub cells: i64,
    /// Descriptions of the differences, each with both figures.
    pub problems: Vec<String>,
}

/// A table that each batch updates from its rows, in its own transaction.
pub trait Derived: Debug + Send + Sync {
    /// Describes the table.
    fn table(&self) -> Table;

    /// Adds a batch to the table. An error rolls the whole batch back.
    fn apply<'w>(&'w self, write: &'w mut Write<'_>) -> BoxFuture<'w, Result<()>>;

    /// Compares the table with a recount by plain SQL. Returns an empty [`Recount`] if no other table has what is
    /// needed to recount this one.
    fn recount<'w>(&'w self, snapshot: &'w Snapshot<'_>) -> BoxFuture<'w, Result<Recount>>;
}
