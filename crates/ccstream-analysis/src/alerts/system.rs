//! Opens alerts of the system itself: a consumer that is behind, that rejects messages, or that is gone.

use serde_json::json;

use super::alert::Change;
use super::definition::Kind;
use super::observation::Observation;
use super::rule::Rule;
use super::turn::Turned;
use crate::toml::length;

/// The least number of rejected messages of which there is an alert.
const LEAST_REJECTED: i64 = 20;

/// What a rule on the system looks for. Times are in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum System {
    /// The consumer is behind by a number of messages, for some time.
    Lag {
        /// The least number of messages.
        least: i64,
        /// How long.
        holds_for: i64,
    },
    /// The consumer rejects a share of the messages.
    Rejected {
        /// The least share, from 0 to 1.
        share: f64,
        /// The time over which the share is computed.
        size: i64,
    },
    /// Messages wait, and the consumer has stored nothing for this time.
    Consumer(i64),
}

impl System {
    /// The names of all of them.
    pub(super) const NAMES: [&'static str; 3] = ["lag", "rejected", "consumer"];
    /// The longest time that samples have to reach back.
    pub const LONGEST: i64 = 3_600_000_000;

    /// Says why the rule fires, as JSON and in words; None if it does not. The samples are in the order of their times.
    fn why(self, samples: &[Sample]) -> Option<(String, String)> {
        let last = samples.last()?;
        let since = |time: i64| samples.partition_point(|one| one.time <= last.time - time);
        match self {
            Self::Lag { least, holds_for } => {
                // The sample before the time says that it held when the time began.
                let from = since(holds_for).checked_sub(1)?;
                let lag = last.lag;
                samples[from..].iter().all(|one| one.lag >= least).then(|| {
                    let why = json!({ "kind": "system", "of": "lag", "lag": lag, "for": length(holds_for) });
                    let text = format!("the consumer has been behind for {}: {lag} messages wait", length(holds_for));
                    (why.to_string(), text)
                })
            }
            Self::Rejected { share, size } => {
                let first = &samples[since(size).saturating_sub(1)];
                let (read, rejected) = (last.read - first.read, last.rejected - first.rejected);
                (rejected >= LEAST_REJECTED && rejected as f64 >= share * read as f64).then(|| {
                    let why = json!({ "kind": "system", "of": "rejected", "rejected": rejected, "read": read });
                    let text =
                        format!("the consumer has rejected {rejected} of {read} messages within {}", length(size));
                    (why.to_string(), text)
                })
            }
            Self::Consumer(after) => (last.lag > 0 && last.idle.min(last.waits) >= after).then(|| {
                let (lag, idle) = (last.lag, length(last.idle / 1_000_000 * 1_000_000));
                let why = json!({ "kind": "system", "of": "consumer", "lag": lag, "idle": idle });
                (why.to_string(), format!("the consumer has stored nothing for {idle}, and {lag} messages wait"))
            }),
        }
    }

    /// Returns whether it is known that the rule no longer fires. After a restart, samples have to reach back first.
    fn is_over(self, samples: &[Sample]) -> bool {
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return false };
        match self {
            Self::Lag { least, .. } => last.lag < least,
            Self::Rejected { size, .. } => last.time - first.time >= size && self.why(samples).is_none(),
            Self::Consumer(after) => last.lag == 0 || last.idle < after,
        }
    }
}

/// What is known of the consumer at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The time of the clock, in microseconds since 1970.
    pub time: i64,
    /// The number of messages that wait.
    pub lag: i64,
    /// How long ago it stored something, in microseconds.
    pub idle: i64,
    /// For how long messages have waited as far as that is known, in microseconds.
    pub waits: i64,
    /// The number of messages that it has read.
    pub read: i64,
    /// The number of messages that it has rejected.
    pub rejected: i64,
}

