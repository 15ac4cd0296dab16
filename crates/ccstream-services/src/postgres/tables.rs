//! Registers ccstream's tables: those that the schema step creates, the privileges that a role needs on them, and which
//! of them are derived from each batch's rows. A new derived table needs a type that implements [`Derived`], and one
//! entry in [`Tables::default`].

use std::sync::Arc;

use super::derived::Derived;
use super::derived::latency::Latency;
use super::derived::rejected::Rejected;
use super::derived::rejected_counts::RejectedCounts;
use super::derived::totals::Totals;
use super::offsets::OFFSETS;
use super::orders::ORDERS;
use super::table::Table;
use super::version::VERSIONS;

/// Lists the tables of a database: `orders`, `kafka_offsets`, `ccstream_version` and the derived tables.
#[derive(Debug, Clone)]
pub struct Tables {
    derived: Vec<Arc<dyn Derived>>,
}

impl Default for Tables {
    /// Returns all of ccstream's own tables.
    fn default() -> Self {
        Self {
            derived: vec![Arc::new(Rejected), Arc::new(RejectedCounts), Arc::new(Totals), Arc::new(Latency::default())],
        }
    }
}

impl Tables {
    /// Adds a derived table.
    #[must_use]
    pub fn with(mut self, derived: impl Derived + 'static) -> Self {
        self.derived.push(Arc::new(derived));
        self
    }

    /// Iterates over the derived tables in the order in which a batch adds to them.
    pub fn derived(&self) -> impl Iterator<Item = &dyn Derived> {
        self.derived.iter().map(AsRef::as_ref)
    }

    /// Lists all tables in the order in which they are created.
    pub fn all(&self) -> Vec<Table> {
        [ORDERS, OFFSETS, VERSIONS].into_iter().chain(self.derived().map(Derived::table)).collect()
    }

    /// Lists the names of all tables.
    pub fn names(&self) -> Vec<&'static str> {
        self.all().iter().map(|table| table.name).collect()
    }

    /// Lists the names of the tables that the dashboards' role reads.
    pub fn read(&self) -> Vec<&'static str> {
        self.all().iter().filter(|table| table.reader).map(|table| table.name).collect()
    }

    /// Returns the GRANT statements that a role needs to run the consumer. Both names must be quoted if SQL requires
    /// it.
    pub fn grants(&self, role: &str, database: &str) -> Vec<String> {
        let on = |table: &Table| format!("GRANT {} ON {} TO {role};", table.privileges.join(", "), table.name);
        let temporary = format!("GRANT TEMPORARY ON DATABASE {database} TO {role};");
        self.all().iter().map(on).chain([temporary]).collect()
    }
}
