//! Labels: what is known of a transaction some days after it.

use super::calendar::DAY;
use super::chance::Chance;
use super::message::{Message, Topic};
use super::numbers::exp;
use crate::json::{push_text, push_timestamp};
use crate::record::Record;
use crate::units::Micros;

/// Share of frauds that are found.
pub(super) const FOUND: f64 = 0.85;
/// Share of honest transactions that are claimed to be frauds.
pub(super) const CLAIMED: f64 = 0.000_2;
/// Sigma of the log-normal delay.
const SIGMA: f64 = 0.7;

/// How long after its transaction a label comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelDelay {
    /// This number of microseconds.
    Fixed(i64),
    /// A log-normal time with this median, in microseconds.
    LogNormal(i64),
}

impl Default for LabelDelay {
    fn default() -> Self {
        Self::LogNormal(7 * DAY)
    }
}

impl LabelDelay {
    /// A delay, in microseconds.
    pub(super) fn draw(self, chance: &mut Chance) -> i64 {
        match self {
            Self::Fixed(micros) => micros,
            Self::LogNormal(median) => (median as f64 * exp(SIGMA * chance.normal())) as i64,
        }
    }
}

/// Who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The card's holder, who was charged.
    Chargeback,
    /// The card's issuer.
    Issuer,
    /// A person who reviews alerts.
    Analyst,
}

impl Source {
    pub(super) const ALL: [Self; 3] = [Self::Chargeback, Self::Issuer, Self::Analyst];

    /// Of a label. What was declined was never charged.
    pub(super) fn draw(is_approved: bool, chance: &mut Chance) -> Self {
        match chance.below(10) {
            0..7 if is_approved => Self::Chargeback,
            7..9 => Self::Issuer,
            _ => Self::Analyst,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Chargeback => "chargeback",
            Self::Issuer => "issuer",
            Self::Analyst => "analyst",
        }
    }
}

/// The message that a transaction is a fraud, as its source says at a time.
pub(super) fn label(id: &str, labelled_at: Micros, source: Source, due: Micros) -> Message {
    let mut payload = Vec::with_capacity(160);
    payload.extend_from_slice(b"{\"transaction_id\":");
    push_text(id, &mut payload);
    payload.extend_from_slice(b",\"fraud\":true,\"labelled_at\":");
    push_timestamp(labelled_at, &mut payload);
    payload.extend_from_slice(b",\"source\":");
    push_text(source.name(), &mut payload);
    payload.push(b'}');
    Message {
        topic: Topic::Labels,
        due,
        record: Record { key: Some(id.as_bytes().to_vec()), payload, ..Record::default() },
    }
}
