//! The poll loop itself: fills batches, hands them to the writer, follows the group and the topic.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::CommitMode;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use tokio_util::sync::CancellationToken;

use super::group::Rebalance;
use super::ledger::Ledger;
use super::member::Member;
use super::state::{Drain, Fill, Partitions, Step, View, next};
use super::topic::{News, Offsets, Watch, judge_offsets};
use super::trouble::{Trouble, Troubles};
use super::writer::{Command, Reply, Writer};
use super::{ConsumeEvent, ConsumeSummary};
use crate::batch::{Batch, Cursor};
use crate::config::ConsumerConfig;
use crate::error::Result;
use crate::store::{Origin, Refusal, Restart, TakeOver};
use crate::validate::validate;

/// Messages taken between two looks at the clock and the writer.
const AT_ONCE: usize = 256;
/// How often offsets go to Kafka, for tools that show lag.
const SHOW_OFFSETS_EVERY: Duration = Duration::from_secs(1);

/// One run of the consumer.
pub(super) struct Poll<'r> {
    config: &'r ConsumerConfig,
    member: Member,
    writer: Writer,
    report: &'r mut dyn FnMut(ConsumeEvent),
    partitions: Partitions,
    /// Arriving partitions that the writer was told to take over, under this generation.
    asked: BTreeSet<i32>,
    /// The partitions are another consumer's, as PostgreSQL says; the group is to say whose they are.
    disowned: bool,
    watch: Watch,
    /// The broker does not have an offset that is next; looked into once the topic's id is known.
    doubt: bool,
    /// Partitions whose log ends before the offset that is next.
    shorter: BTreeSet<i32>,
    ledger: Ledger,
    /// Being filled.
    batch: Box<Batch>,
    /// Memory of the batch before, to be filled again.
    spare: Option<Box<Batch>>,
    /// The writer has a batch.
    in_flight: bool,
    paused: bool,
    /// PostgreSQL is away.
    away: bool,
    /// Since when nothing more is to be read, and why.
    drain: Option<(Drain, Instant)>,
    last_took: Duration,
    /// When Kafka was last shown where PostgreSQL stands, and whether it has moved since.
    shown: Instant,
    unshown: bool,
    troubles: Troubles,
}

impl<'r> Poll<'r> {
    pub(super) fn new(
        config: &'r ConsumerConfig,
        member: Member,
        writer: Writer,
        topic_found: bool,
        report: &'r mut dyn FnMut(ConsumeEvent),
    ) -> Self {
        Self {
            config,
            watch: Watch::new(member.topic_ids()),
            member,
            writer,
            report,
            partitions: Partitions::default(),
            asked: BTreeSet::new(),
            disowned: false,
            doubt: false,
            shorter: BTreeSet::new(),
            ledger: Ledger::new(),
            batch: Box::default(),
            spare: None,
            in_flight: false,
            paused: false,
            away: false,
            drain: None,
            last_took: Duration::ZERO,
            shown: Instant::now(),
            unshown: false,
            troubles: Troubles::new(topic_found),
        }
    }

    /// Runs to the end, writes what was read, and leaves the group.
    pub(super) fn run(mut self, stop: &CancellationToken) -> Result<ConsumeSummary> {
        let drained = loop {
            if self.drain.is_none_or(|(drain, _)| drain != Drain::Stop) && (stop.is_cancelled() || self.is_done()) {
                self.drain = Some((Drain::Stop, Instant::now()));
            }
            while let Some(reply) = self.writer.reply(Duration::ZERO) {
                self.take_reply(reply)?;
            }
            self.look_after_topic()?;
            self.take_over();
            match (next(&self.view()), self.drain) {
                (Step::HandOver, _) => self.hand_over(),
                (Step::Await(limit), _) => match self.writer.reply(limit) {
                    Some(reply) => self.take_reply(reply)?,
                    None => self.pause()?,
                },
                (Step::Pause, _) => self.pause()?,
                (Step::Resume, _) => self.resume()?,
                (Step::Poll(limit), _) => self.poll(limit)?,
                (step @ (Step::Drained | Step::GiveUp), Some((Drain::Stop, _))) => break step == Step::Drained,
                (step @ (Step::Drained | Step::GiveUp), _) => self.let_go(step == Step::GiveUp)?,
            }
        };
        if drained {
            self.member.show_offsets(self.ledger.committed(), CommitMode::Sync);
        } else {
            self.warn(
                "the drain limit is over before the last batch was committed; it is read again by the next run".into(),
            );
        }
        Ok(self.ledger.close(drained))
    }

    fn is_done(&self) -> bool {
        self.config.until_caught_up && self.partitions.is_caught_up() && !self.in_flight && self.batch.is_empty()
    }

