//! Defines `ccstream.Consumer`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ccstream_core::settings::ConsumerConfig;
use ccstream_services::consume::{ConsumeEvent, ConsumeSummary, PublishedStatus, check, consume};
use ccstream_services::postgres::Counters;
use ccstream_services::report::Observers;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio_util::sync::CancellationToken;

use crate::errors::Raise;
use crate::events::tell_of_consumer;
use crate::run::{Interrupt, Listener, run_blocking};
use crate::settings::Arguments;
use crate::status::PyConsumeStatus;

/// Reads card transactions from Kafka into PostgreSQL, exactly once.
///
/// A batch's rows, dead letters, totals and offsets are committed in one transaction. Nothing is connected before
/// :meth:`run`.
///
/// Args:
// generated: settings of kafka, consumer
///     bootstrap_servers: The brokers as ``host:port``, separated by commas. Default: ``KAFKA_BOOTSTRAP_SERVERS``, else
///         ``localhost:9094``.
///     topic: The name of the topic. If it does not exist, the producer creates it, provided that the broker allows
///         that, and the consumer waits for it. Default: ``KAFKA_TOPIC``, else ``orders_json``.
///     librdkafka_options: Settings of librdkafka (TLS, SASL, buffers), such as ``security.protocol=sasl_ssl``. Those
///         that ccstream sets itself are refused. Set passwords by variables, such as ``sasl.password`` by
///         ``CCSTREAM_KAFKA_SASL_PASSWORD``, because other users can read a command line. A mapping, or pairs. Default:
///         ``CCSTREAM_KAFKA_*``, else none.
///     librdkafka_options_file: A file with settings of librdkafka, one ``key=value`` in each line. Only its owner may
///         be able to read it. Settings that are also given otherwise override those in the file. Default:
///         ``KAFKA_OPTIONS_FILE``, else none.
///     group: The name of the consumer group. Each group has separate offsets. Default: ``KAFKA_GROUP_ID``, else
///         ``ccstream``.
///     database_url: The URL of the database, as ``postgresql://user:password@host:port/database``. ``sslmode`` has the
///         meaning that it has for libpq. Default: ``DATABASE_URL``, else ``kafka_db`` on ``localhost:5434``, as in
///         ``docker-compose.yml``.
///     connections: The maximum number of connections to PostgreSQL. Under load, all of them write at the same time,
///         each a part of the partitions, because a session of PostgreSQL uses only one processor. Connections after
///         the first are opened under such load. One more is opened briefly if another session holds a lock for long.
///         From 1 to 16. Default 2.
///     batch_rows: The maximum number of messages that are written at once, by all connections together. From 1 to
///         1,000,000. Default 50,000.
///     batch_bytes: The maximum number of bytes of encoded rows and dead letters that are written at once. From 1 to
///         268,435,456. Default 10,485,760.
///     linger: The maximum time until a message that was read is visible, while the database keeps up. From 0 to 60,000
///         ms. Default 200 ms.
///     start_over: Reads the topic from its beginning again if ``orders`` has none of the rows that were stored,
///         instead of exiting. Default False.
///     skip_unreadable: Skips a batch that librdkafka cannot decode, counts its offsets as missing and logs a warning,
///         instead of exiting. Default False.
///     until_caught_up: Exits once every partition has been read to its end. Default False.
///     drain_limit: The maximum time that a stop, or the revocation of a partition, waits until the messages that were
///         read are committed. Messages that are not committed by then are dropped, and the next consumer reads them
///         again. From 0 to 240 s. Default 30 s.
///     assignment: How a group reassigns partitions: ``eager`` revokes and assigns all of them at every change,
///         ``cooperative`` moves only those that must. All members of a group need the same value. Default ``eager``.
///     session_timeout: The time without a heartbeat after which the group considers a consumer dead. By default,
///         Apache Kafka allows 6 seconds or more. From 1 to 300 s. Default 6 s.
///     max_ahead: The maximum time by which an event may be ahead of this machine's clock; later events are rejected.
///         Events in the far future would distort results: the totals of their minutes are never removed, and figures
///         of the last hours end with the latest event. From 0 to 4,102,444,800 s. Default 172,800 s.
///     max_refused: The maximum number of rows refused by PostgreSQL (by a constraint or trigger of yours) that one run
///         stores as dead letters. One more ends the run; ``all`` sets no limit. Default: no limit, unless nearly all
///         rows of three consecutive batches are refused with the same SQLSTATE.
///     truth: Also reads the topic of truth, in which a generator describes what it planted in a simulated world, and
///         stores it in the table ``truth``. Default False.
///     truth_topic: The topic of truth. It is read only if ``truth`` is set. Default: ``KAFKA_TRUTH_TOPIC``, else
///         ``truth_json``.
///     always_stage: Writes every batch through a staging table, even without duplicates, which is slower. It is meant
///         for comparison. Default False.
///     synchronous_commit: Waits at each commit until PostgreSQL has written it to disk, by ``synchronous_commit``. Not
///         waiting is safe: after a crash of PostgreSQL, rows and offsets are lost together, and the messages are read
///         again. Default True.
// generated, to here
///     on_event: A callable that gets an event's name (a str) and its fields (a dict), which ``ccstream.events``
///         describes. It is called during :meth:`run`, on another thread. If it raises, the run stops and raises that
///         exception. Default: none.
///
/// Raises:
///     ConfigError: A setting cannot be used; the message names it.
///     TypeError: A setting has the wrong type, or there is no such setting.
///
/// Example:
///     >>> consumer = ccstream.Consumer(until_caught_up=True)
///     >>> consumer.run()
///     ConsumeSummary(consumed=5000, stored=5000, duplicate=0, rejected=0)
#[pyclass(frozen, name = "Consumer", module = "ccstream")]
pub(crate) struct PyConsumer {
    config: ConsumerConfig,
    on_event: Option<Py<PyAny>>,
    stop: CancellationToken,
    status: Arc<PublishedStatus>,
}

