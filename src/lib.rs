//! The Python module `ccstream._ccstream`: the one place that knows of Python.

mod aggregate;
mod answer;
mod consumer;
mod ends;
mod errors;
mod events;
mod inspect;
mod kpi;
mod logging;
mod producer;
mod run;
mod settings;
mod status;

use pyo3::prelude::*;

/// The compiled half of the package; `ccstream/__init__.py` exports its names.
#[pymodule(name = "_ccstream")]
mod extension {
    #[pymodule_export]
    use super::aggregate::aggregate;
    #[pymodule_export]
    use super::consumer::{PyConsumeSummary, PyConsumer};
    #[pymodule_export]
    use super::ends::topic_ends;
    #[pymodule_export]
    use super::kpi::{PyKpiEngine, PyKpiStatus, PyPartitionState};
    #[pymodule_export]
    use crate::answer::PyKpiAnswer;
    #[pymodule_export]
    use crate::inspect::{
        PyCheck, PyKeptMessage, PyPartitionReport, PyReasonCount, PyResent, PyVerifyReport, count_rejected, diagnose,
        ping, replay_rejected, select_rejected, verify,
    };
    #[pymodule_export]
    use crate::producer::{PyProduceSummary, PyProducer};
    #[pymodule_export]
    use crate::status::PyConsumeStatus;
    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_init]
    fn init() {
        super::logging::install();
    }
}
