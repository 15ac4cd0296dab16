//! The producer's settings.

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
    /// What is sent, and how fast.
    pub struct ProducerConfig (
        /// Broker and topic.
        kafka: KafkaConfig
    ) {
        /// Events a second, from 0.001; `max` (in Python `math.inf`) for as fast as possible.
        @unset("one every 0.5 to 2 s, at random")
        rate: Pace = Pace::Human;
        /// The number of events to stop after.
        @unset("no end, or the file's end")
        count: Option<u64> = None;
        /// The same seed and start time give the same bytes.
        @shown("S") @unset("random")
        seed: Option<u64> = None;
        /// When the first event happens, as RFC 3339 or ISO 8601 writes it (UTC where it names no offset).
        @shown("T") @unset("each event happens now")
        start_time: Option<Micros> = None;
        /// A CSV file, plain or gzipped, whose rows are sent instead. A row that is not valid is sent as it is, for the
        /// consumer to reject and explain.
        @shown("FILE") @unset("events are generated")
        replay: Option<PathBuf> = None;
        /// The column of the file that fills a field; a column with the field's own name needs none.
        @shown("FIELD=COLUMN") @unset("none")
        map: Vec<(String, String)> = Vec::new();
        /// The value of a field where the file has none or leaves it empty.
        @shown("FIELD=VALUE") @unset("none")
        set: Vec<(String, String)> = Vec::new();
        /// Fields of the file's rows, joined by commas, that a token is sent for: as `card_token`, where the file has card
        /// numbers, which are not sent. One value has one token.
        @shown("FIELD") @unset("none")
        tokenize: Option<String> = None;
        /// The file with the key that tokens are made with, of 16 bytes or more, which nobody else may read.
        @shown("FILE") @unset("none")
        token_key_file: Option<PathBuf> = None;
        /// The topic's partitions, where it has to be created.
        @range(1, 65_535)
        partitions: u16 = 1;
        /// The longest time that a stop waits for the broker to acknowledge the events in flight.
        @range(0, 240) @shown("S")
        drain_limit: Duration = Duration::from_secs(10);
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

impl ProducerConfig {
    /// What is sent.
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

    /// Errors: [`Error::Config`] of the first setting that is not usable, or not with another.
    pub fn validate(&self) -> Result<()> {
        self.kafka.validate()?;
        if let Pace::PerSecond(rate) = self.rate
            && !(0.001..=10_000_000.0).contains(&rate)
        {
            return Err(Error::config("rate", format!("{rate} is not from 0.001 to 10000000 events a second")));
        }
        if self.replay.is_some() && (self.seed.is_some() || self.start_time.is_some()) {
            return Err(Error::config("replay", "a file's rows have no seed and no start time"));
        }
        if self.replay.is_none() && !(self.map.is_empty() && self.set.is_empty()) {
            return Err(Error::config("map", "only a replayed file has columns to map or values to set"));
        }
        if self.tokenize.is_some() != self.token_key_file.is_some() {
            return Err(Error::config("tokenize", "tokens need fields and a key: `tokenize` with `token_key_file`"));
        }
        if self.tokenize.is_some() && self.replay.is_none() {
            return Err(Error::config("tokenize", "only a replayed file has values to put tokens in the place of"));
        }
        if self.start_time.is_some_and(|start| !(0..Micros::END.0).contains(&start.0)) {
            return Err(Error::config("start_time", "is not from 1970 to before 2100"));
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
        assert!(refused(config).starts_with("tokenize: only a replayed file"));
        let config = ProducerConfig { tokenize: Some("card_token".into()), ..Default::default() };
        assert!(refused(config).starts_with("tokenize: tokens need"));
        let config = ProducerConfig { start_time: Some(Micros(-1)), ..Default::default() };
        assert!(refused(config).starts_with("start_time: "));
    }
}
