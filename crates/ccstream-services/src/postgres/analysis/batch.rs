//! This module collects what one transaction of the analysis writes. It performs no I/O.

use std::collections::{BTreeMap, HashSet};

use hashbrown::HashMap;

use super::alerts::AlertsBatch;
use super::anomalies::AnomaliesBatch;
use super::tally::Tally;
use super::windows::WindowsBatch;
use ccstream_core::event::Micros;
use ccstream_core::label::Label;

/// Counts what became of messages of a topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnalysisCounters {
    /// Number of transactions that were scored, or of labels that were stored.
    pub accepted: i64,
    /// Number of messages whose transaction or label had been received before.
    pub duplicate: i64,
    /// Number of invalid messages.
    pub rejected: i64,
    /// Number of offsets that were deleted before they were read, or cannot be read.
    pub missing: i64,
}

impl AnalysisCounters {
    /// Returns the number of all messages.
    pub(crate) fn messages(&self) -> i64 {
        self.accepted + self.duplicate + self.rejected + self.missing
    }
}

impl std::ops::AddAssign for AnalysisCounters {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.duplicate += other.duplicate;
        self.rejected += other.rejected;
        self.missing += other.missing;
    }
}

/// The offset to which a batch advances one partition, and what became of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Advance {
    pub(crate) to: i64,
    pub(crate) counted: AnalysisCounters,
}

/// How far the partitions of a topic advance.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Advances(pub(crate) BTreeMap<i32, Advance>);

impl Advances {
    /// Advances a partition to an offset, and returns its counters.
    pub(crate) fn to(&mut self, partition: i32, to: i64) -> &mut AnalysisCounters {
        let advance = self.0.entry(partition).or_insert(Advance { to, counted: AnalysisCounters::default() });
        advance.to = to;
        &mut advance.counted
    }

    /// Returns what became of the topic's messages.
    pub(crate) fn total(&self) -> AnalysisCounters {
        self.0.values().fold(AnalysisCounters::default(), |mut total, advance| {
            total += advance.counted;
            total
        })
    }
}

/// What a label needs to know of its transaction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Known {
    pub(crate) time: Micros,
    /// The key by which the state knows the terminal, or the merchant without terminals.
    pub(crate) terminal: Option<i64>,
    pub(crate) ratio: Option<f32>,
}

/// The row of a transaction in `scores`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScoreRow {
    pub(crate) seq: i64,
    pub(crate) id: Box<str>,
    pub(crate) score: Option<f64>,
    pub(crate) known: Known,
    /// What a recovery needs to fold the transaction again, besides the transaction itself.
    pub(crate) level: Option<f32>,
    pub(crate) tested: i16,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// The key by which the state knows the card.
    pub(crate) card: Option<i64>,
    /// Why the score is high; None if it is not.
    pub(crate) reasons: Option<Vec<String>>,
    /// The score by the shadow model.
    pub(crate) shadow: Option<f64>,
}

/// A label that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReceivedLabel {
    pub(crate) label: Label,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// A label that became due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppliedLabel {
    pub(crate) label: Label,
    /// Its place in the order.
    pub(crate) seq: i64,
    /// The terminal of its transaction.
    pub(crate) terminal: Option<i64>,
}

/// What one transaction writes.
#[derive(Debug, Default)]
pub(crate) struct AnalysisBatch {
    pub(crate) scores: Vec<ScoreRow>,
    /// The name of the model that made the scores.
    pub(crate) model: String,
    /// The name of the model that scores beside it.
    pub(crate) shadow: Option<String>,
    /// What the small tables get.
    pub(crate) tally: Tally,
    pub(crate) received: Vec<ReceivedLabel>,
    /// Labels that became due.
    pub(crate) applied: Vec<AppliedLabel>,
    /// How far the partitions of the topic of events advance.
    pub(crate) events: Advances,
    /// How far the partitions of the topic of labels advance.
    pub(crate) labels: Advances,
    /// The last place in the order, and the greatest time of an event.
    pub(crate) seq: i64,
    pub(crate) time: Option<Micros>,
    /// Number of events that came after a later one was scored.
    pub(crate) late: i64,
    pub(crate) windows: WindowsBatch,
    pub(crate) alerts: AlertsBatch,
    pub(crate) anomalies: AnomaliesBatch,
    /// The transactions of the batch, by id.
    ids: HashMap<Box<str>, Known>,
    /// The labels of the batch, with `is_fraud` false, and their number by transaction.
    keys: HashSet<Label>,
    labelled: HashMap<String, usize>,
}

impl AnalysisBatch {
    /// Creates an empty batch, with room for a number of transactions.
    pub(crate) fn new(model: &str, shadow: Option<&str>, transactions: usize) -> Self {
        Self {
            model: model.to_owned(),
            shadow: shadow.map(ToOwned::to_owned),
            scores: Vec::with_capacity(transactions),
            ids: HashMap::with_capacity(transactions),
            ..Self::default()
        }
    }

    /// Adds the row of a transaction.
    pub(crate) fn push(&mut self, row: ScoreRow) {
        self.ids.insert(row.id.clone(), row.known);
        self.scores.push(row);
    }

    /// Adds a label, unless the batch has it. Labels of the same transaction, source and time are the same label.
    pub(crate) fn receive(&mut self, received: ReceivedLabel) -> bool {
        let key = Label { is_fraud: false, ..received.label.clone() };
        let is_new = self.keys.insert(key);
        if is_new {
            *self.labelled.entry(received.label.transaction_id.clone()).or_default() += 1;
            self.received.push(received);
        }
        is_new
    }

    /// Returns the number of the batch's labels of a transaction.
    pub(crate) fn labels_of(&self, id: &str) -> usize {
        self.labelled.get(id).copied().unwrap_or_default()
    }

    /// Returns what the batch knows of a transaction.
    pub(crate) fn find(&self, id: &str) -> Option<Known> {
        self.ids.get(id).copied()
    }

    /// Takes the ids of the transactions out.
    pub(crate) fn take_ids(&mut self) -> HashMap<Box<str>, Known> {
        std::mem::take(&mut self.ids)
    }

    /// Returns whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.0.is_empty() && self.labels.0.is_empty() && self.applied.is_empty()
    }

    /// Returns the number of transactions and labels.
    pub(crate) fn len(&self) -> usize {
        self.scores.len() + self.received.len() + self.applied.len()
    }
}
