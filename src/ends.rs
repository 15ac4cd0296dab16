//! `ccstream.topic_ends`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ccstream_services::kafka::ends::topic_ends as ask_ends;
use pyo3::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::errors::Raise;
use crate::run::{Interrupt, run_blocking};
use crate::settings::kafka_config;

/// Asks the broker where each partition of a topic ends.
///
/// It is for watching: the embedded broker's answer can be too low by the length of its last batch. The interpreter is
/// detached. Ctrl-C raises ``KeyboardInterrupt`` within a second.
///
/// Args:
///     bootstrap_servers: The brokers, ``host:port`` joined by commas. Default: ``KAFKA_BOOTSTRAP_SERVERS``, else
///         ``localhost:9094``.
///     topic: The topic. Default: ``KAFKA_TOPIC``, else ``orders_json``.
///     librdkafka_options: librdkafka's own settings (TLS, SASL), as a mapping or pairs.
///     librdkafka_options_file: A file of such settings, which nobody else may read.
///
/// Returns:
///     For each partition the offset that its next message gets; empty where there is no such topic.
///
/// Raises:
///     ConfigError: A setting is not usable.
///     KafkaError: No broker answers within 5 s.
///
/// Example:
///     >>> ccstream.topic_ends()  # doctest: +SKIP
///     {0: 5000}
#[pyfunction]
#[pyo3(signature = (*, bootstrap_servers=None, topic=None, librdkafka_options=None, librdkafka_options_file=None))]
pub(crate) fn topic_ends(
    py: Python<'_>,
    bootstrap_servers: Option<String>,
    topic: Option<String>,
    librdkafka_options: Option<Bound<'_, PyAny>>,
    librdkafka_options_file: Option<PathBuf>,
) -> PyResult<BTreeMap<i32, i64>> {
    let config = kafka_config(py, bootstrap_servers, topic, librdkafka_options, librdkafka_options_file)?;
    run_blocking(py, &CancellationToken::new(), Interrupt::Leaves, move || ask_ends(&config).raise())
}
