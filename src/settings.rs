//! Reads settings from Python arguments and environment variables. An argument overrides the variable, which overrides
//! the default. `ccstream_core::settings` declares the settings.

use std::path::PathBuf;
use std::time::Duration;

use ccstream_core::settings::{ConsumerConfig, DatabaseUrl, KafkaConfig, Kind, Setting, Settings, Value};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyMapping, PyString};

use crate::errors::{Raise, bad_argument};

/// Holds the keyword arguments of a constructor until the settings to which they belong have taken them.
pub(crate) struct Arguments<'py> {
    given: Bound<'py, PyDict>,
}

impl<'py> Arguments<'py> {
    pub(crate) fn new(py: Python<'py>, given: Option<&Bound<'py, PyDict>>) -> PyResult<Self> {
        let given = match given {
            Some(given) => given.copy()?,
            None => PyDict::new(py),
        };
        Ok(Self { given })
    }

    /// Adds an argument that was given by position or by keyword.
    pub(crate) fn give(&self, name: &str, value: Option<Bound<'py, PyAny>>) -> PyResult<()> {
        self.given.set_item(name, value)
    }

    /// Takes the arguments that are settings of `C`.
    pub(crate) fn take<C: Settings>(&self) -> PyResult<C> {
        let mut config = C::default();
        for setting in C::SETTINGS {
            let given = self.given.get_item(setting.name)?;
            if given.is_some() {
                self.given.del_item(setting.name)?;
            }
            set(&mut config, setting, given.as_ref())?;
        }
        Ok(config)
    }

    /// Returns a `TypeError` if there is an argument that no settings have taken.
    pub(crate) fn end(self, function: &str) -> PyResult<()> {
        match self.given.keys().iter().next() {
            None => Ok(()),
            Some(name) => {
                Err(PyTypeError::new_err(format!("{function} got an unexpected keyword argument '{}'", name.str()?)))
            }
        }
    }
}

/// Sets a setting to its argument, or else to the value of its environment variable. None counts as no argument.
fn set<C: Settings>(config: &mut C, setting: &Setting<C>, given: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let given = given.filter(|given| !given.is_none());
    if let Some(prefix) = setting.variable.and_then(|name| name.strip_suffix('*')) {
        let mut all = named_by_variables(prefix);
        if let Some(given) = given {
            all.extend(pairs(given).map_err(|error| named(given.py(), setting.name, error))?);
        }
        return (setting.set)(config, Value::Pairs(all)).raise();
    }
    if let Some(given) = given {
        let value = value(setting.name, setting.kind, given).map_err(|error| named(given.py(), setting.name, error))?;
        return (setting.set)(config, value).raise();
    }
    let Some(name) = setting.variable else { return Ok(()) };
    let Some(text) = held(name, setting)? else { return Ok(()) };
    let refuse = |why| bad_argument(setting.name, format!("{name}={text} {why}"));
    (setting.set)(config, Value::parse(setting.kind, &text).map_err(refuse)?).raise()
}

/// Returns the value of a setting's environment variable. For a secret, the variable with the suffix `_FILE` may name a
/// file with the value instead.
fn held<C>(name: &str, setting: &Setting<C>) -> PyResult<Option<String>> {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let (text, in_file) = (variable(name), format!("{name}_FILE"));
    let file = if setting.is_secret { variable(&in_file) } else { None };
    match (text, file) {
        (Some(_), Some(_)) => Err(bad_argument(setting.name, format!("both {name} and {in_file} are set; unset one"))),
        (text, None) => Ok(text),
        (None, Some(path)) => match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) => Err(bad_argument(setting.name, format!("{in_file}={path} cannot be read: {error}"))),
        },
    }
}

