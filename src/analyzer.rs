//! Defines `ccstream.Analyzer`.

use std::time::Duration;

use ccstream_core::settings::AnalyzerConfig;
use ccstream_services::analyze::{AnalyzeEvent, AnalyzeSummary, analyze, check};
use ccstream_services::report::Observers;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio_util::sync::CancellationToken;

use crate::consumer::with_summary;
use crate::errors::Raise;
use crate::events::tell_of_analyzer;
use crate::run::{Interrupt, Listener, run_blocking};
use crate::settings::Arguments;

/// Scores the transactions of a topic and applies labels, in one order and each exactly once.
///
/// Scores, labels and the offsets of both topics are committed in one transaction. The state from which scores are
/// computed is stored beside it, and brought up to date from there after a crash.
///
/// Several analyzers may run at the same time: one works, and the others wait to take over. No connection is opened
/// before :meth:`run`.
///
/// Args:
// generated: settings of kafka, analyzer
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
///     labels_topic: The topic of labels, which say whether a transaction was a fraud. Without this topic, scores are
///         computed without labels. Default: ``KAFKA_LABELS_TOPIC``, else ``labels_json``.
///     database_url: The URL of the database, as ``postgresql://user:password@host:port/database``. ``sslmode`` has the
///         meaning that it has for libpq. Default: ``DATABASE_URL``, else ``kafka_db`` on ``localhost:5434``, as in
///         ``docker-compose.yml``.
///     model: The file of the model that scores transactions. It is added to the table ``models`` and becomes active.
///         Default: the active model, or the rules if there is none.
///     no_default_model: Scores by the rules where a model that comes with ccstream would score: on a new analysis of a
///         stream of the simulated world. Default False.
///     explain: The score, from 0 to 1, from which a score is high, so that the reasons for it are stored. Default
///         ``0.5``.
///     windows: The file that defines the windows in which transactions are counted. It is read again when it changes.
///         Default: ``CCSTREAM_WINDOWS``, else ``windows.toml`` in the folder in which the analyzer is started, if
///         there is one.
///     alerts: The file that defines the rules of alerts. It is read again when it changes. Default:
///         ``CCSTREAM_ALERTS``, else ``alerts.toml`` in the folder in which the analyzer is started, if there is one.
///     cards: The maximum number of cards of which the analyzer remembers anything. Beyond it, those that were not used
///         for the longest time are forgotten. From 1 to 100,000,000. Default 1,000,000.
///     merchants: The maximum number of merchants of which the analyzer remembers anything. Beyond it, those that were
///         not used for the longest time are forgotten. From 1 to 10,000,000. Default 100,000.
///     batch_rows: The maximum number of transactions and labels that are written at once. From 1 to 1,000,000. Default
///         20,000.
///     linger: The maximum time until a score is visible, while the analyzer and the database keep up with the topic.
///         Behind it by more than ``batch_rows``, the analyzer waits longer for larger batches. From 0 to 60,000 ms.
///         Default 50 ms.
///     patience: The maximum time that an event waits for older events of partitions without news. Events that come
///         later than this are scored out of order, and counted as late. From 0 to 60,000 ms. Default 100 ms.
///     until_caught_up: Exits once every partition has been read to its end. Default False.
///     max_ahead: The maximum time by which an event may be ahead of this machine's clock; later events are rejected,
///         as the consumer rejects them. From 0 to 4,102,444,800 s. Default 172,800 s.
///     drain_limit: The maximum time that a stop waits until the events that were read are scored and committed. The
///         others are read again by the next run. From 0 to 240 s. Default 30 s.
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
///     >>> analyzer = ccstream.Analyzer(until_caught_up=True)
///     >>> analyzer.run()
///     AnalyzeSummary(scored=5000, duplicate=0, rejected=0, late=0)
#[pyclass(frozen, name = "Analyzer", module = "ccstream")]
pub(crate) struct PyAnalyzer {
    config: AnalyzerConfig,
    on_event: Option<Py<PyAny>>,
    stop: CancellationToken,
}

