//! Defines the functions for dead letters: `ccstream.count_rejected`, `select_rejected` and `replay_rejected`.

use std::path::PathBuf;

use ccstream_services::operate::rejections::{self, KeptMessage, ReasonCount, Resent, Selection};
use pyo3::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::errors::Raise;
use crate::record::record;
use crate::run::{Interrupt, ask, run_blocking};
use crate::settings::{database_url as url_of, kafka_config};

record!(
    /// Counts the dead letters with one reason.
    PyReasonCount, "ReasonCount", ReasonCount, {
        /// The reason for the rejection, a stable word such as ``missing_field``.
        reason: String = |one| one.reason.clone(),
        /// The number of dead letters.
        count: i64 = |one| one.count,
        /// The number of dead letters that were replayed.
        replayed: i64 = |one| one.replayed,
        /// The number of dead letters with a masked card number, which cannot be replayed.
        masked: i64 = |one| one.masked,
        /// The number of other dead letters that were too large to be stored whole, which cannot be replayed.
        partial: i64 = |one| one.partial,
        /// The time of the last rejection to the second, in UTC, such as ``2026-01-01 10:00:00+00``.
        last: String = |one| one.last.clone(),
    }
);
record!(
    /// Holds one dead letter: a rejected message and the reason for its rejection.
    PyKeptMessage, "KeptMessage", KeptMessage, {
        /// The dead letter's id in ``rejected_events``.
        id: i64 = |one| one.id,
        /// The topic from which the message came.
        topic: String = |one| one.topic.clone(),
        /// The message's partition.
        partition: i32 = |one| one.partition,
        /// The message's offset.
        offset: i64 = |one| one.offset,
        /// The key's first bytes, with card numbers masked, up to ``max_bytes``; None without a key.
        key: Option<Vec<u8>> = |one| one.key.clone(),
        /// The length of the whole key in bytes; None without a key.
        key_bytes: Option<i64> = |one| one.key_bytes,
        /// The payload's first bytes, with card numbers masked, up to ``max_bytes``; None for a tombstone.
        payload: Option<Vec<u8>> = |one| one.payload.clone(),
        /// The length of the whole payload in bytes; None for a tombstone.
        payload_bytes: Option<i64> = |one| one.payload_bytes,
        /// The SHA-256 of the whole payload, with card numbers masked.
        ///
        /// None for a tombstone, and for a message that an earlier version stored without a hash.
        payload_sha256: Option<Vec<u8>> = |one| one.payload_sha256.clone(),
        /// Whether a card number was masked. Such a message cannot be replayed.
        masked: bool = |one| one.masked,
        /// Whether the message was too large to be stored whole.
        ///
        /// Only the first 65,536 bytes of key and payload are stored then. Such a message cannot be replayed.
        partial: bool = |one| one.partial,
        /// The reason for the rejection, a stable word such as ``missing_field``.
        reason: String = |one| one.reason.clone(),
        /// The reason for the rejection in detail, for a person.
        detail: String = |one| one.detail.clone(),
        /// The time of the rejection to the second, in UTC, such as ``2026-01-01 10:00:00+00``.
        rejected_at: String = |one| one.rejected_at.clone(),
        /// The time of the replay to the second, in UTC, such as ``2026-01-01 10:00:00+00``; None if there was none.
        replayed_at: Option<String> = |one| one.replayed_at.clone(),
    }
);
record!(
    /// Counts the dead letters that were replayed, and those that were left out.
    PyResent, "Resent", Resent, {
        /// The number of messages that were replayed and acknowledged by the broker.
        sent: u64 = |resent| resent.sent,
        /// The number of messages left out because a card number in them was masked.
        masked: u64 = |resent| resent.masked,
        /// The number of messages left out because they were too large to be stored whole.
        partial: u64 = |resent| resent.partial,
        /// The number of messages left out because they have no payload.
        empty: u64 = |resent| resent.empty,
        /// The number of messages left out because they were replayed before.
        replayed: u64 = |resent| resent.replayed,
    }
);

