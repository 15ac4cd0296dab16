//! What a person sets. An argument beats the environment, which beats the default; `ccstream/settings.py` alone knows
//! the variables' names.

use ccstream_services::config::{DatabaseUrl, KafkaConfig};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyMapping, PyString};

/// An argument, or what the function of that name in `ccstream/settings.py` returns.
pub(crate) fn setting(py: Python<'_>, name: &str, argument: Option<String>) -> PyResult<String> {
    match argument {
        Some(given) => Ok(given),
        None => py.import("ccstream.settings")?.getattr(name)?.call0()?.extract(),
    }
}

pub(crate) fn database_url(py: Python<'_>, argument: Option<String>) -> PyResult<DatabaseUrl> {
    setting(py, "database_url", argument).map(DatabaseUrl)
}

/// Broker, topic and librdkafka's own options.
pub(crate) fn kafka_config(
    py: Python<'_>,
    bootstrap_servers: Option<String>,
    topic: Option<String>,
    options: Option<Pairs>,
) -> PyResult<KafkaConfig> {
    Ok(KafkaConfig {
        bootstrap_servers: setting(py, "bootstrap_servers", bootstrap_servers)?,
        topic: setting(py, "topic", topic)?,
        librdkafka_options: options.unwrap_or_default().0,
    })
}

/// Names and values: a mapping, or pairs in their order. A value is a text, a number or a bool (`true`, `false`).
#[derive(Debug, Default)]
pub(crate) struct Pairs(pub(crate) Vec<(String, String)>);

impl<'py> FromPyObject<'_, 'py> for Pairs {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let pairs = match given.cast::<PyMapping>() {
            Ok(mapping) => mapping.items()?.into_any(),
            Err(_) => given.to_owned(),
        };
        let pair = |pair: PyResult<Bound<'py, PyAny>>| {
            let (name, value): (String, Bound<'py, PyAny>) = pair?.extract()?;
            Ok((name, text(&value)?))
        };
        pairs.try_iter()?.map(pair).collect::<PyResult<_>>().map(Self)
    }
}

fn text(value: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(flag.is_true().to_string());
    }
    if value.is_instance_of::<PyString>() || value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>() {
        return Ok(value.str()?.to_string());
    }
    Err(PyTypeError::new_err(format!("a value is a text, a number or a bool, not {}", value.get_type().name()?)))
}
