//! What may be asked: a filter, a range of time, and how to group (pure).

use std::collections::{BTreeMap, BTreeSet};

use super::offsets::Offsets;
use crate::rows::attribute::Attribute;
use crate::rows::block::CodedColumn;
use crate::rows::codes::FAR;
use ccstream_core::error::{Error, Result};

/// A series has at most so many buckets.
pub(crate) const MAX_BUCKETS: i64 = 100_000;

/// What rows are filtered and grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// The values of an attribute.
    Of(Attribute),
    /// City and country together, with their coordinates.
    Place,
}

impl Dimension {
    /// Every dimension, in the order of [`ATTRIBUTES`](crate::rows::attribute::ATTRIBUTES); a place is the last.
    pub fn all() -> impl Iterator<Item = Self> {
        Attribute::dimensions().map(Self::Of).chain([Self::Place])
    }

    /// Its name in queries.
    pub fn name(self) -> &'static str {
        self.attribute().map_or("place", |attribute| attribute.definition().name)
    }

    /// The dimension of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|dimension| dimension.name() == name)
    }

    /// The attribute behind it; None for a place, which is two.
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

/// Which rows count. The default lets all through.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Filter {
    /// For each dimension named, only these values; None is an absent one.
    pub only: BTreeMap<Dimension, BTreeSet<Option<String>>>,
    /// No amount below so many cents.
    pub min_cents: Option<i64>,
    /// None above.
    pub max_cents: Option<i64>,
}

impl Filter {
    /// Errors: [`Error::Config`] for a dimension that is no filter.
    pub fn validate(&self) -> Result<()> {
        if self.only.contains_key(&Dimension::Place) {
            return Err(Error::config("filters", "a place is named by city and country"));
        }
        Ok(())
    }
}

/// Which time, in microseconds since 1970 UTC, by the transactions' own timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Window {
    /// All of it, and rows without a time.
    #[default]
    All,
    /// The last so long before the snapshot.
    Last(i64),
    /// From the first, included, to the second, excluded.
    Between(i64, i64),
}

/// How rows are put into groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// By a dimension's values.
    Dimension(Dimension),
    /// By time, in buckets of the query's width.
    Time,
    /// By hour and weekday: 168 groups, the first from 0 to 1 o'clock on Monday.
    Week,
    /// By amount, in bins that grow in steps of 1, 2, 5: [`AMOUNT_EDGES`].
    Amount,
    /// How many by a dimension's values and by time.
    Trend(Dimension),
}

/// The lower edges of the bins of [`By::Amount`], in cents. What is negative comes first.
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

/// One grouping, and what of it is wanted beside counts and sums.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Grouping {
    /// How.
    pub by: By,
    /// The smallest and greatest amount of each group.
    pub extremes: bool,
    /// Percentiles of each group's amounts, within 1 %.
    pub percentiles: bool,
    /// How many cards each group has.
    pub cards: bool,
    /// How many of each group were approved, declined or risky.
    pub outcomes: bool,
    /// Of a dimension, only so many groups with the most rows; the rest is added up.
    pub top: Option<usize>,
}

impl Grouping {
    /// With nothing more than counts and sums.
    pub fn new(by: By) -> Self {
        Self { by, extremes: false, percentiles: false, cards: false, outcomes: false, top: None }
    }

    /// Whether something is wanted that sums over kinds do not tell.
    pub(crate) fn needs_rows(&self) -> bool {
        self.extremes || self.percentiles || self.cards
    }
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Query {
    /// Which rows.
    pub filter: Filter,
    /// Of which time.
    pub window: Window,
    /// Amounts of this currency alone are added up (Some(None): of rows that name none). None: the one that
    /// most rows have.
    pub currency: Option<Option<String>>,
    /// The groupings; the totals come with every answer.
    pub groupings: Vec<Grouping>,
    /// Width of a bucket of time in microseconds; None for the least easily read one that makes some 60 buckets at most.
    pub width: Option<i64>,
    /// The time zone in which buckets of a day begin, and of the hours of [`By::Week`].
    pub offsets: Offsets,
    /// Totals of the time of equal length before, too.
    pub before: bool,
}

impl Query {
    /// Errors: [`Error::Config`] naming what cannot be asked.
    pub fn validate(&self) -> Result<()> {
        let positive = |field, value: i64| {
            if value > 0 { Ok(()) } else { Err(Error::config(field, "must be longer than nothing")) }
        };
        match self.width {
            Some(width) if width > FAR => return Err(Error::config("width", "73,000 years at most")),
            Some(width) => positive("width", width)?,
            None => {}
        }
        match self.window {
            Window::All if self.before => {
                return Err(Error::config("before", "there is nothing before all of time; give a range"));
            }
            Window::Between(from, to) if from >= to => {
                return Err(Error::config("end", "must be later than start"));
            }
            Window::Between(from, to) if from < -FAR || to > FAR => {
                return Err(Error::config("start", "a range can go 73,000 years back and forth"));
            }
            Window::Last(length) if length > FAR => return Err(Error::config("last", "73,000 years at most")),
            Window::Last(length) => positive("last", length)?,
            Window::All | Window::Between(..) => {}
        }
        self.filter.validate()?;
        self.offsets.validate()?;
        for grouping in &self.groupings {
            let plain = !grouping.extremes && !grouping.percentiles && !grouping.cards && !grouping.outcomes;
            if matches!(grouping.by, By::Trend(_) | By::Amount) && !plain {
                return Err(Error::config("by", "a trend and an amount histogram have counts and sums alone"));
            }
        }
        Ok(())
    }

    pub(crate) fn needs_time(&self) -> bool {
        matches!(self.window, Window::Last(_))
            || self.groupings.iter().any(|grouping| matches!(grouping.by, By::Time | By::Trend(_)))
    }
}
