//! Converts errors of the Rust crates to the Python exceptions that `ccstream/errors.py` defines.

use ccstream_core::Error as CoreError;
use ccstream_services::Error;
use pyo3::prelude::*;

pyo3::import_exception!(ccstream.errors, CcstreamError);
pyo3::import_exception!(ccstream.errors, ConfigError);
pyo3::import_exception!(ccstream.errors, KafkaError);
pyo3::import_exception!(ccstream.errors, PostgresError);
pyo3::import_exception!(ccstream.errors, SchemaError);

/// Returns the exception for an error. The exit status of the error determines the exception's class.
pub(crate) fn exception(error: &Error) -> PyErr {
    let (text, code) = (error.chain(), error.exit_code());
    match code {
        2 => ConfigError::new_err((text, code)),
        3 => KafkaError::new_err((text, code)),
        4 => PostgresError::new_err((text, code)),
        5 => SchemaError::new_err((text, code)),
        _ => CcstreamError::new_err((text, code)),
    }
}

/// Returns the exception for an argument that cannot be used.
pub(crate) fn bad_argument(name: &'static str, reason: impl Into<String>) -> PyErr {
    exception(&CoreError::config(name, reason).into())
}

/// Converts results of the Rust crates for Python.
pub(crate) trait Raise<T> {
    /// Returns the value, or the exception for the error.
    fn raise(self) -> PyResult<T>;
}

impl<T, E: Into<Error>> Raise<T> for Result<T, E> {
    fn raise(self) -> PyResult<T> {
        self.map_err(|error| exception(&error.into()))
    }
}