#[pymethods]
impl PyAnalyzer {
    // generated: signature of kafka, analyzer
    #[pyo3(signature = (*, on_event=None, **settings))]
    #[pyo3(text_signature = "(*, bootstrap_servers=None, topic=None, librdkafka_options=None, \
            librdkafka_options_file=None, labels_topic=None, database_url=None, model=None, \
            no_default_model=False, explain=None, windows=None, alerts=None, cards=None, \
            merchants=None, batch_rows=None, linger=None, patience=None, until_caught_up=False, \
            max_ahead=None, drain_limit=None, on_event=None)")]
    // generated, to here
    #[new]
    fn new(py: Python<'_>, on_event: Option<Py<PyAny>>, settings: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let arguments = Arguments::new(py, settings)?;
        let config = AnalyzerConfig { kafka: arguments.take()?, ..arguments.take()? };
        arguments.end("Analyzer()")?;
        check(&config).raise()?;
        Ok(Self { config, on_event, stop: CancellationToken::new() })
    }

    /// Scores transactions until :meth:`stop`, or with ``until_caught_up`` until the end of both topics.
    ///
    /// The method releases the GIL, so other threads continue. It waits for a broker or database that is unavailable,
    /// and while another analyzer works. Ctrl-C stops the run, commits what was scored, and raises
    /// ``KeyboardInterrupt``.
    ///
    /// Returns:
    ///     The counts of messages by outcome. An exception of ccstream has the counts until then in its ``summary``.
    ///
    /// Raises:
    ///     ConfigError: A pooler shares PostgreSQL's sessions between its clients.
    ///     KafkaError: The user may not read a topic, or librdkafka reports a fatal error.
    ///     PostgresError: PostgreSQL reports an error that waiting does not resolve. Nothing of the batch is stored,
    ///         and the next run reads it again.
    ///     SchemaError: The tables cannot be used.
    fn run(&self, py: Python<'_>) -> PyResult<PyAnalyzeSummary> {
        let callback = self.on_event.as_ref().map(|callback| callback.clone_ref(py));
        let (config, stop) = (self.config.clone(), self.stop.clone());
        let work = move || {
            let mut listener = Listener::new(callback, stop.clone());
            let mut failed = None;
            let mut observers =
                Observers::default().with(|event| tell_of_analyzer(&mut listener, event)).with(|event| {
                    if let AnalyzeEvent::Failed { summary, .. } = event {
                        failed = Some(summary.clone());
                    }
                });
            let result = analyze(&config, &stop, &mut observers);
            drop(observers);
            let finished = listener.finish(result).map(PyAnalyzeSummary);
            finished.map_err(|error| with_summary(error, failed.map(PyAnalyzeSummary)))
        };
        run_blocking(py, &self.stop, Interrupt::Drains, work)
    }

    /// Stops the run after committing what was scored, and returns at once.
    ///
    /// Any thread or signal handler may call it. A later :meth:`run` of this analyzer ends at once.
    fn stop(&self) {
        self.stop.cancel();
    }

    fn __repr__(&self) -> String {
        format!("Analyzer({:?})", self.config)
    }
}

/// Counts the messages of one run by outcome.
#[pyclass(frozen, name = "AnalyzeSummary", module = "ccstream")]
pub(crate) struct PyAnalyzeSummary(pub(crate) AnalyzeSummary);

#[pymethods]
impl PyAnalyzeSummary {
    /// The number of transactions that were scored.
    #[getter]
    fn scored(&self) -> i64 {
        self.0.events.accepted
    }
    /// The number of messages whose transaction had been scored before.
    #[getter]
    fn duplicate(&self) -> i64 {
        self.0.events.duplicate
    }
    /// The number of messages that are not valid transactions.
    #[getter]
    fn rejected(&self) -> i64 {
        self.0.events.rejected
    }
    /// The number of offsets that could not be read: deleted by the topic's retention, or unreadable.
    #[getter]
    fn missing(&self) -> i64 {
        self.0.events.missing
    }
    /// The number of transactions that came after a later one had been scored.
    #[getter]
    fn late(&self) -> i64 {
        self.0.late
    }
    /// The number of labels that were received and stored.
    #[getter]
    fn labels(&self) -> i64 {
        self.0.labels.accepted
    }
    /// The number of labels that had been received before.
    #[getter]
    fn labels_duplicate(&self) -> i64 {
        self.0.labels.duplicate
    }
    /// The number of messages that are not valid labels.
    #[getter]
    fn labels_rejected(&self) -> i64 {
        self.0.labels.rejected
    }
    /// The number of labels that became due, so that scores use them.
    #[getter]
    fn labelled(&self) -> i64 {
        self.0.labelled
    }
    /// The number of cards that were forgotten because there were more than ``cards``.
    #[getter]
    fn cards_forgotten(&self) -> i64 {
        self.0.forgotten.cards
    }
    /// The number of merchants that were forgotten because there were more than ``merchants``.
    #[getter]
    fn merchants_forgotten(&self) -> i64 {
        self.0.forgotten.merchants
    }
    /// The number of terminals that were forgotten because there were more than ``merchants``.
    #[getter]
    fn terminals_forgotten(&self) -> i64 {
        self.0.forgotten.terminals
    }
    /// The number of labels that were forgotten, because too many are due whose transactions were never scored.
    #[getter]
    fn labels_forgotten(&self) -> i64 {
        self.0.forgotten.labels
    }
    /// The number of keys that rules of alerts have forgotten, because a rule had more than ``keys``.
    #[getter]
    fn alert_keys_forgotten(&self) -> i64 {
        self.0.forgotten.alert_keys
    }
    /// The number of notifications of alerts that were sent.
    #[getter]
    fn notifications_sent(&self) -> i64 {
        self.0.notifications.sent
    }
    /// The number of notifications of alerts that failed and are not tried again.
    #[getter]
    fn notifications_failed(&self) -> i64 {
        self.0.notifications.failed
    }
    /// The time since this run took the lease.
    #[getter]
    fn elapsed(&self) -> Duration {
        self.0.elapsed
    }
    /// Whether everything that was scored is committed. If not, the next run scores the rest again.
    #[getter]
    fn drained(&self) -> bool {
        self.0.drained
    }
    fn __repr__(&self) -> String {
        let (events, late) = (self.0.events, self.0.late);
        let (scored, duplicate, rejected) = (events.accepted, events.duplicate, events.rejected);
        format!("AnalyzeSummary(scored={scored}, duplicate={duplicate}, rejected={rejected}, late={late})")
    }
}
