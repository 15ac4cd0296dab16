//! Defines a rule: its kind, its key, and its cooldown.

use std::fmt;

use ccstream_core::fields::Place;

use super::anomaly::Anomalous;
use super::condition::Condition;
use super::system::System;
use crate::attribute::Attribute;
use crate::toml::length;

/// How serious an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth a look today.
    Warning,
    /// Somebody has to act.
    Critical,
}

impl Severity {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// The score from which a rule fires.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// A fixed score.
    Threshold(f64),
    /// The score that this number of cards reached on the day before.
    Budget(usize),
}

/// What a rule looks for. All times are in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A transaction that meets the condition.
    Transaction,
    /// A high score.
    Score(Limit),
    /// A number of transactions of a key in a window that meet the condition.
    Rate {
        /// The least number of transactions that meet it, or of values that they have.
        least: u32,
        /// The field whose different values are counted; None if transactions are.
        distinct: Option<Attribute>,
        /// The least share of those among all of the key; None if only the number counts.
        share: Option<f64>,
        /// The size of the window.
        size: i64,
        /// Whether windows follow each other, instead of one that moves.
        is_tumbling: bool,
        /// How long it must hold.
        holds_for: i64,
    },
    /// A value of a field that is new for the key.
    NewValue(Attribute),
    /// An amount that is at least this multiple of the card's usual one.
    Amount(f64),
    /// No transaction that meets the condition for this time.
    Absence(i64),
    /// A KPI that leaves its usual band.
    Anomaly(Anomalous),
    /// The system itself.
    System(System),
}

impl Kind {
    /// The names of all kinds.
    pub(super) const NAMES: [&'static str; 8] =
        ["transaction", "score", "rate", "new_value", "amount", "absence", "anomaly", "system"];

    /// Returns whether the rule is applied to transactions, so that it can have a condition and a key.
    pub(super) fn is_about_transactions(&self) -> bool {
        !matches!(self, Self::Anomaly(_) | Self::System(_))
    }

    /// Returns the name.
    pub fn name(&self) -> &'static str {
        Self::NAMES[match self {
            Self::Transaction => 0,
            Self::Score(_) => 1,
            Self::Rate { .. } => 2,
            Self::NewValue(_) => 3,
            Self::Amount(_) => 4,
            Self::Absence(_) => 5,
            Self::Anomaly(_) => 6,
            Self::System(_) => 7,
        }]
    }
}

/// Defines a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// The name.
    pub name: String,
    /// What it looks for.
    pub kind: Kind,
    /// The condition that transactions must meet.
    pub(super) condition: Condition,
    /// The fields whose values are the key. A transaction that lacks one of them is ignored.
    pub by: Vec<Attribute>,
    /// How serious its alerts are.
    pub severity: Severity,
    /// How long it only counts up an alert after opening it, in microseconds of event time.
    pub cooldown: i64,
    /// The limit up to which the cooldown doubles.
    pub cooldown_limit: i64,
    /// Where to read what to do; empty if nowhere.
    pub runbook: String,
    /// The maximum number of keys that it remembers.
    pub keys: usize,
}

impl Definition {
    /// The default of [`keys`](Self::keys).
    pub const KEYS: usize = 100_000;

    /// Lists the attributes that the rule and its texts need.
    pub fn attributes(&self) -> Vec<Attribute> {
        let of = match self.kind {
            Kind::NewValue(of) | Kind::Rate { distinct: Some(of), .. } => Some(of),
            _ => None,
        };
        let for_texts = [Place::MERCHANT, Place::CURRENCY].map(Attribute::Field);
        self.by.iter().copied().chain(self.condition.attributes()).chain(of).chain(for_texts).collect()
    }
}

/// Writes the definition as a table of `alerts.toml`. Two definitions are the same if their texts are.
impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[[alert]]\nname = \"{}\"\nkind = \"{}\"", self.name, self.kind.name())?;
        if !self.condition.is_empty() {
            writeln!(f, "where = {:?}", self.condition.to_string())?;
        }
        match self.kind {
            Kind::Transaction => {}
            Kind::Score(Limit::Threshold(threshold)) => writeln!(f, "threshold = {threshold:?}")?,
            Kind::Score(Limit::Budget(budget)) => writeln!(f, "budget = {budget}")?,
            Kind::Rate { least, distinct, share, size, is_tumbling, holds_for } => {
                writeln!(f, "least = {least}")?;
                if let Some(distinct) = distinct {
                    writeln!(f, "distinct = \"{}\"", distinct.name())?;
                }
                if let Some(share) = share {
                    writeln!(f, "share = {share:?}")?;
                }
                let window = if is_tumbling { "tumbling" } else { "sliding" };
                writeln!(f, "size = \"{}\"\nwindow = \"{window}\"\nfor = \"{}\"", length(size), length(holds_for))?;
            }
            Kind::NewValue(of) => writeln!(f, "of = \"{}\"", of.name())?,
            Kind::Amount(ratio) => writeln!(f, "ratio = {ratio:?}")?,
            Kind::Absence(after) => writeln!(f, "after = \"{}\"", length(after))?,
            Kind::Anomaly(anomalous) => {
                writeln!(f, "kpis = {:?}\nseries = {:?}", anomalous.kpi_names(), anomalous.dimension_names())?;
            }
            Kind::System(System::Lag { least, holds_for }) => {
                writeln!(f, "of = \"lag\"\nleast = {least}\nfor = \"{}\"", length(holds_for))?;
            }
            Kind::System(System::Rejected { share, size }) => {
                writeln!(f, "of = \"rejected\"\nshare = {share:?}\nsize = \"{}\"", length(size))?;
            }
            Kind::System(System::Consumer(after)) => {
                writeln!(f, "of = \"consumer\"\nafter = \"{}\"", length(after))?;
            }
        }
        if self.kind.is_about_transactions() {
            let by: Vec<&str> = self.by.iter().map(|one| one.name()).collect();
            writeln!(f, "by = {by:?}")?;
        }
        writeln!(f, "severity = \"{}\"", self.severity.name())?;
        writeln!(f, "cooldown = \"{}\"\ncooldown_limit = \"{}\"", length(self.cooldown), length(self.cooldown_limit))?;
        if !self.runbook.is_empty() {
            writeln!(f, "runbook = {:?}", self.runbook)?;
        }
        writeln!(f, "keys = {}", self.keys)
    }
}
