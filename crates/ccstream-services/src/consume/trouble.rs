//! This module decides what Kafka's errors mean. A temporary error, which librdkafka retries by itself, is reported
//! once. A permanent error ends the run.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::report::ConsumeEvent;
use super::unreadable::is_unreadable;
use super::warning::{Service, Waiting, WaitingKind, Warning, WarningKind};
use crate::error::{Error, Result};
use ccstream_core::settings::ConsumerConfig;

/// Time after which an error that persists is reported again.
const REPORT_AGAIN: Duration = Duration::from_secs(60);
/// Number of session timeouts without an assignment after which the user is warned about the group.
const LONG_WAIT: u32 = 5;

/// Tells what an error of Kafka means.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The error is temporary and librdkafka retries by itself. The event is to be reported; None if it already was.
    Passing(Option<ConsumeEvent>),
    /// The topic does not exist. The event is to be reported; None if it already was.
    NoTopic(Option<ConsumeEvent>),
    /// A partition does not have the next offset.
    NoOffset,
    /// A batch cannot be read.
    Unreadable,
}

/// Holds what librdkafka has reported beside an error.
#[derive(Debug, Default)]
pub(super) struct Cause {
    /// Why the broker refuses this client's TLS or login, if it does.
    pub(super) refusal: Option<String>,
    /// The last error in librdkafka's log.
    pub(super) last_error: Option<String>,
    /// Whether other brokers of the cluster are connected.
    pub(super) others_answer: bool,
}

/// Remembers what has been reported.
#[derive(Debug)]
pub(super) struct Troubles {
    /// The last wait that was reported, and when.
    last: Option<(WaitingKind, String, Instant)>,
    /// The broker that was last reported as down, and when.
    down: Option<(String, Instant)>,
    /// Since when Kafka has been unavailable.
    outage: Option<Instant>,
    /// Whether the topic's absence has been reported.
    missing_reported: bool,
    /// Since when the consumer has waited for its group. None once the group has answered, or once that was reported.
    waiting_since: Option<Instant>,
}

impl Troubles {
    pub(super) fn new(topic_found: bool) -> Self {
        Self {
            last: None,
            down: None,
            outage: None,
            missing_reported: !topic_found,
            waiting_since: Some(Instant::now()),
        }
    }

    /// Notes that the group has answered.
    pub(super) fn group_answered(&mut self) {
        self.waiting_since = None;
    }

    /// Returns the warning about a group that has assigned no partition for [`LONG_WAIT`] session timeouts although the
    /// topic exists. Returns it once.
    pub(super) fn long_wait(&mut self, config: &ConsumerConfig, now: Instant) -> Option<ConsumeEvent> {
        let limit = config.session_timeout * LONG_WAIT;
        if self.missing_reported || now.duration_since(self.waiting_since?) <= limit {
            return None;
        }
        self.waiting_since = None;
        let text = format!(
            "the group {:?} has assigned no partitions for {} s: another member of it does not respond, or it is stuck, \
             as happens on the embedded broker. Stop the other member, or set `group` to another name, which reads the \
             topic from its beginning; messages that are already stored count as duplicates",
            config.group,
            limit.as_secs()
        );
        Some(ConsumeEvent::Warning(Warning::new(WarningKind::GroupSilent, text)))
    }

