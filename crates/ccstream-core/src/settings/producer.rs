//! Declares the settings of the producer.

use std::path::PathBuf;
use std::time::Duration;

use super::kafka::check_topic;
use super::{Backfill, KafkaConfig, Settings, Speed};
use crate::error::{Error, Result};
use crate::generate::{LabelDelay, Pace, PlannedCampaign, PlannedIncident, Topic, World, handbook};
use crate::replay::ReplayConfig;
use crate::settings;
use crate::tokens::TokenConfig;
use crate::units::Micros;

/// Share of planted frauds among transactions, where none is given.
const FRAUD: f64 = 0.005;

settings! {
    /// Configures what is sent, and how fast.
    pub struct ProducerConfig (
        /// The brokers and the topic.
        kafka: KafkaConfig
    ) {
        /// The number of events per simulated second, at least 0.001, on average over a week; `max` (in Python
        /// `math.inf`) sends as fast as possible.
        @unset("one event every 0.5 to 2 s, at random")
        rate: Pace = Pace::Human;
        /// The number of events after which the producer stops.
        @unset("no limit, or the number of rows in the file")
        count: Option<u64> = None;
        /// The seed of the generator. Equal seeds, start times, rates and numbers of cards generate equal bytes.
        @shown("S") @unset("random")
        seed: Option<u64> = None;
        /// The time of the first event, in the format of RFC 3339 or ISO 8601 (UTC unless it has an offset).
        @shown("T") @unset("the current time for each event")
        start_time: Option<Micros> = None;
        /// The history to send first: its duration (`7d`, `12h`), or the date at which it begins. Events of the current
        /// time follow it without a gap.
        @shown("7d|T") @unset("none")
        backfill: Option<Backfill> = None;
        /// The number of simulated seconds that pass per real second, beginning at `start_time` or `backfill`; `max` (in
        /// Python `math.inf`) for as many as possible.
        @unset("1, or `max` for a history")
        speed: Option<Speed> = None;
        /// The number of cards in the simulated world.
        @range(1, 1_000_000) @unset("enough for two payments per card and day, from 5,000 to 1,000,000")
        cards: Option<u32> = None;
        /// The share of frauds that are planted among generated transactions, from 0 to 0.1. Three times as many
        /// transactions resemble frauds and are honest. With 0, no labels are sent.
        @shown("SHARE") @unset("0.005, or 0 at the rate `max`")
        fraud: Option<f64> = None;
        /// A campaign of fraud that begins at a given time, as `SCENARIO@TIME`, in addition to the share `fraud`. TIME is a
        /// moment, or a duration after the first event. The scenarios are S1 to S7.
        @shown("CAMPAIGN") @unset("none")
        campaign: Vec<PlannedCampaign> = Vec::new();
        /// The time from a transaction to its label: `fixed:7d` for seven days, `lognormal:7d` for a median of seven days.
        @shown("KIND:TIME") @unset("lognormal:7d")
        label_delay: Option<LabelDelay> = None;
        /// The topic of labels, which report later whether a generated transaction was a fraud. The producer creates it if
        /// it does not exist.
        @variable("KAFKA_LABELS_TOPIC") @shown("NAME")
        labels_topic: String = "labels_json".into();
        /// The topic of the truth about what the generator planted. The producer creates it if it does not exist.
        @variable("KAFKA_TRUTH_TOPIC") @shown("NAME")
        truth_topic: String = "truth_json".into();
        /// An incident in the generated world, as `KIND@TIME+DURATION` or `KIND@TIME+DURATION:SUBJECT`. TIME is a moment,
        /// or a duration after the first event. SUBJECT is an issuer, a network or a merchant. The kinds are `issuer_out`,
        /// `network_out`, `terminal_offline`, `surge`, `slow_processor`, `duplicates` and `wrong_clock`.
        @shown("INCIDENT") @unset("none")
        incident: Vec<PlannedIncident> = Vec::new();
        /// Plants two to five incidents a week by chance in the generated world.
        incidents: bool = false;
        /// The share of generated messages that are invalid, from 0 to 0.5. Each has one of 28 mistakes.
        @shown("SHARE")
        malformed: f64 = 0.0;
        /// The published world to generate: `handbook` is the Fraud Detection Handbook's. It needs a `start_time`, which
        /// is midnight in UTC. Its constants can follow, as in `handbook,customers=500,days=60`. The world determines the
        /// times of events; `speed` or the rate `max` determines how fast they are sent.
        @shown("NAME[,CONSTANT=VALUE,...]") @unset("none, ccstream's own world is generated")
        preset: Option<handbook::Settings> = None;
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

impl ProducerConfig {
    /// Returns the file whose rows are sent; None if events are generated.
    pub fn file(&self) -> Option<ReplayConfig> {
        let tokens = self.tokenize.as_ref().zip(self.token_key_file.clone()).map(|(fields, key_file)| TokenConfig {
            fields: fields.split(',').map(|name| name.trim().to_owned()).collect(),
            key_file,
        });
        let (map, set) = (self.map.clone(), self.set.clone());
        self.replay.clone().map(|path| ReplayConfig { path, map, set, tokens })
    }

    /// Returns the simulated world of a run that begins now. Without a seed, each call chooses a new one.
    pub fn world(&self, now: Micros) -> World {
        World {
            seed: self.seed.unwrap_or_else(rand::random),
            start: self.start(now),
            pace: self.world_pace(),
            cards: self.cards,
            fraud: self.fraud.unwrap_or(if self.rate == Pace::Max { 0.0 } else { FRAUD }),
            campaigns: self.campaign.clone(),
            label_delay: self.label_delay.unwrap_or_default(),
            incidents: self.incident.clone(),
            has_incidents_by_chance: self.incidents,
            malformed: self.malformed,
        }
    }

    /// The name of a topic.
    pub fn topic(&self, topic: Topic) -> &str {
        match topic {
            Topic::Orders => &self.kafka.topic,
            Topic::Labels => &self.labels_topic,
            Topic::Truth => &self.truth_topic,
        }
    }

    /// Whether labels and truth are sent beside the transactions.
    pub fn has_truth(&self) -> bool {
        self.replay.is_none() && self.preset.is_none() && self.world(Micros::default()).has_truth()
    }

    /// When the first generated event happens; None where each happens when it is made.
    pub fn start(&self, now: Micros) -> Option<Micros> {
        let begins_now = || (self.rate != Pace::Max).then_some(now);
        self.start_time.or_else(|| self.backfill.map(|backfill| backfill.start(now))).or_else(begins_now)
    }

    /// A history has its hours, which the pace for a person to watch has not.
    fn world_pace(&self) -> Pace {
        match self.rate {
            Pace::Human if self.backfill.is_some() => Pace::PerSecond(Pace::Human.per_second()),
            pace => pace,
        }
    }

    /// Fails with [`Error::Config`] if a setting is invalid or does not fit another one. The error names the first one.
    pub fn validate(&self) -> Result<()> {
        self.kafka.validate()?;
        self.check_topics()?;
        if let Pace::PerSecond(rate) = self.rate
            && !(0.001..=10_000_000.0).contains(&rate)
        {
            return Err(Error::config("rate", format!("{rate} is not from 0.001 to 10000000 events per second")));
        }
        let describes_world = self.seed.is_some() || self.start_time.is_some() || self.cards.is_some();
        if self.replay.is_some() && (describes_world || self.preset.is_some()) {
            return Err(Error::config(
                "replay",
                "does not use `seed`, `start_time`, `cards` and `preset`; leave these out",
            ));
        }
        self.check_fraud()?;
        self.check_disturbances()?;
        self.check_time()?;
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
        if let Some(preset) = &self.preset {
            preset.validate()?;
            let missing = || Error::config("preset", "needs `start_time`; give the date of the first day");
            handbook::check_start(self.start_time.ok_or_else(missing)?)?;
        }
        self.check_ranges()
    }

    fn check_topics(&self) -> Result<()> {
        for (setting, topic, others) in [
            ("labels_topic", &self.labels_topic, [&self.kafka.topic, &self.truth_topic]),
            ("truth_topic", &self.truth_topic, [&self.kafka.topic, &self.labels_topic]),
        ] {
            check_topic(setting, topic)?;
            if others.contains(&topic) {
                return Err(Error::config(setting, format!("{topic:?} is a topic of other messages already")));
            }
        }
        Ok(())
    }

    fn check_fraud(&self) -> Result<()> {
        let has_none = self.fraud == Some(0.0) || self.rate == Pace::Max || self.replay.is_some();
        if !self.campaign.is_empty() && (has_none || self.preset.is_some()) {
            let why = "it needs the generated world with a share of `fraud` above 0, and a number as `rate`";
            return Err(Error::config("campaign", why));
        }
        let Some(share) = self.fraud else { return Ok(()) };
        if !(0.0..=0.1).contains(&share) {
            return Err(Error::config("fraud", format!("{share} is not from 0 to 0.1")));
        }
        if self.rate == Pace::Max && share > 0.0 {
            let why = "at the `rate` max cards have no habits to differ from; give a number as `rate`";
            return Err(Error::config("fraud", why));
        }
        if self.replay.is_some() {
            return Err(Error::config("fraud", "nothing is planted in a file's rows; leave out `fraud` or `replay`"));
        }
        Ok(())
    }

    fn check_disturbances(&self) -> Result<()> {
        if !(0.0..=0.5).contains(&self.malformed) {
            return Err(Error::config("malformed", format!("{} is not from 0 to 0.5", self.malformed)));
        }
        let name = match self {
            _ if self.replay.is_none() => return Ok(()),
            _ if !self.incident.is_empty() => "incident",
            _ if self.incidents => "incidents",
            _ if self.malformed > 0.0 => "malformed",
            _ => return Ok(()),
        };
        Err(Error::config(name, format!("a file's rows are sent as they are; leave out `{name}` or `replay`")))
    }

    fn check_time(&self) -> Result<()> {
        let refused = |name, why: &str| Err(Error::config(name, why));
        if self.backfill.is_some() && self.replay.is_some() {
            return refused("backfill", "a file's rows have no history; leave out one of `backfill` and `replay`");
        }
        if self.backfill.is_some() && self.start_time.is_some() {
            return refused("backfill", "it is the beginning already; leave out `start_time`");
        }
        if self.backfill.is_some() && self.rate == Pace::Max {
            return refused("backfill", "a history needs a number of events a second; give it as `rate`");
        }
        let Some(Speed(speed)) = self.speed else { return Ok(()) };
        if !((0.001..=1_000_000.0).contains(&speed) || speed == f64::INFINITY) {
            return refused("speed", &format!("{speed} is not from 0.001 to 1000000, nor max"));
        }
        if self.rate == Pace::Max {
            return refused("speed", "at the `rate` max, events are sent as fast as possible; give a number as `rate`");
        }
        if self.backfill.is_none() && self.start_time.is_none() {
            return refused("speed", "events of now cannot be faster than time; give `start_time` or `backfill`");
        }
        Ok(())
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
        let config = ProducerConfig { cards: Some(1_000_001), ..Default::default() };
        assert_eq!(refused(config), "cards: 1000001 is not from 1 to 1000000");
        let preset = || Some("handbook".parse().unwrap());
        let config = ProducerConfig { replay: Some("x.csv".into()), preset: preset(), ..Default::default() };
        assert!(refused(config).starts_with("replay: "));
        let config = ProducerConfig { preset: preset(), ..Default::default() };
        assert!(refused(config).starts_with("preset: needs `start_time`"));
        let config = ProducerConfig { preset: preset(), start_time: Some(Micros(1)), ..Default::default() };
        assert!(refused(config).starts_with("start_time: 1970-01-01T00:00:00.000001Z is not midnight UTC"));
        let config = ProducerConfig { preset: preset(), start_time: Some(Micros(0)), ..Default::default() };
        config.validate().unwrap();
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

    #[test]
    fn each_topic_has_a_name_of_its_own() {
        let refused = |labels: &str, truth: &str| {
            let (labels_topic, truth_topic) = (labels.into(), truth.into());
            ProducerConfig { labels_topic, truth_topic, ..Default::default() }.validate().unwrap_err().to_string()
        };
        assert!(refused("a b", "truth").starts_with("labels_topic: \"a b\" is not a topic name"));
        assert!(refused("labels", "").starts_with("truth_topic: "));
        assert!(refused("orders_json", "truth").starts_with("labels_topic: \"orders_json\" is a topic of other"));
        assert!(refused("labels", "orders_json").starts_with("truth_topic: "));
        assert!(refused("one", "one").starts_with("labels_topic: "));
    }

    #[test]
    fn only_a_generated_world_is_disturbed() {
        let refused = |config: ProducerConfig| config.validate().unwrap_err().to_string();
        for malformed in [-0.1, 0.6, f64::NAN] {
            assert!(refused(ProducerConfig { malformed, ..Default::default() }).starts_with("malformed: "));
        }
        let replay = || ProducerConfig { replay: Some("x.csv".into()), ..Default::default() };
        replay().validate().unwrap();
        let incident = vec!["surge@1h+1h".parse().unwrap()];
        assert!(refused(ProducerConfig { incident, ..replay() }).starts_with("incident: a file's rows"));
        assert!(refused(ProducerConfig { incidents: true, ..replay() }).starts_with("incidents: "));
        assert!(refused(ProducerConfig { malformed: 0.1, ..replay() }).starts_with("malformed: "));
    }

    #[test]
    fn a_campaign_needs_a_world_with_fraud() {
        let of = |config: ProducerConfig| {
            ProducerConfig { campaign: vec!["S5@1h".parse().unwrap()], ..config }
                .validate()
                .map_err(|why| why.to_string())
        };
        assert_eq!(of(ProducerConfig::default()), Ok(()));
        for config in [
            ProducerConfig { fraud: Some(0.0), ..Default::default() },
            ProducerConfig { rate: Pace::Max, ..Default::default() },
            ProducerConfig { replay: Some("x.csv".into()), ..Default::default() },
            ProducerConfig {
                preset: Some("handbook".parse().unwrap()),
                start_time: Some(Micros(0)),
                ..Default::default()
            },
        ] {
            assert!(of(config).unwrap_err().starts_with("campaign: "));
        }
    }

    #[test]
    fn times_that_do_not_fit_are_refused() {
        let refused = |config: ProducerConfig| config.validate().unwrap_err().to_string();
        let (history, speed) = (Some(Backfill::Last(1)), Some(Speed(10.0)));
        let of = |rate| ProducerConfig { rate, backfill: history, ..Default::default() };
        of(Pace::PerSecond(1.0)).validate().unwrap();
        of(Pace::Human).validate().unwrap();
        assert!(refused(of(Pace::Max)).starts_with("backfill: "));
        let config = ProducerConfig { start_time: Some(Micros(1)), ..of(Pace::Human) };
        assert!(refused(config).starts_with("backfill: "));
        assert!(refused(ProducerConfig { replay: Some("x.csv".into()), ..of(Pace::Human) }).starts_with("backfill: "));
        ProducerConfig { speed, ..of(Pace::Human) }.validate().unwrap();
        assert!(refused(ProducerConfig { speed, ..Default::default() }).starts_with("speed: events of now"));
        let config = ProducerConfig { speed, rate: Pace::Max, start_time: Some(Micros(1)), ..Default::default() };
        assert!(refused(config).starts_with("speed: at the `rate` max"));
        for speed in [0.0, -1.0, f64::NAN, 1e7] {
            let config = ProducerConfig { speed: Some(Speed(speed)), ..of(Pace::Human) };
            assert!(refused(config).starts_with("speed: "), "{speed}");
        }
    }

    #[test]
    fn a_history_has_its_hours() {
        let now = Micros(1_795_342_530_000_000);
        let world = |config: ProducerConfig| config.world(now);
        let history = Some(Backfill::Last(60_000_000));
        let made = world(ProducerConfig { backfill: history, ..Default::default() });
        assert_eq!((made.start, made.pace), (Some(Micros(now.0 - 60_000_000)), Pace::PerSecond(0.8)));
        let made = world(ProducerConfig::default());
        assert_eq!((made.start, made.pace), (Some(now), Pace::Human));
        assert_eq!(world(ProducerConfig { rate: Pace::Max, ..Default::default() }).start, None);
    }
}
