//! Settings of each part, their defaults and limits. `Default` is the only home of a default;
//! flags and environment variables are read in Python (`settings.py`).

use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;

use ccstream_core::event::Micros;
use ccstream_core::generate::Pace;
use ccstream_core::replay::ReplayConfig;
use ccstream_core::{Error, Result};

/// librdkafka's second names of settings that are ours.
const OTHER_NAMES: [(&str, &str); 3] = [
    ("metadata.broker.list", "bootstrap.servers"),
    ("request.required.acks", "acks"),
    ("max.in.flight.requests.per.connection", "max.in.flight"),
];

/// Where Kafka is, and the topic.
#[derive(Clone)]
pub struct KafkaConfig {
    /// `host:port`, several joined by commas. Default `localhost:9094`.
    pub bootstrap_servers: String,
    /// Default `orders_json`.
    pub topic: String,
    /// librdkafka's own settings (TLS, SASL, buffers), applied last. One that ccstream owns is refused.
    pub librdkafka_options: Vec<(String, String)>,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self { bootstrap_servers: "localhost:9094".into(), topic: "orders_json".into(), librdkafka_options: Vec::new() }
    }
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options: Vec<&str> = self.librdkafka_options.iter().map(|(key, _)| key.as_str()).collect();
        f.debug_struct("KafkaConfig")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("topic", &self.topic)
            .field("librdkafka_options", &options)
            .finish()
    }
}

impl KafkaConfig {
    /// Checks the names.
    pub fn validate(&self) -> Result<()> {
        if self.bootstrap_servers.trim().is_empty() {
            return Err(Error::config("bootstrap_servers", "is empty; give host:port, as localhost:9094"));
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if self.topic.is_empty() || self.topic.len() > 249 || !self.topic.bytes().all(legal) {
            let reason = format!("{:?} is not a topic's name: 1 to 249 letters, digits, '.', '_' or '-'", self.topic);
            return Err(Error::config("topic", reason));
        }
        Ok(())
    }

    /// librdkafka's settings for one client: ours, then the user's.
    pub(crate) fn client(&self, ours: &[(&str, &str)]) -> Result<ClientConfig> {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", "ccstream")
            // Where the system keeps its certificates: a static OpenSSL knows no folder of its own.
            .set("ssl.ca.location", "probe")
            // A broker that is down is tried four times a second and not a hundred.
            .set("reconnect.backoff.ms", "250")
            .set("reconnect.backoff.max.ms", "2000")
            .set("topic.metadata.refresh.interval.ms", "10000");
        for (key, value) in ours {
            client.set(*key, *value);
        }
        for (key, value) in &self.librdkafka_options {
            let name = OTHER_NAMES.iter().find(|(other, _)| other == key).map_or(key.as_str(), |(_, name)| name);
            if name == "bootstrap.servers" || ours.iter().any(|(owned, _)| *owned == name) {
                let reason = format!("{key} is set by ccstream itself and cannot be changed");
                return Err(Error::config("librdkafka_options", reason));
            }
            client.set(key, value);
        }
        Ok(client)
    }
}

/// A connection URL; its password never shows in `Debug` or `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(pub String);

impl Default for DatabaseUrl {
    fn default() -> Self {
        Self("postgresql://kafka_user:kafka_password@localhost:5434/kafka_db".into())
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match url::Url::parse(&self.0) {
            Ok(mut url) => {
                if url.password().is_some() {
                    // Fails only for URLs without a host, which then have no password to hide.
                    let _ = url.set_password(Some("***"));
                }
                url.set_query(None);
                f.write_str(url.as_str())
            }
            Err(_) => f.write_str("(a connection string)"),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Where the producer's transactions come from.
#[derive(Debug, Clone)]
pub enum EventSource {
    /// Made up.
    Generate {
        /// The same seed and start time give the same bytes. None: a random seed.
        seed: Option<u64>,
        /// When the first event happens. None: now, for each.
        start_time: Option<Micros>,
    },
    /// The rows of a CSV file, plain or gzipped.
    Replay(ReplayConfig),
}

/// The producer's settings.
#[derive(Debug, Clone)]
pub struct ProducerConfig {
    /// Broker and topic.
    pub kafka: KafkaConfig,
    /// Default: generated, random, now.
    pub source: EventSource,
    /// Default: the runbook's random 0.5 to 2 seconds.
    pub pace: Pace,
    /// Stop after so many events. Default: never, or at the file's end.
    pub count: Option<u64>,
    /// Partitions of the topic where it has to be created. Default 1.
    pub partitions: u16,
    /// How long a stop waits for what is under way. Default 10 s.
    pub drain_limit: Duration,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            kafka: KafkaConfig::default(),
            source: EventSource::Generate { seed: None, start_time: None },
            pace: Pace::Human,
            count: None,
            partitions: 1,
            drain_limit: Duration::from_secs(10),
        }
    }
}

impl ProducerConfig {
    /// Checks every setting.
    pub fn validate(&self) -> Result<()> {
        self.kafka.validate()?;
        if let Pace::PerSecond(rate) = self.pace
            && !(0.001..=10_000_000.0).contains(&rate)
        {
            return Err(Error::config("rate", format!("{rate} is not from 0.001 to 10000000 events a second")));
        }
        if self.partitions == 0 {
            return Err(Error::config("partitions", "0 is not at least 1"));
        }
        if let EventSource::Generate { start_time: Some(start), .. } = self.source
            && !(0..Micros::END.0).contains(&start.0)
        {
            return Err(Error::config("start_time", "is not from 1970 to before 2100"));
        }
        Ok(())
    }
}

/// How a group hands partitions from one consumer to another; all its members must have the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Assignment {
    /// All partitions are given up and dealt anew at every change: simple, soon done.
    #[default]
    Eager,
    /// Only those that move are given up, the others are read on; a change takes two rounds.
    Cooperative,
}

impl Assignment {
    /// librdkafka's name of the strategy.
    pub(crate) fn strategy(self) -> &'static str {
        match self {
            Self::Eager => "range",
            Self::Cooperative => "cooperative-sticky",
        }
    }
}

