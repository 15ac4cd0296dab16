//! This module defines the figures of a stream, which are serialized to JSON without changes.

use std::collections::BTreeMap;

use super::amounts::AmountsShape;
use super::statistics::ZipfFit;

/// Describes how events are distributed over names.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct NamesShape {
    /// Number of names that are counted separately.
    pub distinct: usize,
    /// Number of events that have a name.
    pub events: u64,
    /// Maximum number of names that are counted separately.
    pub limit: usize,
    /// Number of events with a name beyond the limit. Except for `events`, no other figure includes them.
    pub beyond_limit: u64,
    /// The share of events of the most frequent tenth of the names.
    pub top_tenth_share: Option<f64>,
    /// The Gini coefficient of events by name.
    pub gini: Option<f64>,
    /// The fit of a power law to the ranks.
    pub zipf: Option<ZipfFit>,
    /// Some ranks, and the number of events of each.
    pub ranks: Vec<(usize, u64)>,
    /// The most frequent names. Empty for cards, whose names are not stored.
    pub top: Vec<(String, u64)>,
}

/// Describes the approval rate of a name.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ApprovedShape {
    /// The name; empty for all events.
    pub name: String,
    /// Number of events that were approved or declined.
    pub count: u64,
    /// The share of these that were approved.
    pub share: f64,
}

impl ApprovedShape {
    /// Computes the approval rate of a name.
    pub(super) fn of(name: &str, (decided, approved): (u64, u64)) -> Self {
        Self { name: name.to_owned(), count: decided, share: approved as f64 / decided as f64 }
    }
}

/// Describes how frequent a response code is.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct CodeShape {
    /// The response code.
    pub code: String,
    /// Number of events with this code.
    pub count: u64,
    /// Their share of the events that have a code.
    pub share: f64,
}

/// Describes the shape of a stream.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Shape {
    /// Number of valid events.
    pub events: u64,
    /// Number of messages that the consumer would reject, by reason.
    pub malformed: BTreeMap<&'static str, u64>,
    /// The earliest timestamp, in microseconds since 1970 UTC.
    pub first: Option<i64>,
    /// The latest timestamp, in microseconds since 1970 UTC.
    pub last: Option<i64>,
    /// How events are distributed over merchants.
    pub merchants: NamesShape,
    /// How events are distributed over cards.
    pub cards: NamesShape,
    /// Number of events by weekday (from Monday) and hour, in UTC.
    pub hours: [[u64; 24]; 7],
    /// The share of events whose amount is negative.
    pub refunds: Option<f64>,
    /// The amounts of purchases; None without a purchase.
    pub amounts: Option<AmountsShape>,
    /// The approval rate; None if no event was approved or declined.
    pub approved: Option<ApprovedShape>,
    /// The approval rate by network, the most frequent first.
    pub by_network: Vec<ApprovedShape>,
    /// The approval rate by issuer, the most frequent first.
    pub by_issuer: Vec<ApprovedShape>,
    /// The response codes, the most frequent first.
    pub response_codes: Vec<CodeShape>,
}

impl Shape {
    /// Returns the shape as one JSON object.
    ///
    /// # Panics
    /// Never, because all keys of its maps are strings.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("every figure is a JSON value")
    }
}
