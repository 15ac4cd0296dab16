//! Declares the settings of the analyzer.

use std::path::PathBuf;
use std::time::Duration;

use super::kafka::check_topic;
use super::{ConsumerConfig, DatabaseUrl, KafkaConfig, Settings};
use crate::error::{Error, Result};
use crate::settings;

/// The name of the group in the configuration of the analyzer's clients. They assign partitions to themselves and never
/// join the group.
const GROUP: &str = "ccstream-analysis";

settings! {
    /// Configures how transactions and labels are read, scored and written to PostgreSQL.
    pub struct AnalyzerConfig (
        /// The brokers and the topic.
        kafka: KafkaConfig
    ) {
        /// The topic of labels, which say whether a transaction was a fraud. Without this topic, scores are computed
        /// without labels.
        @variable("KAFKA_LABELS_TOPIC") @shown("NAME")
        labels_topic: String = "labels_json".into();
        /// The URL of the database, as `postgresql://user:password@host:port/database`. `sslmode` has the meaning that
        /// it has for libpq.
        @variable("DATABASE_URL") @secret() @shown("URL")
        @unset("`kafka_db` on `localhost:5434`, as in `docker-compose.yml`")
        database_url: DatabaseUrl = DatabaseUrl::default();
        /// The file of the model that scores transactions. It is added to the table `models` and becomes active.
        @shown("FILE") @unset("the active model, or the rules if there is none")
        model: Option<PathBuf> = None;
        /// Scores by the rules where a model that comes with ccstream would score: on a new analysis of a stream of the
        /// simulated world.
        no_default_model: bool = false;
        /// The score, from 0 to 1, from which a score is high, so that the reasons for it are stored.
        @shown("SCORE")
        explain: f64 = 0.5;
        /// The file that defines the windows in which transactions are counted. It is read again when it changes.
        @variable("CCSTREAM_WINDOWS") @shown("FILE")
        @unset("`windows.toml` in the folder in which the analyzer is started, if there is one")
        windows: Option<PathBuf> = None;
        /// The file that defines the rules of alerts. It is read again when it changes.
        @variable("CCSTREAM_ALERTS") @shown("FILE")
        @unset("`alerts.toml` in the folder in which the analyzer is started, if there is one")
        alerts: Option<PathBuf> = None;
        /// The maximum number of cards of which the analyzer remembers anything. Beyond it, those that were not used
        /// for the longest time are forgotten.
        @range(1, 100_000_000)
        cards: usize = 1_000_000;
        /// The maximum number of merchants of which the analyzer remembers anything. Beyond it, those that were not
        /// used for the longest time are forgotten.
        @range(1, 10_000_000)
        merchants: usize = 100_000;
        /// The maximum number of transactions and labels that are written at once.
        @range(1, 1_000_000)
        batch_rows: usize = 20_000;
        /// The maximum time until a score is visible, while the analyzer and the database keep up with the topic. Behind
        /// it by more than `batch_rows`, the analyzer waits longer for larger batches.
        @milliseconds() @range(0, 60_000) @shown("MS")
        linger: Duration = Duration::from_millis(50);
        /// The maximum time that an event waits for older events of partitions without news. Events that come later
        /// than this are scored out of order, and counted as late.
        @milliseconds() @range(0, 60_000) @shown("MS")
        patience: Duration = Duration::from_millis(100);
        /// Exits once every partition has been read to its end.
        until_caught_up: bool = false;
        /// The maximum time by which an event may be ahead of this machine's clock; later events are rejected, as the
        /// consumer rejects them.
        @range(0, 4_102_444_800) @shown("S")
        max_ahead: Duration = Duration::from_secs(48 * 3600);
        /// The maximum time that a stop waits until the events that were read are scored and committed. The others are
        /// read again by the next run.
        @range(0, 240) @shown("S")
        drain_limit: Duration = Duration::from_secs(30);
    }
}

impl AnalyzerConfig {
    /// Fails with [`Error::Config`] if a setting is invalid. The error names the first one.
    pub fn validate(&self) -> Result<()> {
        self.kafka.validate()?;
        check_topic("labels_topic", &self.labels_topic)?;
        if self.labels_topic == self.kafka.topic {
            let reason = format!("{:?} is the topic of the events; labels need a separate topic", self.labels_topic);
            return Err(Error::config("labels_topic", reason));
        }
        if !(0.0..=1.0).contains(&self.explain) {
            return Err(Error::config("explain", format!("{} is not from 0 to 1", self.explain)));
        }
        self.check_ranges()
    }

    /// Returns the settings of a client that reads one of the topics.
    pub fn reading(&self) -> ConsumerConfig {
        ConsumerConfig {
            kafka: self.kafka.clone(),
            group: GROUP.into(),
            database_url: self.database_url.clone(),
            linger: self.linger,
            until_caught_up: self.until_caught_up,
            max_ahead: self.max_ahead,
            drain_limit: self.drain_limit,
            ..ConsumerConfig::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_bad_settings_are_named() {
        AnalyzerConfig::default().validate().unwrap();
        AnalyzerConfig::default().reading().validate().unwrap();
        let refused = |config: AnalyzerConfig| config.validate().unwrap_err().to_string();
        assert_eq!(refused(AnalyzerConfig { cards: 0, ..Default::default() }), "cards: 0 is not from 1 to 100000000");
        let above = AnalyzerConfig { explain: f64::NAN, ..Default::default() };
        assert_eq!(refused(above), "explain: NaN is not from 0 to 1");
        let same = AnalyzerConfig { labels_topic: "orders_json".into(), ..Default::default() };
        assert!(refused(same).starts_with("labels_topic: \"orders_json\" is the topic of the events"));
    }
}
