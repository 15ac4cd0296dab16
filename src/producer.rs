//! `ccstream.Producer`.

use std::path::PathBuf;
use std::time::Duration;

use ccstream_core::generate::Pace;
use ccstream_core::replay::ReplayConfig;
use ccstream_core::validate::parse_moment;
use ccstream_services::config::{ProducerConfig, Source};
use ccstream_services::produce::{ProduceEvent, ProduceSummary, check, produce};
use pyo3::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::errors::{Raise, bad_argument};
use crate::run::{Interrupt, Listener, run_blocking};
use crate::settings::{Pairs, kafka_config};

/// Sends transactions to Kafka.
#[pyclass(frozen, name = "Producer", module = "ccstream")]
pub(crate) struct PyProducer {
    config: ProducerConfig,
    on_event: Option<Py<PyAny>>,
    stop: CancellationToken,
}

#[pymethods]
impl PyProducer {
    #[new]
    #[pyo3(signature = (*, bootstrap_servers=None, topic=None, rate=None, count=None, seed=None, start_time=None,
        replay=None, map=None, set=None, partitions=1, librdkafka_options=None, on_event=None))]
    #[allow(clippy::too_many_arguments, reason = "keyword-only, as the stub documents them")]
    fn new(
        py: Python<'_>,
        bootstrap_servers: Option<String>,
        topic: Option<String>,
        rate: Option<f64>,
        count: Option<u64>,
        seed: Option<u64>,
        start_time: Option<&str>,
        replay: Option<PathBuf>,
        map: Option<Pairs>,
        set: Option<Pairs>,
        partitions: u16,
        librdkafka_options: Option<Pairs>,
        on_event: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let source = match replay {
            Some(_) if seed.is_some() || start_time.is_some() => {
                return Err(bad_argument("replay", "a file's rows have no seed and no start time"));
            }
            Some(path) => {
                Source::Replay(ReplayConfig { path, map: map.unwrap_or_default().0, set: set.unwrap_or_default().0 })
            }
            None if map.is_some() || set.is_some() => {
                return Err(bad_argument("map", "only a replayed file has columns to map or values to set"));
            }
            None => Source::Generate {
                seed,
                start_time: start_time
                    .map(|text| parse_moment(text).map_err(|why| bad_argument("start_time", why)))
                    .transpose()?,
            },
        };
        let pace = match rate {
            None => Pace::Human,
            Some(rate) if rate == f64::INFINITY => Pace::Max,
            Some(rate) => Pace::PerSecond(rate),
        };
        let kafka = kafka_config(py, bootstrap_servers, topic, librdkafka_options)?;
        let config = ProducerConfig { kafka, source, pace, count, partitions, ..ProducerConfig::default() };
        check(&config).raise()?;
        Ok(Self { config, on_event, stop: CancellationToken::new() })
    }

    fn run(&self, py: Python<'_>) -> PyResult<PyProduceSummary> {
        let callback = self.on_event.as_ref().map(|callback| callback.clone_ref(py));
        let (config, stop) = (self.config.clone(), self.stop.clone());
        run_blocking(py, &self.stop, Interrupt::Drains, move || {
            let mut listener = Listener::new(callback, stop.clone());
            let result = produce(&config, &stop, &mut |event| tell(&mut listener, event));
            listener.finish(result).map(PyProduceSummary)
        })
    }

    fn stop(&self) {
        self.stop.cancel();
    }

    fn __repr__(&self) -> String {
        format!("Producer({:?})", self.config)
    }
}

fn tell(listener: &mut Listener, event: ProduceEvent<'_>) {
    match event {
        ProduceEvent::Connected { created } => {
            listener.tell("connected", |fields| fields.set_item("topic_created", created));
        }
        ProduceEvent::Sending { number, payload } => listener.tell("sending", |fields| {
            fields.set_item("number", number)?;
            fields.set_item("payload", String::from_utf8_lossy(payload))
        }),
        ProduceEvent::Sent { partition, offset } => listener.tell("sent", |fields| {
            fields.set_item("partition", partition)?;
            fields.set_item("offset", offset)
        }),
        ProduceEvent::NotSent { error } => listener.tell("not_sent", |fields| fields.set_item("error", error)),
        ProduceEvent::Progress(summary) => {
            listener.tell("progress", |fields| fields.set_item("summary", PyProduceSummary(summary)));
        }
    }
}

/// What was sent and what became of it.
#[pyclass(frozen, name = "ProduceSummary", module = "ccstream")]
#[derive(Clone)]
pub(crate) struct PyProduceSummary(ProduceSummary);

#[pymethods]
impl PyProduceSummary {
    #[getter]
    fn sent(&self) -> u64 {
        self.0.sent
    }
    #[getter]
    fn acknowledged(&self) -> u64 {
        self.0.acknowledged
    }
    #[getter]
    fn failed(&self) -> u64 {
        self.0.failed
    }
    #[getter]
    fn sent_again(&self) -> u64 {
        self.0.sent_again
    }
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
