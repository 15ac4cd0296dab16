//! The registry of our tables: what the schema step creates, what a role needs on each, and which are derived from each
//! batch's rows. A new derived table is a type with [`Derived`], and one entry of [`Tables::default`].

use std::fmt::Debug;
use std::sync::Arc;

use ccstream_core::batch::Batch;
use futures_util::future::BoxFuture;
use tokio_postgres::Transaction;

use super::derived::{Latency, Rejected, Totals};
use super::offsets::{OFFSETS, Source};
use super::schema::ORDERS;
use super::statements::Statements;
use crate::error::Result;

/// A table of ours.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The statements that create it, with its comments.
    pub ddl: fn() -> String,
    /// What the consumer's role must be allowed on it.
    pub privileges: &'static [&'static str],
    /// Whether the dashboards' role reads it.
    pub reader: bool,
    /// The statement that starts it over where `orders` is new and it is not; None where it keeps what it has.
    pub on_new_orders: Option<&'static str>,
}

/// What the consumer's role is allowed on most tables.
pub const WRITES: &[&str] = &["SELECT", "INSERT", "UPDATE"];

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

    /// Compares it with a recount by plain SQL, in a snapshot; nothing where no row says how it came to be.
    fn recount<'w>(&'w self, snapshot: &'w Transaction<'_>) -> BoxFuture<'w, Result<Recount>>;
}

/// The tables of a database: `orders` and `kafka_offsets`, and those that are derived.
#[derive(Debug, Clone)]
pub struct Tables {
    derived: Vec<Arc<dyn Derived>>,
}

impl Default for Tables {
    /// All that ccstream has.
    fn default() -> Self {
        Self { derived: vec![Arc::new(Rejected), Arc::new(Totals), Arc::new(Latency::default())] }
    }
}

impl Tables {
    /// The same and one more.
    #[must_use]
    pub fn with(mut self, derived: impl Derived + 'static) -> Self {
        self.derived.push(Arc::new(derived));
        self
    }

    /// The derived ones, in the order in which a batch adds to them.
    pub fn derived(&self) -> impl Iterator<Item = &dyn Derived> {
        self.derived.iter().map(AsRef::as_ref)
    }

    /// All, in the order in which they are created.
    pub fn all(&self) -> Vec<Table> {
        [ORDERS, OFFSETS].into_iter().chain(self.derived().map(Derived::table)).collect()
    }

    /// Names of all.
    pub fn names(&self) -> Vec<&'static str> {
        self.all().iter().map(|table| table.name).collect()
    }

    /// Names of those that the dashboards' role reads.
    pub fn read(&self) -> Vec<&'static str> {
        self.all().iter().filter(|table| table.reader).map(|table| table.name).collect()
    }

    /// What a role must be granted to consume, a statement each; both names quoted where they need it.
    pub fn grants(&self, role: &str, database: &str) -> Vec<String> {
        let on = |table: &Table| format!("GRANT {} ON {} TO {role};", table.privileges.join(", "), table.name);
        let temporary = format!("GRANT TEMPORARY ON DATABASE {database} TO {role};");
        self.all().iter().map(on).chain([temporary]).collect()
    }
}