impl PyConsumer {
    /// Returns the function that does the run. It may be called on any thread.
    fn work(&self, py: Python<'_>) -> impl FnOnce() -> PyResult<PyConsumeSummary> + Send + 'static {
        let callback = self.on_event.as_ref().map(|callback| callback.clone_ref(py));
        let (config, stop, status) = (self.config.clone(), self.stop.clone(), Arc::clone(&self.status));
        move || {
            let mut listener = Listener::new(callback, stop.clone());
            status.begin();
            let mut failed = None;
            let mut observers = Observers::default()
                .with(|event| status.observe(event))
                .with(|event| tell_of_consumer(&mut listener, event))
                .with(|event| {
                    if let ConsumeEvent::Failed { summary, .. } = event {
                        failed = Some(PyConsumeSummary(summary.clone()));
                    }
                });
            let result = consume(&config, &stop, &mut observers);
            drop(observers);
            listener.finish(result).map(PyConsumeSummary).map_err(|error| with_summary(error, failed))
        }
    }
}

/// Adds to a run's exception the summary of what the run did before it.
pub(crate) fn with_summary<S>(error: PyErr, summary: Option<S>) -> PyErr
where
    S: for<'py> IntoPyObject<'py>,
{
    if let Some(summary) = summary {
        // An exception that the user's callable raised may not allow new attributes.
        let _ = Python::attach(|py| error.value(py).setattr("summary", summary));
    }
    error
}

#[pymethods]
impl PyConsumer {
    // generated: signature of kafka, consumer
    #[pyo3(signature = (*, on_event=None, **settings))]
    #[pyo3(text_signature = "(*, bootstrap_servers=None, topic=None, librdkafka_options=None, \
            librdkafka_options_file=None, group=None, database_url=None, connections=None, \
            batch_rows=None, batch_bytes=None, linger=None, start_over=False, skip_unreadable=False, \
            until_caught_up=False, drain_limit=None, assignment=None, session_timeout=None, \
            max_ahead=None, max_refused=None, truth=False, truth_topic=None, always_stage=False, \
            synchronous_commit=True, on_event=None)")]
    // generated, to here
    #[new]
    fn new(py: Python<'_>, on_event: Option<Py<PyAny>>, settings: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let arguments = Arguments::new(py, settings)?;
        let config = ConsumerConfig { kafka: arguments.take()?, ..arguments.take()? };
        arguments.end("Consumer()")?;
        check(&config).raise()?;
        Ok(Self { config, on_event, stop: CancellationToken::new(), status: Arc::default() })
    }

    /// Reads the topic until :meth:`stop`, or with ``until_caught_up`` to its end.
    ///
    /// The method releases the GIL, so other threads continue. It waits for a broker or database that is
    /// unavailable; with ``until_caught_up``, a broker that does not answer at the start is an error instead. Ctrl-C
    /// stops the run, commits what was read, and raises ``KeyboardInterrupt``.
    ///
    /// Returns:
    ///     The counts of messages by outcome. An exception of ccstream has the counts until then in its ``summary``.
    ///
    /// Raises:
    ///     ConfigError: A pooler shares PostgreSQL's sessions between its clients, or a file that a setting names can
    ///         no longer be used.
    ///     KafkaError: At the start, the brokers refuse TLS or the login for 10 s; the user may not read the topic;
    ///         other consumers of the group have another ``assignment``; a batch is unreadable, without
    ///         ``skip_unreadable``; librdkafka reports a fatal error; or, with ``until_caught_up``, at the start no
    ///         broker answers or the topic does not exist.
    ///     PostgresError: PostgreSQL reports an error that waiting does not resolve. Nothing of the batch is stored,
    ///         and the next run reads it again.
    ///     SchemaError: The tables cannot be used; PostgreSQL refused nearly all rows of three consecutive batches with
    ///         the same SQLSTATE; or it refused more rows than ``max_refused``.
    fn run(&self, py: Python<'_>) -> PyResult<PyConsumeSummary> {
        let work = self.work(py);
        run_blocking(py, &self.stop, Interrupt::Drains, work)
    }