    /// The batch can take no more.
    fn is_full(&self) -> bool {
        self.batch.messages() >= self.config.batch_rows || self.batch.bytes() >= self.config.batch_bytes
    }

    fn view(&self) -> View {
        let limit = self.config.drain_limit;
        View {
            fill: match self.batch.opened {
                None => Fill::Empty,
                Some(_) if self.is_full() => Fill::Full,
                Some(opened) => Fill::Open(opened.elapsed()),
            },
            in_flight: self.in_flight,
            paused: self.paused,
            away: self.away,
            drain: self.drain.map(|(drain, since)| (drain, limit.saturating_sub(since.elapsed()))),
            at_the_end: self.config.until_caught_up && self.partitions.is_caught_up(),
            last_took: self.last_took,
            linger: self.config.linger,
        }
    }

    fn warn(&mut self, text: String) {
        (self.report)(ConsumeEvent::Warning(text));
    }

    // The batch.

    fn hand_over(&mut self) {
        let mut batch = std::mem::replace(&mut self.batch, self.spare.take().unwrap_or_default());
        batch.seal();
        self.in_flight = true;
        self.writer.send(Command::Write { generation: self.partitions.generation(), batch });
    }

    /// The batch in flight is back.
    fn keep_spare(&mut self, mut batch: Box<Batch>) {
        self.in_flight = false;
        batch.clear();
        self.spare = Some(batch);
    }

    fn pause(&mut self) -> Result<()> {
        self.paused = true;
        self.member.pause()
    }

    /// By placing all anew: a pause also drops librdkafka's word that an offset is gone, after which it
    /// would fetch no more.
    fn resume(&mut self) -> Result<()> {
        self.paused = false;
        self.place(&self.partitions.reading().keys().copied().collect())
    }

    /// Takes what is ready: at most [`AT_ONCE`] messages, waiting only for the first.
    fn poll(&mut self, mut limit: Duration) -> Result<()> {
        if let Some(event) = self.troubles.long_wait(self.config) {
            (self.report)(event);
        }
        if self.unshown && self.shown.elapsed() >= SHOW_OFFSETS_EVERY {
            (self.shown, self.unshown) = (Instant::now(), false);
            self.member.show_offsets(self.ledger.committed(), CommitMode::Async);
        }
        let mut is_in_order = true;
        for _ in 0..AT_ONCE {
            let polled = match self.member.poll(limit) {
                None => Ok(false),
                Some(Err(error)) => Err(error),
                Some(Ok(message)) => {
                    // A message of a partition that is read is never left out: its offset would be skipped.
                    is_in_order &= take_message(&mut self.batch, &mut self.partitions, &message);
                    Ok(true)
                }
            };
            for rebalance in self.member.take_rebalances() {
                self.follow(rebalance);
            }
            match polled {
                Ok(true) if !self.is_full() => limit = Duration::ZERO,
                Ok(_) => break,
                Err(error) => return self.take_error(error),
            }
        }
        if !is_in_order {
            self.look_into_offsets();
        }
        Ok(())
    }

    fn take_error(&mut self, error: KafkaError) -> Result<()> {
        if let KafkaError::PartitionEOF(partition) = error {
            self.partitions.end(partition);
            return Ok(());
        }
        match self.troubles.judge(error, self.config)? {
            Trouble::Passing(told) => told.into_iter().for_each(&mut *self.report),
            Trouble::NoTopic(told) => {
                told.into_iter().for_each(&mut *self.report);
                self.watch.need();
            }
            Trouble::NoOffset => self.look_into_offsets(),
        }
        Ok(())
    }

    // The group.

    fn follow(&mut self, rebalance: Rebalance) {
        self.troubles.group_answered();
        self.disowned = false;
        match rebalance {
            Rebalance::Assigned(partitions) => {
                self.partitions.assign(partitions);
                self.watch.need();
            }
            Rebalance::Revoked(partitions) => {
                self.partitions.revoke(partitions);
                self.drain.get_or_insert_with(|| (Drain::Leaving, Instant::now()));
            }
            Rebalance::Lost(partitions) => {
                let ours: Vec<i32> = self.partitions.all().filter(|ours| partitions.contains(ours)).collect();
                if !ours.is_empty() {
                    self.warn(format!(
                        "partition {ours:?} was taken away by the group, which heard nothing of this consumer for too \
                         long; what was read here and is not committed is dropped"
                    ));
                }
                self.partitions.lose(&partitions);
                self.ledger.forget(partitions);
                self.forget_what_was_read();
                if self.partitions.leaving().is_empty() {
                    self.drain.take_if(|(drain, _)| *drain == Drain::Leaving);
                }
            }
        }
    }

