//! `ccstream.topic_ends`.

use std::collections::BTreeMap;

use crate::errors::Raise;
use pyo3::prelude::*;

use crate::producer::kafka_config;
use ccstream_services::kafka::ends::topic_ends as ask_ends;

#[pyfunction]
#[pyo3(signature = (*, bootstrap_servers=None, topic=None, librdkafka_options=None))]
pub(crate) fn topic_ends(
    py: Python<'_>,
    bootstrap_servers: Option<String>,
    topic: Option<String>,
    librdkafka_options: Option<Vec<(String, String)>>,
) -> PyResult<BTreeMap<i32, i64>> {
    let config = kafka_config(bootstrap_servers, topic, librdkafka_options);
    py.detach(|| ask_ends(&config)).raise()
}
