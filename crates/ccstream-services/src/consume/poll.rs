//! The poll loop fills batches, hands them to the writer and handles the writer's replies. `positions` has the part
//! that decides where each partition is read.

use std::time::{Duration, Instant, SystemTime};

use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use tokio_util::sync::CancellationToken;

use super::ledger::{Ledger, Receipt};
use super::member::{LEAVE_LIMIT, Member};
use super::ownership::Ownership;
use super::report::{ConsumeEvent, ConsumeSummary};
use super::shares::Shares;
use super::state::{Drain, Fill, Step, View, next};
use super::topic::Watch;
use super::trouble::{Cause, Trouble, Troubles};
use super::truth::TruthTask;
use super::warning::{Service, Warning, WarningKind};
use super::writer::{Command, Reply, Writer};
use crate::error::{Error, Result};
use crate::report::Observers;
use ccstream_core::event::Micros;
use ccstream_core::settings::ConsumerConfig;
use ccstream_core::validate::{check_key, validate_until};

/// Maximum number of messages that one poll takes before the loop checks the clock and the writer's replies again.
const AT_ONCE: usize = 256;
/// A batch is ample once it is 1/8 full. The fixed cost of a transaction, about 5 ms, is then small compared with the
/// cost of the batch's rows, so waiting for more messages gains little.
const AMPLE: usize = 8;
/// Interval at which committed offsets are copied to Kafka, for tools that show consumer lag.
const SHOW_OFFSETS_EVERY: Duration = Duration::from_secs(1);

/// Holds the state of one run of the consumer.
pub(super) struct Poll<'r, 'o> {
    pub(super) config: &'r ConsumerConfig,
    /// Holds a reference to the member's client, so it must be dropped before the member.
    pub(super) watch: Watch,
    /// The writer must end before the member leaves the group: until then, the partitions that it writes have to be
    /// this consumer's.
    pub(super) writer: Writer,
    /// The thread that reads the topic of truth. None if the settings do not ask for it.
    pub(super) truth: Option<TruthTask>,
    pub(super) member: Member,
    pub(super) observers: &'r mut Observers<'o, ConsumeEvent>,
    pub(super) ownership: Ownership,
    pub(super) ledger: Ledger,
    /// The shares that are being filled.
    pub(super) shares: Shares,
    /// Empty shares whose memory is reused for the next hand-over.
    spare: Option<Shares>,
    /// Whether the writer holds shares.
    in_flight: bool,
    /// Whether fetching is paused.
    pub(super) paused: bool,
    /// Whether PostgreSQL is unavailable.
    unavailable: bool,
    /// Why the consumer is draining, and since when. None while it reads.
    pub(super) drain: Option<(Drain, Instant)>,
    /// The error with which the run ends, once everything that was read is written.
    pub(super) ending: Option<Error>,
    /// How long the last transaction took.
    last_took: Duration,
    /// When committed offsets were last copied to Kafka.
    shown: Instant,
    /// Whether PostgreSQL has committed offsets that are not copied to Kafka yet.
    unshown: bool,
    pub(super) troubles: Troubles,
}

impl<'r, 'o> Poll<'r, 'o> {
    pub(super) fn new(
        config: &'r ConsumerConfig,
        member: Member,
        writer: Writer,
        truth: Option<TruthTask>,
        topic_found: bool,
        observers: &'r mut Observers<'o, ConsumeEvent>,
    ) -> Self {
        Self {
            config,
            watch: Watch::new(member.topic_ids()),
            member,
            writer,
            truth,
            observers,
            ownership: Ownership::default(),
            ledger: Ledger::new(),
            shares: Shares::new(config),
            spare: None,
            in_flight: false,
            paused: false,
            unavailable: false,
            drain: None,
            ending: None,
            last_took: Duration::ZERO,
            shown: Instant::now(),
            unshown: false,
            troubles: Troubles::new(topic_found),
        }
    }

    /// Runs until a stop, the end of the topic or an error, then leaves the group. Sets `summary` to what was
    /// committed, even if an error ends the run.
    pub(super) fn run(mut self, stop: &CancellationToken, summary: &mut ConsumeSummary) -> Result<()> {
        let mut ended = self.read(stop);
        let truth_is_committed = self.end_truth();
        ended = ended.map(|committed| committed && truth_is_committed);
        if let (Ok(_), Some(error)) = (&ended, self.ending.take()) {
            ended = Err(error);
        }
        if ended.is_err() {
            self.count_what_is_committed();
        }
        self.writer.close();
        *summary = self.ledger.close(matches!(ended, Ok(true)));
        if ended? {
            self.member.show_offsets(self.ledger.committed());
        } else {
            self.warn(Warning::new(
                WarningKind::DrainLimit,
                "the drain limit was reached before the last batch was committed; the next run reads its messages \
                 again. Raise `drain_limit` if this happens often",
            ));
        }
        self.leave();
        Ok(())
    }

