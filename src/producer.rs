//! Defines `ccstream.Producer`.

use std::time::Duration;

use ccstream_core::settings::ProducerConfig;
use ccstream_services::describe::describe;
use ccstream_services::produce::{ProduceSummary, check, produce};
use ccstream_services::report::Observers;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio_util::sync::CancellationToken;

use crate::errors::Raise;
use crate::events::tell_of_producer;
use crate::run::{Interrupt, Listener, run_blocking};
use crate::settings::Arguments;

/// Sends card transactions to Kafka, generated ones or those of a file.
///
/// The producer is idempotent, with ``acks=all``. If its queue is full, it waits, and drops nothing. Nothing is
/// connected before :meth:`run`.
///
/// Args:
// generated: settings of kafka, producer
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
///     rate: The number of events per simulated second, at least 0.001, on average over a week; ``max`` (in Python
///         ``math.inf``) sends as fast as possible. Default: one event every 0.5 to 2 s, at random.
///     count: The number of events after which the producer stops. Default: no limit, or the number of rows in the
///         file.
///     seed: The seed of the generator. Equal seeds, start times, rates and numbers of cards generate equal bytes.
///         Default: random.
///     start_time: The time of the first event, in the format of RFC 3339 or ISO 8601 (UTC unless it has an offset).
///         Default: the current time for each event.
///     backfill: The history to send first: its duration (``7d``, ``12h``), or the date at which it begins. Events of
///         the current time follow it without a gap. Default: none.
///     speed: The number of simulated seconds that pass per real second, beginning at ``start_time`` or ``backfill``;
///         ``max`` (in Python ``math.inf``) for as many as possible. Default: 1, or ``max`` for a history.
///     cards: The number of cards in the simulated world. From 1 to 1,000,000. Default: enough for two payments per
///         card and day, from 5,000 to 1,000,000.
///     fraud: The share of frauds that are planted among generated transactions, from 0 to 0.1. Three times as many
///         transactions resemble frauds and are honest. With 0, no labels are sent. Default: 0.005, or 0 at the rate
///         ``max``.
///     campaign: A campaign of fraud that begins at a given time, as ``SCENARIO@TIME``, in addition to the share
///         ``fraud``. TIME is a moment, or a duration after the first event. The scenarios are S1 to S7. One, or a
///         sequence. Default: none.
///     label_delay: The time from a transaction to its label: ``fixed:7d`` for seven days, ``lognormal:7d`` for a
///         median of seven days. Default: lognormal:7d, or fixed:7d for the preset.
///     resume: The file in which a run saves what it has not sent, every 5 s and at its end: labels that are not due
///         yet, and late and second messages. The next run with this file sends them when they are due. Without it, a
///         run that reaches its ``count`` sends them at once, and a run that is stopped does not send them. Default:
///         none.
///     labels_topic: The topic of labels, which report later whether a transaction was a fraud. The producer creates it
///         if it does not exist. Default: ``KAFKA_LABELS_TOPIC``, else ``labels_json``.
///     truth_topic: The topic of the truth about what the generator planted. The producer creates it if it does not
///         exist. Default: ``KAFKA_TRUTH_TOPIC``, else ``truth_json``.
///     incident: An incident in the generated world, as ``KIND@TIME+DURATION`` or ``KIND@TIME+DURATION:SUBJECT``. TIME
///         is a moment, or a duration after the first event. SUBJECT is an issuer, a network or a merchant. The kinds
///         are ``issuer_out``, ``network_out``, ``terminal_offline``, ``surge``, ``slow_processor``, ``duplicates`` and
///         ``wrong_clock``. One, or a sequence. Default: none.
///     incidents: Plants two to five incidents a week by chance in the generated world. Default False.
///     malformed: The share of generated messages that are invalid, from 0 to 0.5. Each has one of 28 mistakes. Default
///         ``0``.
///     control: The text file whose new lines change the generated world during the run: ``rate N``, ``incident
///         KIND+DURATION`` or ``incident KIND@TIME+DURATION:SUBJECT``. A line takes effect after the next event. It is
///         recorded in a second file, whose name has ``.applied`` at its end, for use as ``script``. Default: none.
///     script: The file with commands, each as ``after N events: COMMAND``, that change the generated world during the
///         run. The file that ``control`` wrote gives equal bytes again, if the seed, the start time and all other
///         settings are equal. Default: none.
///     preset: The published world to generate: ``handbook`` is the Fraud Detection Handbook's. It needs a
///         ``start_time``, which is midnight in UTC. Its constants can follow, as in
///         ``handbook,customers=500,days=60``; they replace ``cards``, ``fraud`` and other settings of the generated
///         world. The world determines the times of events; ``speed`` or the rate ``max`` determines how fast they are
///         sent. Default: none, ccstream's own world is generated.
///     replay: A CSV file, plain or gzipped, whose rows are sent instead of generated events. Invalid rows are sent
///         too; the consumer rejects them and stores the reason. Default: none, events are generated.
///     labels: A CSV file, plain or gzipped, whose rows are labels of the transactions in the file of ``replay``. Its
///         columns are ``transaction_id``, ``labelled_at``, ``fraud`` (1, 0, true or false) and, optionally,
///         ``source``; others are ignored. The labels are sent first, and the transactions follow once the broker has
///         acknowledged all of them. A file with an invalid row is refused, and nothing is sent. Default: none.
///     labels_in_order: Sends each label of the file before the first transaction at or after its ``labelled_at``,
///         instead of all labels first. Labels that remain after the last transaction follow it. The file must be
///         sorted by ``labelled_at``. Default False.
///     map: The column of the file that fills a field. A column that has the name of the field fills it by default. A
///         mapping, or pairs. Default: none.
///     set: The value of a field if the file has no column for it, or the cell is empty. A mapping, or pairs. Default:
///         none.
///     tokenize: The fields, separated by commas, whose values in the file are replaced by tokens. An example is
///         ``card_token`` if the file has card numbers, which are never sent. Equal values get equal tokens. Default:
///         none.
///     token_key_file: The file with the key for tokens, which has 16 bytes or more. Only its owner may be able to read
///         it. Default: none.
///     partitions: The number of partitions of the topic, if the producer creates it. From 1 to 65,535. Default 1.
///     drain_limit: The maximum time that a stop waits for the broker to acknowledge events in flight. From 0 to 240 s.
///         Default 10 s.
// generated, to here
///     on_event: A callable that gets an event's name (a str) and its fields (a dict), which ``ccstream.events``
///         describes. It is called during :meth:`run`, on another thread. Single events are reported at a ``rate`` of
///         up to 10 per second. If it raises, the run stops and raises that exception. Default: none.
///
/// Raises:
///     ConfigError: A setting cannot be used, the file cannot be read, or its columns do not fill the required fields.
///     TypeError: A setting has the wrong type, or there is no such setting.
///
/// Example:
///     >>> ccstream.Producer(rate=math.inf, count=5000, seed=7).run()
///     ProduceSummary(sent=5000, acknowledged=5000, failed=0, labels=0, truths=0, lost=0, sent_again=0, elapsed=...)
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
            backfill=None, speed=None, cards=None, fraud=None, campaign=None, label_delay=None, \
            resume=None, labels_topic=None, truth_topic=None, incident=None, incidents=False, \
            malformed=None, control=None, script=None, preset=None, replay=None, labels=None, \
            labels_in_order=False, map=None, set=None, tokenize=None, token_key_file=None, \
            partitions=None, drain_limit=None, on_event=None)")]
    // generated, to here
    #[new]
    fn new(py: Python<'_>, on_event: Option<Py<PyAny>>, settings: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let arguments = Arguments::new(py, settings)?;
        let config = ProducerConfig { kafka: arguments.take()?, ..arguments.take()? };
        arguments.end("Producer()")?;
        check(&config).raise()?;
        Ok(Self { config, on_event, stop: CancellationToken::new() })
    }

    /// Sends events until ``count``, the end of the file or :meth:`stop`, and waits for all delivery reports.
    ///
    /// The method releases the GIL, so other threads continue. Ctrl-C stops the run, waits for the events in
    /// flight, and raises ``KeyboardInterrupt``.
    ///
    /// Returns:
    ///     The counts of events. Events that could not be delivered are counted as ``failed``, and raise nothing.
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

    /// Describes how the events that :meth:`run` would send are distributed.
    ///
    /// It contacts no broker. It describes ``count`` events, or the first 500,000. Without ``start_time``, simulated
    /// time starts now and advances at the rate. :meth:`stop` ends it early; it then describes the events up to there.
    /// Ctrl-C raises ``KeyboardInterrupt``. ``on_event`` is called with the warning ``cards_overused`` alone.
    ///
    /// Returns:
    ///     The figures, whose types ``ccstream.description`` defines.
    ///
    /// Raises:
    ///     ConfigError: The file cannot be read.
    fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let callback = self.on_event.as_ref().map(|callback| callback.clone_ref(py));
        let (config, stop) = (self.config.clone(), self.stop.clone());
        let shape = run_blocking(py, &self.stop, Interrupt::Drains, move || {
            let mut listener = Listener::new(callback, stop.clone());
            let mut observers = Observers::default().with(|event| tell_of_producer(&mut listener, event));
            let result = describe(&config, &stop, &mut observers);
            drop(observers);
            listener.finish(result)
        })?;
        py.import("json")?.call_method1("loads", (shape.to_json(),))
    }

    /// Stops :meth:`run` after its delivery reports, or :meth:`describe`, and returns at once.
    ///
    /// Any thread or signal handler may call it.
    fn stop(&self) {
        self.stop.cancel();
    }

    fn __repr__(&self) -> String {
        format!("Producer({:?})", self.config)
    }
}

