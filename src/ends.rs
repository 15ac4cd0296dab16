//! `ccstream.topic_ends`.

use std::collections::BTreeMap;

use ccstream_services::kafka::ends::topic_ends as ask_ends;
use pyo3::prelude::*;

use crate::errors::Raise;
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
    py.detach(|| ask_ends(&config)).raise()
}