    /// Reads until the consumer has stopped. Returns whether everything that was read is committed.
    fn read(&mut self, stop: &CancellationToken) -> Result<bool> {
        loop {
            if self.drain.is_none_or(|(drain, _)| drain != Drain::Stop) && (stop.is_cancelled() || self.is_done()) {
                self.drain = Some((Drain::Stop, Instant::now()));
            }
            while let Some(reply) = self.writer.reply(Duration::ZERO) {
                self.take_reply(reply)?;
            }
            self.follow_truth();
            self.watch_topic()?;
            self.take_over();
            match (next(&self.view()), self.drain) {
                (Step::HandOver, _) => self.hand_over(),
                (Step::Await(limit), _) => {
                    // Sealing sorts the rows. It delays nothing here, because PostgreSQL is still busy.
                    self.shares.seal();
                    match self.writer.reply(limit) {
                        Some(reply) => self.take_reply(reply)?,
                        None => self.pause()?,
                    }
                }
                (Step::Pause, _) => self.pause()?,
                (Step::Resume, _) => self.resume()?,
                (Step::Poll(limit), _) => self.poll(limit)?,
                (ended @ (Step::Drained | Step::GiveUp), Some((Drain::Stop, _))) => return Ok(ended == Step::Drained),
                (ended @ (Step::Drained | Step::GiveUp), _) => self.let_go(ended == Step::GiveUp)?,
            }
        }
    }

    /// Counts the batches that other connections committed before an error of one connection ended the run.
    fn count_what_is_committed(&mut self) {
        while let Some(reply) = self.writer.reply(Duration::ZERO) {
            match reply {
                Reply::Committed(receipt) => self.count(receipt),
                // The writer sends nothing after a failure.
                Reply::Failed(_) => break,
                _ => {}
            }
        }
    }

    fn count(&mut self, receipt: Receipt) {
        let report = self.ledger.count(receipt, self.member.group());
        self.observers.report(&ConsumeEvent::Batch(report));
    }

    fn leave(self) {
        let Self { watch, writer, mut member, observers, config, .. } = self;
        drop(writer);
        drop(watch);
        if !member.leave() {
            let (limit, session) = (LEAVE_LIMIT.as_secs(), config.session_timeout.as_secs());
            let text = format!(
                "Kafka did not answer within {limit} s, so the consumer ended without leaving its group; the group \
                 reassigns its partitions after the session timeout of {session} s"
            );
            observers.report(&ConsumeEvent::Warning(Warning::new(WarningKind::LeaveUnanswered, text)));
        }
    }

    fn is_done(&self) -> bool {
        self.config.until_caught_up
            && self.ownership.partitions().is_caught_up()
            && !self.in_flight
            && self.shares.is_empty()
            && self.truth.as_ref().is_none_or(TruthTask::is_caught_up)
    }

    /// Returns whether the shares have reached the limit of rows or bytes.
    fn is_full(&self) -> bool {
        self.holds_part(1)
    }

    /// Returns whether the shares have reached 1/`part` of the limit of rows or bytes.
    fn holds_part(&self, part: usize) -> bool {
        self.shares.messages() >= self.config.batch_rows.div_ceil(part)
            || self.shares.bytes() >= self.config.batch_bytes.div_ceil(part)
    }

    fn view(&self) -> View {
        let limit = self.config.drain_limit;
        View {
            fill: match self.shares.opened() {
                None => Fill::Empty,
                Some(_) if self.is_full() => Fill::Full,
                Some(_) if self.holds_part(AMPLE) => Fill::Ample,
                Some(opened) => Fill::Open(opened.elapsed()),
            },
            in_flight: self.in_flight,
            paused: self.paused,
            unavailable: self.unavailable,
            drain: self.drain.map(|(drain, since)| (drain, limit.saturating_sub(since.elapsed()))),
            at_the_end: self.config.until_caught_up && self.ownership.partitions().is_caught_up(),
            last_took: self.last_took,
            linger: self.config.linger,
        }
    }

    pub(super) fn warn(&mut self, warning: Warning) {
        self.observers.report(&ConsumeEvent::Warning(warning));
    }

    /// Passes an event, if there is one, to the observers.
    pub(super) fn report(&mut self, event: Option<ConsumeEvent>) {
        if let Some(event) = event {
            self.observers.report(&event);
        }
    }

    fn hand_over(&mut self) {
        self.shares.seal();
        let empty = self.spare.take().unwrap_or_else(|| Shares::new(self.config));
        let shares = self.shares.exchange(empty);
        self.in_flight = true;
        self.writer.send(Command::Write { generation: self.ownership.partitions().generation(), shares });
    }

    /// Keeps the memory of shares that the writer has returned.
    fn keep_spare(&mut self, mut shares: Shares) {
        self.in_flight = false;
        shares.clear();
        self.spare = Some(shares);
    }

    pub(super) fn pause(&mut self) -> Result<()> {
        self.paused = true;
        self.member.pause()
    }

