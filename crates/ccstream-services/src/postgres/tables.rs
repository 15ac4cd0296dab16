//! Registers ccstream's tables: those that the schema step creates, the privileges that a role needs on them, and which
//! of them are derived from each batch's rows. A new derived table needs a type that implements [`Derived`], and one
//! entry in [`Tables::default`].

use std::sync::Arc;

use super::analysis::{
    ALERT_JOURNAL, ALERT_OUTBOX, ALERT_RULES, ALERT_SILENCES, ALERT_STATE, ALERTS, ANALYSIS, ANALYSIS_OFFSETS,
    ANOMALY_JOURNAL, ANOMALY_STATE, FEATURE_DAY, FRAUD_CARDS, KPI_BAND, LABELS, MODELS, SCORE_DAY, SCORE_MINUTE,
    SCORES, SEGMENTS_ADOPTED, STATE, TOP_CARD_DAY, WINDOWS, WINDOWS_LATE, WINDOWS_STATE,
};
use super::derived::Derived;
use super::derived::latency::Latency;
use super::derived::rejected::Rejected;
use super::derived::rejected_counts::RejectedCounts;
use super::derived::totals::Totals;
use super::offsets::OFFSETS;
use super::orders::ORDERS;
use super::table::Table;
use super::truth::{TRUTH, TRUTH_OFFSETS};
use super::version::VERSIONS;

/// The tables of the analysis, in the order in which they are created.
pub(super) const ANALYZED: [Table; 24] = [
    ANALYSIS,
    ANALYSIS_OFFSETS,
    SCORES,
    LABELS,
    STATE,
    MODELS,
    SCORE_MINUTE,
    SCORE_DAY,
    FEATURE_DAY,
    TOP_CARD_DAY,
    FRAUD_CARDS,
    WINDOWS,
    WINDOWS_LATE,
    WINDOWS_STATE,
    SEGMENTS_ADOPTED,
    ALERT_RULES,
    ALERT_SILENCES,
    ALERTS,
    ALERT_STATE,
    ALERT_JOURNAL,
    ALERT_OUTBOX,
    KPI_BAND,
    ANOMALY_STATE,
    ANOMALY_JOURNAL,
];

/// Lists the tables of a database: `orders`, `kafka_offsets`, `ccstream_version`, the derived tables, and further ones
/// that only some runs need.
#[derive(Debug, Clone)]
pub struct Tables {
    derived: Vec<Arc<dyn Derived>>,
    further: Vec<Table>,
}

impl Default for Tables {
    /// Returns the tables that every run needs.
    fn default() -> Self {
        Self {
            derived: vec![Arc::new(Rejected), Arc::new(RejectedCounts), Arc::new(Totals), Arc::new(Latency::default())],
            further: Vec::new(),
        }
    }
}

impl Tables {
    /// Returns the tables from which a dashboard's figures come: `orders` and `kafka_offsets`, and their version.
    pub fn without_derived() -> Self {
        Self { derived: Vec::new(), further: Vec::new() }
    }

    /// Adds a derived table.
    #[must_use]
    pub fn with(mut self, derived: impl Derived + 'static) -> Self {
        self.derived.push(Arc::new(derived));
        self
    }

    /// Adds the tables of the truth about a simulated world.
    #[must_use]
    pub fn with_truth(mut self) -> Self {
        // The order matters: creating `truth` deletes the rows of `truth_offsets`, which must exist.
        self.further.extend([TRUTH_OFFSETS, TRUTH]);
        self
    }

    /// Adds the tables of the analysis, for an analyzer. It only reads the other tables.
    #[must_use]
    pub fn with_analysis(mut self) -> Self {
        self.further.extend(ANALYZED);
        self
    }

    /// Iterates over the derived tables in the order in which a batch adds to them.
    pub fn derived(&self) -> impl Iterator<Item = &dyn Derived> {
        self.derived.iter().map(AsRef::as_ref)
    }

    /// Lists all tables in the order in which they are created.
    pub fn all(&self) -> Vec<Table> {
        let derived = self.derived().map(Derived::table);
        [ORDERS, OFFSETS, VERSIONS].into_iter().chain(derived).chain(self.further.iter().copied()).collect()
    }

    /// Lists the names of all tables.
    pub fn names(&self) -> Vec<&'static str> {
        self.all().iter().map(|table| table.name).collect()
    }

    /// Lists the names of the tables that the dashboards' role reads.
    pub fn read(&self) -> Vec<&'static str> {
        self.all().iter().filter(|table| table.reader).map(|table| table.name).collect()
    }

    /// Returns the GRANT statements that a role needs to run the consumer, or with the tables of the analysis, the
    /// analyzer. Both names must be quoted if SQL requires it.
    pub fn grants(&self, role: &str, database: &str) -> Vec<String> {
        let is_analyzed = |table: &Table| ANALYZED.iter().any(|one| one.name == table.name);
        let for_analyzer = self.further.iter().any(is_analyzed);
        let on = |table: &Table| {
            let privileges = if for_analyzer && !is_analyzed(table) { &["SELECT"] } else { table.privileges };
            format!("GRANT {} ON {} TO {role};", privileges.join(", "), table.name)
        };
        let temporary = (!for_analyzer).then(|| format!("GRANT TEMPORARY ON DATABASE {database} TO {role};"));
        self.all().iter().map(on).chain(temporary).collect()
    }
}
