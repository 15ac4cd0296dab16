//! Describes what becomes of alerts.

use super::definition::Severity;
use crate::key::Key;

/// An alert that is opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// The name of the rule.
    pub rule: String,
    /// The version of the rule.
    pub version: i32,
    /// The values of the key's fields, joined by commas; None for a rule without a key.
    pub key: Option<String>,
    /// Identifies the key.
    pub hash: Key,
    /// How serious it is.
    pub severity: Severity,
    /// The place in the order at which it was opened.
    pub seq: u64,
    /// The time of the transaction, or of the tick, in microseconds since 1970.
    pub at: i64,
    /// Why, as a JSON object.
    pub why: String,
    /// Why, in words.
    pub text: String,
    /// Where to read what to do; empty if nowhere.
    pub runbook: String,
}

/// What becomes of an alert.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It is opened.
    Opened(Alert),
    /// It counts up, because its rule has fired again within the cooldown.
    Repeated {
        /// The name of the rule.
        rule: String,
        /// Identifies the key.
        hash: Key,
        /// The place in the order at which the alert was opened.
        opened: u64,
        /// When the rule fired.
        at: i64,
    },
    /// It is closed, because what it was about is over.
    Closed {
        /// The name of the rule.
        rule: String,
        /// Identifies the key.
        hash: Key,
        /// The place in the order at which the alert was opened.
        opened: u64,
        /// When it was over.
        at: i64,
    },
}
