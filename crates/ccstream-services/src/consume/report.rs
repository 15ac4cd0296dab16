//! This module defines the events that the consumer reports while it runs, and the summary of a run. `warning` defines
//! its warnings and waits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::warning::{Service, Waiting, Warning};
use crate::postgres::{Counters, SchemaChange, TruthCounters};

/// Describes an event that the consumer reports to its observers.
#[derive(Debug, Clone)]
pub enum ConsumeEvent {
    /// The broker answered.
    ConnectedToKafka {
        /// Whether the topic exists. If not, the consumer waits for it.
        topic_found: bool,
    },
    /// PostgreSQL answered, and the tables exist.
    ConnectedToPostgres(SchemaChange),
    /// The consumer joins its group.
    Listening,
    /// The consumer reads these partitions, each from this offset.
    Assigned(BTreeMap<i32, i64>),
    /// These partitions are no longer this consumer's.
    Revoked(BTreeSet<i32>),
    /// The consumer warns of something that the user should know, and continues unless the run is ending.
    Warning(Warning),
    /// A batch was committed.
    Batch(BatchReport),
    /// A batch of truth was committed.
    Truth(TruthReport),
    /// Kafka or PostgreSQL is unavailable. The consumer retries until it is back.
    Waiting(Waiting),
    /// Kafka or PostgreSQL is available again.
    Recovered {
        /// The service that was unavailable.
        service: Service,
        /// How long it was unavailable.
        after: Duration,
    },
    /// The run ended without an error.
    Ended(ConsumeSummary),
    /// The run ended with an error.
    Failed {
        /// The process's exit status for this error: see [`Error::exit_code`](crate::Error::exit_code).
        exit_code: u8,
        /// The error's message with its causes.
        error: String,
        /// What was committed before the error.
        summary: ConsumeSummary,
    },
}

impl ConsumeEvent {
    /// Returns the event's stable name, as in `"batch"`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ConnectedToKafka { .. } => "connected_to_kafka",
            Self::ConnectedToPostgres(_) => "connected_to_postgres",
            Self::Listening => "listening",
            Self::Assigned(_) => "assigned",
            Self::Revoked(_) => "revoked",
            Self::Warning(_) => "warning",
            Self::Batch(_) => "batch",
            Self::Truth(_) => "truth",
            Self::Waiting(_) => "waiting",
            Self::Recovered { .. } => "recovered",
            Self::Ended(_) => "ended",
            Self::Failed { .. } => "failed",
        }
    }
}

/// Describes a committed batch.
#[derive(Debug, Clone)]
pub struct BatchReport {
    /// What became of the batch's messages.
    pub counted: Counters,
    /// What became of all messages since the start of the run.
    pub total: Counters,
    /// The next offset of each of the batch's partitions that is still this consumer's.
    pub offsets: BTreeMap<i32, i64>,
    /// Number of offsets between the committed ones and the ends of this consumer's partitions, as of the last fetch.
    pub lag: i64,
    /// How long the transaction took.
    pub took: Duration,
}

/// Describes a committed batch of truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TruthReport {
    /// What became of the batch's messages.
    pub counted: TruthCounters,
    /// What became of all messages of the topic of truth since the start of the run.
    pub total: TruthCounters,
}

/// Summarizes one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsumeSummary {
    /// What became of the messages.
    pub total: Counters,
    /// Number of rejected messages by reason.
    pub rejected: BTreeMap<&'static str, i64>,
    /// What became of the messages of the topic of truth.
    pub truth: TruthCounters,
    /// Time since the assignment that preceded the first commit, so the wait for the group is not included.
    pub elapsed: Duration,
    /// Whether everything that was read is committed. If not, the next run reads the rest again.
    pub drained: bool,
}
