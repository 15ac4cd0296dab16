//! What Kafka complains of: told once where librdkafka tries again by itself, an error where no waiting mends it.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::report::ConsumeEvent;
use super::unreadable::is_unreadable;
use super::warning::{Service, Waiting, WaitingKind, Warning, WarningKind};
use crate::error::{Error, Result};
use ccstream_core::settings::ConsumerConfig;

/// The same trouble is told again after so long.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// A group that brings no assignment is told of after so many session timeouts.
const LONG_WAIT: u32 = 5;

/// What an error of Kafka means.
#[derive(Debug)]
pub(super) enum Trouble {
    /// librdkafka tries again by itself. What to tell, if it has not been told.
    Passing(Option<ConsumeEvent>),
    /// The topic is not there.
    NoTopic(Option<ConsumeEvent>),
    /// A partition does not have the offset that is next.
    NoOffset,
    /// A batch cannot be read.
    Unreadable,
}

/// What is known beside an error.
#[derive(Debug, Default)]
pub(super) struct Cause {
    /// Why the broker does not let this client in, if that is so.
    pub(super) refusal: Option<String>,
    /// librdkafka's last complaint.
    pub(super) last_error: Option<String>,
    /// Whether other brokers of the cluster are connected.
    pub(super) others_answer: bool,
}

/// What has been told already.
#[derive(Debug)]
pub(super) struct Troubles {
    last: Option<(WaitingKind, String, Instant)>,
    /// The broker that was reported as down last, and when.
    down: Option<(String, Instant)>,
    /// Since when Kafka has been waited for.
    outage: Option<Instant>,
    /// The topic's absence has been told.
    missing_told: bool,
    /// Since when the group has been waited for; None once it has answered, or once that has been told.
    waiting_since: Option<Instant>,
}

impl Troubles {
    pub(super) fn new(topic_found: bool) -> Self {
        Self { last: None, down: None, outage: None, missing_told: !topic_found, waiting_since: Some(Instant::now()) }
    }

    pub(super) fn group_answered(&mut self) {
        self.waiting_since = None;
    }

    /// The warning about a group that has assigned nothing for long although the topic exists, once.
    pub(super) fn long_wait(&mut self, config: &ConsumerConfig, now: Instant) -> Option<ConsumeEvent> {
        let limit = config.session_timeout * LONG_WAIT;
        if self.missing_told || now.duration_since(self.waiting_since?) <= limit {
            return None;
        }
        self.waiting_since = None;
        let text = format!(
            "no partitions from the group {:?} after {} s: another member does not answer the group, or the embedded \
             broker's group is stuck. A consumer of another group reads the topic from the beginning; rows that are \
             stored count as duplicates",
            config.group,
            limit.as_secs()
        );
        Some(ConsumeEvent::Warning(Warning::new(WarningKind::GroupSilent, text)))
    }