/// Counts the dead letters by reason, the most frequent first.
///
/// Args:
///     database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
///
/// Returns:
///     A list with one count for each reason; empty if nothing was rejected.
///
/// Raises:
///     ConfigError: The URL cannot be used.
///     PostgresError: The database cannot be reached or read, or has no tables yet.
///
/// Example:
///     >>> {one.reason: one.count for one in ccstream.count_rejected()}
///     {'missing_field': 3, 'invalid_json': 1}
#[pyfunction]
#[pyo3(signature = (*, database_url=None))]
pub(crate) fn count_rejected(py: Python<'_>, database_url: Option<String>) -> PyResult<Vec<PyReasonCount>> {
    let url = url_of(py, database_url)?;
    Ok(ask(py, || rejections::count(&url))?.into_iter().map(PyReasonCount).collect())
}

/// Reads dead letters, the newest first.
///
/// Args:
///     database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
///     id: Selects only the dead letter with this id. Default: any.
///     reason: Selects only dead letters with this reason. Default: any.
///     limit: The maximum number of messages. Default: all.
///     max_bytes: The maximum number of bytes of each key and payload. Default: 65,536, which is all that is stored.
///
/// Returns:
///     A list of the selected messages.
///
/// Raises:
///     ConfigError: The URL cannot be used.
///     PostgresError: The database cannot be reached or read, or has no tables yet.
///
/// Example:
///     >>> [one.payload for one in ccstream.select_rejected(reason="invalid_json", limit=1)]
///     [b'{broken']
#[pyfunction]
#[pyo3(signature = (*, database_url=None, id=None, reason=None, limit=None, max_bytes=None))]
pub(crate) fn select_rejected(
    py: Python<'_>,
    database_url: Option<String>,
    id: Option<i64>,
    reason: Option<String>,
    limit: Option<i64>,
    max_bytes: Option<i64>,
) -> PyResult<Vec<PyKeptMessage>> {
    let url = url_of(py, database_url)?;
    let selection = Selection { id, reason, limit, max_bytes };
    Ok(ask(py, || rejections::select(&url, &selection))?.into_iter().map(PyKeptMessage).collect())
}

/// Replays dead letters: sends them to the topics from which they came, oldest first, and records when.
///
/// The dead letters stay in ``rejected_events``. If the consumer rejects a replayed message again, it becomes another
/// dead letter. The function releases the GIL. Ctrl-C raises ``KeyboardInterrupt`` within a second; up to 500
/// messages may still be sent after it.
///
/// Args:
///     database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
///     bootstrap_servers: The brokers, ``host:port`` joined by commas. Default: ``KAFKA_BOOTSTRAP_SERVERS``, else
///         ``localhost:9094``.
///     id: Selects only the dead letter with this id. Default: any.
///     reason: Selects only dead letters with this reason. Default: any.
///     librdkafka_options: Settings of librdkafka itself (TLS, SASL), as a mapping or pairs. Default:
///         ``CCSTREAM_KAFKA_*``, else none.
///     librdkafka_options_file: A file of such settings, which nobody else may read. Default: ``KAFKA_OPTIONS_FILE``,
///         else none.
///
/// Returns:
///     The number of replayed messages, and the numbers of those left out for each reason.
///
/// Raises:
///     ConfigError: A setting cannot be used.
///     KafkaError: The broker cannot be reached, or did not acknowledge every message. Those that it acknowledged are
///         recorded as replayed.
///     PostgresError: The database cannot be reached, read or written, or has no tables yet.
///
/// Example:
///     >>> ccstream.replay_rejected(reason="missing_field").sent
///     3
#[pyfunction]
#[pyo3(signature = (*, database_url=None, bootstrap_servers=None, id=None, reason=None, librdkafka_options=None, librdkafka_options_file=None))]
pub(crate) fn replay_rejected(
    py: Python<'_>,
    database_url: Option<String>,
    bootstrap_servers: Option<String>,
    id: Option<i64>,
    reason: Option<String>,
    librdkafka_options: Option<Bound<'_, PyAny>>,
    librdkafka_options_file: Option<PathBuf>,
) -> PyResult<PyResent> {
    let kafka = kafka_config(py, bootstrap_servers, None, librdkafka_options, librdkafka_options_file)?;
    let url = url_of(py, database_url)?;
    let selection = Selection { id, reason, ..Selection::default() };
    let stop = CancellationToken::new();
    let theirs = stop.clone();
    let resend = move || rejections::replay(&url, &kafka, &selection, &theirs).raise();
    run_blocking(py, &stop, Interrupt::Leaves, resend).map(PyResent)
}
