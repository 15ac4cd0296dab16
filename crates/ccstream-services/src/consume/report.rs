//! What the consumer reports while it runs, and what one run came to. Warnings and waits are in `warning`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::warning::{Service, Waiting, Warning};
use crate::postgres::{Counters, SchemaChange};

/// What the consumer reports to whoever watches it.
#[derive(Debug, Clone)]
pub enum ConsumeEvent {
    /// The broker answered. Without the topic, the consumer waits for it.
    ConnectedToKafka {
        /// Whether the topic exists.
        topic_found: bool,
    },
    /// PostgreSQL answered, and the tables exist.
    ConnectedToPostgres(SchemaChange),
    /// Joining the group.
    Listening,
    /// These partitions are read, from these offsets.
    Assigned(BTreeMap<i32, i64>),
    /// These partitions are not this consumer's any more.
    Revoked(BTreeSet<i32>),
    /// Something a person should know; nothing is lost.
    Warning(Warning),
    /// A batch is committed.
    Batch(BatchReport),
    /// Kafka or PostgreSQL is unavailable; it is retried until it is back.
    Waiting(Waiting),
    /// It is back.
    Recovered {
        /// Which.
        service: Service,
        /// How long it was unavailable.
        after: Duration,
    },
    /// The run ended as it should.
    Ended(ConsumeSummary),
    /// The run ended with an error.
    Failed {
        /// The process's exit status for it.
        exit_code: u8,
        /// What happened.
        error: String,
        /// What the run did before.
        summary: ConsumeSummary,
    },
}

impl ConsumeEvent {
    /// Its stable name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ConnectedToKafka { .. } => "connected_to_kafka",
            Self::ConnectedToPostgres(_) => "connected_to_postgres",
            Self::Listening => "listening",
            Self::Assigned(_) => "assigned",
            Self::Revoked(_) => "revoked",
            Self::Warning(_) => "warning",
            Self::Batch(_) => "batch",
            Self::Waiting(_) => "waiting",
            Self::Recovered { .. } => "recovered",
            Self::Ended(_) => "ended",
            Self::Failed { .. } => "failed",
        }
    }
}

/// A committed batch.
#[derive(Debug, Clone)]
pub struct BatchReport {
    /// What became of its messages.
    pub counted: Counters,
    /// The same, since the start of the run.
    pub total: Counters,
    /// The offset after it, for each of its partitions that is still this consumer's.
    pub offsets: BTreeMap<i32, i64>,
    /// Messages that Kafka has and PostgreSQL does not have yet, as of the last fetch.
    pub lag: i64,
    /// How long the transaction took.
    pub took: Duration,
}

/// What one run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsumeSummary {
    /// What became of the messages.
    pub total: Counters,
    /// The rejected ones by reason.
    pub rejected: BTreeMap<&'static str, i64>,
    /// Since the first assignment.
    pub elapsed: Duration,
    /// False if the drain limit ended the run with messages read and not committed; the next run reads them again.
    pub drained: bool,
}