    /// Returns what an error means.
    ///
    /// Errors: the error itself, if it is permanent.
    pub(super) fn judge(&mut self, error: KafkaError, cause: Cause, config: &ConsumerConfig) -> Result<Trouble> {
        let topic = &config.kafka.topic;
        let (kind, text, why) = match error {
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
            // One broker of several is down. The cluster elects other leaders for its partitions.
            KafkaError::MessageConsumption(
                code @ (RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut),
            ) if cause.others_answer && cause.refusal.is_none() => {
                return Ok(Trouble::Passing(
                    self.broker_is_down(&cause.last_error.unwrap_or_else(|| code.to_string())),
                ));
            }
            // An outage of all brokers produces several of these errors, but is reported as one.
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
                    (WaitingKind::KafkaRefused, format!("Kafka at {servers} refuses this client: {cause}"), None)
                } else {
                    let text = format!("no answer from Kafka at {servers}");
                    (WaitingKind::KafkaUnavailable, text, cause.last_error)
                }
            }
            error => (WaitingKind::KafkaError, format!("Kafka: {error}"), None),
        };
        if self.last.as_ref().is_some_and(|(_, old, at)| *old == text && at.elapsed() < REPORT_AGAIN) {
            return Ok(Trouble::Passing(None));
        }
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        let waiting = Waiting::new(kind, format!("{text}{why}"));
        self.last = Some((kind, text, Instant::now()));
        self.outage.get_or_insert_with(Instant::now);
        Ok(Trouble::Passing(Some(ConsumeEvent::Waiting(waiting))))
    }

    /// Returns the warning about one broker of several that is down; None if the last one was less than
    /// [`REPORT_AGAIN`] ago and about the same broker.
    fn broker_is_down(&mut self, why: &str) -> Option<ConsumeEvent> {
        let broker = why.split(": ").next().unwrap_or_default().to_owned();
        if self.down.as_ref().is_some_and(|(last, at)| *last == broker && at.elapsed() < REPORT_AGAIN) {
            return None;
        }
        self.down = Some((broker, Instant::now()));
        let text = format!("one broker does not answer, but others do: {why}");
        Some(ConsumeEvent::Warning(Warning::new(WarningKind::BrokersUnreachable, text)))
    }

    /// Notes that Kafka has answered a query that was sent at `asked`. Returns the end of the outage, to be reported,
    /// if there was one that began before.
    pub(super) fn kafka_answered(&mut self, asked: Instant) -> Option<ConsumeEvent> {
        let since = self.outage.take_if(|since| *since <= asked)?;
        // The next outage is reported even if it comes within `REPORT_AGAIN`.
        self.last.take_if(|(kind, ..)| *kind != WaitingKind::KafkaError);
        Some(ConsumeEvent::Recovered { service: Service::Kafka, after: since.elapsed() })
    }

    /// Notes that the topic does not exist. Returns the warning about it, once.
    pub(super) fn topic_is_missing(&mut self, config: &ConsumerConfig) -> Option<ConsumeEvent> {
        if std::mem::replace(&mut self.missing_reported, true) {
            return None;
        }
        let text = format!("topic {:?} does not exist; waiting for it", config.kafka.topic);
        Some(ConsumeEvent::Warning(Warning::new(WarningKind::TopicMissing, text)))
    }

    /// Notes that the topic exists. If it did not before, the group could not assign partitions, so the wait for the
    /// group begins now.
    pub(super) fn topic_is_there(&mut self, now: Instant) {
        if std::mem::take(&mut self.missing_reported) {
            self.waiting_since = self.waiting_since.map(|_| now);
        }
    }
}

