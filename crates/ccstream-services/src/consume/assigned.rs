//! This module reads a topic without a group: it assigns all partitions to itself, at the offsets that PostgreSQL has.
//! It notices when the topic is recreated, gets more partitions, or no longer has the next offset of a partition.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;

use super::group::Group;
use super::member::Member;
use super::report::ConsumeEvent;
use super::topic::{Answer, News, Offsets, Watch, judge_offsets};
use super::trouble::{Cause, Trouble, Troubles};
use super::unreadable::{Probe, Unreadable};
use super::warning::{Warning, WarningKind};
use crate::error::Result;
use crate::postgres::{Origin, Restart};
use ccstream_core::settings::{ConsumerConfig, KafkaConfig};

/// Interval at which the number of partitions is queried.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// Reads all partitions of a topic.
#[derive(Debug)]
pub(crate) struct Assigned {
    /// The run's settings, with this topic in place of the topic of events.
    pub(crate) config: ConsumerConfig,
    /// Holds a reference to the member's client, so it must be dropped before the member.
    watch: Watch,
    pub(crate) member: Member,
    troubles: Troubles,
    /// The next offset of each partition; empty while none is assigned.
    pub(crate) next: BTreeMap<i32, i64>,
    /// The partitions that were read to their end since they were assigned.
    ended: BTreeSet<i32>,
    /// Whether a partition does not have its next offset. The topic's id is then queried before anything is done about
    /// it.
    in_doubt: bool,
    /// Whether a partition's log ends before what is stored.
    is_shorter: bool,
    /// When the number of partitions was last queried.
    counted: Instant,
}

/// Tells what has become of the topic.
#[derive(Debug)]
pub(crate) enum Change {
    /// Nothing has changed.
    None,
    /// The topic does not exist. Has the warning to report, the first time.
    Missing(Option<Warning>),
    /// No partition is assigned any more, because the topic is a different one or has more partitions. What was read
    /// and is not written must be discarded.
    Reset,
    /// These ranges of offsets were skipped.
    Skipped(Vec<Gap>),
    /// The broker is not available. The event is reported by the client that reads the events.
    Outage(ConsumeEvent),
}

/// A range of offsets of a partition that cannot be read and was skipped.
#[derive(Debug)]
pub(crate) struct Gap {
    pub(crate) partition: i32,
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// How many of the offsets count as missing.
    pub(crate) missing: i64,
    /// The warning to report, if any offset counts as missing.
    pub(crate) warning: Option<Warning>,
}

impl Assigned {
    /// Creates the client, which does not contact the brokers yet.
    pub(crate) fn new(config: &ConsumerConfig, topic: &str) -> Result<Self> {
        let kafka = KafkaConfig { topic: topic.to_owned(), ..config.kafka.clone() };
        let config = ConsumerConfig { kafka, ..config.clone() };
        let member = Member::new(&config)?;
        let mut watch = Watch::new(member.topic_ids());
        watch.need();
        Ok(Self {
            config,
            watch,
            member,
            troubles: Troubles::new(true),
            next: BTreeMap::new(),
            ended: BTreeSet::new(),
            in_doubt: false,
            is_shorter: false,
            counted: Instant::now(),
        })
    }

    /// Returns whether every partition was read to its end since it was assigned.
    pub(crate) fn is_at_end(&self) -> bool {
        !self.next.is_empty() && self.ended.len() == self.next.len()
    }

    /// Unassigns everything. Every partition is then assigned again at its offset in PostgreSQL.
    pub(crate) fn forget(&mut self) {
        self.next.clear();
        self.ended.clear();
    }

    /// Requests that the next offsets are compared with the broker's, once the topic's id is confirmed.
    pub(crate) fn doubt_offsets(&mut self) {
        self.in_doubt = true;
        self.watch.need();
    }

