//! What producer, consumer and doctor share of a Kafka client: its log, its last error, the topic.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::advertised::{ADVERTISE, Advertised};
use super::options::options;
use crate::error::{Error, Result};
use ccstream_core::settings::KafkaConfig;

/// How long a question to the broker may take.
pub(crate) const ASK_LIMIT: Duration = Duration::from_secs(5);

/// How long a refusal is the reason why there is no answer: librdkafka tries again after 10 s at the latest.
const REFUSAL_LASTS: Duration = Duration::from_secs(30);

/// Keeps what librdkafka last complained of. While a broker is down it complains many times a
/// second: only a change is logged.
#[derive(Debug, Default)]
pub(crate) struct ClientLog {
    last_error: Mutex<Option<(String, Instant)>>,
    /// The last complaint of TLS or of the login.
    last_refusal: Mutex<Option<(String, Instant)>>,
    /// When a server that was given did not answer last, by whatever address.
    bootstrap_failed: Mutex<Option<Instant>>,
}

impl ClientLog {
    /// librdkafka's last complaint, if it is younger than ten seconds.
    pub(crate) fn last_error(&self) -> Option<String> {
        let last = self.last_error.lock().expect("no panic while it is held");
        last.as_ref().filter(|(_, at)| at.elapsed() < Duration::from_secs(10)).map(|(text, _)| text.clone())
    }

    /// Why the broker did not let this client in, if that is why it does not answer: TLS failed, or the login.
    pub(crate) fn last_refusal(&self) -> Option<String> {
        let last = self.last_refusal.lock().expect("no panic while it is held");
        last.as_ref().filter(|(_, at)| at.elapsed() < REFUSAL_LASTS).map(|(text, _)| text.clone())
    }

    /// The broker has answered since.
    pub(crate) fn forget_refusal(&self) {
        *self.last_refusal.lock().expect("no panic while it is held") = None;
    }

    fn note_refusal(&self, text: &str) {
        // "sasl_ssl://localhost:9094/bootstrap: SASL authentication error: ...": every broker says the same.
        let cause = match text.split_once(": ") {
            Some((broker, cause)) if broker.contains('/') && !broker.contains(' ') => cause,
            _ => text,
        };
        *self.last_refusal.lock().expect("no panic while it is held") = Some((cause.to_owned(), Instant::now()));
    }

    /// Whether a server that was given has just not answered.
    fn is_bootstrap_silent(&self) -> bool {
        let failed = self.bootstrap_failed.lock().expect("no panic while it is held");
        failed.is_some_and(|at| at.elapsed() < Duration::from_secs(10))
    }

    fn note(&self, text: &str) {
        if text.contains("/bootstrap: ") {
            *self.bootstrap_failed.lock().expect("no panic while it is held") = Some(Instant::now());
        }
        let mut last = self.last_error.lock().expect("no panic while it is held");
        if last.as_ref().is_none_or(|(old, at)| old != text || at.elapsed() > Duration::from_secs(60)) {
            tracing::warn!(error = text, "Kafka client.");
        }
        *last = Some((text.to_owned(), Instant::now()));
    }
}

impl ClientContext for ClientLog {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => tracing::debug!(facility, "{message}"),
            // Every failure of a connection comes through `error` as well.
            _ if matches!(facility, "FAIL" | "ERROR") => tracing::debug!(facility, "{message}"),
            _ => tracing::warn!(facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka client error.");
        // "... failed: ... (after 0ms in state CONNECT)": the time differs each time.
        let reason = reason.split(" (after ").next().unwrap_or(reason).trim_end();
        // The end of a partition is news for the poll loop, not trouble.
        let no_trouble = [RDKafkaErrorCode::AllBrokersDown, RDKafkaErrorCode::PartitionEOF];
        if error.rdkafka_error_code().is_none_or(|code| !no_trouble.contains(&code)) {
            self.note(reason);
        }
        if is_refusal(&error, reason) {
            self.note_refusal(reason);
        }
    }
}

impl ConsumerContext for ClientLog {}

/// Whether an error says that TLS or the login failed. A broker that misses the client's certificate says so only after the
/// handshake, which librdkafka reports as a failed connection with OpenSSL's words.
fn is_refusal(error: &KafkaError, reason: &str) -> bool {
    let codes = [RDKafkaErrorCode::SSL, RDKafkaErrorCode::Authentication, RDKafkaErrorCode::SaslAuthenticationFailed];
    error.rdkafka_error_code().is_some_and(|code| codes.contains(&code)) || reason.contains("SSL routines")
}

/// For `map_err` where a client is made: an option that librdkafka refuses is a setting's error, and its
/// value, which may be a password, is not repeated.
pub(crate) fn refused(error: KafkaError) -> Error {
    match error {
        KafkaError::ClientConfig(_, description, key, _) => {
            Error::config("librdkafka_options", format!("{key}: {description}"))
        }
        source => Error::Kafka { context: "starting a Kafka client".into(), source },
    }
}

/// Errors: an option that librdkafka does not know, or a value that it does not take. Nothing is connected.
pub(crate) fn check_options(client: &ClientConfig) -> Result<()> {
    client.create_native_config().map(drop).map_err(refused)
}

/// A topic as the broker describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopicInfo {
    /// How many partitions it has.
    pub(crate) partitions: usize,
}

/// Asks whether the topic is there; `Ok(None)` where it is not. Never creates it.
pub(crate) fn find_topic<C: ClientContext>(client: &Client<C>, topic: &str) -> Result<Option<TopicInfo>, KafkaError> {
    // All topics: asking for one by name may create it.
    let metadata = client.fetch_metadata(None, ASK_LIMIT)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
    Ok(found.map(|found| TopicInfo { partitions: found.partitions().len() }))
}

