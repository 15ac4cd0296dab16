//! `ccstream.Producer`.

use std::path::PathBuf;
use std::time::Duration;

use ccstream_core::generate::Pace;
use ccstream_core::replay::ReplayConfig;
use ccstream_core::validate::parse_moment;
use ccstream_services::config::{EventSource, ProducerConfig};
use ccstream_services::produce::{ProduceSummary, check, produce};
use ccstream_services::report::Observers;
use pyo3::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::errors::{Raise, bad_argument};
use crate::events::tell_of_producer;
use crate::run::{Listener, run_blocking};
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
            Some(path) => EventSource::Replay(ReplayConfig {
                path,
                map: map.unwrap_or_default().0,
                set: set.unwrap_or_default().0,
            }),
            None if map.is_some() || set.is_some() => {
                return Err(bad_argument("map", "only a replayed file has columns to map or values to set"));
            }
            None => EventSource::Generate {
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
        let mut listener = Listener::new(callback, self.stop.clone());
        run_blocking(py, &self.stop, || {
            let mut observers = Observers::default().with(|event| tell_of_producer(&mut listener, event));
            let result = produce(&self.config, &self.stop, &mut observers);
            drop(observers);
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

/// What was sent and what became of it.
#[pyclass(frozen, name = "ProduceSummary", module = "ccstream")]
#[derive(Clone)]
pub(crate) struct PyProduceSummary(pub(crate) ProduceSummary);

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