    /// The leaving partitions are given up; with `void`, what was read and is not written is not written any more.
    fn let_go(&mut self, void: bool) -> Result<()> {
        if void {
            self.warn(format!(
                "partition {:?} goes to another consumer before all that was read is committed; it is read again there",
                self.partitions.leaving()
            ));
            self.partitions.void();
        }
        let gone = self.partitions.leave();
        if void {
            self.forget_what_was_read();
        } else {
            self.member.show_offsets(self.ledger.committed(), CommitMode::Async);
            self.begin_generation();
        }
        self.ledger.forget(gone.iter().copied());
        self.drain = None;
        self.member.give_up(&gone)
    }

    /// After the generation has grown.
    fn begin_generation(&mut self) {
        self.writer.set_generation(self.partitions.generation());
        self.asked.clear();
        if self.doubt || !self.partitions.arriving().is_empty() {
            self.watch.need();
        }
    }

    /// After what was read has become void.
    fn forget_what_was_read(&mut self) {
        self.batch.clear();
        self.begin_generation();
    }

    /// Positions every partition anew: what was read and is not written counts no more.
    fn void(&mut self) {
        self.partitions.void();
        self.forget_what_was_read();
    }

    // The topic.

    fn look_into_offsets(&mut self) {
        if !std::mem::replace(&mut self.doubt, true) {
            self.watch.need();
        }
    }

    fn look_after_topic(&mut self) -> Result<()> {
        let Some((news, needed)) = self.watch.look() else { return Ok(()) };
        match news {
            News::Missing => {
                let told = self.troubles.topic_is_missing(self.config);
                told.into_iter().for_each(&mut *self.report);
            }
            News::Changed(_) => {
                self.troubles.topic_is_there();
                (self.doubt, self.shorter) = (false, BTreeSet::new());
                if !self.partitions.reading().is_empty() || !self.asked.is_empty() {
                    self.void();
                }
            }
            News::Same | News::Silent => {
                self.troubles.topic_is_there();
                // To place a partition while others are to be given up would give them up.
                if needed && self.partitions.leaving().is_empty() && std::mem::take(&mut self.doubt) {
                    self.mend_offsets()?;
                }
            }
        }
        Ok(())
    }

    /// It is the same topic, and a partition does not have the offset that is next, or has come out of
    /// order: what retention took is counted as missing, a log that was cut is read from its beginning.
    fn mend_offsets(&mut self) -> Result<()> {
        let mut found = Vec::new();
        for (partition, cursor) in self.partitions.reading() {
            match self.member.bounds(*partition) {
                Ok(bounds) => found.push((*partition, cursor.next, judge_offsets(cursor.next, bounds))),
                Err(error) => {
                    tracing::warn!(%error, partition, "The broker did not say where a partition begins; asking again.");
                    self.look_into_offsets();
                    return Ok(());
                }
            }
        }
        self.shorter.clear();
        for (partition, from, judged) in found {
            match (judged, self.partitions.cursor(partition)) {
                (Offsets::Gap(to), Some(cursor)) => {
                    self.batch.skip(partition, cursor, to);
                    if from > 0 {
                        self.warn(format!(
                            "partition {partition}: offsets {from} to {} were deleted by the topic's retention before \
                             they were read; {} are counted as missing",
                            to - 1,
                            to - from
                        ));
                    }
                }
                (Offsets::Shorter, _) => drop(self.shorter.insert(partition)),
                _ => {}
            }
        }
        if self.shorter.is_empty() {
            return self.place(&self.partitions.reading().keys().copied().collect());
        }
        self.void();
        Ok(())
    }

    // Positions.

    /// Has the writer take over what arrives, once the topic's id is known.
    fn take_over(&mut self) {
        if self.watch.is_needed() || self.disowned || !self.partitions.leaving().is_empty() {
            return;
        }
        let arriving = self.partitions.arriving().difference(&self.asked).copied();
        let (shorter, others): (Vec<i32>, Vec<i32>) = arriving.partition(|partition| self.shorter.contains(partition));
        let origin =
            Origin { cluster_id: self.member.cluster_id(), topic_id: self.watch.id().map(ToOwned::to_owned) };
        for (partitions, start_over) in [(shorter, true), (others, false)] {
            if !partitions.is_empty() {
                self.asked.extend(&partitions);
                let generation = self.partitions.generation();
                self.writer.send(Command::TakeOver { generation, partitions, origin: origin.clone(), start_over });
            }
        }
    }