/// Counts the events of one run: ``sent == acknowledged + failed`` once it has ended.
///
/// Labels and truths are counted separately.
#[pyclass(frozen, name = "ProduceSummary", module = "ccstream")]
#[derive(Clone)]
pub(crate) struct PyProduceSummary(pub(crate) ProduceSummary);

#[pymethods]
impl PyProduceSummary {
    /// The number of events that were handed to librdkafka.
    #[getter]
    fn sent(&self) -> u64 {
        self.0.sent
    }
    /// The number of events that the broker has acknowledged, on all in-sync replicas.
    #[getter]
    fn acknowledged(&self) -> u64 {
        self.0.acknowledged
    }
    /// The number of events that could not be delivered.
    #[getter]
    fn failed(&self) -> u64 {
        self.0.failed
    }
    /// The number of labels that the broker has acknowledged.
    #[getter]
    fn labels(&self) -> u64 {
        self.0.labels
    }
    /// The number of truths that the broker has acknowledged.
    #[getter]
    fn truths(&self) -> u64 {
        self.0.truths
    }
    /// The number of labels and truths that could not be delivered.
    #[getter]
    fn lost(&self) -> u64 {
        self.0.lost
    }
    /// The number of times that a new client re-sent a message, because Kafka had lost the previous client's state.
    ///
    /// Its topic may contain up to this number of duplicates. The other counts include each message once.
    #[getter]
    fn sent_again(&self) -> u64 {
        self.0.sent_again
    }
    /// The time from the first event to the end of the run, or until now if the run continues.
    #[getter]
    fn elapsed(&self) -> Duration {
        self.0.elapsed
    }
    fn __repr__(&self) -> String {
        let ProduceSummary { sent, acknowledged, failed, labels, truths, lost, sent_again, elapsed } = self.0;
        format!(
            "ProduceSummary(sent={sent}, acknowledged={acknowledged}, failed={failed}, labels={labels}, truths={truths}, \
             lost={lost}, sent_again={sent_again}, elapsed={elapsed:?})"
        )
    }
}
