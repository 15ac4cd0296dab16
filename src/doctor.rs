//! `ccstream.diagnose`, and the question of a moment that the embedded services ask.

use std::path::PathBuf;

use ccstream_core::settings::DatabaseUrl;
use ccstream_services::operate::doctor::{self, Check, doctor as inspect_all};
use ccstream_services::postgres::tables::Tables;
use pyo3::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::errors::Raise;
use crate::record::record;
use crate::run::{Interrupt, ask, run_blocking};
use crate::settings::{database_url as url_of, kafka_config};

record!(
    /// One thing that :func:`diagnose` inspected.
    PyCheck, "Check", Check, {
        /// What was inspected: ``broker``, ``topic``, ``database``, ``tables``, ``privileges`` or ``versions``.
        name: &'static str = |check| check.name,
        /// Whether it is as it must be.
        ok: bool = |check| check.ok,
        /// What was found, in words.
        found: String = |check| check.found.clone(),
        /// What to do about it, in words; empty where nothing has to be done.
        mend: String = |check| check.mend.clone(),
    }
);

/// Inspects broker, topic, database, tables, privileges and versions; changes nothing.
///
/// The interpreter is detached. A silent broker takes 5 s, a silent database 10 s. Ctrl-C raises ``KeyboardInterrupt``
/// at once.
///
/// Args:
///     bootstrap_servers: The brokers, ``host:port`` joined by commas. Default: ``KAFKA_BOOTSTRAP_SERVERS``, else
///         ``localhost:9094``.
///     topic: The topic. Default: ``KAFKA_TOPIC``, else ``orders_json``.
///     database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
///     librdkafka_options: librdkafka's own settings (TLS, SASL), as a mapping or pairs.
///     librdkafka_options_file: A file of such settings, which nobody else may read.
///
/// Returns:
///     The checks, in the order in which the parts are needed. What cannot be reached is a check that is not ``ok``.
///
/// Raises:
///     ConfigError: A setting of Kafka is not usable.
///
/// Example:
///     >>> [check.name for check in ccstream.diagnose() if not check.ok]  # doctest: +SKIP
///     ['topic']
#[pyfunction]
#[pyo3(signature = (*, bootstrap_servers=None, topic=None, database_url=None, librdkafka_options=None, librdkafka_options_file=None))]
pub(crate) fn diagnose(
    py: Python<'_>,
    bootstrap_servers: Option<String>,
    topic: Option<String>,
    database_url: Option<String>,
    librdkafka_options: Option<Bound<'_, PyAny>>,
    librdkafka_options_file: Option<PathBuf>,
) -> PyResult<Vec<PyCheck>> {
    let kafka = kafka_config(py, bootstrap_servers, topic, librdkafka_options, librdkafka_options_file)?;
    let url = url_of(py, database_url)?;
    let inspect = move || inspect_all(&kafka, &url, &Tables::default()).raise();
    let checks = run_blocking(py, &CancellationToken::new(), Interrupt::Leaves, inspect)?;
    Ok(checks.into_iter().map(PyCheck).collect())
}

/// Asks a database for a sign of life, for at most 3 s; the embedded services wait with it.
///
/// Args:
///     database_url: The database.
///
/// Returns:
///     Whether it accepts the user and answers.
///
/// Raises:
///     ConfigError: The URL is not usable.
#[pyfunction]
pub(crate) fn ping(py: Python<'_>, database_url: String) -> PyResult<bool> {
    let url = DatabaseUrl(database_url);
    ask(py, || doctor::ping(&url))
}