    /// Reads partitions from where PostgreSQL says.
    fn begin_reading(&mut self, taken: TakeOver) -> Result<()> {
        if !taken.ended.is_empty() {
            self.warn(format!(
                "ended session {:?} of PostgreSQL: a consumer that does not answer kept the partitions locked",
                taken.ended
            ));
        }
        for why in [Restart::Cluster, Restart::Topic, Restart::Shorter] {
            let partitions: Vec<i32> =
                taken.restarted.iter().filter(|(_, restart)| *restart == why).map(|(partition, _)| *partition).collect();
            if !partitions.is_empty() {
                self.warn(format!(
                    "{}, so partition {partitions:?} is read from the beginning; what is stored already counts as \
                     duplicate",
                    match why {
                        Restart::Cluster => "the cluster is another one than before".to_owned(),
                        Restart::Topic => format!("topic {:?} was deleted and made anew", self.config.kafka.topic),
                        Restart::Shorter => "the log ends before the offset that is next".to_owned(),
                    }
                ));
            }
        }
        let mut cursors = BTreeMap::new();
        for (partition, position) in &taken.positions {
            self.shorter.remove(partition);
            cursors.insert(*partition, Cursor { epoch: position.epoch, next: position.next_offset });
        }
        let placed = self.partitions.place(cursors);
        self.asked.retain(|partition| !placed.contains(partition));
        self.ledger.open(taken.positions.iter().filter(|(partition, _)| placed.contains(partition)));
        if placed.is_empty() {
            return Ok(());
        }
        let reading = self.partitions.reading();
        let from = placed.iter().map(|partition| (*partition, reading[partition].next)).collect();
        (self.report)(ConsumeEvent::Assigned(from));
        self.place(&placed)
    }

    /// Tells librdkafka from where to read. Never from "the beginning", which it remembers of a topic
    /// that was deleted; an offset 0 that is not there is looked into like any other.
    fn place(&mut self, changed: &BTreeSet<i32>) -> Result<()> {
        let offsets = self.partitions.reading().iter().map(|(partition, cursor)| (*partition, cursor.next)).collect();
        self.member.place(&offsets, changed)?;
        if self.paused { self.pause() } else { Ok(()) }
    }

    // The writer.

    fn take_reply(&mut self, reply: Reply) -> Result<()> {
        match reply {
            Reply::Failed(error) => return Err(error),
            Reply::Prepared(_) | Reply::Connected => {}
            Reply::Outdated(batch) => {
                batch.into_iter().for_each(|batch| self.keep_spare(batch));
                if self.away {
                    // There may be nothing else to tell by that it is back.
                    self.writer.send(Command::Connect);
                }
            }
            Reply::Waiting { error } => {
                self.away = true;
                (self.report)(ConsumeEvent::Waiting { reason: error });
            }
            Reply::Recovered { after } => {
                self.away = false;
                (self.report)(ConsumeEvent::Recovered { after });
            }
            Reply::TakenOver { generation, taken } => {
                // While partitions are to be given up, placing others would give them up; asked again after.
                if generation == self.partitions.generation() && self.partitions.leaving().is_empty() {
                    self.begin_reading(taken)?;
                }
            }
            Reply::Written { batch, positions, took } => {
                self.last_took = took;
                let report = self.ledger.count(&batch, &positions, took, self.member.group());
                self.keep_spare(batch);
                self.unshown = true;
                (self.report)(ConsumeEvent::Batch(report));
            }
            Reply::Refused { generation, batch, refusal } => {
                self.keep_spare(batch);
                self.recover_from(refusal, generation == self.partitions.generation())?;
            }
        }
        Ok(())
    }

    /// A batch was dropped by the fence. `current`: it was of what is still read.
    fn recover_from(&mut self, refusal: Refusal, current: bool) -> Result<()> {
        if !current {
            // That the partition is gone has been told.
            return Ok(());
        }
        match refusal {
            Refusal::Moved { partition } => {
                self.warn(format!(
                    "partition {partition} stands elsewhere in PostgreSQL than this consumer left it; reading on from \
                     there"
                ));
                self.void();
                Ok(())
            }
            Refusal::TakenOver { partition } => {
                self.warn(format!(
                    "partition {partition} was taken over by another consumer; what was read here and is not committed \
                     is dropped"
                ));
                // To take them over would fence out their owner: the group says anew whose they are.
                self.disowned = true;
                self.void();
                self.member.rejoin()
            }
        }
    }
}

/// Puts a message into the batch if its partition is read. False for an offset below the one that
/// is next: the log was cut, or the topic made anew.
fn take_message(batch: &mut Batch, partitions: &mut Partitions, message: &BorrowedMessage<'_>) -> bool {
    let (partition, offset) = (message.partition(), message.offset());
    let Some(cursor) = partitions.cursor(partition) else { return true };
    if offset < cursor.next {
        return false;
    }
    let payload = message.payload();
    batch.push((partition, offset), cursor, message.key(), payload, validate(payload));
    true
}