impl std::str::FromStr for Assignment {
    type Err = Error;

    /// `eager` or `cooperative`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "eager" => Ok(Self::Eager),
            "cooperative" => Ok(Self::Cooperative),
            _ => Err(Error::config("assignment", format!("{text:?} is neither eager nor cooperative"))),
        }
    }
}

/// The consumer's settings.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    /// Broker and topic.
    pub kafka: KafkaConfig,
    /// The consumer group: each has offsets and counters of its own. Default `ccstream`.
    pub group: String,
    /// Where `orders` is.
    pub database_url: DatabaseUrl,
    /// Connections to PostgreSQL, of which under load each writes a part of the partitions, all at the same time: a
    /// session has one processor. Default 2.
    pub connections: usize,
    /// Most messages that are written at once. Default 50,000.
    pub batch_rows: usize,
    /// Most bytes of encoded rows and kept payloads that are written at once. Default 10 MiB.
    pub batch_bytes: usize,
    /// A message waits at most this long before it is visible, while the database keeps up. Default 200 ms.
    pub linger: Duration,
    /// Stop once every partition has been read to its end.
    pub until_caught_up: bool,
    /// How long a stop, and the giving up of partitions, waits until what was read is committed. Default 30 s.
    pub drain_limit: Duration,
    /// How partitions change hands. Default eager.
    pub assignment: Assignment,
    /// How soon the group notices that a member died. Default 6 s, the least that Kafka allows; the
    /// embedded broker lets a first member in after half of it.
    pub session_timeout: Duration,
    /// Write every batch by way of a staging table, repeats or not: slower, for comparison. Default off.
    pub always_stage: bool,
    /// PostgreSQL's `synchronous_commit`. Off is safe here too: offsets and rows are lost together
    /// and read again. Default on.
    pub synchronous_commit: bool,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            kafka: KafkaConfig::default(),
            group: "ccstream".into(),
            database_url: DatabaseUrl::default(),
            connections: 2,
            batch_rows: 50_000,
            batch_bytes: 10 << 20,
            linger: Duration::from_millis(200),
            until_caught_up: false,
            drain_limit: Duration::from_secs(30),
            assignment: Assignment::default(),
            session_timeout: Duration::from_secs(6),
            always_stage: false,
            synchronous_commit: true,
        }
    }
}

