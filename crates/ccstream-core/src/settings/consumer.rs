//! The consumer's settings.

use std::time::Duration;

use super::{DatabaseUrl, KafkaConfig, Settings};
use crate::error::{Error, Result};
use crate::settings;

settings! {
    /// How messages are read, and written to PostgreSQL.
    pub struct ConsumerConfig (
        /// Broker and topic.
        kafka: KafkaConfig
    ) {
        /// The consumer group; each has its own offsets.
        @variable("KAFKA_GROUP_ID") @shown("NAME")
        group: String = "ccstream".into();
        /// The database, as `postgresql://user:password@host:port/database`. `sslmode` means what it means to libpq.
        @variable("DATABASE_URL") @secret() @shown("URL") @unset("`kafka_db` on `localhost:5434`, as `docker-compose.yml` has it")
        database_url: DatabaseUrl = DatabaseUrl::default();
        /// The number of connections to PostgreSQL. Under load each writes a part of the partitions, at the same time,
        /// because a session of PostgreSQL has one processor. Those after the first are opened under such a load; one
        /// more is opened for a moment where a lock is held for long.
        @range(1, 16)
        connections: usize = 2;
        /// The greatest number of messages that are written at once, by all connections.
        @range(1, 1_000_000)
        batch_rows: usize = 50_000;
        /// The greatest number of bytes of encoded rows and dead letters that are written at once.
        @range(1, 256 << 20)
        batch_bytes: usize = 10 << 20;
        /// The longest time before a message is visible, while the database keeps up.
        @milliseconds() @range(0, 60_000) @shown("MS")
        linger: Duration = Duration::from_millis(200);
        /// Reads what the topic still has from its beginning where `orders` has none of the rows that were stored,
        /// instead of ending.
        start_over: bool = false;
        /// Leaves out a batch that librdkafka does not unpack, counts its offsets as missing and says so, instead of
        /// ending.
        skip_unreadable: bool = false;
        /// Ends once every partition has been read to its end.
        until_caught_up: bool = false;
        /// The longest time that a stop, or a revoked partition, waits until what was read is committed. What is not
        /// committed by then is dropped, and read again by the next consumer.
        // Kafka gives a member five minutes to answer a rebalance.
        @range(0, 240) @shown("S")
        drain_limit: Duration = Duration::from_secs(30);
        /// How a group hands partitions on, the same for all its members: `eager` assigns all of them at every change,
        /// `cooperative` moves only those that must.
        assignment: Assignment = Assignment::default();
        /// The time after which the group takes a consumer that it does not hear of for dead. Apache Kafka allows 6
        /// seconds and more, by default.
        @range(1, 300) @shown("S")
        session_timeout: Duration = Duration::from_secs(6);
        /// The longest time that an event may be ahead of this machine's clock; what is later is rejected. A minute
        /// of the future has totals for good, and figures of the last hours end with the latest event.
        @range(0, 4_102_444_800) @shown("S")
        max_ahead: Duration = Duration::from_secs(48 * 3600);
        /// The greatest number of rows refused by PostgreSQL (a constraint or trigger of yours) that one run keeps as
        /// dead letters and goes on; one more ends it. `all` never ends it.
        @shown("N|all") @unset("ends where nearly all rows of three batches in a row are refused alike")
        max_refused: MaxRefused = MaxRefused::default();
        /// Writes every batch by way of a staging table, with duplicates or without: slower, for comparison.
        always_stage: bool = false;
        /// Waits for PostgreSQL's disk at each commit, as its `synchronous_commit` does. It is safe not to: rows and offsets
        /// are lost together, and read again.
        synchronous_commit: bool = true;
    }
}

impl ConsumerConfig {
    /// Errors: [`Error::Config`] of the first setting that is not usable.
    pub fn validate(&self) -> Result<()> {
        self.kafka.validate()?;
        if self.group.is_empty() || self.group.chars().count() > 200 {
            return Err(Error::config("group", "is not a name of 1 to 200 characters"));
        }
        self.check_ranges()
    }
}

/// How a group hands partitions from one consumer to another; all its members must have the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Assignment {
    /// All partitions are revoked and assigned again at every change: simple, soon done.
    #[default]
    Eager,
    /// Only those that move are revoked, the others are read on; a change takes two rounds.
    Cooperative,
}

impl Assignment {
    /// As a person sets it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eager => "eager",
            Self::Cooperative => "cooperative",
        }
    }
}

impl std::str::FromStr for Assignment {
    type Err = Error;

    /// `eager` or `cooperative`.
    fn from_str(text: &str) -> Result<Self> {
        let found = [Self::Eager, Self::Cooperative].into_iter().find(|assignment| assignment.name() == text);
        found.ok_or_else(|| Error::config("assignment", format!("{text:?} is neither eager nor cooperative")))
    }
}

/// How many rows PostgreSQL may refuse before a run ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MaxRefused {
    /// Any number, but for nearly all rows of three batches in a row: then it is the table that is wrong.
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
    }
}
