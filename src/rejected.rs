//! Dead letters: `ccstream.count_rejected`, `select_rejected` and `replay_rejected`.

use std::path::PathBuf;

use ccstream_services::operate::rejections::{self, KeptMessage, ReasonCount, Resent, Selection};
use pyo3::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::errors::Raise;
use crate::record::record;
use crate::run::{Interrupt, ask, run_blocking};
use crate::settings::{database_url as url_of, kafka_config};

record!(
    /// The dead letters of one reason, counted.
    PyReasonCount, "ReasonCount", ReasonCount, {
        /// Why they were rejected.
        reason: String = |one| one.reason.clone(),
        /// The number of them.
        count: i64 = |one| one.count,
        /// The number of them that were replayed.
        replayed: i64 = |one| one.replayed,
        /// The number of them that hold a masked card number, and so cannot be replayed.
        masked: i64 = |one| one.masked,
        /// The number of the others that were too large to be kept whole, and so cannot be replayed.
        partial: i64 = |one| one.partial,
        /// When the last one was rejected, as PostgreSQL writes it, to the second.
        last: String = |one| one.last.clone(),
    }
);
record!(
    /// One dead letter: a rejected message, and why it was.
    PyKeptMessage, "KeptMessage", KeptMessage, {
        /// Its number in ``rejected_events``.
        id: i64 = |one| one.id,
        /// The topic that it came from.
        topic: String = |one| one.topic.clone(),
        /// Its partition.
        partition: i32 = |one| one.partition,
        /// Its offset.
        offset: i64 = |one| one.offset,
        /// Its key, with card numbers masked, up to ``max_bytes``; None without one.
        key: Option<Vec<u8>> = |one| one.key.clone(),
        /// The length of the whole key in bytes; None without one.
        key_bytes: Option<i64> = |one| one.key_bytes,
        /// Its payload, with card numbers masked, up to ``max_bytes``; None for a tombstone.
        payload: Option<Vec<u8>> = |one| one.payload.clone(),
        /// The length of the whole payload in bytes; None for a tombstone.
        payload_bytes: Option<i64> = |one| one.payload_bytes,
        /// The SHA-256 of the whole payload, with card numbers masked.
        ///
        /// None for a tombstone, and for a message that a version without hashes kept.
        payload_sha256: Option<Vec<u8>> = |one| one.payload_sha256.clone(),
        /// Whether a card number was masked. Such a message cannot be replayed.
        masked: bool = |one| one.masked,
        /// Whether it was too large to be kept whole.
        ///
        /// The first 65,536 bytes of key and payload are kept then. Such a message cannot be replayed.
        partial: bool = |one| one.partial,
        /// Why it was rejected, as a word that programs can compare.
        reason: String = |one| one.reason.clone(),
        /// Why it was rejected, in detail.
        detail: String = |one| one.detail.clone(),
        /// When it was rejected, as PostgreSQL writes it, to the second.
        rejected_at: String = |one| one.rejected_at.clone(),
        /// When it was replayed, as PostgreSQL writes it, to the second; None if it never was.
        replayed_at: Option<String> = |one| one.replayed_at.clone(),
    }
);
record!(
    /// What became of the dead letters that were to be replayed.
    PyResent, "Resent", Resent, {
        /// Messages that the broker has now.
        sent: u64 = |resent| resent.sent,
        /// Messages left out because a card number in them was masked.
        masked: u64 = |resent| resent.masked,
        /// Messages left out because they were too large to be kept whole.
        partial: u64 = |resent| resent.partial,
        /// Messages left out because they have no payload.
        empty: u64 = |resent| resent.empty,
        /// Messages left out because they were replayed before.
        replayed: u64 = |resent| resent.replayed,
    }
);

/// Counts the dead letters by reason, the most frequent first.
///
/// Args:
///     database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
///
/// Returns:
///     One count for each reason; empty where nothing was rejected.
///
/// Raises:
///     ConfigError: The URL is not usable.
///     PostgresError: The database cannot be reached or read, or has no tables yet.
///
/// Example:
///     >>> {one.reason: one.count for one in ccstream.count_rejected()}  # doctest: +SKIP
///     {'missing_field': 3}
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
///     id: Only the one with this number. Default: any.
///     reason: Only those of this reason. Default: any.
///     limit: The greatest number of messages. Default: all.
///     max_bytes: The greatest number of bytes of each key and payload. Default: the 65,536 that are kept.
///
/// Returns:
///     The messages.
///
/// Raises:
///     ConfigError: The URL is not usable.
///     PostgresError: The database cannot be reached or read, or has no tables yet.
///
/// Example:
///     >>> [one.detail for one in ccstream.select_rejected(reason="missing_field", limit=1)]  # doctest: +SKIP
///     ['amount is missing']
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

/// Replays dead letters: sends them to the topic that they came from, oldest first, and notes when.
///
/// They stay in ``rejected_events``. One that is rejected once more becomes another dead letter; one that is valid now
/// is stored by the consumer. The interpreter is detached. Ctrl-C raises ``KeyboardInterrupt`` within a second; up to
/// 500 messages may still be sent after it.
///
/// Args:
///     database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
///     bootstrap_servers: The brokers, ``host:port`` joined by commas. Default: ``KAFKA_BOOTSTRAP_SERVERS``, else
///         ``localhost:9094``.
///     id: Only the one with this number. Default: any.
///     reason: Only those of this reason. Default: any.
///     librdkafka_options: librdkafka's own settings (TLS, SASL), as a mapping or pairs.
///     librdkafka_options_file: A file of such settings, which nobody else may read.
///
/// Returns:
///     The number of messages sent, and the numbers of those left out, by cause.
///
/// Raises:
///     ConfigError: A setting is not usable.
///     KafkaError: The broker cannot be reached, or did not take every message. Those that it took are noted as
///         replayed.
///     PostgresError: The database cannot be reached or read, or has no tables yet.
///
/// Example:
///     >>> ccstream.replay_rejected(reason="missing_field").sent  # doctest: +SKIP
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