impl ConsumerConfig {
    /// Checks every setting.
    pub fn validate(&self) -> Result<()> {
        self.kafka.validate()?;
        if self.group.is_empty() || self.group.chars().count() > 200 {
            return Err(Error::config("group", "is not a name of 1 to 200 characters"));
        }
        if !(1..=16).contains(&self.connections) {
            return Err(Error::config("connections", format!("{} is not from 1 to 16", self.connections)));
        }
        if !(1..=1_000_000).contains(&self.batch_rows) {
            return Err(Error::config("batch_rows", format!("{} is not from 1 to 1000000", self.batch_rows)));
        }
        if !(1..=256 << 20).contains(&self.batch_bytes) {
            return Err(Error::config("batch_bytes", format!("{} is not from 1 to 256 MiB", self.batch_bytes)));
        }
        if self.linger > Duration::from_secs(60) {
            return Err(Error::config("linger", format!("{:?} is above one minute", self.linger)));
        }
        if self.drain_limit > Duration::from_secs(240) {
            // Kafka gives a member five minutes to answer a rebalance.
            return Err(Error::config("drain_limit", format!("{:?} is above four minutes", self.drain_limit)));
        }
        let session = self.session_timeout;
        if !(Duration::from_secs(1)..=Duration::from_secs(300)).contains(&session) {
            return Err(Error::config("session_timeout", format!("{session:?} is not from 1 to 300 seconds")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(result: Result<()>) -> &'static str {
        match result {
            Err(Error::Config { field, .. }) => field,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn defaults_are_valid() {
        ProducerConfig::default().validate().unwrap();
        ConsumerConfig::default().validate().unwrap();
    }

    #[test]
    fn bad_settings_are_named() {
        let producer = ProducerConfig { pace: Pace::PerSecond(0.0), ..Default::default() };
        assert_eq!(field(producer.validate()), "rate");
        let producer = ProducerConfig { partitions: 0, ..Default::default() };
        assert_eq!(field(producer.validate()), "partitions");
        let kafka = KafkaConfig { topic: "a b".into(), ..Default::default() };
        assert_eq!(field(kafka.validate()), "topic");
        let consumer = ConsumerConfig { batch_rows: 0, ..Default::default() };
        assert_eq!(field(consumer.validate()), "batch_rows");
        let consumer = ConsumerConfig { linger: Duration::from_secs(61), ..Default::default() };
        assert_eq!(field(consumer.validate()), "linger");
    }

    #[test]
    fn settings_that_we_own_are_refused() {
        let option =
            |key: &str| KafkaConfig { librdkafka_options: vec![(key.into(), "x".into())], ..KafkaConfig::default() };
        let refused = option("enable.idempotence").client(&[("enable.idempotence", "true")]);
        assert_eq!(field(refused.map(|_| ())), "librdkafka_options");
        let client = option("ssl.ca.location").client(&[]).unwrap();
        assert_eq!(client.get("ssl.ca.location"), Some("x"));
    }

    #[test]
    fn passwords_do_not_show() {
        let url = DatabaseUrl("postgresql://me:secret@db:5432/x?password=secret".into());
        assert_eq!(format!("{url} {url:?}").matches("secret").count(), 0);
        let options = vec![("sasl.password".to_owned(), "secret".to_owned())];
        let kafka = KafkaConfig { librdkafka_options: options, ..KafkaConfig::default() };
        assert!(!format!("{kafka:?}").contains("secret"));
    }
}
