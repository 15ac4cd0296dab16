//! `ccstream.Consumer`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ccstream_services::config::ConsumerConfig;
use ccstream_services::consume::{ConsumeSummary, PublishedStatus, check, consume};
use ccstream_services::postgres::Counters;
use ccstream_services::report::Observers;
use pyo3::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::errors::Raise;
use crate::events::tell_of_consumer;
use crate::run::{Listener, run_blocking};
use crate::settings::{Pairs, database_url as url_of, kafka_config, setting};
use crate::status::PyConsumeStatus;

/// Reads a topic into PostgreSQL.
#[pyclass(frozen, name = "Consumer", module = "ccstream")]
pub(crate) struct PyConsumer {
    config: ConsumerConfig,
    on_event: Option<Py<PyAny>>,
    stop: CancellationToken,
    status: Arc<PublishedStatus>,
}

impl PyConsumer {
    /// The run itself, on whatever thread it is put.
    fn work(&self, py: Python<'_>) -> impl FnOnce() -> PyResult<PyConsumeSummary> + Send + 'static {
        let callback = self.on_event.as_ref().map(|callback| callback.clone_ref(py));
        let (config, stop, status) = (self.config.clone(), self.stop.clone(), Arc::clone(&self.status));
        move || {
            let mut listener = Listener::new(callback, stop.clone());
            status.begin();
            let mut observers = Observers::default()
                .with(|event| status.observe(event))
                .with(|event| tell_of_consumer(&mut listener, event));
            let result = consume(&config, &stop, &mut observers);
            drop(observers);
            listener.finish(result).map(PyConsumeSummary)
        }
    }
}

#[pymethods]
impl PyConsumer {
    #[new]
    #[pyo3(signature = (*, bootstrap_servers=None, topic=None, group=None, database_url=None, connections=None,
        batch_rows=None, linger=None, until_caught_up=false, drain_limit=None, assignment=None, always_stage=false,
        synchronous_commit=true, librdkafka_options=None, on_event=None))]
    #[allow(clippy::too_many_arguments, reason = "keyword-only, as the stub documents them")]
    fn new(
        py: Python<'_>,
        bootstrap_servers: Option<String>,
        topic: Option<String>,
        group: Option<String>,
        database_url: Option<String>,
        connections: Option<usize>,
        batch_rows: Option<usize>,
        linger: Option<Duration>,
        until_caught_up: bool,
        drain_limit: Option<Duration>,
        assignment: Option<&str>,
        always_stage: bool,
        synchronous_commit: bool,
        librdkafka_options: Option<Pairs>,
        on_event: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let default = ConsumerConfig::default();
        let config = ConsumerConfig {
            kafka: kafka_config(py, bootstrap_servers, topic, librdkafka_options)?,
            group: setting(py, "group", group)?,
            database_url: url_of(py, database_url)?,
            connections: connections.unwrap_or(default.connections),
            batch_rows: batch_rows.unwrap_or(default.batch_rows),
            linger: linger.unwrap_or(default.linger),
            until_caught_up,
            drain_limit: drain_limit.unwrap_or(default.drain_limit),
            assignment: assignment.map_or(Ok(default.assignment), str::parse).raise()?,
            always_stage,
            synchronous_commit,
            ..ConsumerConfig::default()
        };
        check(&config).raise()?;
        Ok(Self { config, on_event, stop: CancellationToken::new(), status: Arc::default() })
    }

    fn run(&self, py: Python<'_>) -> PyResult<PyConsumeSummary> {
        let work = self.work(py);
        run_blocking(py, &self.stop, work)
    }

    fn run_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (work, stop) = (self.work(py), self.stop.clone());
        pyo3_async_runtimes::tokio::future_into_py(py, async move {
            // A cancelled task drops this future, which stops the run.
            let guard = stop.drop_guard();
            let joined = tokio::task::spawn_blocking(work).await;
            guard.disarm();
            joined.map_err(|error| pyo3::exceptions::PyRuntimeError::new_err(error.to_string()))?
        })
    }

    fn stop(&self) {
        self.stop.cancel();
    }

    fn status(&self) -> PyConsumeStatus {
        PyConsumeStatus(self.status.snapshot())
    }

    fn __repr__(&self) -> String {
        format!("Consumer({:?})", self.config)
    }
}

/// What one run did.
#[pyclass(frozen, name = "ConsumeSummary", module = "ccstream")]
pub(crate) struct PyConsumeSummary(pub(crate) ConsumeSummary);

#[pymethods]
impl PyConsumeSummary {
    #[getter]
    fn consumed(&self) -> i64 {
        self.0.total.consumed
    }
    #[getter]
    fn stored(&self) -> i64 {
        self.0.total.stored
    }
    #[getter]
    fn duplicate(&self) -> i64 {
        self.0.total.duplicate
    }
    #[getter]
    fn rejected(&self) -> i64 {
        self.0.total.rejected
    }
    #[getter]
    fn missing(&self) -> i64 {
        self.0.total.missing
    }
    #[getter]
    fn rejected_by_reason(&self) -> BTreeMap<&'static str, i64> {
        self.0.rejected.clone()
    }
    #[getter]
    fn elapsed(&self) -> Duration {
        self.0.elapsed
    }
    #[getter]
    fn drained(&self) -> bool {
        self.0.drained
    }
    fn __repr__(&self) -> String {
        let Counters { consumed, stored, duplicate, rejected, .. } = self.0.total;
        format!("ConsumeSummary(consumed={consumed}, stored={stored}, duplicate={duplicate}, rejected={rejected})")
    }
}
