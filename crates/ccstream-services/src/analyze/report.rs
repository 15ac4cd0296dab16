//! This module defines the events that the analyzer reports while it runs, and the summary of a run.

use std::time::Duration;

use crate::consume::{Waiting, Warning};
use crate::postgres::{AnalysisCounters, SchemaChange};
use ccstream_analysis::alerts::Alert;

/// Describes an event that the analyzer reports to its observers.
#[derive(Debug, Clone)]
pub enum AnalyzeEvent {
    /// PostgreSQL answered, and the tables exist.
    ConnectedToPostgres(SchemaChange),
    /// Another analyzer has the lease. This analyzer waits to take over.
    Standby,
    /// This analyzer has the lease.
    Leased {
        /// The number of transactions and labels that were folded before.
        seq: i64,
        /// The name of the model that scores.
        model: String,
    },
    /// The state of cards and merchants was restored.
    Restored {
        /// The number of transactions and labels that were folded again.
        folded: i64,
        /// How long it took.
        took: Duration,
    },
    /// Another model scores from now on.
    Model {
        /// The name of the model, or `rules`.
        name: String,
    },
    /// The analyzer reads the topic of the events.
    Reading,
    /// The analyzer warns of something that the user should know, and continues.
    Warning(Warning),
    /// A batch was committed.
    Batch(AnalyzeReport),
    /// An alert was opened, and is committed.
    Alert(Alert),
    /// Kafka or PostgreSQL is unavailable. The analyzer retries until it is back.
    Waiting(Waiting),
    /// Another analyzer has taken the lease.
    LostLease,
    /// The run ended without an error.
    Ended(AnalyzeSummary),
    /// The run ended with an error.
    Failed {
        /// The process's exit status for this error: see [`Error::exit_code`](crate::Error::exit_code).
        exit_code: u8,
        /// The error's message with its causes.
        error: String,
        /// What was committed before the error.
        summary: AnalyzeSummary,
    },
}

impl AnalyzeEvent {
    /// Returns the event's stable name, as in `"scored"`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ConnectedToPostgres(_) => "connected_to_postgres",
            Self::Standby => "standby",
            Self::Leased { .. } => "leased",
            Self::Restored { .. } => "restored",
            Self::Model { .. } => "model",
            Self::Reading => "reading",
            Self::Warning(_) => "warning",
            Self::Batch(_) => "scored",
            Self::Alert(_) => "alert",
            Self::Waiting(_) => "waiting",
            Self::LostLease => "lost_lease",
            Self::Ended(_) => "ended",
            Self::Failed { .. } => "failed",
        }
    }
}

/// Describes a committed batch.
#[derive(Debug, Clone, Default)]
pub struct AnalyzeReport {
    /// What became of the batch's messages of the topic of events. Those that were accepted are scored.
    pub counted: AnalysisCounters,
    /// The batch's labels that became due.
    pub labelled: i64,
    /// The greatest score of the batch, and the id of its transaction; None if the batch has no score.
    pub greatest: Option<(f64, String)>,
    /// What became of all messages since the start of the run.
    pub summary: AnalyzeSummary,
    /// The number of transactions and labels that were folded so far.
    pub seq: i64,
    /// Number of messages that are not scored yet, as of the last fetch.
    pub lag: i64,
    /// How long the transaction took.
    pub took: Duration,
}

/// Summarizes one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnalyzeSummary {
    /// What became of the messages of the topic of events. Those that were accepted are scored.
    pub events: AnalysisCounters,
    /// What became of the messages of the topic of labels. Those that were accepted are stored.
    pub labels: AnalysisCounters,
    /// Labels that became due.
    pub labelled: i64,
    /// Events that came after a later one was scored.
    pub late: i64,
    /// What was forgotten because there was too much of it, since the state was restored.
    pub forgotten: Forgotten,
    /// Notifications of alerts.
    pub notifications: Notifications,
    /// Time since the lease was taken.
    pub elapsed: Duration,
    /// Whether everything that was read is committed. If not, the next run reads the rest again.
    pub drained: bool,
}

/// Counts notifications of alerts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Notifications {
    /// Those that were sent.
    pub sent: i64,
    /// Those that were not, and are not tried again.
    pub failed: i64,
}

/// Counts what a run no longer remembers, because the state has limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Cards beyond the limit.
    pub cards: i64,
    /// Merchants beyond the limit.
    pub merchants: i64,
    /// Terminals beyond the limit of merchants.
    pub terminals: i64,
    /// Labels that are due and whose transactions were not scored. They remain in the table `labels`.
    pub labels: i64,
    /// Keys of the rules of alerts beyond their limits.
    pub alert_keys: i64,
}
