//! `ccstream.Consumer`.

use std::collections::BTreeMap;
use std::time::Duration;

use ccstream_services::config::ConsumerConfig;
use ccstream_services::consume::{ConsumeEvent, ConsumeSummary, check, consume};
use ccstream_services::postgres::Counters;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio_util::sync::CancellationToken;

use crate::errors::Raise;
use crate::run::{Interrupt, Listener, run_blocking};
use crate::settings::{Pairs, database_url as url_of, kafka_config, setting};

/// Reads a topic into PostgreSQL.
#[pyclass(frozen, name = "Consumer", module = "ccstream")]
pub(crate) struct PyConsumer {
    config: ConsumerConfig,
    on_event: Option<Py<PyAny>>,
    stop: CancellationToken,
}

impl PyConsumer {
    /// The run itself, on whatever thread it is put.
    fn work(&self, py: Python<'_>) -> impl FnOnce() -> PyResult<PyConsumeSummary> + Send + 'static {
        let callback = self.on_event.as_ref().map(|callback| callback.clone_ref(py));
        let (config, stop) = (self.config.clone(), self.stop.clone());
        move || {
            let mut listener = Listener::new(callback, stop.clone());
            let result = consume(&config, &stop, &mut |event| tell(&mut listener, event));
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
        Ok(Self { config, on_event, stop: CancellationToken::new() })
    }

    fn run(&self, py: Python<'_>) -> PyResult<PyConsumeSummary> {
        let work = self.work(py);
        run_blocking(py, &self.stop, Interrupt::Drains, work)
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

    fn __repr__(&self) -> String {
        format!("Consumer({:?})", self.config)
    }
}

fn set_counters(fields: &Bound<'_, PyDict>, prefix: &str, counters: &Counters) -> PyResult<()> {
    fields.set_item(format!("{prefix}consumed"), counters.consumed)?;
    fields.set_item(format!("{prefix}stored"), counters.stored)?;
    fields.set_item(format!("{prefix}duplicate"), counters.duplicate)?;
    fields.set_item(format!("{prefix}rejected"), counters.rejected)?;
    fields.set_item(format!("{prefix}missing"), counters.missing)
}

fn tell(listener: &mut Listener, event: ConsumeEvent) {
    match event {
        ConsumeEvent::ConnectedToKafka { topic_found } => {
            listener.tell("connected_to_kafka", |fields| fields.set_item("topic_found", topic_found));
        }
        ConsumeEvent::ConnectedToPostgres(change) => listener.tell("connected_to_postgres", |fields| {
            fields.set_item("created_orders", change.created_orders)?;
            fields.set_item("added_columns", change.added_columns)?;
            fields.set_item("started_over", change.started_over)
        }),
        ConsumeEvent::Listening => listener.tell("listening", |_| Ok(())),
        ConsumeEvent::Assigned(offsets) => {
            listener.tell("assigned", |fields| fields.set_item("offsets", offsets));
        }
        ConsumeEvent::Warning(text) => listener.tell("warning", |fields| fields.set_item("text", text)),
        ConsumeEvent::Batch(batch) => listener.tell("batch", |fields| {
            set_counters(fields, "", &batch.counted)?;
            set_counters(fields, "total_", &batch.total)?;
            fields.set_item("lag", batch.lag)?;
            fields.set_item("took", batch.took)
        }),
        ConsumeEvent::Waiting { reason } => listener.tell("waiting", |fields| fields.set_item("reason", reason)),
        ConsumeEvent::Recovered { after } => listener.tell("recovered", |fields| fields.set_item("after", after)),
    }
}

/// What one run did.
#[pyclass(frozen, name = "ConsumeSummary", module = "ccstream")]
pub(crate) struct PyConsumeSummary(ConsumeSummary);

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
