//! Declares the settings of the consumer.

use std::time::Duration;

use super::kafka::check_topic;
use super::{DatabaseUrl, KafkaConfig, Settings};
use crate::error::{Error, Result};
use crate::settings;

settings! {
    /// Configures how messages are read from Kafka and written to PostgreSQL.
    pub struct ConsumerConfig (
        /// The brokers and the topic.
        kafka: KafkaConfig
    ) {
        /// The name of the consumer group. Each group has separate offsets.
        @variable("KAFKA_GROUP_ID") @shown("NAME")
        group: String = "ccstream".into();
        /// The URL of the database, as `postgresql://user:password@host:port/database`. `sslmode` has the meaning that
        /// it has for libpq.
        @variable("DATABASE_URL") @secret() @shown("URL")
        @unset("`kafka_db` on `localhost:5434`, as in `docker-compose.yml`")
        database_url: DatabaseUrl = DatabaseUrl::default();
        /// The maximum number of connections to PostgreSQL. Under load, all of them write at the same time, each a part
        /// of the partitions, because a session of PostgreSQL uses only one processor. Connections after the first are
        /// opened under such load. One more is opened briefly if another session holds a lock for long.
        @range(1, 16)
        connections: usize = 2;
        /// The maximum number of messages that are written at once, by all connections together.
        @range(1, 1_000_000)
        batch_rows: usize = 50_000;
        /// The maximum number of bytes of encoded rows and dead letters that are written at once.
        @range(1, 256 << 20)
        batch_bytes: usize = 10 << 20;
        /// The maximum time until a message that was read is visible, while the database keeps up.
        @milliseconds() @range(0, 60_000) @shown("MS")
        linger: Duration = Duration::from_millis(200);
        /// Reads the topic from its beginning again if `orders` has none of the rows that were stored, instead of
        /// exiting.
        start_over: bool = false;
        /// Skips a batch that librdkafka cannot decode, counts its offsets as missing and logs a warning, instead of
        /// exiting.
        skip_unreadable: bool = false;
        /// Exits once every partition has been read to its end.
        until_caught_up: bool = false;
        /// The maximum time that a stop, or the revocation of a partition, waits until the messages that were read are
        /// committed. Messages that are not committed by then are dropped, and the next consumer reads them again.
        // The range ends below five minutes, because Kafka gives a member that long to respond to a rebalance.
        @range(0, 240) @shown("S")
        drain_limit: Duration = Duration::from_secs(30);
        /// How a group reassigns partitions: `eager` revokes and assigns all of them at every change, `cooperative`
        /// moves only those that must. All members of a group need the same value.
        assignment: Assignment = Assignment::default();
        /// The time without a heartbeat after which the group considers a consumer dead. By default, Apache Kafka
        /// allows 6 seconds or more.
        @range(1, 300) @shown("S")
        session_timeout: Duration = Duration::from_secs(6);
        /// The maximum time by which an event may be ahead of this machine's clock; later events are rejected. Events
        /// in the far future would distort results: the totals of their minutes are never removed, and figures of the
        /// last hours end with the latest event.
        @range(0, 4_102_444_800) @shown("S")
        max_ahead: Duration = Duration::from_secs(48 * 3600);
        /// The maximum number of rows refused by PostgreSQL (by a constraint or trigger of yours) that one run stores
        /// as dead letters. One more ends the run; `all` sets no limit.
        @shown("N|all")
        @unset("no limit, unless nearly all rows of three consecutive batches are refused with the same SQLSTATE")
        max_refused: MaxRefused = MaxRefused::default();
        /// Also reads the topic of truth, in which a generator describes what it planted in a simulated world, and
        /// stores it in the table `truth`.
        truth: bool = false;
        /// The topic of truth. It is read only if `truth` is set.
        @variable("KAFKA_TRUTH_TOPIC") @shown("NAME")
        truth_topic: String = "truth_json".into();
        /// Writes every batch through a staging table, even without duplicates, which is slower. It is meant for
        /// comparison.
        always_stage: bool = false;
        /// Waits at each commit until PostgreSQL has written it to disk, by `synchronous_commit`. Not waiting is safe:
        /// after a crash of PostgreSQL, rows and offsets are lost together, and the messages are read again.
        synchronous_commit: bool = true;
    }
}

impl ConsumerConfig {
    /// Fails with [`Error::Config`] if a setting is invalid. The error names the first one.
    pub fn validate(&self) -> Result<()> {
        self.kafka.validate()?;
        if self.group.is_empty() || self.group.chars().count() > 200 {
            return Err(Error::config("group", "must be a name of 1 to 200 characters"));
        }
        check_topic("truth_topic", &self.truth_topic)?;
        if self.truth && self.truth_topic == self.kafka.topic {
            let reason = format!("{:?} is the topic of the events; the truth needs a separate topic", self.truth_topic);
            return Err(Error::config("truth_topic", reason));
        }
        self.check_ranges()
    }
}

/// Selects how a group reassigns partitions. All members of a group need the same value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Assignment {
    /// All partitions are revoked and assigned again at every change. This is simple and fast.
    #[default]
    Eager,
    /// Only the partitions that move are revoked, and reading the others continues. A change takes two rebalances.
    Cooperative,
}

impl Assignment {
    /// Returns the value of the setting.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eager => "eager",
            Self::Cooperative => "cooperative",
        }
    }
}

impl std::str::FromStr for Assignment {
    type Err = Error;

    /// Reads `eager` or `cooperative`. Fails with [`Error::Config`] for any other text.
    fn from_str(text: &str) -> Result<Self> {
        let found = [Self::Eager, Self::Cooperative].into_iter().find(|assignment| assignment.name() == text);
        found.ok_or_else(|| Error::config("assignment", format!("{text:?} is neither eager nor cooperative")))
    }
}

/// Limits how many rows PostgreSQL may refuse before a run ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MaxRefused {
    /// Any number, unless nearly all rows of three consecutive batches are refused with the same SQLSTATE. This
    /// suggests that the table is wrong, not the messages.
    #[default]
    TableAtFault,
    /// At most this number.
    Of(u64),
    /// Any number.
    All,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_bad_settings_are_named() {
        ConsumerConfig::default().validate().unwrap();
        let refused = |config: ConsumerConfig| config.validate().unwrap_err().to_string();
        let config = ConsumerConfig { batch_rows: 0, ..Default::default() };
        assert_eq!(refused(config), "batch_rows: 0 is not from 1 to 1000000");
        let config = ConsumerConfig { linger: Duration::from_micros(60_000_001), ..Default::default() };
        assert_eq!(refused(config), "linger: 60000.001 is not from 0 to 60000 ms");
        let config = ConsumerConfig { session_timeout: Duration::from_millis(999), ..Default::default() };
        assert_eq!(refused(config), "session_timeout: 0.999 is not from 1 to 300 s");
        let kafka = KafkaConfig { topic: "a b".into(), ..Default::default() };
        assert!(refused(ConsumerConfig { kafka, ..Default::default() }).starts_with("topic: "));
        let truth = |topic: &str| ConsumerConfig { truth: true, truth_topic: topic.into(), ..Default::default() };
        truth("truth_json").validate().unwrap();
        assert!(refused(truth("")).starts_with("truth_topic: "));
        assert!(refused(truth("orders_json")).starts_with("truth_topic: \"orders_json\" is the topic of the events"));
    }
}