    /// Starts :meth:`run` on another thread, to be awaited: ``await consumer.run_async()``.
    ///
    /// An event loop has to be running. Cancelling the future stops the run.
    ///
    /// Returns:
    ///     A future with the result or the exception of :meth:`run`.
    ///
    /// Example:
    ///     >>> async def main():
    ///     ...     return await ccstream.Consumer(until_caught_up=True).run_async()
    ///     >>> asyncio.run(main())
    ///     ConsumeSummary(consumed=0, stored=0, duplicate=0, rejected=0)
    fn run_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (work, stop) = (self.work(py), self.stop.clone());
        pyo3_async_runtimes::tokio::future_into_py(py, async move {
            // A cancelled task drops this future, and the guard then stops the run.
            let guard = stop.drop_guard();
            let joined = tokio::task::spawn_blocking(work).await;
            guard.disarm();
            joined.map_err(|error| pyo3::exceptions::PyRuntimeError::new_err(error.to_string()))?
        })
    }

    /// Stops the run after committing what was read, and returns at once.
    ///
    /// Any thread or signal handler may call it. A later :meth:`run` of this consumer ends at once.
    fn stop(&self) {
        self.stop.cancel();
    }

    /// Returns the present state of the run.
    ///
    /// Any thread may call it, even before and after the run.
    ///
    /// Returns:
    ///     A record of one moment, which does not change later.
    ///
    /// Example:
    ///     >>> ccstream.Consumer().status().state
    ///     'starting'
    fn status(&self) -> PyConsumeStatus {
        PyConsumeStatus(self.status.snapshot())
    }

    fn __repr__(&self) -> String {
        format!("Consumer({:?})", self.config)
    }
}

/// Counts the messages of one run by outcome: ``consumed == stored + duplicate + rejected``.
#[pyclass(frozen, name = "ConsumeSummary", module = "ccstream")]
pub(crate) struct PyConsumeSummary(pub(crate) ConsumeSummary);

#[pymethods]
impl PyConsumeSummary {
    /// The number of messages that were read and committed: stored, duplicate or rejected.
    #[getter]
    fn consumed(&self) -> i64 {
        self.0.total.consumed
    }
    /// The number of rows that were inserted into ``orders``.
    #[getter]
    fn stored(&self) -> i64 {
        self.0.total.stored
    }
    /// The number of messages whose id was already in ``orders``, or came earlier in the same batch.
    #[getter]
    fn duplicate(&self) -> i64 {
        self.0.total.duplicate
    }
    /// The number of messages that became dead letters in ``rejected_events``.
    #[getter]
    fn rejected(&self) -> i64 {
        self.0.total.rejected
    }
    /// The number of offsets that could not be read: deleted by the topic's retention, or skipped as unreadable.
    #[getter]
    fn missing(&self) -> i64 {
        self.0.total.missing
    }
    /// The number of rejected messages for each reason.
    #[getter]
    fn rejected_by_reason(&self) -> BTreeMap<&'static str, i64> {
        self.0.rejected.clone()
    }
    /// The number of rows inserted into ``truth``.
    #[getter]
    fn truth_stored(&self) -> i64 {
        self.0.truth.stored
    }
    /// The number of messages of the topic of truth whose content was in ``truth`` already.
    #[getter]
    fn truth_duplicate(&self) -> i64 {
        self.0.truth.duplicate
    }
    /// The number of messages of the topic of truth that were skipped, because they cannot be stored.
    #[getter]
    fn truth_skipped(&self) -> i64 {
        self.0.truth.skipped
    }
    /// The number of offsets of the topic of truth that could not be read: deleted by retention, or unreadable.
    #[getter]
    fn truth_missing(&self) -> i64 {
        self.0.truth.missing
    }
    /// The time from the assignment that preceded the first commit to the end of the run.
    #[getter]
    fn elapsed(&self) -> Duration {
        self.0.elapsed
    }
    /// Whether everything that was read is committed.
    ///
    /// False if ``drain_limit`` ended the run earlier. The next run reads the rest again.
    #[getter]
    fn drained(&self) -> bool {
        self.0.drained
    }
    fn __repr__(&self) -> String {
        let Counters { consumed, stored, duplicate, rejected, .. } = self.0.total;
        format!("ConsumeSummary(consumed={consumed}, stored={stored}, duplicate={duplicate}, rejected={rejected})")
    }
}
