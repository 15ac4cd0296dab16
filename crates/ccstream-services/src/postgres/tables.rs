//! The registry of our tables: what the schema step creates, what a role needs on each, and which are derived from each
//! batch's rows. A new derived table is a type with [`Derived`], and one entry of [`Tables::default`].

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

/// The tables of a database: `orders`, `kafka_offsets` and `ccstream_version`, and those that are derived.
#[derive(Debug, Clone)]
pub struct Tables {
    derived: Vec<Arc<dyn Derived>>,
}

impl Default for Tables {
    /// All that ccstream has.
    fn default() -> Self {
        Self {
            derived: vec![Arc::new(Rejected), Arc::new(RejectedCounts), Arc::new(Totals), Arc::new(Latency::default())],
        }
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
        [ORDERS, OFFSETS, VERSIONS].into_iter().chain(self.derived().map(Derived::table)).collect()
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
