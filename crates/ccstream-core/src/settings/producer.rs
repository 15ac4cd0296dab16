//! Declares the settings of the producer.

use std::path::PathBuf;
use std::time::Duration;

use super::{Backfill, KafkaConfig, Speed};
use crate::generate::{LabelDelay, Pace, PlannedCampaign, PlannedIncident, Topic, World, handbook};
use crate::replay::ReplayConfig;
use crate::settings;
use crate::tokens::TokenConfig;
use crate::units::Micros;

/// Share of planted frauds among transactions, where none is given.
const FRAUD: f64 = 0.005;
/// The number of microseconds of a day.
const DAY: i64 = 86_400_000_000;

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
        @shown("KIND:TIME") @unset("lognormal:7d, or fixed:7d for the preset")
        label_delay: Option<LabelDelay> = None;
        /// The file in which a run saves what it has not sent, every 5 s and at its end: labels that are not due yet, and
        /// late and second messages. The next run with this file sends them when they are due. Without it, a run that
        /// reaches its `count` sends them at once, and a run that is stopped does not send them.
        @shown("FILE") @unset("none")
        resume: Option<PathBuf> = None;
        /// The topic of labels, which report later whether a transaction was a fraud. The producer creates it if it does
        /// not exist.
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
        /// The text file whose new lines change the generated world during the run: `rate N`, `incident KIND+DURATION` or
        /// `incident KIND@TIME+DURATION:SUBJECT`. A line takes effect after the next event. It is recorded in a second
        /// file, whose name has `.applied` at its end, for use as `script`.
        @shown("FILE") @unset("none")
        control: Option<PathBuf> = None;
        /// The file with commands, each as `after N events: COMMAND`, that change the generated world during the run. The
        /// file that `control` wrote gives equal bytes again, if the seed, the start time and all other settings are equal.
        @shown("FILE") @unset("none")
        script: Option<PathBuf> = None;
        /// The published world to generate: `handbook` is the Fraud Detection Handbook's. It needs a `start_time`, which
        /// is midnight in UTC. Its constants can follow, as in `handbook,customers=500,days=60`; they replace `cards`,
        /// `fraud` and other settings of the generated world. The world determines the times of events; `speed` or the rate
        /// `max` determines how fast they are sent.
        @shown("NAME[,CONSTANT=VALUE,...]") @unset("none, ccstream's own world is generated")
        preset: Option<handbook::Settings> = None;
        /// A CSV file, plain or gzipped, whose rows are sent instead of generated events. Invalid rows are sent too;
        /// the consumer rejects them and stores the reason.
        @shown("FILE") @unset("none, events are generated")
        replay: Option<PathBuf> = None;
        /// A CSV file, plain or gzipped, whose rows are labels of the transactions in the file of `replay`. Its columns are
        /// `transaction_id`, `labelled_at`, `fraud` (1, 0, true or false) and, optionally, `source`; others are ignored.
        /// The labels are sent first, and the transactions follow once the broker has acknowledged all of them. A file
        /// with an invalid row is refused, and nothing is sent.
        @shown("FILE") @unset("none")
        labels: Option<PathBuf> = None;
        /// Sends each label of the file before the first transaction at or after its `labelled_at`, instead of all labels
        /// first. Labels that remain after the last transaction follow it. The file must be sorted by `labelled_at`.
        labels_in_order: bool = false;
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
            label_delay: self.label_delay(),
            incidents: self.incident.clone(),
            has_incidents_by_chance: self.incidents,
            malformed: self.malformed,
            is_controlled: self.control.is_some() || self.script.is_some(),
        }
    }

    /// Returns the time from a transaction to its label. For the preset, it is the Handbook's by default.
    fn label_delay(&self) -> LabelDelay {
        let by_default = if self.preset.is_some() { LabelDelay::Fixed(7 * DAY) } else { LabelDelay::default() };
        self.label_delay.unwrap_or(by_default)
    }

    /// The name of a topic.
    pub fn topic(&self, topic: Topic) -> &str {
        match topic {
            Topic::Orders => &self.kafka.topic,
            Topic::Labels => &self.labels_topic,
            Topic::Truth => &self.truth_topic,
        }
    }

    /// Whether the truth is sent beside the transactions.
    pub fn has_truth(&self) -> bool {
        self.replay.is_none() && (self.preset.is_some() || self.world(Micros::default()).has_truth())
    }

    /// Whether labels are sent beside the transactions.
    pub fn has_labels(&self) -> bool {
        let of_world = || self.world(Micros::default()).fraud > 0.0;
        match &self.replay {
            Some(_) => self.labels.is_some(),
            None => self.preset.as_ref().map_or_else(of_world, |preset| preset.labelled > 0.0),
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn the_preset_has_labels_after_the_time_of_the_handbook() {
        let preset = |text: &str| ProducerConfig { preset: Some(text.parse().unwrap()), ..Default::default() };
        let of = |config: &ProducerConfig| (config.has_labels(), config.has_truth());
        assert_eq!(of(&preset("handbook")), (true, true));
        assert_eq!(of(&preset("handbook,labelled=0")), (false, true));
        assert_eq!(preset("handbook").world(Micros(0)).label_delay, LabelDelay::Fixed(7 * DAY));
        let label_delay = Some(LabelDelay::LogNormal(DAY));
        let config = ProducerConfig { label_delay, ..preset("handbook") };
        assert_eq!(config.world(Micros(0)).label_delay, LabelDelay::LogNormal(DAY));
        assert_eq!(of(&ProducerConfig::default()), (true, true));
        assert_eq!(of(&ProducerConfig { fraud: Some(0.0), ..Default::default() }), (false, false));
        let control = Some("commands".into());
        assert_eq!(of(&ProducerConfig { fraud: Some(0.0), control, ..Default::default() }), (false, true));
        let replay = ProducerConfig { replay: Some("x.csv".into()), ..Default::default() };
        assert_eq!(of(&replay), (false, false));
        assert_eq!(of(&ProducerConfig { labels: Some("y.csv".into()), ..replay }), (true, false));
    }
}