impl Rule {
    /// Applies the rule to what is known of the consumer: samples of the last hour. `seq` is the last place in the order.
    pub fn sample(&mut self, samples: &[Sample], seq: u64, changes: &mut Vec<Change>, journal: &mut Vec<Observation>) {
        let (Kind::System(system), Some(last)) = (self.definition.kind, samples.last()) else { return };
        let turned = |is_open| Turned { key: None, is_open, seq, time: last.time };
        if self.is_open(0) {
            if system.is_over(samples) {
                self.turn(turned(false), Default::default, changes, journal);
            }
        } else if let Some(why) = system.why(samples) {
            self.turn(turned(true), || why, changes, journal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    /// Makes a sample for each second.
    fn samples(of: impl Fn(i64) -> Sample) -> Vec<Sample> {
        (0..120).map(|second| Sample { time: second * SECOND, ..of(second) }).collect()
    }

    const SAMPLE: Sample = Sample { time: 0, lag: 0, idle: 0, waits: 0, read: 0, rejected: 0 };

    #[test]
    fn a_lag_has_to_last() {
        let rule = System::Lag { least: 100, holds_for: 60 * SECOND };
        let (_, text) = rule.why(&samples(|_| Sample { lag: 150, ..SAMPLE })).unwrap_or_default();
        assert_eq!(text, "the consumer has been behind for 1m: 150 messages wait");
        // It was caught up for a moment, or is behind only since a moment, or samples do not reach back.
        assert_eq!(rule.why(&samples(|second| Sample { lag: if second == 90 { 99 } else { 150 }, ..SAMPLE })), None);
        assert_eq!(rule.why(&samples(|second| Sample { lag: if second > 70 { 150 } else { 0 }, ..SAMPLE })), None);
        assert_eq!(rule.why(&samples(|_| Sample { lag: 150, ..SAMPLE })[..59]), None);
    }

    #[test]
    fn a_share_is_rejected() {
        let rule = System::Rejected { share: 0.01, size: 60 * SECOND };
        let (_, text) = rule.why(&samples(|second| Sample { read: 100 * second, rejected: second, ..SAMPLE })).unwrap();
        assert_eq!(text, "the consumer has rejected 60 of 6000 messages within 1m");
        // Fewer, or all long ago, or too few to matter.
        let fewer = samples(|second| Sample { read: 101 * second, rejected: second, ..SAMPLE });
        assert_eq!(rule.why(&fewer), None);
        assert_eq!(rule.why(&samples(|second| Sample { read: second, rejected: second.min(50), ..SAMPLE })), None);
        assert_eq!(rule.why(&samples(|second| Sample { read: second, rejected: second / 4, ..SAMPLE })), None);
    }

    #[test]
    fn a_consumer_is_gone_only_if_messages_wait() {
        let rule = System::Consumer(30 * SECOND);
        let idle = |lag| samples(move |second| Sample { lag, idle: second * SECOND, waits: second * SECOND, ..SAMPLE });
        let (_, text) = rule.why(&idle(7)).unwrap();
        assert_eq!(text, "the consumer has stored nothing for 119s, and 7 messages wait");
        assert_eq!(rule.why(&idle(0)), None);
        assert_eq!(rule.why(&idle(7)[..30]), None);
        // Nothing was sent for long, and messages come now.
        let quiet = samples(|second| Sample { lag: 7, idle: second * SECOND, waits: second * SECOND / 10, ..SAMPLE });
        assert_eq!(rule.why(&quiet), None);
    }

    #[test]
    fn nothing_is_over_because_the_analyzer_was_restarted() {
        let restarted = Sample { lag: 150, idle: 90 * SECOND, read: 100, rejected: 90, ..SAMPLE };
        let rules = [
            System::Lag { least: 100, holds_for: 60 * SECOND },
            System::Rejected { share: 0.5, size: 60 * SECOND },
            System::Consumer(30 * SECOND),
        ];
        for rule in rules {
            assert_eq!((rule.why(&[restarted]), rule.is_over(&[restarted])), (None, false), "{rule:?}");
            let fine = samples(|second| Sample { read: second, ..SAMPLE });
            assert!(rule.is_over(&fine), "{rule:?}");
        }
    }
}
