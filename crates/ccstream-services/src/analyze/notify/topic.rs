//! Sends notifications to a topic of the analyzer's cluster.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};

use super::deliver::{Delivery, LIMIT};
use crate::error::Result;
use crate::kafka::client::{ClientLog, refused};
use crate::kafka::options::options;
use ccstream_analysis::notify::{Form, Notice};
use ccstream_core::settings::KafkaConfig;

/// Longest wait for a delivery report at once.
const POLL: Duration = Duration::from_millis(100);

/// Keeps the last delivery report.
#[derive(Default)]
struct Reported {
    log: ClientLog,
    last: Mutex<Option<std::result::Result<(), KafkaError>>>,
}

impl Reported {
    fn take(&self) -> Option<std::result::Result<(), KafkaError>> {
        self.last.lock().expect("no thread panics while it holds the lock").take()
    }
}

impl ClientContext for Reported {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.log.log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(error, reason);
    }
}

impl ProducerContext for Reported {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let result = result.as_ref().map(drop).map_err(|(error, _)| error.clone());
        *self.last.lock().expect("no thread panics while it holds the lock") = Some(result);
    }
}

/// A topic. Its client is made when it is first needed.
pub(super) struct Topic {
    name: String,
    kafka: KafkaConfig,
    client: Option<BaseProducer<Reported>>,
}

impl Topic {
    pub(super) fn new(name: String, kafka: KafkaConfig) -> Self {
        Self { name, kafka, client: None }
    }

    pub(super) fn send(&mut self, notice: &Notice) -> Delivery {
        match self.try_to_send(notice) {
            Ok(()) => Delivery::Sent,
            Err(error) => {
                // A client that was told to forget a message begins again without it.
                self.client = None;
                Delivery::failed(error)
            }
        }
    }

    fn try_to_send(&mut self, notice: &Notice) -> std::result::Result<(), String> {
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(connect(&self.kafka).map_err(|error| error.causes())?),
        };
        let body = notice.body(Form::Json);
        let header = Header { key: "idempotency-key", value: Some(&notice.key) };
        let record = BaseRecord::to(&self.name)
            .key(&notice.key)
            .payload(&body)
            .headers(OwnedHeaders::new_with_capacity(1).insert(header));
        client.send(record).map_err(|(error, _)| error.to_string())?;
        let until = Instant::now() + LIMIT;
        while Instant::now() < until {
            client.poll(POLL);
            if let Some(reported) = client.context().take() {
                return reported.map_err(|error| error.to_string());
            }
        }
        client.purge(PurgeConfig::default().queue().inflight());
        let why = client.context().log.last_error().map_or_else(String::new, |error| format!(": {error}"));
        Err(format!("the broker has not acknowledged it within {} s{why}", LIMIT.as_secs()))
    }
}

fn connect(kafka: &KafkaConfig) -> Result<BaseProducer<Reported>> {
    let config = options(kafka, &[("enable.idempotence", "true")])?;
    BaseProducer::from_config_and_context(&config, Reported::default()).map_err(refused)
}
