//! `ccstream.topic_ends`.

use std::collections::BTreeMap;

use ccstream_services::kafka::ends::topic_ends as ask_ends;
use pyo3::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::errors::Raise;
use crate::run::{Interrupt, run_blocking};
use crate::settings::{Pairs, kafka_config};

#[pyfunction]
#[pyo3(signature = (*, bootstrap_servers=None, topic=None, librdkafka_options=None))]
pub(crate) fn topic_ends(
    py: Python<'_>,
    bootstrap_servers: Option<String>,
    topic: Option<String>,
    librdkafka_options: Option<Pairs>,
) -> PyResult<BTreeMap<i32, i64>> {
    let config = kafka_config(py, bootstrap_servers, topic, librdkafka_options)?;
    run_blocking(py, &CancellationToken::new(), Interrupt::Leaves, move || ask_ends(&config).raise())
}