    /// Asks for the topic's id and its number of partitions when that is due, and acts on the answers.
    pub(crate) fn look(&mut self) -> Result<Change> {
        if let Some(Answer { news, is_needed, .. }) = self.watch.look() {
            match news {
                News::Missing => {
                    let event = self.troubles.topic_is_missing(&self.config);
                    return Ok(Change::Missing(warning(event)));
                }
                News::Changed(_) => {
                    self.troubles.topic_is_there(Instant::now());
                    self.in_doubt = false;
                    self.forget();
                    return Ok(Change::Reset);
                }
                News::Same | News::Silent => {
                    self.troubles.topic_is_there(Instant::now());
                    if is_needed && std::mem::take(&mut self.in_doubt) {
                        return self.repair_offsets();
                    }
                }
            }
        }
        if !self.next.is_empty() && self.counted.elapsed() >= COUNT_EVERY {
            self.counted = Instant::now();
            if self.member.count_partitions().is_ok_and(|count| count.is_some_and(|count| count > self.next.len())) {
                self.forget();
                return Ok(Change::Reset);
            }
        }
        Ok(Change::None)
    }

    /// Returns what PostgreSQL needs in order to return the next offsets: the partitions, where they come from, and whether
    /// a partition's log is shorter than what is stored. None while the broker has not answered.
    pub(crate) fn origin(&mut self) -> Option<(Vec<i32>, Origin, bool)> {
        if self.watch.is_needed() {
            return None;
        }
        let Ok(Some(count)) = self.member.count_partitions() else {
            self.watch.need();
            return None;
        };
        let origin = Origin { cluster_id: self.member.cluster_id(), topic_id: self.watch.id().map(ToOwned::to_owned) };
        Some(((0..count as i32).collect(), origin, self.is_shorter))
    }

    /// Assigns all partitions at their next offsets. Returns a warning if any of them is read from its beginning again.
    pub(crate) fn begin(
        &mut self,
        offsets: BTreeMap<i32, i64>,
        restarted: &[(i32, Restart)],
        paused: bool,
    ) -> Result<Option<Warning>> {
        self.is_shorter = false;
        self.counted = Instant::now();
        self.next = offsets;
        self.assign(paused)?;
        Ok(self.of_restart(restarted))
    }

    /// Assigns all partitions at their next offsets. With `paused`, nothing is fetched yet.
    pub(crate) fn assign(&self, paused: bool) -> Result<()> {
        self.member.assign(&self.next, &self.next.keys().copied().collect(), paused)
    }

    fn of_restart(&self, restarted: &[(i32, Restart)]) -> Option<Warning> {
        let (_, why) = restarted.first()?;
        let (kind, why) = match why {
            Restart::Cluster => (WarningKind::ClusterChanged, "the Kafka cluster is a different one"),
            Restart::Topic => (WarningKind::TopicRecreated, "the topic was deleted and created again"),
            Restart::Shorter => (WarningKind::LogTruncated, "the log ends before the next offset"),
        };
        let topic = &self.config.kafka.topic;
        let text = format!(
            "topic {topic:?} is read from its beginning, because {why}; messages that are stored count as duplicates"
        );
        Some(Warning::of(kind, restarted.iter().map(|(partition, _)| *partition), text))
    }

