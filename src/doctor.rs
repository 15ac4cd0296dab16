//! Defines `ccstream.diagnose`, and `ping`, with which the embedded services wait for a database.

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
    /// Holds the result of one check of :func:`diagnose`.
    PyCheck, "Check", Check, {
        /// The subject of the check.
        ///
        /// One of ``broker``, ``topic``, ``database``, ``session``, ``tables``, ``privileges``, ``analysis`` (if its
        /// tables exist), ``windows`` and ``alerts`` (if there is a file of them) and ``versions``.
        name: &'static str = |check| check.name,
        /// Whether the check passed.
        ok: bool = |check| check.ok,
        /// What was found, in words.
        found: String = |check| check.found.clone(),
        /// How to fix it, in words or as SQL statements; empty if the check passed.
        mend: String = |check| check.mend.clone(),
    }
);

/// Checks broker, topic, database, sessions, tables, privileges and versions, and changes nothing.
///
/// The function releases the GIL. It waits at most 5 s for the broker and 10 s for the database. Ctrl-C
/// raises ``KeyboardInterrupt`` within a second.
///
/// Args:
///     bootstrap_servers: The brokers, ``host:port`` joined by commas. Default: ``KAFKA_BOOTSTRAP_SERVERS``, else
///         ``localhost:9094``.
///     topic: The topic. Default: ``KAFKA_TOPIC``, else ``orders_json``.
///     database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
///     librdkafka_options: Settings of librdkafka itself (TLS, SASL), as a mapping or pairs. Default:
///         ``CCSTREAM_KAFKA_*``, else none.
///     librdkafka_options_file: A file of such settings, which nobody else may read. Default: ``KAFKA_OPTIONS_FILE``,
///         else none.
///     windows: The file of the analyzer's windows. Default: ``CCSTREAM_WINDOWS``, else ``windows.toml`` in the current
///         folder, if there is one.
///     alerts: The file of the analyzer's alerts. Default: ``CCSTREAM_ALERTS``, else ``alerts.toml`` in the current
///         folder, if there is one.
///
/// Returns:
///     A list of checks, in the order in which the pipeline needs their subjects. A service that cannot be reached
///     raises nothing: its check is not ``ok``, and checks that depend on it are left out.
///
/// Raises:
///     ConfigError: A setting of Kafka cannot be used.
///
/// Example:
///     >>> [check.name for check in ccstream.diagnose() if check.ok]
///     ['broker', 'topic', 'database', 'session', 'tables', 'privileges', 'versions']
#[pyfunction]
#[pyo3(signature = (*, bootstrap_servers=None, topic=None, database_url=None, librdkafka_options=None, librdkafka_options_file=None, windows=None, alerts=None))]
pub(crate) fn diagnose(
    py: Python<'_>,
    bootstrap_servers: Option<String>,
    topic: Option<String>,
    database_url: Option<String>,
    librdkafka_options: Option<Bound<'_, PyAny>>,
    librdkafka_options_file: Option<PathBuf>,
    windows: Option<PathBuf>,
    alerts: Option<PathBuf>,
) -> PyResult<Vec<PyCheck>> {
    let kafka = kafka_config(py, bootstrap_servers, topic, librdkafka_options, librdkafka_options_file)?;
    let url = url_of(py, database_url)?;
    let named = |variable| std::env::var_os(variable).filter(|name| !name.is_empty()).map(PathBuf::from);
    let (windows, alerts) =
        (windows.or_else(|| named("CCSTREAM_WINDOWS")), alerts.or_else(|| named("CCSTREAM_ALERTS")));
    let inspect =
        move || inspect_all(&kafka, &url, &Tables::default(), (windows.as_deref(), alerts.as_deref())).raise();
    let checks = run_blocking(py, &CancellationToken::new(), Interrupt::Leaves, inspect)?;
    Ok(checks.into_iter().map(PyCheck).collect())
}

/// Checks whether a database accepts the login and answers a query, each within 3 s.
///
/// Args:
///     database_url: The database's URL.
///
/// Returns:
///     Whether it does.
///
/// Raises:
///     ConfigError: The URL cannot be used.
#[pyfunction]
pub(crate) fn ping(py: Python<'_>, database_url: String) -> PyResult<bool> {
    let url = DatabaseUrl(database_url);
    ask(py, || doctor::ping(&url))
}
