//! `ccstream.topic_ends`.

use std::collections::BTreeMap;

use pyo3::prelude::*;

use super::producer::kafka_config;
use crate::ends::topic_ends as ask_ends;

#[pyfunction]
#[pyo3(signature = (*, bootstrap_servers=None, topic=None, librdkafka_options=None))]
pub(super) fn topic_ends(
    py: Python<'_>,
    bootstrap_servers: Option<String>,
    topic: Option<String>,
    librdkafka_options: Option<Vec<(String, String)>>,
) -> PyResult<BTreeMap<i32, i64>> {
    let config = kafka_config(bootstrap_servers, topic, librdkafka_options);
    Ok(py.detach(|| ask_ends(&config))?)
}