    /// Returns the next message or error, waiting up to `limit` for it.
    pub(crate) fn poll(&self, limit: Duration) -> Option<KafkaResult<BorrowedMessage<'_>>> {
        self.member.poll(limit)
    }

    /// Splits each assigned partition's messages off the client's queue, in the order of the partitions. The client
    /// must still be polled, which returns messages that were fetched before.
    pub(crate) fn split(&self) -> Result<Vec<PartitionQueue<Group>>> {
        self.next.keys().map(|partition| self.member.split(*partition)).collect()
    }

    /// Notes that a partition has messages again after its end was reached.
    pub(crate) fn left_end(&mut self, partition: i32) {
        self.ended.remove(&partition);
    }

    /// Acts on an error that a poll returned.
    ///
    /// Errors: the error itself, if it is permanent.
    pub(crate) fn take_error(&mut self, error: KafkaError) -> Result<Change> {
        if let KafkaError::PartitionEOF(partition) = error {
            self.ended.insert(partition);
            return Ok(Change::None);
        }
        let log = &self.member.group().log;
        let cause = Cause { refusal: log.last_refusal(), last_error: log.last_error(), others_answer: false };
        match self.troubles.judge(error, cause, &self.config)? {
            Trouble::Passing(event) => return Ok(event.map_or(Change::None, Change::Outage)),
            Trouble::NoTopic(event) => {
                self.watch.need();
                return Ok(Change::Missing(warning(event)));
            }
            Trouble::NoOffset => self.doubt_offsets(),
            Trouble::Unreadable => return self.skip_unreadable(),
        }
        Ok(Change::None)
    }

    /// Handles next offsets that the broker does not have, although the topic is the same. Messages that retention
    /// deleted are counted as missing. A truncated log is read from its beginning.
    fn repair_offsets(&mut self) -> Result<Change> {
        let mut found = Vec::new();
        for (partition, next) in &self.next {
            let Ok(bounds) = self.member.bounds(*partition) else {
                self.doubt_offsets();
                return Ok(Change::None);
            };
            found.push((*partition, *next, judge_offsets(*next, bounds)));
        }
        if found.iter().any(|(_, _, offsets)| *offsets == Offsets::Shorter) {
            self.is_shorter = true;
            self.forget();
            return Ok(Change::Reset);
        }
        let mut gaps = Vec::new();
        for (partition, from, offsets) in found {
            let Offsets::Gap(to) = offsets else { continue };
            // Messages that were deleted before the topic was first read do not count as missing.
            let missing = if from == 0 { 0 } else { to - from };
            let reason = "were deleted by the topic's retention before they were read";
            let warning = (missing > 0).then(|| self.of_gap(WarningKind::Gap, partition, (from, to), missing, reason));
            gaps.push(Gap { partition, from, to, missing, warning });
            self.next.insert(partition, to);
        }
        self.assign(false)?;
        Ok(Change::Skipped(gaps))
    }

    /// Skips a batch that librdkafka cannot decode, whatever `skip_unreadable` is: such a topic must not end the run.
    fn skip_unreadable(&mut self) -> Result<Change> {
        let probe = Probe::new(&self.config)?;
        let Some(found) = probe.find(&self.next)? else { return Ok(Change::None) };
        let Unreadable { partition, reason, .. } = &found;
        // If the broker returns an end that is too low, the rest of the batch is found and skipped next.
        let Ok((_, bound)) = self.member.bounds(*partition) else { return Ok(Change::None) };
        let log_end = self.member.group().end(*partition).unwrap_or_default().max(bound);
        let Some(to) = probe.end(&found, log_end)? else { return Ok(Change::None) };
        let Some(next) = self.next.get_mut(partition) else { return Ok(Change::None) };
        let from = std::mem::replace(next, to);
        let reason = format!("cannot be read ({reason}) and were skipped");
        let warning = Some(self.of_gap(WarningKind::Unreadable, *partition, (from, to), to - from, &reason));
        self.assign(false)?;
        Ok(Change::Skipped(vec![Gap { partition: *partition, from, to, missing: to - from, warning }]))
    }

    fn of_gap(&self, kind: WarningKind, partition: i32, (from, to): (i64, i64), missing: i64, reason: &str) -> Warning {
        let text = format!(
            "topic {:?}, partition {partition}: offsets {from} to {} {reason}; {missing} are counted as missing",
            self.config.kafka.topic,
            to - 1
        );
        Warning::of(kind, [partition], text)
    }
}

fn warning(event: Option<ConsumeEvent>) -> Option<Warning> {
    match event {
        Some(ConsumeEvent::Warning(warning)) => Some(warning),
        _ => None,
    }
}