    /// Resumes by re-assigning every partition at its next offset. `resume()` alone is not enough: a pause discards a
    /// pending offset-out-of-range event, and librdkafka would then never fetch that partition again.
    fn resume(&mut self) -> Result<()> {
        self.paused = false;
        self.assign(&self.ownership.partitions().reading().keys().copied().collect())
    }

    /// Serves the group and takes at most [`AT_ONCE`] messages. Waits up to `limit` for the first; the others must be
    /// in librdkafka's queue already.
    fn poll(&mut self, mut limit: Duration) -> Result<()> {
        let long_wait = self.troubles.long_wait(self.config, Instant::now());
        self.report(long_wait);
        if self.unshown && self.shown.elapsed() >= SHOW_OFFSETS_EVERY {
            (self.shown, self.unshown) = (Instant::now(), false);
            self.member.show_offsets(self.ledger.committed());
        }
        self.member.keep_brokers();
        let (mut is_in_order, mut any) = (true, false);
        let mut failed = None;
        let latest = latest(self.config.max_ahead);
        for _ in 0..AT_ONCE {
            let polled = match self.member.poll(limit) {
                None => Ok(false),
                Some(Err(error)) => Err(error),
                Some(Ok(message)) => {
                    // Every polled message is taken, even beyond the limits: a dropped one would never be read again.
                    is_in_order &= take_message(&mut self.shares, &mut self.ownership, &message, latest);
                    any = true;
                    Ok(true)
                }
            };
            for rebalance in self.member.take_rebalances() {
                self.follow(rebalance);
            }
            match polled {
                Ok(true) if !self.is_full() => limit = Duration::ZERO,
                Ok(_) => break,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        if any && self.paused {
            // Messages that arrive while paused show that librdkafka dropped the pause, as explained at `RESUMES`.
            self.pause()?;
        }
        if !is_in_order {
            self.look_into_offsets();
        }
        failed.map_or(Ok(()), |error| self.take_error(error))
    }

    fn take_error(&mut self, error: KafkaError) -> Result<()> {
        if let KafkaError::PartitionEOF(partition) = error {
            self.ownership.end(partition);
            return Ok(());
        }
        let group = self.member.group();
        let last_error = group.log.last_error();
        let others_answer = group.others_answer(last_error.as_deref());
        let cause = Cause { refusal: group.log.last_refusal(), last_error, others_answer };
        match self.troubles.judge(error, cause, self.config)? {
            Trouble::Passing(event) => self.report(event),
            Trouble::NoTopic(event) => {
                self.report(event);
                self.watch.need();
            }
            Trouble::NoOffset => self.look_into_offsets(),
            Trouble::Unreadable => self.look_into_unreadable()?,
        }
        Ok(())
    }

    fn take_reply(&mut self, reply: Reply) -> Result<()> {
        match reply {
            Reply::Failed(error) => return Err(error),
            Reply::Prepared(_) | Reply::Connected => {}
            Reply::Warning(warning) => self.warn(warning),
            Reply::Outdated(shares) => {
                if let Some(shares) = shares {
                    self.keep_spare(shares);
                }
                if self.unavailable {
                    // Without another command the writer would not notice that PostgreSQL is available again.
                    self.writer.send(Command::Connect);
                }
            }
            Reply::Waiting(waiting) => {
                self.unavailable = true;
                self.observers.report(&ConsumeEvent::Waiting(waiting));
            }
            Reply::Recovered { after } => {
                self.unavailable = false;
                self.observers.report(&ConsumeEvent::Recovered { service: Service::Postgres, after });
            }
            Reply::TakenOver { generation, taken } => {
                if self.ownership.awaits(generation) {
                    self.begin_reading(&taken)?;
                }
            }
            Reply::Committed(receipt) => {
                self.last_took = receipt.took;
                self.unshown = true;
                self.count(receipt);
            }
            Reply::Written { generation, shares } => {
                let refusal = shares.refusal();
                self.keep_spare(shares);
                if let Some(refusal) = refusal {
                    self.recover_from(refusal, generation == self.ownership.partitions().generation())?;
                }
            }
        }
        Ok(())
    }
}

/// Adds a message to its batch if its partition is being read. Returns false if the offset is below the next one, which
/// means that the log was truncated or the topic was recreated.
fn take_message(shares: &mut Shares, ownership: &mut Ownership, message: &BorrowedMessage<'_>, latest: Micros) -> bool {
    let (partition, offset) = (message.partition(), message.offset());
    let Some(cursor) = ownership.cursor(partition) else { return true };
    if offset < cursor.next {
        return false;
    }
    let payload = message.payload();
    let verdict = validate_until(payload, latest).and_then(|event| check_key(message.key()).map(|()| event));
    shares.batch_of(partition).push((partition, offset), cursor, message.key(), payload, verdict);
    true
}

/// Returns the latest event time that is accepted now: `max_ahead` after the current time.
fn latest(max_ahead: Duration) -> Micros {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Micros(i64::try_from((now + max_ahead).as_micros()).unwrap_or(i64::MAX))
}