    /// What an error means. Errors: those that do not pass.
    pub(super) fn judge(&mut self, error: KafkaError, cause: Cause, config: &ConsumerConfig) -> Result<Trouble> {
        let topic = &config.kafka.topic;
        let (kind, told, why) = match error {
            KafkaError::MessageConsumption(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                return Ok(Trouble::NoTopic(self.topic_is_missing(config)));
            }
            KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::LogTruncation,
            ) => return Ok(Trouble::NoOffset),
            KafkaError::MessageConsumption(code) if is_unreadable(code) => return Ok(Trouble::Unreadable),
            KafkaError::MessageConsumptionFatal(code) => {
                return Err(Error::Kafka {
                    context: "reading the topic".into(),
                    source: KafkaError::MessageConsumption(code),
                });
            }
            KafkaError::MessageConsumption(code) if is_final(code) => {
                return Err(Error::Kafka {
                    context: format!("reading topic {topic:?} as group {:?}", config.group),
                    source: KafkaError::MessageConsumption(code),
                });
            }
            // The cluster elects others for the partitions of a broker that is down.
            KafkaError::MessageConsumption(
                code @ (RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut),
            ) if cause.others_answer && cause.refusal.is_none() => {
                return Ok(Trouble::Passing(
                    self.broker_is_down(&cause.last_error.unwrap_or_else(|| code.to_string())),
                ));
            }
            // One outage has many voices.
            KafkaError::MessageConsumption(
                RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::SSL
                | RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SaslAuthenticationFailed,
            ) => {
                let servers = &config.kafka.bootstrap_servers;
                if let Some(cause) = cause.refusal {
                    (WaitingKind::KafkaRefused, format!("{servers} lets this client in no more: {cause}"), None)
                } else {
                    let told = format!("no broker answers at {servers}");
                    (WaitingKind::KafkaUnavailable, told, cause.last_error)
                }
            }
            error => (WaitingKind::KafkaError, error.to_string(), None),
        };
        if self.last.as_ref().is_some_and(|(_, old, at)| *old == told && at.elapsed() < SAY_AGAIN) {
            return Ok(Trouble::Passing(None));
        }
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        let waiting = Waiting::new(kind, format!("Kafka: {told}{why}"));
        self.last = Some((kind, told, Instant::now()));
        self.outage.get_or_insert_with(Instant::now);
        Ok(Trouble::Passing(Some(ConsumeEvent::Waiting(waiting))))
    }

    /// What to report of one broker of several that is down, now and then.
    fn broker_is_down(&mut self, why: &str) -> Option<ConsumeEvent> {
        let broker = why.split(": ").next().unwrap_or_default().to_owned();
        if self.down.as_ref().is_some_and(|(last, at)| *last == broker && at.elapsed() < SAY_AGAIN) {
            return None;
        }
        self.down = Some((broker, Instant::now()));
        let text = format!("one broker does not answer, and others do: {why}");
        Some(ConsumeEvent::Warning(Warning::new(WarningKind::BrokersUnreachable, text)))
    }

    /// Kafka answered a question that was asked at a moment. What to report, if it had been waited for.
    pub(super) fn kafka_answered(&mut self, asked: Instant) -> Option<ConsumeEvent> {
        let since = self.outage.take_if(|since| *since <= asked)?;
        // The next outage is reported, however soon it comes.
        self.last.take_if(|(kind, ..)| *kind != WaitingKind::KafkaError);
        Some(ConsumeEvent::Recovered { service: Service::Kafka, after: since.elapsed() })
    }

    /// What to tell of a topic that is not there, once.
    pub(super) fn topic_is_missing(&mut self, config: &ConsumerConfig) -> Option<ConsumeEvent> {
        if std::mem::replace(&mut self.missing_told, true) {
            return None;
        }
        let text = format!("topic {:?} does not exist; waiting for it", config.kafka.topic);
        Some(ConsumeEvent::Warning(Warning::new(WarningKind::TopicMissing, text)))
    }

    /// The topic exists. If it did not before, the group could assign nothing: the wait for it begins now.
    pub(super) fn topic_is_there(&mut self, now: Instant) {
        if std::mem::take(&mut self.missing_told) {
            self.waiting_since = self.waiting_since.map(|_| now);
        }
    }
}

