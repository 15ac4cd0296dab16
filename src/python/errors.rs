//! The crate's errors as Python's exceptions, which `ccstream/errors.py` defines.

use pyo3::prelude::*;

use crate::error::Error;

pyo3::import_exception!(ccstream.errors, CcstreamError);
pyo3::import_exception!(ccstream.errors, ConfigError);
pyo3::import_exception!(ccstream.errors, KafkaError);
pyo3::import_exception!(ccstream.errors, PostgresError);
pyo3::import_exception!(ccstream.errors, SchemaError);

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let (text, code) = (error.chain(), error.exit_code());
        match error {
            Error::Config { .. } | Error::File { .. } => ConfigError::new_err((text, code)),
            Error::Kafka { .. } | Error::Broker(_) => KafkaError::new_err((text, code)),
            Error::Postgres { .. } | Error::PostgresTimeout { .. } => PostgresError::new_err((text, code)),
            Error::Schema(_) => SchemaError::new_err((text, code)),
            Error::Inconsistent(_) => CcstreamError::new_err((text, code)),
        }
    }
}
