//! `ccstream.verify`, `ccstream.diagnose` and the reading of rejected messages.

use ccstream_services::config::DatabaseUrl;
use ccstream_services::operate::doctor::{self, Check, doctor as diagnose_all};
use ccstream_services::operate::rejections::{self, KeptMessage, ReasonCount, Resent, Selection};
use ccstream_services::operate::verify::{PartitionReport, VerifyReport, count_again};
use pyo3::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::errors::Raise;
use crate::run::{Interrupt, ask, run_blocking};
use crate::settings::{Pairs, database_url as url_of, kafka_config};

/// A frozen class whose attributes are the fields of a record of the crate.
macro_rules! record {
    ($(#[$doc:meta])+ $class:ident, $name:literal, $inner:ty, { $($field:ident: $kind:ty = $read:expr),+ $(,)? }) => {
        $(#[$doc])+
        #[pyclass(frozen, name = $name, module = "ccstream")]
        pub(crate) struct $class($inner);

        #[pymethods]
        impl $class {
            $(
                #[getter]
                fn $field(&self) -> $kind {
                    let read: fn(&$inner) -> $kind = $read;
                    read(&self.0)
                }
            )+
            fn __repr__(&self) -> String {
                format!("{:?}", self.0)
            }
        }
    };
}
pub(crate) use record;

record!(
    /// One partition's counters and recount.
    PyPartitionReport, "PartitionReport", PartitionReport, {
        group: String = |one| one.group.clone(),
        topic: String = |one| one.topic.clone(),
        partition: i32 = |one| one.partition,
        next_offset: i64 = |one| one.next_offset,
        consumed: i64 = |one| one.counters.consumed,
        stored: i64 = |one| one.counters.stored,
        duplicate: i64 = |one| one.counters.duplicate,
        rejected: i64 = |one| one.counters.rejected,
        missing: i64 = |one| one.counters.missing,
        rows: i64 = |one| one.rows,
        kept: i64 = |one| one.kept,
    }
);
record!(
    /// What `verify` found.
    PyVerifyReport, "VerifyReport", VerifyReport, {
        partitions: Vec<PyPartitionReport> = |report| report.partitions.iter().cloned().map(PyPartitionReport).collect(),
        cells: i64 = |report| report.cells,
        figures: u64 = |report| report.figures,
        foreign_rows: i64 = |report| report.foreign_rows,
        problems: Vec<String> = |report| report.problems.clone(),
    }
);
record!(
    /// One thing that `diagnose` looked at.
    PyCheck, "Check", Check, {
        name: &'static str = |check| check.name,
        ok: bool = |check| check.ok,
        found: String = |check| check.found.clone(),
        mend: String = |check| check.mend.clone(),
    }
);
record!(
    /// Rejected messages of one reason.
    PyReasonCount, "ReasonCount", ReasonCount, {
        reason: String = |one| one.reason.clone(),
        count: i64 = |one| one.count,
        replayed: i64 = |one| one.replayed,
        masked: i64 = |one| one.masked,
        last: String = |one| one.last.clone(),
    }
);
record!(
    /// One rejected message.
    PyKeptMessage, "KeptMessage", KeptMessage, {
        id: i64 = |one| one.id,
        topic: String = |one| one.topic.clone(),
        partition: i32 = |one| one.partition,
        offset: i64 = |one| one.offset,
        key: Option<Vec<u8>> = |one| one.key.clone(),
        payload: Option<Vec<u8>> = |one| one.payload.clone(),
        masked: bool = |one| one.masked,
        reason: String = |one| one.reason.clone(),
        detail: String = |one| one.detail.clone(),
        rejected_at: String = |one| one.rejected_at.clone(),
        replayed_at: Option<String> = |one| one.replayed_at.clone(),
    }
);
record!(
    /// What became of messages that were to be sent again.
    PyResent, "Resent", Resent, {
        sent: u64 = |resent| resent.sent,
        masked: u64 = |resent| resent.masked,
        empty: u64 = |resent| resent.empty,
        replayed: u64 = |resent| resent.replayed,
    }
);

#[pyfunction]
#[pyo3(signature = (*, database_url=None, counters_only=false))]
pub(crate) fn verify(py: Python<'_>, database_url: Option<String>, counters_only: bool) -> PyResult<PyVerifyReport> {
    let url = url_of(py, database_url)?;
    ask(py, || count_again(&url, counters_only)).map(PyVerifyReport)
}

#[pyfunction]
#[pyo3(signature = (*, bootstrap_servers=None, topic=None, database_url=None, librdkafka_options=None))]
pub(crate) fn diagnose(
    py: Python<'_>,
    bootstrap_servers: Option<String>,
    topic: Option<String>,
    database_url: Option<String>,
    librdkafka_options: Option<Pairs>,
) -> PyResult<Vec<PyCheck>> {
    let kafka = kafka_config(py, bootstrap_servers, topic, librdkafka_options)?;
    let url = url_of(py, database_url)?;
    let look = move || diagnose_all(&kafka, &url).raise();
    let checks = run_blocking(py, &CancellationToken::new(), Interrupt::Leaves, look)?;
    Ok(checks.into_iter().map(PyCheck).collect())
}

#[pyfunction]
#[pyo3(signature = (*, database_url=None))]
pub(crate) fn count_rejected(py: Python<'_>, database_url: Option<String>) -> PyResult<Vec<PyReasonCount>> {
    let url = url_of(py, database_url)?;
    Ok(ask(py, || rejections::count(&url))?.into_iter().map(PyReasonCount).collect())
}

#[pyfunction]
#[pyo3(signature = (*, database_url=None, id=None, reason=None, limit=None))]
pub(crate) fn select_rejected(
    py: Python<'_>,
    database_url: Option<String>,
    id: Option<i64>,
    reason: Option<String>,
    limit: Option<i64>,
) -> PyResult<Vec<PyKeptMessage>> {
    let selection = Selection { id, reason, limit };
    let url = url_of(py, database_url)?;
    Ok(ask(py, || rejections::select(&url, &selection))?.into_iter().map(PyKeptMessage).collect())
}

#[pyfunction]
#[pyo3(signature = (*, database_url=None, bootstrap_servers=None, id=None, reason=None, librdkafka_options=None))]
pub(crate) fn replay_rejected(
    py: Python<'_>,
    database_url: Option<String>,
    bootstrap_servers: Option<String>,
    id: Option<i64>,
    reason: Option<String>,
    librdkafka_options: Option<Pairs>,
) -> PyResult<PyResent> {
    let kafka = kafka_config(py, bootstrap_servers, None, librdkafka_options)?;
    let selection = Selection { id, reason, limit: None };
    let url = url_of(py, database_url)?;
    let stop = CancellationToken::new();
    let theirs = stop.clone();
    let resend = move || rejections::replay(&url, &kafka, &selection, &theirs).raise();
    run_blocking(py, &stop, Interrupt::Leaves, resend).map(PyResent)
}

#[pyfunction]
pub(crate) fn ping(py: Python<'_>, database_url: String) -> PyResult<bool> {
    let url = DatabaseUrl(database_url);
    ask(py, || doctor::ping(&url))
}
