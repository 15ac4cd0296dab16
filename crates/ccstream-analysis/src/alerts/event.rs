//! Describes what a rule gets to know of a transaction.

use ccstream_core::units::Micros;

use crate::attribute::Attribute;
use crate::windows::{Facts, Fields};

/// A transaction in the order of the analysis.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Its place in the order.
    pub seq: u64,
    /// Its id.
    pub id: &'a str,
    /// Its time.
    pub time: Micros,
    /// The greatest time of a transaction before it; None for the first one.
    pub reached: Option<Micros>,
    /// The time of the clock.
    pub clock: Micros,
    /// What is known of it.
    pub facts: &'a Facts,
    /// The fields that the facts have, and their values.
    pub fields: &'a Fields,
    /// The values of the fields.
    pub values: &'a [Option<&'a str>],
    /// Its score.
    pub score: f64,
    /// Its amount as a multiple of the card's usual one, if that is known.
    pub ratio: Option<f32>,
}

impl Event<'_> {
    /// Returns the value of an attribute.
    pub(super) fn value(&self, attribute: impl Into<Attribute>) -> Option<&str> {
        self.values.get(self.fields.number(attribute.into())?).copied().flatten()
    }
}
