//! This module has what producer, consumer and doctor need of a Kafka client: its log, its last errors, and the topic.

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

/// Longest wait for the broker's answer to a request.
pub(crate) const ASK_LIMIT: Duration = Duration::from_secs(5);

/// Time for which a refusal counts as the reason for a missing answer. librdkafka retries within 10 s, so a refusal
/// that persists is renewed in time.
const REFUSAL_LASTS: Duration = Duration::from_secs(30);

/// Receives librdkafka's log and errors, and remembers the last ones. While a broker is down librdkafka reports an
/// error many times a second, so only a changed error is logged.
#[derive(Debug, Default)]
pub(crate) struct ClientLog {
    /// The last error, and when it came.
    last_error: Mutex<Option<(String, Instant)>>,
    /// The last refusal of TLS or the login, and when it came.
    last_refusal: Mutex<Option<(String, Instant)>>,
    /// When a bootstrap server last did not answer.
    bootstrap_failed: Mutex<Option<Instant>>,
}

impl ClientLog {
    /// Returns librdkafka's last error, if it came in the last 10 s.
    pub(crate) fn last_error(&self) -> Option<String> {
        let last = self.last_error.lock().expect("no thread panics while it holds the lock");
        last.as_ref().filter(|(_, at)| at.elapsed() < Duration::from_secs(10)).map(|(text, _)| text.clone())
    }

    /// Returns why TLS or the login failed, if that happened in the last 30 s.
    pub(crate) fn last_refusal(&self) -> Option<String> {
        let last = self.last_refusal.lock().expect("no thread panics while it holds the lock");
        last.as_ref().filter(|(_, at)| at.elapsed() < REFUSAL_LASTS).map(|(text, _)| text.clone())
    }

    /// Clears the last refusal. To be called once the broker has answered.
    pub(crate) fn forget_refusal(&self) {
        *self.last_refusal.lock().expect("no thread panics while it holds the lock") = None;
    }

    fn note_refusal(&self, text: &str) {
        // The text is "sasl_ssl://localhost:9094/bootstrap: SASL authentication error: ...". The broker's address is
        // cut off, so that the same error of several brokers counts as one.
        let cause = match text.split_once(": ") {
            Some((broker, cause)) if broker.contains('/') && !broker.contains(' ') => cause,
            _ => text,
        };
        *self.last_refusal.lock().expect("no thread panics while it holds the lock") =
            Some((cause.to_owned(), Instant::now()));
    }

    /// Returns whether a bootstrap server did not answer in the last 10 s.
    fn is_bootstrap_silent(&self) -> bool {
        let failed = self.bootstrap_failed.lock().expect("no thread panics while it holds the lock");
        failed.is_some_and(|at| at.elapsed() < Duration::from_secs(10))
    }

    fn note(&self, text: &str) {
        if text.contains("/bootstrap: ") {
            *self.bootstrap_failed.lock().expect("no thread panics while it holds the lock") = Some(Instant::now());
        }
        let mut last = self.last_error.lock().expect("no thread panics while it holds the lock");
        if last.as_ref().is_none_or(|(old, at)| old != text || at.elapsed() > Duration::from_secs(60)) {
            tracing::warn!(error = text, "The Kafka client reported an error.");
        }
        *last = Some((text.to_owned(), Instant::now()));
    }
}

impl ClientContext for ClientLog {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => tracing::debug!(facility, "{message}"),
            // librdkafka passes every failed connection to `error` as well.
            _ if matches!(facility, "FAIL" | "ERROR") => tracing::debug!(facility, "{message}"),
            _ => tracing::warn!(facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "The Kafka client reported an error.");
        // The text is "... failed: ... (after 0ms in state CONNECT)". The time is cut off, because it always differs.
        let reason = reason.split(" (after ").next().unwrap_or(reason).trim_end();
        // `AllBrokersDown` does not name a cause, and the end of a partition is not an error.
        let ignored = [RDKafkaErrorCode::AllBrokersDown, RDKafkaErrorCode::PartitionEOF];
        if error.rdkafka_error_code().is_none_or(|code| !ignored.contains(&code)) {
            self.note(reason);
        }
        if is_refusal(&error, reason) {
            self.note_refusal(reason);
        }
    }
}

impl ConsumerContext for ClientLog {}

/// Returns whether an error means that TLS or the login failed. A broker that requires a client certificate refuses the
/// client only after the handshake; librdkafka reports that as a failed connection with OpenSSL's text.
fn is_refusal(error: &KafkaError, reason: &str) -> bool {
    let codes = [RDKafkaErrorCode::SSL, RDKafkaErrorCode::Authentication, RDKafkaErrorCode::SaslAuthenticationFailed];
    error.rdkafka_error_code().is_some_and(|code| codes.contains(&code)) || reason.contains("SSL routines")
}

/// Converts an error from the creation of a client, for use with `map_err`. An option that librdkafka refuses becomes
/// an error of the setting `librdkafka_options`. The option's value may be a password, so it is not in the message.
pub(crate) fn refused(error: KafkaError) -> Error {
    match error {
        KafkaError::ClientConfig(_, description, key, _) => {
            Error::config("librdkafka_options", format!("{key}: {description}"))
        }
        source => Error::Kafka { context: "starting a Kafka client".into(), source },
    }
}

/// Checks librdkafka's options without opening a connection.
///
/// Errors: librdkafka does not know an option, or does not accept its value.
pub(crate) fn check_options(client: &ClientConfig) -> Result<()> {
    client.create_native_config().map(drop).map_err(refused)
}

/// Describes a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopicInfo {
    /// Number of partitions.
    pub(crate) partitions: usize,
}

