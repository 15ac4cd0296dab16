//! Checks that the settings of the producer fit each other.

use super::kafka::check_topic;
use super::{ProducerConfig, Settings, Speed};
use crate::error::{Error, Result};
use crate::generate::{Pace, RATES, handbook};
use crate::units::Micros;

impl ProducerConfig {
    /// Fails with [`Error::Config`] if a setting is invalid or does not fit another one. The error names the first one.
    pub fn validate(&self) -> Result<()> {
        self.kafka.validate()?;
        self.check_topics()?;
        self.check_values()?;
        self.check_file()?;
        self.check_preset()?;
        self.check_labels()?;
        self.check_time()?;
        self.check_commands()?;
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

    fn check_values(&self) -> Result<()> {
        let refused = |name, why: String| Err(Error::config(name, why));
        match self.rate {
            Pace::PerSecond(rate) if !RATES.contains(&rate) => {
                return refused("rate", format!("{rate} is not from 0.001 to 10000000 events per second"));
            }
            _ => {}
        }
        match self.fraud {
            Some(share) if !(0.0..=0.1).contains(&share) => {
                return refused("fraud", format!("{share} is not from 0 to 0.1"));
            }
            Some(share) if self.rate == Pace::Max && share > 0.0 && self.preset.is_none() => {
                let why = "at the `rate` max cards have no habits to differ from; give a number as `rate`";
                return refused("fraud", why.into());
            }
            _ => {}
        }
        let has_no_fraud = self.fraud == Some(0.0) || self.rate == Pace::Max;
        if !self.campaign.is_empty() && has_no_fraud && self.preset.is_none() {
            return refused("campaign", "it needs a share of `fraud` above 0, and a number as `rate`".into());
        }
        if !(0.0..=0.5).contains(&self.malformed) {
            return refused("malformed", format!("{} is not from 0 to 0.5", self.malformed));
        }
        if self.start_time.is_some_and(|start| !(0..Micros::END.0).contains(&start.0)) {
            return refused("start_time", Micros::OUT_OF_RANGE.into());
        }
        Ok(())
    }

    /// Fails if a setting of a generated world is given beside a file, or a setting of a file without one.
    fn check_file(&self) -> Result<()> {
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
        if self.labels.is_some() && self.replay.is_none() {
            return Err(Error::config("labels", "they are of a file's transactions; name that file in `replay`"));
        }
        if self.labels_in_order && self.labels.is_none() {
            return Err(Error::config("labels_in_order", "it needs a file of labels; name it in `labels`"));
        }
        if self.replay.is_none() {
            return Ok(());
        }
        let describes_world = self.seed.is_some() || self.start_time.is_some() || self.cards.is_some();
        if describes_world || self.preset.is_some() {
            return Err(Error::config(
                "replay",
                "does not use `seed`, `start_time`, `cards` and `preset`; leave these out",
            ));
        }
        for (name, is_given, why) in [
            ("fraud", self.fraud.is_some(), "nothing is planted in a file's rows"),
            ("campaign", !self.campaign.is_empty(), "nothing is planted in a file's rows"),
            ("label_delay", self.label_delay.is_some(), "a file's labels have their own times"),
            ("incident", !self.incident.is_empty(), "a file's rows are sent as they are"),
            ("incidents", self.incidents, "a file's rows are sent as they are"),
            ("malformed", self.malformed > 0.0, "a file's rows are sent as they are"),
            ("backfill", self.backfill.is_some(), "a file's rows have no history"),
            ("speed", self.speed.is_some(), "a file's rows follow one another at the `rate`, whatever their times"),
            ("resume", self.resume.is_some(), "a file's rows are sent at once, so none is left"),
            ("control", self.control.is_some(), "commands change a generated world, not a file"),
            ("script", self.script.is_some(), "commands change a generated world, not a file"),
        ] {
            if is_given {
                return Err(Error::config(name, format!("{why}; leave out `{name}` or `replay`")));
            }
        }
        Ok(())
    }

    /// Fails if a setting that the preset does not use is given beside it.
    fn check_preset(&self) -> Result<()> {
        let Some(preset) = &self.preset else { return Ok(()) };
        preset.validate()?;
        let is_paced = matches!(self.rate, Pace::PerSecond(_));
        for (name, is_given, instead) in [
            (
                "rate",
                is_paced,
                "its constants daily_min and daily_max set the number of events; `rate` may only be max",
            ),
            ("cards", self.cards.is_some(), "its constant customers is the number of cards"),
            ("fraud", self.fraud.is_some(), "its constants s1_above, s2_terminals and s3_customers plan its frauds"),
            ("campaign", !self.campaign.is_empty(), "its constants s2_terminals and s3_customers plan its frauds"),
            ("incident", !self.incident.is_empty(), "it has no incidents"),
            ("incidents", self.incidents, "it has no incidents"),
            ("malformed", self.malformed > 0.0, "none of its messages is malformed"),
            ("backfill", self.backfill.is_some(), "it begins at `start_time`"),
            ("control", self.control.is_some(), "its constants do not change during a run"),
            ("script", self.script.is_some(), "its constants do not change during a run"),
        ] {
            if is_given {
                let why = format!("the preset handbook does not use it: {instead}; leave out `{name}` or `preset`");
                return Err(Error::config(name, why));
            }
        }
        let missing = || Error::config("preset", "needs `start_time`; give the date of the first day");
        handbook::check_start(self.start_time.ok_or_else(missing)?)
    }

    /// Fails if a delay of labels is given, and no labels are sent.
    fn check_labels(&self) -> Result<()> {
        if self.label_delay.is_none() || self.has_labels() {
            return Ok(());
        }
        let why = match (&self.preset, self.fraud) {
            (Some(_), _) => "the constant labelled of the `preset` is 0",
            (None, Some(_)) => "`fraud` is 0",
            (None, None) => "at the `rate` max no frauds are planted",
        };
        Err(Error::config("label_delay", format!("no labels are sent, because {why}; leave out `label_delay`")))
    }

    fn check_time(&self) -> Result<()> {
        let refused = |name, why: &str| Err(Error::config(name, why));
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

    fn check_commands(&self) -> Result<()> {
        let name = match (&self.control, &self.script) {
            (None, None) => return Ok(()),
            (Some(_), Some(_)) => {
                let why = "the file of `script` has the commands of a whole run; leave out `control` or `script`";
                return Err(Error::config("control", why));
            }
            (Some(_), None) => "control",
            (None, Some(_)) => "script",
        };
        if self.rate == Pace::Max {
            let why = format!(
                "at the `rate` max cards have no habits to change; give a number as `rate`, or leave out `{name}`"
            );
            return Err(Error::config(name, why));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Backfill;

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
        let labels = Some("labels.csv".into());
        let config = ProducerConfig { labels: labels.clone(), ..Default::default() };
        assert!(refused(config).starts_with("labels: "));
        let config = ProducerConfig { replay: Some("x.csv".into()), labels_in_order: true, ..Default::default() };
        assert!(refused(config.clone()).starts_with("labels_in_order: "));
        ProducerConfig { labels, ..config }.validate().unwrap();
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

    type Change = fn(&mut ProducerConfig);

    #[test]
    fn what_a_file_or_the_preset_does_not_use_is_refused() {
        let refused = |config: ProducerConfig| config.validate().unwrap_err().to_string();
        let changes: [(&str, bool, Change); 13] = [
            ("rate", false, |config| config.rate = Pace::PerSecond(5.0)),
            ("cards", false, |config| config.cards = Some(100)),
            ("fraud", true, |config| config.fraud = Some(0.01)),
            ("label_delay", true, |config| config.label_delay = Some("fixed:1d".parse().unwrap())),
            ("incident", true, |config| config.incident = vec!["surge@1h+1h".parse().unwrap()]),
            ("incidents", true, |config| config.incidents = true),
            ("malformed", true, |config| config.malformed = 0.1),
            ("backfill", true, |config| (config.backfill, config.start_time) = (Some(Backfill::Last(1)), None)),
            ("speed", true, |config| config.speed = Some(Speed(2.0))),
            ("resume", true, |config| config.resume = Some("unsent".into())),
            ("control", true, |config| config.control = Some("commands".into())),
            ("script", true, |config| config.script = Some("commands".into())),
            ("rate", false, |config| config.rate = Pace::Max),
        ];
        let replay = ProducerConfig { replay: Some("x.csv".into()), ..Default::default() };
        let preset = Some("handbook".parse().unwrap());
        let preset = ProducerConfig { preset, start_time: Some(Micros(0)), ..Default::default() };
        for (name, is_of_no_file, change) in changes {
            let (mut of_file, mut of_preset) = (replay.clone(), preset.clone());
            change(&mut of_file);
            change(&mut of_preset);
            if is_of_no_file {
                let why = refused(of_file);
                assert!(
                    why.starts_with(&format!("{name}: ")) && why.ends_with(&format!("leave out `{name}` or `replay`"))
                );
            }
            let is_used = ["label_delay", "speed", "resume"].contains(&name) || of_preset.rate == Pace::Max;
            match of_preset.validate() {
                Ok(()) => assert!(is_used, "{name}"),
                Err(error) => {
                    let why = error.to_string();
                    assert!(!is_used && why.starts_with(&format!("{name}: the preset handbook")), "{why}");
                    assert!(why.ends_with(&format!("leave out `{name}` or `preset`")), "{why}");
                }
            }
        }
    }

    #[test]
    fn a_delay_of_labels_that_are_not_sent_is_refused() {
        let of = |text: &str| ProducerConfig { label_delay: Some(text.parse().unwrap()), ..Default::default() };
        let refused = |config: ProducerConfig| config.validate().unwrap_err().to_string();
        of("fixed:1d").validate().unwrap();
        let why = refused(ProducerConfig { fraud: Some(0.0), ..of("fixed:1d") });
        assert!(why.starts_with("label_delay: ") && why.contains("`fraud` is 0"), "{why}");
        let why = refused(ProducerConfig { rate: Pace::Max, ..of("fixed:1d") });
        assert!(why.starts_with("label_delay: ") && why.contains("at the `rate` max"), "{why}");
        let preset = Some("handbook,labelled=0".parse().unwrap());
        let why = refused(ProducerConfig { preset, start_time: Some(Micros(0)), ..of("fixed:1d") });
        assert!(why.starts_with("label_delay: ") && why.contains("constant labelled"), "{why}");
    }

    #[test]
    fn commands_need_habits_and_one_file() {
        let refused = |config: ProducerConfig| config.validate().unwrap_err().to_string();
        let (control, script) = (Some("commands".into()), Some("commands.applied".into()));
        let config = ProducerConfig { control: control.clone(), ..Default::default() };
        config.validate().unwrap();
        assert!(refused(ProducerConfig { script: script.clone(), ..config.clone() }).starts_with("control: "));
        assert!(refused(ProducerConfig { rate: Pace::Max, ..config }).starts_with("control: at the `rate` max"));
        let config = ProducerConfig { script, rate: Pace::Max, ..Default::default() };
        assert!(refused(config).starts_with("script: at the `rate` max"));
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
}
