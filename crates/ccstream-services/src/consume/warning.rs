//! Warnings and waits of the consumer: each has a stable kind for programs, beside its sentence for people.

use std::collections::BTreeSet;

use crate::error::Error;

/// Something a person should know; nothing is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What it is about.
    pub kind: WarningKind,
    /// The partitions that it concerns; none where it concerns all.
    pub partitions: BTreeSet<i32>,
    /// The same as a sentence.
    pub text: String,
}

impl Warning {
    pub(super) fn new(kind: WarningKind, text: impl Into<String>) -> Self {
        Self { kind, partitions: BTreeSet::new(), text: text.into() }
    }

    pub(super) fn of(kind: WarningKind, partitions: impl IntoIterator<Item = i32>, text: impl Into<String>) -> Self {
        Self { partitions: partitions.into_iter().collect(), ..Self::new(kind, text) }
    }
}

/// What a warning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WarningKind {
    /// Some of the cluster's brokers cannot be reached.
    BrokersUnreachable,
    /// The topic does not exist; it is waited for.
    TopicMissing,
    /// The topic was deleted and created again: it is read from the beginning.
    TopicRecreated,
    /// The cluster is a different one: the topic is read from the beginning.
    ClusterChanged,
    /// The log ends before the next offset: it is read from the beginning.
    LogTruncated,
    /// Retention deleted messages before they were read; they are counted as missing.
    Gap,
    /// A batch cannot be read, and was left out; its offsets are counted as missing.
    Unreadable,
    /// The last consumers of a partition were killed at the offset that is next.
    OwnersKilled,
    /// The group assigned no partition for long.
    GroupSilent,
    /// The group gave the partitions to others: it had heard nothing of this consumer.
    PartitionsLost,
    /// Another consumer took the partition over in PostgreSQL.
    TakenOver,
    /// The offset row is not where this consumer left it: the partition is read from there.
    PositionMoved,
    /// A session of a consumer that did not answer was ended: it kept offset rows locked.
    SessionEnded,
    /// Partitions were revoked before all that was read was committed; others read it again.
    RevokedUncommitted,
    /// PostgreSQL refused an additional connection.
    ConnectionRefused,
    /// The run ended before all that was read was committed; the next run reads it again.
    DrainLimit,
    /// Kafka did not answer when the consumer left the group.
    LeaveUnanswered,
}

impl WarningKind {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BrokersUnreachable => "brokers_unreachable",
            Self::TopicMissing => "topic_missing",
            Self::TopicRecreated => "topic_recreated",
            Self::ClusterChanged => "cluster_changed",
            Self::LogTruncated => "log_truncated",
            Self::Gap => "gap",
            Self::Unreadable => "unreadable",
            Self::OwnersKilled => "owners_killed",
            Self::GroupSilent => "group_silent",
            Self::PartitionsLost => "partitions_lost",
            Self::TakenOver => "taken_over",
            Self::PositionMoved => "position_moved",
            Self::SessionEnded => "session_ended",
            Self::RevokedUncommitted => "revoked_uncommitted",
            Self::ConnectionRefused => "connection_refused",
            Self::DrainLimit => "drain_limit",
            Self::LeaveUnanswered => "leave_unanswered",
        }
    }
}

/// A service that the consumer needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// The brokers.
    Kafka,
    /// The database.
    Postgres,
}

impl Service {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Postgres => "postgres",
        }
    }
}

/// A service is unavailable; it is retried until it is back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What is waited for.
    pub kind: WaitingKind,
    /// PostgreSQL's SQLSTATE, if it sent one.
    pub sql_state: Option<String>,
    /// The same as a sentence.
    pub reason: String,
}

impl Waiting {
    pub(super) fn new(kind: WaitingKind, reason: impl Into<String>) -> Self {
        Self { kind, sql_state: None, reason: reason.into() }
    }

    /// For an error of PostgreSQL that passes.
    pub(super) fn for_postgres(error: &Error) -> Self {
        let sql_state = error.sql_state().map(|state| state.code().to_owned());
        Self { sql_state, ..Self::new(WaitingKind::PostgresUnavailable, error.chain()) }
    }
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitingKind {
    /// No broker answers.
    KafkaUnavailable,
    /// The brokers refuse TLS or the login.
    KafkaRefused,
    /// Kafka answers with an error that passes.
    KafkaError,
    /// PostgreSQL cannot be reached, or refuses with an error that passes.
    PostgresUnavailable,
    /// PostgreSQL has not answered for long, over a connection that is open.
    PostgresSilent,
}

impl WaitingKind {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KafkaUnavailable => "kafka_unavailable",
            Self::KafkaRefused => "kafka_refused",
            Self::KafkaError => "kafka_error",
            Self::PostgresUnavailable => "postgres_unavailable",
            Self::PostgresSilent => "postgres_silent",
        }
    }

    /// The service that is unavailable.
    pub fn service(self) -> Service {
        match self {
            Self::KafkaUnavailable | Self::KafkaRefused | Self::KafkaError => Service::Kafka,
            Self::PostgresUnavailable | Self::PostgresSilent => Service::Postgres,
        }
    }
}
