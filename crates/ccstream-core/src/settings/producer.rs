//! Declares the settings of the producer.

use std::path::PathBuf;
use std::time::Duration;

use super::{KafkaConfig, Settings};
use crate::error::{Error, Result};
use crate::generate::Pace;
use crate::replay::ReplayConfig;
use crate::settings;
use crate::tokens::TokenConfig;
use crate::units::Micros;

settings! {
    /// Configures what is sent, and how fast.
    pub struct ProducerConfig (
        /// The brokers and the topic.
        kafka: KafkaConfig
    ) {
        /// The number of events per second, at least 0.001; `max` (in Python `math.inf`) sends as fast as possible.
        @unset("one event every 0.5 to 2 s, at random")
        rate: Pace = Pace::Human;
        /// The number of events after which the producer stops.
        @unset("no limit, or the number of rows in the file")
        count: Option<u64> = None;
        /// The seed of the generator. Equal seeds and start times generate equal bytes.
        @shown("S") @unset("random")
        seed: Option<u64> = None;
        /// The time of the first event, in the format of RFC 3339 or ISO 8601 (UTC unless it has an offset).
        @shown("T") @unset("the current time for each event")
        start_time: Option<Micros> = None;
        /// A CSV file, plain or gzipped, whose rows are sent instead of generated events. Invalid rows are sent too;
        /// the consumer rejects them and stores the reason.
        @shown("FILE") @unset("none, events are generated")
        replay: Option<PathBuf> = None;
        /// The column of the file that fills a field. A column that has the name of the field fills it by default.
        @shown("FIELD=COLUMN") @unset("none")
        map: Vec<(String, String)> = Vec::new();
        /// The value of a field if the file has no column for it, or the cell is empty.
        @shown("FIELD=VALUE") @unset("none")
        set: Vec<(String, String)> = Vec::new();
        /// The fields, separated by commas, whose values in the file are replaced by tokens. An example is `card_token`
        /// if the file has card numbers, which are never sent. Equal values get equal tokens.
        @shown("FIELD") @unset("none")
        tokenize: Option<String> = None;
        /// The file with the key for tokens, which has 16 bytes or more. Only its owner may be able to read it.
        @shown("FILE") @unset("none")
        token_key_file: Option<PathBuf> = None;
        /// The number of partitions of the topic, if the producer creates it.
        @range(1, 65_535)
        partitions: u16 = 1;
        /// The maximum time that a stop waits for the broker to acknowledge events in flight.
        @range(0, 240) @shown("S")
        drain_limit: Duration = Duration::from_secs(10);
    }
}

/// Selects the source of the producer's transactions.
#[derive(Debug, Clone)]
pub enum EventSource {
    /// Transactions are generated.
    Generate {
        /// The seed of the generator; None for a random one. Equal seeds and start times generate equal bytes.
        seed: Option<u64>,
        /// The time of the first event; None to give each event the current time.
        start_time: Option<Micros>,
    },
    /// Transactions are the rows of a CSV file, plain or gzipped.
    Replay(ReplayConfig),
}

impl ProducerConfig {
    /// Returns the source of the events.
    pub fn source(&self) -> EventSource {
        match &self.replay {
            Some(path) => EventSource::Replay(ReplayConfig {
                path: path.clone(),
                map: self.map.clone(),
                set: self.set.clone(),
                tokens: self.tokenize.as_ref().zip(self.token_key_file.clone()).map(|(fields, key_file)| TokenConfig {
                    fields: fields.split(',').map(|name| name.trim().to_owned()).collect(),
                    key_file,
                }),
            }),
            None => EventSource::Generate { seed: self.seed, start_time: self.start_time },
        }
    }

    /// Fails with [`Error::Config`] if a setting is invalid or does not fit another one. The error names the first one.
    pub fn validate(&self) -> Result<()> {
        self.kafka.validate()?;
        if let Pace::PerSecond(rate) = self.rate
            && !(0.001..=10_000_000.0).contains(&rate)
        {
            return Err(Error::config("rate", format!("{rate} is not from 0.001 to 10000000 events per second")));
        }
        if self.replay.is_some() && (self.seed.is_some() || self.start_time.is_some()) {
            return Err(Error::config("replay", "does not use `seed` and `start_time`; leave these out"));
        }
        if self.replay.is_none() && !(self.map.is_empty() && self.set.is_empty()) {
            return Err(Error::config("map", "`map` and `set` need a file; name it in `replay`"));
        }
        if self.tokenize.is_some() != self.token_key_file.is_some() {
            return Err(Error::config(
                "tokenize",
                "`tokenize` and `token_key_file` need each other; give both or neither",
            ));
        }
        if self.tokenize.is_some() && self.replay.is_none() {
            return Err(Error::config("tokenize", "`tokenize` needs a file; name it in `replay`"));
        }
        if self.start_time.is_some_and(|start| !(0..Micros::END.0).contains(&start.0)) {
            return Err(Error::config("start_time", Micros::OUT_OF_RANGE));
        }
        self.check_ranges()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_bad_settings_are_named() {
        ProducerConfig::default().validate().unwrap();
        let refused = |config: ProducerConfig| config.validate().unwrap_err().to_string();
        let config = ProducerConfig { rate: Pace::PerSecond(0.0), ..Default::default() };
        assert!(refused(config).starts_with("rate: "));
        let config = ProducerConfig { partitions: 0, ..Default::default() };
        assert_eq!(refused(config), "partitions: 0 is not from 1 to 65535");
        let config = ProducerConfig { replay: Some("x.csv".into()), seed: Some(1), ..Default::default() };
        assert!(refused(config).starts_with("replay: "));
        let config = ProducerConfig { set: vec![("a".into(), "b".into())], ..Default::default() };
        assert!(refused(config).starts_with("map: "));
        let key = Some("key".into());
        let config = ProducerConfig { tokenize: Some("card_token".into()), token_key_file: key, ..Default::default() };
        let error = refused(config);
        assert!(error.starts_with("tokenize: ") && error.contains("`replay`"), "{error}");
        let config = ProducerConfig { tokenize: Some("card_token".into()), ..Default::default() };
        let error = refused(config);
        assert!(error.starts_with("tokenize: ") && error.contains("`token_key_file`"), "{error}");
        let config = ProducerConfig { start_time: Some(Micros(-1)), ..Default::default() };
        assert!(refused(config).starts_with("start_time: "));
    }
}