/// Errors of the group or the topic that no waiting mends.
fn is_final(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::InvalidSessionTimeout
            | RDKafkaErrorCode::InconsistentGroupProtocol
            | RDKafkaErrorCode::InvalidGroupId
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(troubles: &mut Troubles, code: RDKafkaErrorCode) -> Result<Trouble> {
        troubles.judge(KafkaError::MessageConsumption(code), Cause::default(), &ConsumerConfig::default())
    }

    fn tells(troubles: &mut Troubles, code: RDKafkaErrorCode) -> bool {
        match judge(troubles, code).unwrap() {
            Trouble::Passing(told) | Trouble::NoTopic(told) => told.is_some(),
            Trouble::NoOffset | Trouble::Unreadable => false,
        }
    }

    #[test]
    fn what_passes_is_told_once() {
        let mut troubles = Troubles::new(true);
        for code in [RDKafkaErrorCode::BrokerTransportFailure, RDKafkaErrorCode::UnknownTopicOrPartition] {
            assert!(tells(&mut troubles, code), "{code}");
            assert!(!tells(&mut troubles, code), "{code}");
        }
        troubles.topic_is_there(Instant::now());
        assert!(tells(&mut troubles, RDKafkaErrorCode::UnknownTopicOrPartition));
    }

    #[test]
    fn an_outage_is_told_once_whatever_its_voice() {
        let mut troubles = Troubles::new(true);
        assert!(tells(&mut troubles, RDKafkaErrorCode::AllBrokersDown));
        assert!(!tells(&mut troubles, RDKafkaErrorCode::BrokerTransportFailure));
    }

    #[test]
    fn one_broker_of_several_that_is_down_is_no_outage() {
        let mut troubles = Troubles::new(true);
        let mut tell = |code, others_answer| {
            let last_error = Some("localhost:9095/2: Connect failed".to_owned());
            let cause = Cause { last_error, others_answer, ..Cause::default() };
            match troubles.judge(KafkaError::MessageConsumption(code), cause, &ConsumerConfig::default()).unwrap() {
                Trouble::Passing(Some(ConsumeEvent::Warning(warning))) => Some(warning.text),
                Trouble::Passing(Some(ConsumeEvent::Waiting(waiting))) => Some(waiting.reason),
                _ => None,
            }
        };
        let warned = tell(RDKafkaErrorCode::BrokerTransportFailure, true).unwrap();
        assert_eq!(warned, "one broker does not answer, and others do: localhost:9095/2: Connect failed");
        assert_eq!(tell(RDKafkaErrorCode::BrokerTransportFailure, true), None);
        let waits = tell(RDKafkaErrorCode::AllBrokersDown, true).unwrap();
        assert!(waits.ends_with("no broker answers at localhost:9094 (localhost:9095/2: Connect failed)"), "{waits}");
        assert_eq!(tell(RDKafkaErrorCode::BrokerTransportFailure, false), None);
    }

    #[test]
    fn a_refusal_is_reported_at_once_and_when_its_cause_changes() {
        let mut troubles = Troubles::new(true);
        let mut tell = |code, cause: Option<&str>| {
            let error = KafkaError::MessageConsumption(code);
            let cause = Cause { refusal: cause.map(str::to_owned), ..Cause::default() };
            match troubles.judge(error, cause, &ConsumerConfig::default()).unwrap() {
                Trouble::Passing(Some(ConsumeEvent::Waiting(waiting))) => Some(waiting.kind),
                _ => None,
            }
        };
        let (down, login) = (RDKafkaErrorCode::AllBrokersDown, RDKafkaErrorCode::Authentication);
        assert_eq!(tell(down, None), Some(WaitingKind::KafkaUnavailable));
        assert_eq!(tell(login, Some("wrong password")), Some(WaitingKind::KafkaRefused));
        assert_eq!(tell(down, Some("wrong password")), None);
        assert_eq!(tell(RDKafkaErrorCode::SSL, Some("expired")), Some(WaitingKind::KafkaRefused));
        assert_eq!(tell(down, Some("expired")), None);
    }

    #[test]
    fn kafka_is_back_once_it_answers_what_was_asked_since() {
        let mut troubles = Troubles::new(true);
        let before = Instant::now();
        assert!(troubles.kafka_answered(Instant::now()).is_none(), "it was not waited for");
        assert!(tells(&mut troubles, RDKafkaErrorCode::AllBrokersDown));
        assert!(troubles.kafka_answered(before).is_none(), "that answer was on its way");
        let recovered = troubles.kafka_answered(Instant::now());
        assert!(matches!(recovered, Some(ConsumeEvent::Recovered { service: Service::Kafka, .. })), "{recovered:?}");
        assert!(troubles.kafka_answered(Instant::now()).is_none());
        assert!(tells(&mut troubles, RDKafkaErrorCode::AllBrokersDown), "another outage");
    }

    #[test]
    fn what_does_not_pass_is_an_error() {
        let mut troubles = Troubles::new(true);
        for code in [RDKafkaErrorCode::TopicAuthorizationFailed, RDKafkaErrorCode::InvalidSessionTimeout] {
            assert_eq!(judge(&mut troubles, code).unwrap_err().exit_code(), 3, "{code}");
        }
    }

    #[test]
    fn an_offset_that_is_gone_is_looked_into() {
        let mut troubles = Troubles::new(true);
        for code in [RDKafkaErrorCode::AutoOffsetReset, RDKafkaErrorCode::LogTruncation] {
            assert!(matches!(judge(&mut troubles, code), Ok(Trouble::NoOffset)), "{code}");
        }
    }

    #[test]
    fn a_long_wait_is_told_once() {
        let config = ConsumerConfig::default();
        let mut troubles = Troubles::new(true);
        let began = Instant::now();
        assert!(troubles.long_wait(&config, began + Duration::from_secs(29)).is_none());
        assert!(troubles.long_wait(&config, began + Duration::from_secs(31)).is_some());
        assert!(troubles.long_wait(&config, began + Duration::from_secs(99)).is_none());
    }

    #[test]
    fn a_group_is_not_blamed_for_a_topic_that_did_not_exist() {
        let config = ConsumerConfig::default();
        let mut troubles = Troubles::new(false);
        let began = Instant::now();
        let after = |troubles: &mut Troubles, seconds| {
            troubles.long_wait(&config, began + Duration::from_secs(seconds)).is_some()
        };
        assert!(!after(&mut troubles, 40));
        // The topic is inspected again and again; only its appearance counts.
        for seconds in [40, 50, 60] {
            troubles.topic_is_there(began + Duration::from_secs(seconds));
        }
        assert!(!after(&mut troubles, 69));
        assert!(after(&mut troubles, 71));
    }

    #[test]
    fn a_group_that_answered_is_not_waited_for_when_its_topic_comes_back() {
        let config = ConsumerConfig::default();
        let mut troubles = Troubles::new(true);
        troubles.group_answered();
        troubles.topic_is_missing(&config);
        let began = Instant::now();
        troubles.topic_is_there(began);
        assert!(troubles.long_wait(&config, began + Duration::from_secs(99)).is_none());
    }
}