/// Errors: no answer, or a cluster all of whose brokers have addresses that cannot be reached from here; `silent` makes an
/// error of the former. What to say where some have such addresses.
pub(crate) fn check_advertised(
    client: &Client<impl ClientContext>,
    servers: &str,
    silent: impl FnOnce(KafkaError) -> Error,
) -> Result<Option<String>> {
    let found = Advertised::ask(client, servers).map_err(silent)?;
    match found.none_reachable(servers) {
        Some(text) => Err(Error::Broker(text)),
        None => Ok(found.some_unreachable()),
    }
}

/// Why there is no answer, as far as librdkafka reports it; and what to do.
pub(crate) fn why_silent(servers: &str, log: &ClientLog) -> (String, &'static str) {
    if let Some(cause) = log.last_refusal() {
        return (format!("Kafka at {servers} does not let this client in: {cause}"), REFUSED);
    }
    match log.last_error() {
        Some(error) => match advertised_address(&error) {
            // It was named by one that did answer.
            Some((address, cause))
                if !log.is_bootstrap_silent() && !servers.split(',').any(|server| server.ends_with(address)) =>
            {
                (
                    format!(
                        "Kafka at {servers} answers, and names {address} for clients to use, which this machine cannot reach \
                     ({cause})"
                    ),
                    ADVERTISE,
                )
            }
            _ => (format!("no answer from Kafka at {servers} ({error})"), START),
        },
        None => (format!("no answer from Kafka at {servers}"), START),
    }
}

/// An error for a broker that does not answer, with librdkafka's last word on why.
pub(crate) fn unreachable(servers: &str, log: &ClientLog, source: KafkaError) -> Error {
    let (why, advice) = why_silent(servers, log);
    Error::Kafka { context: format!("{why}; {advice}"), source }
}

/// The address of a broker that a cluster has named, and what is wrong with it, where librdkafka complains of such a one:
/// `sasl_ssl://kafka:9092/1: Failed to resolve 'kafka:9092': ...`. One that it was given is called "bootstrap".
fn advertised_address(complaint: &str) -> Option<(&str, &str)> {
    let (broker, cause) = complaint.split_once(": ")?;
    let (address, number) = broker.rsplit_once('/')?;
    number.parse::<i32>().ok()?;
    Some((address.rsplit_once("://").map_or(address, |(_, address)| address), cause))
}

/// What to do about a broker that lets nobody in.
const REFUSED: &str = "check security.protocol, sasl.* and ssl.* in `librdkafka_options`";
/// What to do about a broker that is not there.
const START: &str = "start it with 'docker-compose up -d' or 'ccstream up', or name another in `bootstrap_servers`";

/// Creates the topic if it is missing; true if it did.
pub(crate) fn ensure_topic(config: &KafkaConfig, client: &Client<impl ClientContext>, partitions: u16) -> Result<bool> {
    let topic = &config.topic;
    let ask = Error::kafka(format!("asking Kafka at {} for its topics", config.bootstrap_servers));
    if find_topic(client, topic).map_err(ask)?.is_some() {
        return Ok(false);
    }
    let admin = AdminClient::from_config_and_context(&options(config, &[])?, ClientLog::default()).map_err(refused)?;
    // -1: as many copies as the broker's own default says.
    let new = NewTopic::new(topic, i32::from(partitions), TopicReplication::Fixed(-1));
    let asking = AdminOptions::new().operation_timeout(Some(ASK_LIMIT)).request_timeout(Some(ASK_LIMIT));
    let not_created = |why: String| {
        Error::Broker(format!(
            "topic {topic:?} does not exist and could not be created: {why}; have it created: \
             kafka-topics --create --topic {topic} --bootstrap-server {} --partitions {partitions}",
            config.bootstrap_servers
        ))
    };
    let runtime = crate::runtime()?;
    match runtime.block_on(admin.create_topics([&new], &asking)) {
        Ok(results) => match results.into_iter().next() {
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
            Some(Err((_, code))) => Err(not_created(code.to_string())),
            _ => Ok(true),
        },
        Err(error) => Err(not_created(error.to_string())),
    }
}

/// The broker that tests use, if one was started for them.
#[cfg(test)]
pub(crate) fn test_broker() -> Option<String> {
    let servers = std::env::var("CCSTREAM_TEST_BROKER").ok();
    if servers.is_none() {
        assert!(std::env::var("CCSTREAM_DEMAND").is_err(), "CCSTREAM_TEST_BROKER is not set");
        eprintln!("left out: no CCSTREAM_TEST_BROKER; `make test` starts a broker");
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_of_a_broker_that_the_cluster_named() {
        for (complaint, expected) in [
            ("kafka:9092/1: Failed to resolve 'kafka:9092'", Some(("kafka:9092", "Failed to resolve 'kafka:9092'"))),
            ("sasl_ssl://kafka:9092/12: Connect failed", Some(("kafka:9092", "Connect failed"))),
            ("localhost:9094/bootstrap: Connect failed", None),
            ("GroupCoordinator: Connect failed", None),
            ("1/1 brokers are down", None),
        ] {
            assert_eq!(advertised_address(complaint), expected, "{complaint}");
        }
    }

    #[test]
    fn why_a_broker_is_silent() {
        let log = ClientLog::default();
        assert_eq!(why_silent("localhost:9094", &log).0, "no answer from Kafka at localhost:9094");
        log.note("kafka:9092/1: Failed to resolve");
        let (why, advice) = why_silent("localhost:9094", &log);
        assert!(why.contains("answers, and names kafka:9092") && advice.contains("advertised.listeners"), "{why}");
        assert!(why_silent("a:1,PLAINTEXT://kafka:9092", &log).0.ends_with("(kafka:9092/1: Failed to resolve)"));
    }
}
