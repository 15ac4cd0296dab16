//! Defines queries: a filter, a range of time, and groupings.

use std::collections::{BTreeMap, BTreeSet};

use super::offsets::Offsets;
use crate::rows::attribute::Attribute;
use crate::rows::block::CodedColumn;
use crate::rows::codes::FAR;
use ccstream_core::error::{Error, Result};

/// The maximum number of buckets of time in a query.
pub(crate) const MAX_BUCKETS: i64 = 100_000;

/// Identifies what rows are filtered and grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// An attribute.
    Of(Attribute),
    /// City and country together, with coordinates.
    Place,
}

impl Dimension {
    /// Returns every dimension, in the order of [`ATTRIBUTES`](crate::rows::attribute::ATTRIBUTES) and with the place
    /// last.
    pub fn all() -> impl Iterator<Item = Self> {
        Attribute::dimensions().map(Self::Of).chain([Self::Place])
    }

    /// Returns the name of the dimension in queries.
    pub fn name(self) -> &'static str {
        self.attribute().map_or("place", |attribute| attribute.definition().name)
    }

    /// Returns the dimension with a name; None if there is none.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|dimension| dimension.name() == name)
    }

    /// Returns the attribute of the dimension; None for a place, which has two.
    pub fn attribute(self) -> Option<Attribute> {
        match self {
            Self::Of(attribute) => Some(attribute),
            Self::Place => None,
        }
    }

    pub(crate) fn column(self) -> CodedColumn {
        self.attribute().map_or(CodedColumn::Place, Attribute::coded_column)
    }
}

/// Selects rows. The default selects all of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Filter {
    /// Selects rows with one of these values in each of the dimensions; None stands for an absent value.
    pub only: BTreeMap<Dimension, BTreeSet<Option<String>>>,
    /// The smallest amount to select, in cents. Rows without an amount are then left out.
    pub min_cents: Option<i64>,
    /// The largest amount to select, in cents. Rows without an amount are then left out.
    pub max_cents: Option<i64>,
}

impl Filter {
    /// Fails with [`Error::Config`] if a dimension cannot be filtered by.
    pub fn validate(&self) -> Result<()> {
        if self.only.contains_key(&Dimension::Place) {
            return Err(Error::config("filters", "place is not a filter; filter by city and country"));
        }
        Ok(())
    }
}

/// Selects rows by their timestamps, in microseconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Window {
    /// All rows, including those without a time.
    #[default]
    All,
    /// Rows of the last microseconds before the moment of the query; the number is their duration.
    Last(i64),
    /// Rows from the first moment (inclusive) to the second (exclusive).
    Between(i64, i64),
}

/// Defines how rows are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// By the values of a dimension.
    Dimension(Dimension),
    /// By time, in buckets of the query's width.
    Time,
    /// By weekday and hour: 168 groups, the first from 0 to 1 o'clock on Monday.
    Week,
    /// By amount, in bins whose lower edges are [`AMOUNT_EDGES`].
    Amount,
    /// By the values of a dimension and by time; only rows are counted.
    Trend(Dimension),
}

/// The lower edges of the bins of [`By::Amount`], in cents. The first bin has all negative amounts.
pub const AMOUNT_EDGES: [i64; 26] = [
    i64::MIN + 1,
    0,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
];

/// Defines a grouping, and which figures it has in addition to counts and sums.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Grouping {
    /// How rows are grouped.
    pub by: By,
    /// Whether to find the smallest and the largest amount of each group.
    pub extremes: bool,
    /// Whether to compute percentiles of each group's amounts, with an error of at most 1 %.
    pub percentiles: bool,
    /// Whether to count the distinct cards of each group.
    pub cards: bool,
    /// Whether to count the approved, declined and risky rows of each group.
    pub outcomes: bool,
    /// For a dimension or a trend, the number of groups to return: those with the most rows. The others are summed.
    /// None returns all groups.
    pub top: Option<usize>,
}

impl Grouping {
    /// Creates a grouping with only counts and sums.
    pub fn new(by: By) -> Self {
        Self { by, extremes: false, percentiles: false, cards: false, outcomes: false, top: None }
    }

    /// Returns whether figures are asked for that cannot be derived from the totals by kind.
    pub(crate) fn needs_rows(&self) -> bool {
        self.extremes || self.percentiles || self.cards
    }
}

/// Asks for totals and groups of the rows that a filter and a window select.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Query {
    /// The filter.
    pub filter: Filter,
    /// The range of time.
    pub window: Window,
    /// The currency whose amounts are summed. Some(None) sums the amounts of rows without a currency; None chooses the
    /// currency that most rows have.
    pub currency: Option<Option<String>>,
    /// The groupings. Totals are in every answer.
    pub groupings: Vec<Grouping>,
    /// The width of a bucket of time in microseconds. None chooses the smallest width that is easy to read and makes
    /// about 60 buckets at most.
    pub width: Option<i64>,
    /// The time zone of buckets and of the hours of [`By::Week`].
    pub offsets: Offsets,
    /// Whether to return the totals of the preceding range of equal length too.
    pub before: bool,
}

impl Query {
    /// Fails with [`Error::Config`] if the query is invalid. The error names the argument.
    pub fn validate(&self) -> Result<()> {
        let positive = |field, value: i64| {
            if value > 0 { Ok(()) } else { Err(Error::config(field, "must be greater than zero")) }
        };
        match self.width {
            Some(width) if width > FAR => return Err(Error::config("width", "must be at most 73,000 years")),
            Some(width) => positive("width", width)?,
            None => {}
        }
        match self.window {
            Window::All if self.before => {
                return Err(Error::config("before", "needs a range: give last, or start and end"));
            }
            Window::Between(from, to) if from >= to => {
                return Err(Error::config("end", "must be later than start"));
            }
            Window::Between(from, to) if from < -FAR || to > FAR => {
                return Err(Error::config("start", "start and end must be within 73,000 years of 1970"));
            }
            Window::Last(length) if length > FAR => return Err(Error::config("last", "must be at most 73,000 years")),
            Window::Last(length) => positive("last", length)?,
            Window::All | Window::Between(..) => {}
        }
        self.filter.validate()?;
        self.offsets.validate()?;
        for grouping in &self.groupings {
            let plain = !grouping.extremes && !grouping.percentiles && !grouping.cards && !grouping.outcomes;
            if matches!(grouping.by, By::Trend(_) | By::Amount) && !plain {
                return Err(Error::config(
                    "by",
                    "a trend has only counts, and amount has only counts and sums; leave out the other measures",
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn needs_time(&self) -> bool {
        matches!(self.window, Window::Last(_))
            || self.groupings.iter().any(|grouping| matches!(grouping.by, By::Time | By::Trend(_)))
    }
}
