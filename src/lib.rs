//! Implements the Python module `ccstream._ccstream`. No other crate depends on Python.
//!
//! The documentation of classes, methods and functions is written for users of Python, because `help()` shows it. `make
//! generate` copies it into `python/ccstream/_ccstream.pyi`.
#![allow(
    clippy::doc_markdown,
    clippy::doc_link_with_quotes,
    rustdoc::broken_intra_doc_links,
    reason = "the documentation is Python docstrings, not Markdown"
)]

mod aggregate;
mod analyzer;
mod answer;
mod consumer;
mod detector;
mod doctor;
mod ends;
mod errors;
mod events;
mod history;
mod kpi;
mod kpi_status;
mod logging;
mod models;
mod producer;
mod question;
mod record;
mod rejected;
mod run;
mod settings;
mod status;
mod verify;

use pyo3::prelude::*;

/// Contains the compiled half of ccstream. Import these names from ``ccstream``.
#[pymodule(name = "_ccstream")]
mod extension {
    #[pymodule_export]
    use super::aggregate::aggregate;
    #[pymodule_export]
    use super::analyzer::{PyAnalyzeSummary, PyAnalyzer};
    #[pymodule_export]
    use super::consumer::{PyConsumeSummary, PyConsumer};
    #[pymodule_export]
    use super::ends::topic_ends;
    #[pymodule_export]
    use super::history::{PyBacktest, PyFeatureHistory, backtest, feature_history};
    #[pymodule_export]
    use super::kpi::PyKpiEngine;
    #[pymodule_export]
    use crate::answer::PyKpiAnswer;
    #[pymodule_export]
    use crate::detector::{PyDetection, PyDetector};
    #[pymodule_export]
    use crate::doctor::{PyCheck, diagnose, ping};
    #[pymodule_export]
    use crate::kpi_status::{PyKpiStatus, PyPartitionState};
    #[pymodule_export]
    use crate::models::{PyModelInfo, activate_model, add_model, list_models, shadow_model};
    #[pymodule_export]
    use crate::producer::{PyProduceSummary, PyProducer};
    #[pymodule_export]
    use crate::rejected::{PyKeptMessage, PyReasonCount, PyResent, count_rejected, replay_rejected, select_rejected};
    #[pymodule_export]
    use crate::status::PyConsumeStatus;
    #[pymodule_export]
    use crate::verify::{PyPartitionReport, PyVerifyReport, verify};
    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_init]
    fn init() {
        super::logging::install();
    }
}