/// Asks the broker for a topic; `Ok(None)` if it does not exist. Never creates it.
///
/// Errors: the broker does not answer.
pub(crate) fn find_topic<C: ClientContext>(client: &Client<C>, topic: &str) -> Result<Option<TopicInfo>, KafkaError> {
    // All topics are requested, because a request for one by name may create it.
    let metadata = client.fetch_metadata(None, ASK_LIMIT)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
    Ok(found.map(|found| TopicInfo { partitions: found.partitions().len() }))
}

/// Checks whether the brokers' advertised addresses can be reached. Returns a warning if some of them cannot.
///
/// Errors: the cluster does not answer, for which `silent` makes the error, or none of the addresses can be reached.
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

/// Returns why the broker does not answer, as far as librdkafka reports it, and what to do.
pub(crate) fn why_silent(servers: &str, log: &ClientLog) -> (String, &'static str) {
    if let Some(cause) = log.last_refusal() {
        return (format!("Kafka at {servers} refuses this client: {cause}"), REFUSED);
    }
    match log.last_error() {
        Some(error) => match advertised_address(&error) {
            // A bootstrap server must have answered, because it advertised this address.
            Some((address, cause))
                if !log.is_bootstrap_silent() && !servers.split(',').any(|server| server.ends_with(address)) =>
            {
                let why = format!(
                    "Kafka at {servers} answers, but advertises {address}, which this machine cannot reach ({cause})"
                );
                (why, ADVERTISE)
            }
            _ => (format!("no answer from Kafka at {servers} ({error})"), START),
        },
        None => (format!("no answer from Kafka at {servers}"), START),
    }
}

/// Returns the error for a broker that does not answer, with the reason that librdkafka last reported.
pub(crate) fn unreachable(servers: &str, log: &ClientLog, source: KafkaError) -> Error {
    let (why, advice) = why_silent(servers, log);
    Error::Kafka { context: format!("{why}; {advice}"), source }
}

/// Returns the address and the cause in an error about an advertised broker:
/// `sasl_ssl://kafka:9092/1: Failed to resolve 'kafka:9092': ...`. In an error about a bootstrap server, librdkafka has
/// "bootstrap" in place of the broker's number, and this returns None.
fn advertised_address(error: &str) -> Option<(&str, &str)> {
    let (broker, cause) = error.split_once(": ")?;
    let (address, number) = broker.rsplit_once('/')?;
    number.parse::<i32>().ok()?;
    Some((address.rsplit_once("://").map_or(address, |(_, address)| address), cause))
}

/// Tells what to do about a broker that refuses TLS or the login.
const REFUSED: &str = "check security.protocol, sasl.* and ssl.* in `librdkafka_options`";
/// Tells what to do about a broker that does not answer.
const START: &str =
    "start Kafka with 'docker-compose up -d' or 'ccstream up', or set another address in `bootstrap_servers`";

/// Creates a topic if it does not exist. Returns whether it was created.
///
/// Errors: the broker does not answer, or refuses to create the topic.
pub(crate) fn ensure_topic(
    config: &KafkaConfig,
    topic: &str,
    client: &Client<impl ClientContext>,
    partitions: u16,
) -> Result<bool> {
    let ask = Error::kafka(format!("asking Kafka at {} for its topics", config.bootstrap_servers));
    if find_topic(client, topic).map_err(ask)?.is_some() {
        return Ok(false);
    }
    let admin = AdminClient::from_config_and_context(&options(config, &[])?, ClientLog::default()).map_err(refused)?;
    // With -1 the broker uses its default replication factor.
    let new = NewTopic::new(topic, i32::from(partitions), TopicReplication::Fixed(-1));
    let asking = AdminOptions::new().operation_timeout(Some(ASK_LIMIT)).request_timeout(Some(ASK_LIMIT));
    let not_created = |why: String| {
        Error::Broker(format!(
            "topic {topic:?} does not exist and could not be created: {why}; ask an administrator to run \
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

/// Returns the address of the broker that was started for tests, if there is one.
#[cfg(test)]
pub(crate) fn test_broker() -> Option<String> {
    let servers = std::env::var("CCSTREAM_TEST_BROKER").ok();
    if servers.is_none() {
        assert!(std::env::var("CCSTREAM_DEMAND").is_err(), "CCSTREAM_TEST_BROKER is not set");
        eprintln!("skipped: CCSTREAM_TEST_BROKER is not set; `make test` starts a broker");
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advertised_address_is_found_in_an_error() {
        for (error, expected) in [
            ("kafka:9092/1: Failed to resolve 'kafka:9092'", Some(("kafka:9092", "Failed to resolve 'kafka:9092'"))),
            ("sasl_ssl://kafka:9092/12: Connect failed", Some(("kafka:9092", "Connect failed"))),
            ("localhost:9094/bootstrap: Connect failed", None),
            ("GroupCoordinator: Connect failed", None),
            ("1/1 brokers are down", None),
        ] {
            assert_eq!(advertised_address(error), expected, "{error}");
        }
    }

    #[test]
    fn an_advertised_address_is_the_reason_if_a_bootstrap_server_answers() {
        let log = ClientLog::default();
        assert!(why_silent("localhost:9094", &log).0.ends_with(" localhost:9094"));
        log.note("kafka:9092/1: Failed to resolve");
        let (why, advice) = why_silent("localhost:9094", &log);
        assert!(why.contains(" kafka:9092") && advice.contains("advertised.listeners"), "{why}");
        assert!(why_silent("a:1,PLAINTEXT://kafka:9092", &log).0.ends_with("(kafka:9092/1: Failed to resolve)"));
    }
}
