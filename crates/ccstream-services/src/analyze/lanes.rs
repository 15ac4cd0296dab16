//! This module reads the topic of events, and returns the events of all partitions in one order.
//!
//! Each partition has a separate queue in librdkafka. A partition whose events are not needed yet is not read, and its
//! queue keeps what was fetched ahead. A pause would discard it.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};

use crate::consume::assigned::{Assigned, Change, Gap};
use crate::consume::group::Group;
use crate::error::Result;
use ccstream_analysis::event::{Event, Seen};
use ccstream_analysis::merge::{Merge, Next};
use ccstream_analysis::windows::{Facts, Fields};
use ccstream_core::event::Micros;
use ccstream_core::generate::WORLD_HEADER;
use ccstream_core::settings::AnalyzerConfig;
use ccstream_core::validate::validate_until;

/// Maximum number of events of all partitions together that are read ahead of their turn.
const AHEAD: usize = 65_536;
/// Maximum number of events of one partition that are read ahead of their turn.
const AHEAD_OF_ONE: usize = 2_048;

/// The time of a lane of which no message was read.
const UNREAD: Micros = Micros(i64::MIN);

/// A message, and the time at which messages were read that it was among.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) offset: i64,
    pub(super) came: Instant,
    pub(super) what: What,
}

/// What is at an offset.
#[derive(Debug)]
pub(super) enum What {
    /// An event, with its id, and with what windows and alerts need of it.
    Event(Box<str>, Seen, Option<Facts>),
    /// An invalid message.
    Invalid,
    /// The end of a range of offsets that were skipped.
    Gap {
        /// How many of them count as missing.
        missing: i64,
    },
}

impl Incoming {
    /// Returns the id of the event, if it is one.
    pub(super) fn event(&self) -> Option<&str> {
        match &self.what {
            What::Event(id, ..) => Some(id),
            What::Invalid | What::Gap { .. } => None,
        }
    }
}

/// A message whose turn it is.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) partition: i32,
    pub(super) time: Micros,
    pub(super) incoming: Incoming,
}

/// Reads the partitions of the topic of events.
pub(super) struct Lanes {
    /// Hold a reference to the client, so they must be dropped before the topic.
    queues: Vec<PartitionQueue<Group>>,
    pub(super) topic: Assigned,
    partitions: Vec<i32>,
    merge: Merge<Incoming>,
    /// The time of the last event of each lane. An invalid message is ordered by it.
    times: Vec<Micros>,
    /// The simulated world that the first message of each lane names.
    worlds: Vec<Option<Box<str>>>,
    /// How long an event waits for partitions without news; None if every partition is waited for until its end.
    patience: Option<Duration>,
    max_ahead: Duration,
    /// The lanes that were read to their end since they were assigned.
    ended: BTreeSet<usize>,
    /// When a lane was last emptied.
    emptied: Instant,
    /// The fields that windows and alerts need; None without any.
    pub(super) fields: Option<Fields>,
}

impl Lanes {
    pub(super) fn new(config: &AnalyzerConfig) -> Result<Self> {
        Ok(Self {
            queues: Vec::new(),
            topic: Assigned::new(&config.reading(), &config.kafka.topic)?,
            partitions: Vec::new(),
            merge: Merge::new(0),
            times: Vec::new(),
            worlds: Vec::new(),
            patience: (!config.until_caught_up).then_some(config.patience),
            max_ahead: config.max_ahead,
            ended: BTreeSet::new(),
            emptied: Instant::now(),
            fields: None,
        })
    }

