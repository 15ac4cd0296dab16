//! This module defines the consumer's warnings and waits. Each has a stable kind for programs and a sentence for
//! people.

use std::collections::BTreeSet;

use crate::error::Error;

/// Warns of something that the user should know. Messages are lost only with the kinds `Gap` and `Unreadable`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What the warning is about.
    pub kind: WarningKind,
    /// The partitions that the warning is about; empty if it is not about single partitions.
    pub partitions: BTreeSet<i32>,
    /// What happened and what to do, in words.
    pub text: String,
}

impl Warning {
    pub(crate) fn new(kind: WarningKind, text: impl Into<String>) -> Self {
        Self { kind, partitions: BTreeSet::new(), text: text.into() }
    }

    pub(super) fn of(kind: WarningKind, partitions: impl IntoIterator<Item = i32>, text: impl Into<String>) -> Self {
        Self { partitions: partitions.into_iter().collect(), ..Self::new(kind, text) }
    }
}

/// Tells what a warning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WarningKind {
    /// Some of the cluster's brokers cannot be reached, and others can.
    BrokersUnreachable,
    /// The topic does not exist. The consumer waits for it.
    TopicMissing,
    /// The topic was deleted and created again, so it is read from its beginning.
    TopicRecreated,
    /// The cluster is a different one, so the topic is read from its beginning.
    ClusterChanged,
    /// The log ends before the next offset, so it is read from its beginning.
    LogTruncated,
    /// Retention deleted messages before they were read. They are counted as missing.
    Gap,
    /// A batch could not be read and was skipped. Its offsets are counted as missing.
    Unreadable,
    /// The last owners of a partition ended at the same offset without releasing it, as if they had been killed.
    OwnersKilled,
    /// The group has assigned no partition for five session timeouts.
    GroupSilent,
    /// The group gave the partitions to other consumers, because this one did not respond in time.
    PartitionsLost,
    /// Another consumer took the partition over in PostgreSQL.
    TakenOver,
    /// The next offset in PostgreSQL is not the one that this consumer committed last. Reading continues at
    /// PostgreSQL's offset.
    PositionMoved,
    /// The PostgreSQL session of another consumer, probably a suspended one, was ended because it kept offset rows
    /// locked.
    SessionEnded,
    /// Partitions were revoked before everything that was read was committed. Their next owner reads the rest again.
    RevokedUncommitted,
    /// PostgreSQL refused an additional connection.
    ConnectionRefused,
    /// Scored transactions are not in `orders`. The analyzer waits for them, because it restores its state from them.
    OrdersBehind,
    /// The active model cannot be used, so the rules score; or the shadow cannot be, so there is none.
    ModelUnusable,
    /// A definition of `windows.toml` is wrong, or a table of a window cannot be prepared. The window is not counted.
    WindowRefused,
    /// A rule or a target of `alerts.toml` is wrong. It is not used.
    AlertRefused,
    /// The segments of merchants, by which windows or alerts go, cannot be used.
    SegmentsUnavailable,
    /// A notification of alerts was not sent. It is tried again, unless the text says otherwise.
    NotificationFailed,
    /// Messages of the topic of truth were skipped. They are counted, and are not in the table `truth`.
    TruthSkipped,
    /// The run ended before everything that was read was committed. The next run reads the rest again.
    DrainLimit,
    /// Kafka did not answer when the consumer left the group.
    LeaveUnanswered,
}

impl WarningKind {
    /// Returns the kind's stable name, as in `"topic_missing"`.
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
            Self::OrdersBehind => "orders_behind",
            Self::ModelUnusable => "model_unusable",
            Self::WindowRefused => "window_refused",
            Self::AlertRefused => "alert_refused",
            Self::SegmentsUnavailable => "segments_unavailable",
            Self::NotificationFailed => "notification_failed",
            Self::TruthSkipped => "truth_skipped",
            Self::DrainLimit => "drain_limit",
            Self::LeaveUnanswered => "leave_unanswered",
        }
    }
}

/// Names a service that the consumer needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// The brokers.
    Kafka,
    /// The database.
    Postgres,
}

impl Service {
    /// Returns the service's stable name: `"kafka"` or `"postgres"`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Postgres => "postgres",
        }
    }
}

/// Reports that a service is unavailable. The consumer retries until it is back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which service is unavailable, and how.
    pub kind: WaitingKind,
    /// PostgreSQL's SQLSTATE, if it sent one.
    pub sql_state: Option<String>,
    /// What happened, in words.
    pub reason: String,
}

impl Waiting {
    pub(crate) fn new(kind: WaitingKind, reason: impl Into<String>) -> Self {
        Self { kind, sql_state: None, reason: reason.into() }
    }

    /// Creates a wait from a temporary error of PostgreSQL.
    pub(crate) fn for_postgres(error: &Error) -> Self {
        let sql_state = error.sql_state().map(|state| state.code().to_owned());
        Self { sql_state, ..Self::new(WaitingKind::PostgresUnavailable, error.chain()) }
    }
}

/// Tells which service is unavailable, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitingKind {
    /// No broker answers.
    KafkaUnavailable,
    /// The brokers refuse TLS or the login.
    KafkaRefused,
    /// Kafka answers with a temporary error.
    KafkaError,
    /// PostgreSQL cannot be reached, or answers with a temporary error.
    PostgresUnavailable,
    /// PostgreSQL has not answered for 20 s, although the connection is open.
    PostgresSilent,
}

impl WaitingKind {
    /// Returns the kind's stable name, as in `"kafka_unavailable"`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KafkaUnavailable => "kafka_unavailable",
            Self::KafkaRefused => "kafka_refused",
            Self::KafkaError => "kafka_error",
            Self::PostgresUnavailable => "postgres_unavailable",
            Self::PostgresSilent => "postgres_silent",
        }
    }

    /// Returns the service that is unavailable.
    pub fn service(self) -> Service {
        match self {
            Self::KafkaUnavailable | Self::KafkaRefused | Self::KafkaError => Service::Kafka,
            Self::PostgresUnavailable | Self::PostgresSilent => Service::Postgres,
        }
    }
}
