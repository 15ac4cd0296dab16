//! The poll loop itself: fills batches, hands them to the writer, follows the group.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use tokio_util::sync::CancellationToken;

use super::group::{Group, Rebalance};
use super::ledger::Ledger;
use super::trouble::Troubles;
use super::writer::{Command, Reply, Writer};
use super::{ConsumeEvent, ConsumeSummary};
use crate::batch::Batch;
use crate::config::ConsumerConfig;
use crate::error::{Error, Result};
use crate::store::{Counters, Positions, Refusal};
use crate::validate::validate;

/// Longest wait without looking whether to stop.
const TICK: Duration = Duration::from_millis(100);
/// Longest wait for the writer, with a batch ready, without serving the group.
const BUSY_LIMIT: Duration = Duration::from_secs(1);
/// A batch waits for this many times what the last transaction took: PostgreSQL is then busy a
/// fifth of the time at low rates, and latency is a few commits.
const PATIENCE: u32 = 4;
/// Messages taken between two looks at the clock and the writer.
const AT_ONCE: usize = 256;
/// How often offsets go to Kafka, for tools that show lag.
const SHOW_OFFSETS_EVERY: Duration = Duration::from_secs(1);

/// What the consumer may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No partitions, or none yet.
    Unassigned,
    /// Partitions are ours in the group, paused until PostgreSQL says from where.
    Positioning,
    /// Messages are read and batched.
    Running,
}

/// One run of the consumer.
pub(super) struct Poll<'r> {
    config: &'r ConsumerConfig,
    consumer: BaseConsumer<Group>,
    writer: Writer,
    report: &'r mut dyn FnMut(ConsumeEvent),
    state: State,
    /// Counts assignments: replies to earlier ones are stale.
    generation: u64,
    /// Each partition's next offset as read so far, ahead of what is committed.
    next: BTreeMap<i32, i64>,
    ledger: Ledger,
    /// Being filled.
    batch: Box<Batch>,
    /// Memory of the batch before, to be filled again.
    spare: Option<Box<Batch>>,
    /// The writer has a batch.
    in_flight: bool,
    paused: bool,
    last_took: Duration,
    /// Partitions that have been read to their end at least once.
    ended: HashSet<i32>,
    caught_up: bool,
    shown: Instant,
    troubles: Troubles,
    /// Offsets have been committed that Kafka has not been shown.
    unshown: bool,
}

impl<'r> Poll<'r> {
    pub(super) fn new(
        config: &'r ConsumerConfig,
        consumer: BaseConsumer<Group>,
        writer: Writer,
        topic_found: bool,
        report: &'r mut dyn FnMut(ConsumeEvent),
    ) -> Self {
        Self {
            config,
            consumer,
            writer,
            report,
            state: State::Unassigned,
            generation: 0,
            next: BTreeMap::new(),
            ledger: Ledger::new(),
            batch: Box::default(),
            spare: None,
            in_flight: false,
            paused: false,
            last_took: Duration::ZERO,
            ended: HashSet::new(),
            caught_up: false,
            shown: Instant::now(),
            troubles: Troubles::new(topic_found),
            unshown: false,
        }
    }

    /// Runs to the end; then drains and leaves the group.
    pub(super) fn run(mut self, stop: &CancellationToken) -> Result<ConsumeSummary> {
        while !stop.is_cancelled() && !self.is_done() {
            self.step()?;
        }
        let drained = self.drain()?;
        Ok(self.ledger.close(drained))
    }

    fn is_done(&self) -> bool {
        self.config.until_caught_up && self.caught_up && !self.in_flight && self.batch.is_empty()
    }

    fn step(&mut self) -> Result<()> {
        if let Some(event) = self.troubles.long_wait(self.config) {
            (self.report)(event);
        }
        if self.unshown && self.shown.elapsed() >= SHOW_OFFSETS_EVERY {
            self.show_offsets(CommitMode::Async);
        }
        while let Some(reply) = self.writer.reply(Duration::ZERO) {
            self.take_reply(reply)?;
        }
        self.hand_over_if_due();
        if self.in_flight && self.is_full() {
            // Short waits are back-pressure; in a long one the group is served, with all paused.
            let Some(reply) = self.writer.reply(if self.paused { Duration::ZERO } else { BUSY_LIMIT }) else {
                self.pause()?;
                return self.poll(TICK);
            };
            return self.take_reply(reply);
        }
        self.poll(self.poll_limit())
    }

    /// The batch can take no more.
    fn is_full(&self) -> bool {
        self.batch.messages() >= self.config.batch_rows || self.batch.bytes() >= self.config.batch_bytes
    }

    /// How long a batch waits for company.
    fn patience(&self) -> Duration {
        (self.last_took * PATIENCE).min(self.config.linger.saturating_sub(self.last_took))
    }

    fn poll_limit(&self) -> Duration {
        match self.batch.opened {
            None => TICK,
            // The writer's reply does not wake a poll.
            Some(_) if self.in_flight && !self.paused => Duration::from_millis(2),
            Some(_) if self.in_flight => TICK,
            Some(opened) => self.patience().saturating_sub(opened.elapsed()).min(TICK),
        }
    }