/// Returns the names and values of environment variables with a prefix, ordered by name. The prefix `CCSTREAM_KAFKA_`
/// makes `CCSTREAM_KAFKA_SASL_PASSWORD` the name `sasl.password`.
fn named_by_variables(prefix: &str) -> Vec<(String, String)> {
    let name = |variable: &str| Some(variable.strip_prefix(prefix)?.to_lowercase().replace('_', "."));
    let mut found: Vec<_> = std::env::vars_os()
        .filter_map(|(variable, value)| Some((name(variable.to_str()?)?, value.to_str()?.to_owned())))
        .collect();
    found.sort();
    found
}

/// Adds the argument's name to a `TypeError`, in the way of pyo3's own messages.
fn named(py: Python<'_>, name: &str, error: PyErr) -> PyErr {
    if error.is_instance_of::<PyTypeError>(py) {
        PyTypeError::new_err(format!("argument '{name}': {}", error.value(py)))
    } else {
        error
    }
}

fn value(name: &'static str, kind: Kind, given: &Bound<'_, PyAny>) -> PyResult<Value> {
    Ok(match kind {
        Kind::Text | Kind::Choice(_) | Kind::Moment => Value::Text(given.extract()?),
        Kind::File => Value::File(given.extract::<PathBuf>()?),
        Kind::Limit if given.is_instance_of::<PyString>() => Value::Text(given.extract()?),
        Kind::Whole | Kind::Limit if given.is_instance_of::<PyInt>() && given.lt(0)? => {
            return Err(bad_argument(name, format!("{given} is negative")));
        }
        Kind::Whole | Kind::Limit => Value::Whole(given.extract()?),
        Kind::Rate => Value::Rate(given.extract()?),
        Kind::Share => Value::Share(given.extract()?),
        Kind::Span => Value::Span(given.extract::<Duration>()?),
        Kind::Switch => Value::Switch(given.extract()?),
        Kind::Texts if given.is_instance_of::<PyString>() => Value::Texts(vec![given.extract()?]),
        Kind::Texts => Value::Texts(given.extract()?),
        Kind::Pairs => Value::Pairs(pairs(given)?),
    })
}

/// Reads names and values from a mapping or an iterable of pairs, in their order. A value is a str, a number or a bool,
/// which becomes `true` or `false`.
fn pairs(given: &Bound<'_, PyAny>) -> PyResult<Vec<(String, String)>> {
    let pairs = match given.cast::<PyMapping>() {
        Ok(mapping) => mapping.items()?.into_any(),
        Err(_) => given.clone(),
    };
    let pair = |pair: PyResult<Bound<'_, PyAny>>| {
        let (name, value): (String, Bound<'_, PyAny>) = pair?.extract()?;
        Ok((name, text(&value)?))
    };
    pairs.try_iter()?.map(pair).collect()
}

fn text(value: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(flag.is_true().to_string());
    }
    if value.is_instance_of::<PyString>() || value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>() {
        return Ok(value.str()?.to_string());
    }
    Err(PyTypeError::new_err(format!("a value must be a str, a number or a bool, not {}", value.get_type().name()?)))
}

/// Reads the database URL of a function that takes no other settings of the consumer.
pub(crate) fn database_url(py: Python<'_>, argument: Option<String>) -> PyResult<DatabaseUrl> {
    let given = PyDict::new(py);
    given.set_item("database_url", argument)?;
    Ok(Arguments { given }.take::<ConsumerConfig>()?.database_url)
}

/// Reads the Kafka settings of a function that takes no other settings.
pub(crate) fn kafka_config(
    py: Python<'_>,
    bootstrap_servers: Option<String>,
    topic: Option<String>,
    options: Option<Bound<'_, PyAny>>,
    options_file: Option<PathBuf>,
) -> PyResult<KafkaConfig> {
    let given = PyDict::new(py);
    given.set_item("bootstrap_servers", bootstrap_servers)?;
    given.set_item("topic", topic)?;
    given.set_item("librdkafka_options", options)?;
    given.set_item("librdkafka_options_file", options_file)?;
    Arguments { given }.take()
}
