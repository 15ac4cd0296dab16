//! `ccstream.Producer`.

use std::time::Duration;

use ccstream_core::settings::ProducerConfig;
use ccstream_services::produce::{ProduceSummary, check, produce};
use ccstream_services::report::Observers;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio_util::sync::CancellationToken;

use crate::errors::Raise;
use crate::events::tell_of_producer;
use crate::run::{Interrupt, Listener, run_blocking};
use crate::settings::Arguments;

/// Sends card transactions, generated or from a file, to Kafka.
///
/// librdkafka is idempotent with ``acks=all``; a full queue slows the source, and nothing is dropped. Nothing is
/// connected before :meth:`run`.
///
/// Args:
// generated: settings of kafka, producer
///     bootstrap_servers: The brokers, ``host:port`` joined by commas. Default: ``KAFKA_BOOTSTRAP_SERVERS``, else
///         ``localhost:9094``.
///     topic: The topic. The producer creates a missing one where the broker allows it; the consumer waits for it.
///         Default: ``KAFKA_TOPIC``, else ``orders_json``.
///     librdkafka_options: Settings of librdkafka itself (TLS, SASL, buffers), as ``security.protocol=sasl_ssl``; one
///         that ccstream sets itself is refused. ``CCSTREAM_KAFKA_SASL_PASSWORD`` is ``sasl.password``: a command line
///         can be read by others. A mapping, or pairs. Default: ``CCSTREAM_KAFKA_*``, else none.
///     librdkafka_options_file: A file of such settings, ``key=value`` in each line, which nobody else may read. What
///         is also given otherwise beats it. Default: ``KAFKA_OPTIONS_FILE``, else none.
///     rate: Events a second, from 0.001; ``max`` (in Python ``math.inf``) for as fast as possible. Default: one every
///         0.5 to 2 s, at random.
///     count: The number of events to stop after. Default: no end, or the file's end.
///     seed: The same seed and start time give the same bytes. Default: random.
///     start_time: When the first event happens, as RFC 3339 or ISO 8601 writes it (UTC where it names no offset).
///         Default: each event happens now.
///     replay: A CSV file, plain or gzipped, whose rows are sent instead. A row that is not valid is sent as it is, for
///         the consumer to reject and explain. Default: events are generated.
///     map: The column of the file that fills a field; a column with the field's own name needs none. A mapping, or
///         pairs. Default: none.
///     set: The value of a field where the file has none or leaves it empty. A mapping, or pairs. Default: none.
///     tokenize: Fields of the file's rows, joined by commas, that a token is sent for: as ``card_token``, where the
///         file has card numbers, which are not sent. One value has one token. Default: none.
///     token_key_file: The file with the key that tokens are made with, of 16 bytes or more, which nobody else may
///         read. Default: none.
///     partitions: The topic's partitions, where it has to be created. From 1 to 65,535. Default 1.
///     drain_limit: The longest time that a stop waits for the broker to acknowledge the events in flight. From 0 to
///         240 s. Default 10 s.
// generated, to here
///     on_event: Called with an event's name and its fields, which ``ccstream.events`` describes: ``connected``,
///         ``sending``, ``sent``, ``not_sent`` (up to 10 events a second) and ``progress``. If it raises, the run stops
///         and raises the same.
///
/// Raises:
///     ConfigError: A setting is not usable, the file cannot be read, or its columns do not fill the fields.
///
/// Example:
///     >>> ccstream.Producer(rate=1000, count=5000, seed=7).run()  # doctest: +SKIP
///     ProduceSummary(sent=5000, acknowledged=5000, failed=0, sent_again=0, elapsed=5.0s)
#[pyclass(frozen, name = "Producer", module = "ccstream")]
pub(crate) struct PyProducer {
    config: ProducerConfig,
    on_event: Option<Py<PyAny>>,
    stop: CancellationToken,
}

#[pymethods]
impl PyProducer {
    // generated: signature of kafka, producer
    #[pyo3(signature = (*, on_event=None, **settings))]
    #[pyo3(text_signature = "(*, bootstrap_servers=None, topic=None, librdkafka_options=None, \
            librdkafka_options_file=None, rate=None, count=None, seed=None, start_time=None, \
            replay=None, map=None, set=None, tokenize=None, token_key_file=None, partitions=None, \
            drain_limit=None, on_event=None)")]
    // generated, to here
    #[new]
    fn new(py: Python<'_>, on_event: Option<Py<PyAny>>, settings: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let arguments = Arguments::new(py, settings)?;
        let config = ProducerConfig { kafka: arguments.take()?, ..arguments.take()? };
        arguments.end("Producer()")?;
        check(&config).raise()?;
        Ok(Self { config, on_event, stop: CancellationToken::new() })
    }

    /// Sends until the count, the file's end or :meth:`stop`; waits for every delivery report.
    ///
    /// The interpreter is detached. Ctrl-C stops, waits for the events in flight, and raises ``KeyboardInterrupt``.
    ///
    /// Returns:
    ///     What was sent; failed events are counted there and raise nothing.
    ///
    /// Raises:
    ///     ConfigError: The file cannot be read.
    ///     KafkaError: No broker answers, or the topic does not exist and may not be created.
    fn run(&self, py: Python<'_>) -> PyResult<PyProduceSummary> {
        let callback = self.on_event.as_ref().map(|callback| callback.clone_ref(py));
        let (config, stop) = (self.config.clone(), self.stop.clone());
        run_blocking(py, &self.stop, Interrupt::Drains, move || {
            let mut listener = Listener::new(callback, stop.clone());
            let mut observers = Observers::default().with(|event| tell_of_producer(&mut listener, event));
            let result = produce(&config, &stop, &mut observers);
            drop(observers);
            listener.finish(result).map(PyProduceSummary)
        })
    }

    /// Ends :meth:`run` soon, after its delivery reports; may be called from any thread or a signal's handler.
    fn stop(&self) {
        self.stop.cancel();
    }

    fn __repr__(&self) -> String {
        format!("Producer({:?})", self.config)
    }
}

/// What was sent and what became of it: ``sent == acknowledged + failed`` at the end.
#[pyclass(frozen, name = "ProduceSummary", module = "ccstream")]
#[derive(Clone)]
pub(crate) struct PyProduceSummary(pub(crate) ProduceSummary);

#[pymethods]
impl PyProduceSummary {
    /// Events handed to librdkafka.
    #[getter]
    fn sent(&self) -> u64 {
        self.0.sent
    }
    /// Events that the broker has, on all in-sync replicas.
    #[getter]
    fn acknowledged(&self) -> u64 {
        self.0.acknowledged
    }
    /// Events that the broker does not have.
    #[getter]
    fn failed(&self) -> u64 {
        self.0.failed
    }
    /// How often an event was re-sent by a new client, because Kafka had lost track of the one before.
    ///
    /// The topic may hold that number of duplicates. The other counts include each event once.
    #[getter]
    fn sent_again(&self) -> u64 {
        self.0.sent_again
    }
    /// The time since the first event.
    #[getter]
    fn elapsed(&self) -> Duration {
        self.0.elapsed
    }
    fn __repr__(&self) -> String {
        let ProduceSummary { sent, acknowledged, failed, sent_again, elapsed } = self.0;
        format!(
            "ProduceSummary(sent={sent}, acknowledged={acknowledged}, failed={failed}, sent_again={sent_again}, \
             elapsed={elapsed:?})"
        )
    }
}
