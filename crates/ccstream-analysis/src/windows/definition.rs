//! Defines a window: its kind, its dimensions and its measures.

use std::fmt;

use crate::attribute::Attribute;
use crate::toml::length;

/// The kind of a window. All times are in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Windows of a fixed size, of which one begins at every multiple of `hop` since 1970. They are tumbling if `hop` is
    /// the size, and overlap otherwise.
    Fixed {
        /// The size, a multiple of `hop`.
        size: i64,
        /// The time between the starts of two windows.
        hop: i64,
    },
    /// Windows that hold the transactions of a key that follow each other within `gap`.
    Session {
        /// The longest time between two transactions of a session.
        gap: i64,
        /// The longest time between the first and the last transaction of a session.
        longest: i64,
    },
}

/// What a window computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The number of transactions.
    Count,
    /// The sum of the amounts.
    Sum,
    /// The mean of the amounts.
    Mean,
    /// The least amount.
    Min,
    /// The greatest amount.
    Max,
    /// The share of approved transactions among those that were approved or declined.
    ApprovedShare,
    /// The number of distinct cards.
    Cards,
    /// The mean of the scores.
    MeanScore,
    /// The share of the scores that are high.
    HighShare,
}

impl Measure {
    /// All measures, in the order of their columns.
    pub const ALL: [Self; 9] = [
        Self::Count,
        Self::Sum,
        Self::Mean,
        Self::Min,
        Self::Max,
        Self::ApprovedShare,
        Self::Cards,
        Self::MeanScore,
        Self::HighShare,
    ];

    /// Returns the name, which is also that of the column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Max => "max",
            Self::ApprovedShare => "approved_share",
            Self::Cards => "cards",
            Self::MeanScore => "mean_score",
            Self::HighShare => "high_share",
        }
    }

    /// Returns whether the measure is of amounts, which are comparable only within a currency.
    pub fn is_of_amounts(self) -> bool {
        matches!(self, Self::Sum | Self::Mean | Self::Min | Self::Max)
    }
}

/// Defines a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// The name. The table is `window_` and the name.
    pub name: String,
    /// The kind.
    pub shape: Shape,
    /// How long after its end a window accepts transactions, in microseconds of event time.
    pub lateness: i64,
    /// The dimensions, each of which is a column of the table.
    pub by: Vec<Attribute>,
    /// The measures.
    pub measures: Vec<Measure>,
    /// The score from which a score is high.
    pub high: f64,
    /// The maximum number of cells that are open at a time.
    pub cells: usize,
}

impl Definition {
    /// The default of [`high`](Self::high).
    pub const HIGH: f64 = 0.5;
    /// The default of [`cells`](Self::cells).
    pub const CELLS: usize = 50_000;

    /// Returns the name of the table.
    pub fn table(&self) -> String {
        format!("window_{}", self.name)
    }

    /// Returns whether the window has a measure.
    pub fn has(&self, measure: Measure) -> bool {
        self.measures.contains(&measure)
    }
}

/// Writes the definition as a table of `windows.toml`. Two definitions are the same if their texts are.
impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[[window]]\nname = \"{}\"", self.name)?;
        match self.shape {
            Shape::Fixed { size, hop } => {
                writeln!(f, "size = \"{}\"", length(size))?;
                if hop != size {
                    writeln!(f, "hop = \"{}\"", length(hop))?;
                }
            }
            Shape::Session { gap, longest } => {
                writeln!(f, "gap = \"{}\"\nlongest = \"{}\"", length(gap), length(longest))?;
            }
        }
        let names = |names: Vec<&str>| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        writeln!(f, "lateness = \"{}\"", length(self.lateness))?;
        writeln!(f, "by = [{}]", names(self.by.iter().map(|one| one.name()).collect()))?;
        writeln!(f, "measures = [{}]", names(self.measures.iter().map(|measure| measure.name()).collect()))?;
        if self.has(Measure::HighShare) {
            writeln!(f, "high = {:?}", self.high)?;
        }
        writeln!(f, "cells = {}", self.cells)
    }
}