    fn hand_over_if_due(&mut self) {
        let Some(opened) = self.batch.opened else { return };
        if self.in_flight || self.state != State::Running {
            return;
        }
        let at_the_end = self.config.until_caught_up && self.caught_up;
        if self.is_full() || at_the_end || opened.elapsed() >= self.patience() {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let mut batch = std::mem::replace(&mut self.batch, self.spare.take().unwrap_or_default());
        batch.seal();
        self.in_flight = true;
        self.writer.send(Command::Write { generation: self.generation, batch });
    }

    /// Takes what is ready: at most [`AT_ONCE`] messages, waiting only for the first.
    fn poll(&mut self, mut limit: Duration) -> Result<()> {
        for _ in 0..AT_ONCE {
            let polled = match self.consumer.poll(limit) {
                None => Ok(false),
                Some(Err(error)) => Err(Trouble::Kafka(error)),
                // Paused and unpositioned partitions deliver nothing that counts.
                Some(Ok(_)) if self.state != State::Running || self.consumer.context().is_rebalanced() => Ok(true),
                Some(Ok(message)) => take_message(&mut self.batch, &mut self.next, &message).map(|()| true),
            };
            for rebalance in self.consumer.context().take_rebalances() {
                self.follow(rebalance);
            }
            match polled {
                Ok(true) if !self.is_full() => limit = Duration::ZERO,
                Ok(_) => break,
                Err(Trouble::Kafka(error)) => return self.take_error(error),
                Err(Trouble::WentBack { partition, from, to }) => {
                    return Err(Error::Broker(format!(
                        "partition {partition} went back from offset {from} to {to}: its topic was made anew; start \
                         the consumer again"
                    )));
                }
            }
        }
        Ok(())
    }

    fn take_error(&mut self, error: KafkaError) -> Result<()> {
        if let KafkaError::PartitionEOF(partition) = error {
            if self.state == State::Running {
                self.ended.insert(partition);
                self.caught_up = self.next.keys().all(|partition| self.ended.contains(partition));
            }
            return Ok(());
        }
        if let Some(event) = self.troubles.judge(error, self.config, &self.next)? {
            (self.report)(event);
        }
        Ok(())
    }

    fn follow(&mut self, rebalance: Rebalance) {
        // Messages that are batched and not handed over are read again by whoever has the partition.
        self.batch.clear();
        self.generation += 1;
        self.next.clear();
        self.ended.clear();
        self.paused = false;
        self.troubles.group_answered();
        match rebalance {
            Rebalance::Revoked => {
                self.state = State::Unassigned;
                self.caught_up = false;
            }
            Rebalance::Assigned(partitions) if partitions.is_empty() => {
                self.state = State::Unassigned;
                // More consumers than partitions: nothing to read is nothing left to read.
                self.caught_up = true;
            }
            Rebalance::Assigned(partitions) => {
                self.state = State::Positioning;
                self.caught_up = false;
                let cluster_id = self.consumer.client().fetch_cluster_id(Duration::ZERO);
                self.writer.send(Command::TakeOver { generation: self.generation, partitions, cluster_id });
            }
        }
    }

    /// Reads on from where PostgreSQL says.
    fn assign(&mut self) -> Result<()> {
        let mut list = self.ledger.offsets(&self.config.kafka.topic)?;
        for (partition, position) in self.ledger.positions() {
            // Nothing read yet: wherever the log begins, which retention may have moved.
            if position.next_offset == 0 {
                list.set_partition_offset(&self.config.kafka.topic, *partition, Offset::Beginning)
                    .map_err(Error::kafka("assigning partitions"))?;
            }
        }
        self.consumer.assign(&list).map_err(Error::kafka("assigning partitions"))?;
        // A pause outlives the assignment that it was made in.
        self.consumer.resume(&list).map_err(Error::kafka("assigning partitions"))?;
        let positions = self.ledger.positions();
        self.next = positions.iter().map(|(partition, position)| (*partition, position.next_offset)).collect();
        self.ended.clear();
        self.caught_up = false;
        self.paused = false;
        self.state = State::Running;
        (self.report)(ConsumeEvent::Assigned(self.next.clone()));
        Ok(())
    }

    fn take_reply(&mut self, reply: Reply) -> Result<()> {
        match reply {
            Reply::Failed(error) => return Err(error),
            Reply::Prepared(_) | Reply::Outdated => {}
            Reply::Waiting { error } => {
                (self.report)(ConsumeEvent::Waiting { reason: error });
                self.pause()?;
            }
            Reply::Recovered { after } => (self.report)(ConsumeEvent::Recovered { after }),
            Reply::TakenOver { generation, positions, elsewhere } => {
                if generation == self.generation {
                    if !elsewhere.is_empty() {
                        (self.report)(ConsumeEvent::Warning(format!(
                            "the cluster is another one than before, so partition {elsewhere:?} is read from the \
                             beginning; what is stored already counts as duplicate"
                        )));
                    }
                    self.ledger.open(positions);
                    self.assign()?;
                }
            }
            Reply::Written { batch, positions, took } => {
                self.in_flight = false;
                self.last_took = took;
                self.ledger.count_reasons(&batch);
                self.keep_spare(batch);
                let counted = self.ledger.count(&positions);
                self.resume()?;
                self.report_batch(counted, took);
                self.unshown = true;
            }
            Reply::Refused { generation, batch, refusal, positions } => {
                self.in_flight = false;
                let counted = self.ledger.count(&positions);
                if counted.consumed > 0 {
                    // Its COMMIT had gone through, and only the answer was lost.
                    self.ledger.count_reasons(&batch);
                    self.report_batch(counted, self.last_took);
                }
                self.keep_spare(batch);
                if generation == self.generation {
                    self.batch.clear();
                    self.recover_from(refusal, positions)?;
                }
            }
        }
        Ok(())
    }

    fn recover_from(&mut self, refusal: Refusal, positions: Positions) -> Result<()> {
        self.generation += 1;
        match refusal {
            // Of partitions that moved, all must still be ours.
            Refusal::Moved { partition } if self.next.keys().all(|ours| positions.contains_key(ours)) => {
                tracing::warn!(partition, "A partition stands elsewhere than expected; reading on from there.");
                self.ledger.open(positions);
                self.assign()
            }
            Refusal::Moved { partition } | Refusal::TakenOver { partition } => {
                let text = format!("partition {partition} was taken over by another consumer; joining the group again");
                (self.report)(ConsumeEvent::Warning(text));
                self.state = State::Unassigned;
                self.caught_up = false;
                self.next.clear();
                self.consumer.unsubscribe();
                self.consumer.subscribe(&[&self.config.kafka.topic]).map_err(Error::kafka("joining the group again"))
            }
        }
    }

    fn keep_spare(&mut self, mut batch: Box<Batch>) {
        batch.clear();
        self.spare = Some(batch);
    }

    fn report_batch(&mut self, counted: Counters, took: Duration) {
        let batch = self.ledger.report(counted, took, self.consumer.context());
        (self.report)(ConsumeEvent::Batch(batch));
    }

    fn pause(&mut self) -> Result<()> {
        if !self.paused && self.state == State::Running {
            let list = self.consumer.assignment().map_err(Error::kafka("pausing"))?;
            self.consumer.pause(&list).map_err(Error::kafka("pausing"))?;
            self.paused = true;
        }
        Ok(())
    }

    fn resume(&mut self) -> Result<()> {
        if self.paused {
            let list = self.consumer.assignment().map_err(Error::kafka("resuming"))?;
            self.consumer.resume(&list).map_err(Error::kafka("resuming"))?;
            self.paused = false;
        }
        Ok(())
    }

    /// Tells Kafka where PostgreSQL stands. Failing costs nothing but a stale figure elsewhere.
    fn show_offsets(&mut self, mode: CommitMode) {
        if self.state != State::Running {
            return;
        }
        (self.shown, self.unshown) = (Instant::now(), false);
        let shown = self.ledger.offsets(&self.config.kafka.topic).and_then(|list| {
            // An empty list would commit what librdkafka itself has stored, which is nothing.
            if list.count() == 0 {
                return Ok(());
            }
            self.consumer.commit(&list, mode).map_err(Error::kafka("committing offsets"))
        });
        if let Err(error) = shown {
            tracing::debug!(%error, "Offsets were not shown to Kafka.");
        }
    }

    /// Writes what is batched, and shows Kafka the last offsets; false if the drain limit ends it before.
    fn drain(&mut self) -> Result<bool> {
        let until = Instant::now() + self.config.drain_limit;
        loop {
            if !self.in_flight {
                if self.batch.is_empty() || self.state != State::Running {
                    break;
                }
                self.hand_over();
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                (self.report)(ConsumeEvent::Warning(
                    "the drain limit is over before the last batch was committed; it is read again by the next run"
                        .into(),
                ));
                return Ok(false);
            }
            if let Some(reply) = self.writer.reply(left.min(TICK)) {
                self.take_reply(reply)?;
            }
        }
        self.show_offsets(CommitMode::Sync);
        Ok(true)
    }
}

/// Why a polled message is not taken.
enum Trouble {
    Kafka(KafkaError),
    /// An offset below the expected one: the topic was made anew.
    WentBack {
        partition: i32,
        from: i64,
        to: i64,
    },
}

fn take_message(
    batch: &mut Batch,
    next: &mut BTreeMap<i32, i64>,
    message: &BorrowedMessage<'_>,
) -> Result<(), Trouble> {
    let (partition, offset) = (message.partition(), message.offset());
    let Some(expected) = next.get_mut(&partition) else { return Ok(()) };
    if offset < *expected {
        return Err(Trouble::WentBack { partition, from: *expected, to: offset });
    }
    let payload = message.payload();
    batch.push((partition, offset, *expected), message.key(), payload, validate(payload));
    *expected = offset + 1;
    Ok(())
}