/// Returns whether an error of the group or the topic is permanent.
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

    fn reports(troubles: &mut Troubles, code: RDKafkaErrorCode) -> bool {
        match judge(troubles, code).unwrap() {
            Trouble::Passing(event) | Trouble::NoTopic(event) => event.is_some(),
            Trouble::NoOffset | Trouble::Unreadable => false,
        }
    }

    #[test]
    fn a_temporary_error_is_reported_once() {
        let mut troubles = Troubles::new(true);
        for code in [RDKafkaErrorCode::BrokerTransportFailure, RDKafkaErrorCode::UnknownTopicOrPartition] {
            assert!(reports(&mut troubles, code), "{code}");
            assert!(!reports(&mut troubles, code), "{code}");
        }
        troubles.topic_is_there(Instant::now());
        assert!(reports(&mut troubles, RDKafkaErrorCode::UnknownTopicOrPartition));
    }

    #[test]
    fn an_outage_is_reported_once_whatever_the_errors() {
        let mut troubles = Troubles::new(true);
        assert!(reports(&mut troubles, RDKafkaErrorCode::AllBrokersDown));
        assert!(!reports(&mut troubles, RDKafkaErrorCode::BrokerTransportFailure));
    }

    #[test]
    fn one_broker_of_several_that_is_down_is_not_an_outage() {
        let mut troubles = Troubles::new(true);
        let mut report = |code, others_answer| {
            let last_error = Some("localhost:9095/2: Connect failed".to_owned());
            let cause = Cause { last_error, others_answer, ..Cause::default() };
            match troubles.judge(KafkaError::MessageConsumption(code), cause, &ConsumerConfig::default()).unwrap() {
                Trouble::Passing(Some(ConsumeEvent::Warning(warning))) => Some(warning.text),
                Trouble::Passing(Some(ConsumeEvent::Waiting(waiting))) => Some(waiting.reason),
                _ => None,
            }
        };
        let warned = report(RDKafkaErrorCode::BrokerTransportFailure, true).unwrap();
        assert!(warned.ends_with("others do: localhost:9095/2: Connect failed"), "{warned}");
        assert_eq!(report(RDKafkaErrorCode::BrokerTransportFailure, true), None);
        let reason = report(RDKafkaErrorCode::AllBrokersDown, true).unwrap();
        assert!(reason.ends_with(" localhost:9094 (localhost:9095/2: Connect failed)"), "{reason}");
        assert_eq!(report(RDKafkaErrorCode::BrokerTransportFailure, false), None);
    }

    #[test]
    fn a_refusal_is_reported_at_once_and_when_its_cause_changes() {
        let mut troubles = Troubles::new(true);
        let mut report = |code, cause: Option<&str>| {
            let error = KafkaError::MessageConsumption(code);
            let cause = Cause { refusal: cause.map(str::to_owned), ..Cause::default() };
            match troubles.judge(error, cause, &ConsumerConfig::default()).unwrap() {
                Trouble::Passing(Some(ConsumeEvent::Waiting(waiting))) => Some(waiting.kind),
                _ => None,
            }
        };
        let (down, login) = (RDKafkaErrorCode::AllBrokersDown, RDKafkaErrorCode::Authentication);
        assert_eq!(report(down, None), Some(WaitingKind::KafkaUnavailable));
        assert_eq!(report(login, Some("wrong password")), Some(WaitingKind::KafkaRefused));
        assert_eq!(report(down, Some("wrong password")), None);
        assert_eq!(report(RDKafkaErrorCode::SSL, Some("expired")), Some(WaitingKind::KafkaRefused));
        assert_eq!(report(down, Some("expired")), None);
    }

    #[test]
    fn an_outage_ends_by_an_answer_to_a_query_sent_during_it() {
        let mut troubles = Troubles::new(true);
        let before = Instant::now();
        assert!(troubles.kafka_answered(Instant::now()).is_none(), "there was no outage");
        assert!(reports(&mut troubles, RDKafkaErrorCode::AllBrokersDown));
        assert!(troubles.kafka_answered(before).is_none(), "the query was sent before the outage");
        let recovered = troubles.kafka_answered(Instant::now());
        assert!(matches!(recovered, Some(ConsumeEvent::Recovered { service: Service::Kafka, .. })), "{recovered:?}");
        assert!(troubles.kafka_answered(Instant::now()).is_none());
        assert!(reports(&mut troubles, RDKafkaErrorCode::AllBrokersDown), "this is another outage");
    }

    #[test]
    fn a_permanent_error_ends_the_run() {
        let mut troubles = Troubles::new(true);
        for code in [RDKafkaErrorCode::TopicAuthorizationFailed, RDKafkaErrorCode::InvalidSessionTimeout] {
            assert_eq!(judge(&mut troubles, code).unwrap_err().exit_code(), 3, "{code}");
        }
    }

    #[test]
    fn a_missing_offset_is_checked() {
        let mut troubles = Troubles::new(true);
        for code in [RDKafkaErrorCode::AutoOffsetReset, RDKafkaErrorCode::LogTruncation] {
            assert!(matches!(judge(&mut troubles, code), Ok(Trouble::NoOffset)), "{code}");
        }
    }

    #[test]
    fn a_long_wait_is_reported_once() {
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
        // The topic's existence is noted after each query. Only the first time counts.
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
