//! Defines `ccstream.topic_ends`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ccstream_services::kafka::ends::topic_ends as ask_ends;
use pyo3::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::errors::Raise;
use crate::run::{Interrupt, run_blocking};
use crate::settings::kafka_config;

/// Asks the broker for the end offset of each partition of a topic.
///
/// The offsets are meant for monitoring: those of the embedded broker can be too low by its last batch. The
/// function releases the GIL. Ctrl-C raises ``KeyboardInterrupt`` within a second.
///
/// Args:
///     bootstrap_servers: The brokers, ``host:port`` joined by commas. Default: ``KAFKA_BOOTSTRAP_SERVERS``, else
///         ``localhost:9094``.
///     topic: The topic. Default: ``KAFKA_TOPIC``, else ``orders_json``.
///     librdkafka_options: Settings of librdkafka itself (TLS, SASL), as a mapping or pairs. Default:
///         ``CCSTREAM_KAFKA_*``, else none.
///     librdkafka_options_file: A file of such settings, which nobody else may read. Default: ``KAFKA_OPTIONS_FILE``,
///         else none.
///
/// Returns:
///     A dict from each partition to the offset that its next message gets; empty if the topic does not exist.
///
/// Raises:
///     ConfigError: A setting cannot be used.
///     KafkaError: No broker answers within 5 s.
///
/// Example:
///     >>> ccstream.topic_ends()
///     {0: ...}
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