    /// Notes that the partitions were assigned, and splits their queues.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.discard();
        self.queues = self.topic.split()?;
        for queue in &mut self.queues {
            let reader = thread::current();
            queue.set_nonempty_callback(move || reader.unpark());
        }
        self.partitions = self.topic.next.keys().copied().collect();
        self.merge = Merge::new(self.partitions.len());
        self.times = vec![UNREAD; self.partitions.len()];
        self.worlds = vec![None; self.partitions.len()];
        Ok(())
    }

    /// Discards what was read.
    pub(super) fn discard(&mut self) {
        self.queues.clear();
        self.partitions.clear();
        self.merge = Merge::new(0);
        self.ended.clear();
    }

    /// Reads messages ahead, without waiting. Returns a change of the topic, if there is one.
    pub(super) fn fill(&mut self) -> Result<Change> {
        // The clock is read once for all, since it takes as long as a fiftieth of the work on a message.
        let came = Instant::now();
        // The client's own queue has events of librdkafka, and messages from before the queues were split.
        while let Some(polled) = self.topic.member.poll(Duration::ZERO) {
            let polled = polled.map(|message| {
                (message.partition(), world(&message), decode(&message, came, self.latest(), self.fields.as_ref()))
            });
            match polled {
                Ok((partition, world, decoded)) => {
                    let Ok(lane) = self.partitions.binary_search(&partition) else { continue };
                    self.note_world(lane, world);
                    if !self.push(lane, decoded) {
                        return Ok(Change::None);
                    }
                }
                Err(error) => {
                    let change = self.take_error(error)?;
                    if !matches!(change, Change::None) {
                        return Ok(change);
                    }
                }
            }
        }
        let most = AHEAD_OF_ONE.min(AHEAD / self.partitions.len().max(1)).max(16);
        let latest = self.latest();
        for lane in 0..self.queues.len() {
            while self.merge.queued_in(lane) < most {
                let Some(polled) = self.queues[lane].poll(Duration::ZERO) else { break };
                let is_first = self.times[lane] == UNREAD;
                let fields = self.fields.as_ref();
                match polled.map(|message| {
                    (is_first.then(|| world(&message)).flatten(), decode(&message, came, latest, fields))
                }) {
                    Ok((world, decoded)) => {
                        self.note_world(lane, world);
                        if !self.push(lane, decoded) {
                            return Ok(Change::None);
                        }
                    }
                    Err(error) => {
                        let change = self.take_error(error)?;
                        if !matches!(change, Change::None) {
                            return Ok(change);
                        }
                    }
                }
            }
        }
        self.topic.member.keep_brokers();
        Ok(Change::None)
    }

    fn note_world(&mut self, lane: usize, world: Option<Box<str>>) {
        if self.times[lane] == UNREAD {
            self.worlds[lane] = world;
        }
    }

    /// Returns the simulated world that the first message of a partition names, of those that were read since it was
    /// assigned.
    pub(super) fn world(&self, partition: i32) -> Option<&str> {
        self.worlds.get(self.partitions.binary_search(&partition).ok()?)?.as_deref()
    }

    fn latest(&self) -> Micros {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros() as i64);
        Micros(now.saturating_add(self.max_ahead.as_micros() as i64))
    }

    /// Adds a message to its lane. Returns false if its offset was read before, so that the offsets are checked.
    fn push(&mut self, lane: usize, (time, incoming): (Option<Micros>, Incoming)) -> bool {
        let partition = self.partitions[lane];
        let Some(next) = self.topic.next.get_mut(&partition) else { return true };
        if incoming.offset < *next {
            self.topic.doubt_offsets();
            return false;
        }
        *next = incoming.offset + 1;
        // Even an invalid first message leaves the lane read.
        let time = time.unwrap_or(self.times[lane].max(Micros(UNREAD.0 + 1)));
        self.times[lane] = time;
        self.topic.left_end(partition);
        self.merge.set_end(lane, false);
        self.merge.push(lane, time, incoming);
        true
    }

    /// Notes that a range of offsets was skipped. It is counted once the messages before it were taken.
    pub(super) fn skip(&mut self, gap: &Gap) {
        let Ok(lane) = self.partitions.binary_search(&gap.partition) else { return };
        self.topic.left_end(gap.partition);
        self.merge.set_end(lane, false);
        let what = What::Gap { missing: gap.missing };
        self.merge.push(lane, self.times[lane], Incoming { offset: gap.to - 1, came: Instant::now(), what });
    }

    fn take_error(&mut self, error: KafkaError) -> Result<Change> {
        if let KafkaError::PartitionEOF(partition) = error
            && let Ok(lane) = self.partitions.binary_search(&partition)
        {
            self.merge.set_end(lane, true);
            self.ended.insert(lane);
        }
        self.topic.take_error(error)
    }

    /// Returns how long an event waits for others. None: partitions are waited for until their end, as in a replay and
    /// until each of them was read to its end once.
    fn patience(&self) -> Option<Duration> {
        self.patience.filter(|_| self.ended.len() == self.partitions.len())
    }

    /// Returns the message whose turn it is, if there is one.
    pub(super) fn next(&mut self) -> Option<Turn> {
        let next = match self.patience() {
            Some(_) if self.wait().is_some_and(|wait| !wait.is_zero()) => return None,
            Some(_) => self.merge.next_now(),
            None => self.merge.next(),
        };
        let Next::Event { lane, time, event: incoming } = next else { return None };
        if self.merge.queued_in(lane) == 0 {
            self.emptied = Instant::now();
        }
        Some(Turn { partition: self.partitions[lane], time, incoming })
    }

    /// Returns how long it is until an event has waited enough; None if none waits.
    pub(super) fn wait(&self) -> Option<Duration> {
        let patience = self.patience()?;
        let came = self.merge.first()?.came;
        if self.merge.has_all() {
            return Some(Duration::ZERO);
        }
        // The events may have come long ago, because PostgreSQL was unavailable. A lane that was emptied since and has
        // more messages is about to get them.
        let since = if self.merge.is_open() { came.max(self.emptied) } else { came };
        Some(patience.saturating_sub(since.elapsed()))
    }

    /// Returns whether each partition was read to its end once, and at most this many messages wait.
    pub(super) fn keeps_up(&self, most: i64) -> bool {
        !self.partitions.is_empty() && self.ended.len() == self.partitions.len() && self.lag() <= most
    }

    /// Returns whether everything up to the end of each partition was taken.
    pub(super) fn is_at_end(&self) -> bool {
        self.topic.is_at_end() && self.merge.queued() == 0
    }

    /// Returns the number of messages between other offsets and the ends of the partitions, as of the last fetch.
    pub(super) fn lag_of(&self, next: &BTreeMap<i32, i64>) -> i64 {
        let end = |partition: &i32| self.topic.member.group().end(*partition).unwrap_or_default();
        let behind = |partition| (end(partition) - next.get(partition).copied().unwrap_or_default()).max(0);
        self.partitions.iter().map(behind).sum()
    }

    /// Returns the number of messages between what was taken and the ends of the partitions, as of the last fetch.
    pub(super) fn lag(&self) -> i64 {
        self.lag_of(&self.topic.next) + self.merge.queued() as i64
    }
}

/// Returns the simulated world that a message names.
fn world(message: &BorrowedMessage<'_>) -> Option<Box<str>> {
    let header = message.headers()?.iter().find(|header| header.key == WORLD_HEADER)?;
    str::from_utf8(header.value?).ok().map(Box::from)
}

/// Reads a message. Its time is None if it is invalid.
fn decode(
    message: &BorrowedMessage<'_>,
    came: Instant,
    latest: Micros,
    fields: Option<&Fields>,
) -> (Option<Micros>, Incoming) {
    let event = validate_until(message.payload(), latest).ok();
    let time = event.as_ref().map(|transaction| transaction.timestamp);
    let what = event.map_or(What::Invalid, |transaction| {
        let facts = fields.map(|fields| fields.facts(&transaction));
        What::Event(Box::from(&*transaction.order_id), Seen::from(&Event::from(&transaction)), facts)
    });
    (time, Incoming { offset: message.offset(), came, what })
}
