//! The poll loop itself: fills batches, hands them to the writer, and takes its replies. What concerns
//! where partitions are read is in `positions`.

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
use super::warning::{Service, Warning, WarningKind};
use super::writer::{Command, Reply, Writer};
use crate::error::{Error, Result};
use crate::report::Observers;
use ccstream_core::event::Micros;
use ccstream_core::settings::ConsumerConfig;
use ccstream_core::validate::{check_key, validate_until};

/// Messages taken between two looks at the clock and the writer.
const AT_ONCE: usize = 256;
/// This part of a full batch is ample: what a transaction costs beside its rows, 5 ms or so, is little of it by then.
const AMPLE: usize = 8;
/// How often offsets go to Kafka, for tools that show lag.
const SHOW_OFFSETS_EVERY: Duration = Duration::from_secs(1);

/// One run of the consumer.
pub(super) struct Poll<'r, 'o> {
    pub(super) config: &'r ConsumerConfig,
    /// Shares the member's client, and so goes first.
    pub(super) watch: Watch,
    /// Ends before the group is left: what it writes is ours until then.
    pub(super) writer: Writer,
    pub(super) member: Member,
    pub(super) observers: &'r mut Observers<'o, ConsumeEvent>,
    pub(super) ownership: Ownership,
    pub(super) ledger: Ledger,
    /// Being filled.
    pub(super) shares: Shares,
    /// Memory of the shares before, to be filled again.
    spare: Option<Shares>,
    /// The writer has shares.
    in_flight: bool,
    pub(super) paused: bool,
    /// PostgreSQL is away.
    away: bool,
    /// Since when nothing more is to be read, and why.
    pub(super) drain: Option<(Drain, Instant)>,
    /// What ends the run once all that was read is written.
    pub(super) ending: Option<Error>,
    last_took: Duration,
    /// When Kafka was last shown where PostgreSQL stands, and whether it has moved since.
    shown: Instant,
    unshown: bool,
    pub(super) troubles: Troubles,
}

impl<'r, 'o> Poll<'r, 'o> {
    pub(super) fn new(
        config: &'r ConsumerConfig,
        member: Member,
        writer: Writer,
        topic_found: bool,
        observers: &'r mut Observers<'o, ConsumeEvent>,
    ) -> Self {
        Self {
            config,
            watch: Watch::new(member.topic_ids()),
            member,
            writer,
            observers,
            ownership: Ownership::default(),
            ledger: Ledger::new(),
            shares: Shares::new(config),
            spare: None,
            in_flight: false,
            paused: false,
            away: false,
            drain: None,
            ending: None,
            last_took: Duration::ZERO,
            shown: Instant::now(),
            unshown: false,
            troubles: Troubles::new(topic_found),
        }
    }

    /// Runs to the end, writes what was read, and leaves the group. `summary` is what was committed, also where an
    /// error ends it.
    pub(super) fn run(mut self, stop: &CancellationToken, summary: &mut ConsumeSummary) -> Result<()> {
        let mut ended = self.read(stop);
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
                "the drain limit is over before the last batch was committed; it is read again by the next run",
            ));
        }
        self.leave();
        Ok(())
    }

    /// Reads until a stop; returns whether all that was read is committed.
    fn read(&mut self, stop: &CancellationToken) -> Result<bool> {
        loop {
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
                (Step::Await(limit), _) => {
                    // While there is nothing else to do, and PostgreSQL does not wait for it.
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

    /// What one connection has committed counts, though another's error ended the run.
    fn count_what_is_committed(&mut self) {
        while let Some(reply) = self.writer.reply(Duration::ZERO) {
            match reply {
                Reply::Committed(receipt) => self.count(receipt),
                // It was its last.
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
                "Kafka did not answer within {limit} s; the group notices after the session timeout of {session} s"
            );
            observers.report(&ConsumeEvent::Warning(Warning::new(WarningKind::LeaveUnanswered, text)));
        }
    }

    fn is_done(&self) -> bool {
        self.config.until_caught_up
            && self.ownership.partitions().is_caught_up()
            && !self.in_flight
            && self.shares.is_empty()
    }

    /// The shares can take no more.
    fn is_full(&self) -> bool {
        self.holds_part(1)
    }

    /// The shares are full, or to this part.
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
            away: self.away,
            drain: self.drain.map(|(drain, since)| (drain, limit.saturating_sub(since.elapsed()))),
            at_the_end: self.config.until_caught_up && self.ownership.partitions().is_caught_up(),
            last_took: self.last_took,
            linger: self.config.linger,
        }
    }

    pub(super) fn warn(&mut self, warning: Warning) {
        self.observers.report(&ConsumeEvent::Warning(warning));
    }

    /// Reports an event, if there is one.
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

    /// What was in flight is back.
    fn keep_spare(&mut self, mut shares: Shares) {
        self.in_flight = false;
        shares.clear();
        self.spare = Some(shares);
    }

    pub(super) fn pause(&mut self) -> Result<()> {
        self.paused = true;
        self.member.pause()
    }

    /// By placing all anew: a pause also drops librdkafka's word that an offset is gone, after which it
    /// would fetch no more.
    fn resume(&mut self) -> Result<()> {
        self.paused = false;
        self.place(&self.ownership.partitions().reading().keys().copied().collect())
    }

    /// Takes what is ready: at most [`AT_ONCE`] messages, waiting only for the first.
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
                    // A message of a partition that is read is never left out: its offset would be skipped.
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
            // librdkafka did not hear of it: see `member`.
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
                if self.away {
                    // There may be nothing else to tell by that it is back.
                    self.writer.send(Command::Connect);
                }
            }
            Reply::Waiting(waiting) => {
                self.away = true;
                self.observers.report(&ConsumeEvent::Waiting(waiting));
            }
            Reply::Recovered { after } => {
                self.away = false;
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

/// Puts a message into its batch if its partition is read. False for an offset below the one that
/// is next: the log was cut, or the topic made anew.
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

/// The latest time of an event that is taken now.
fn latest(max_ahead: Duration) -> Micros {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Micros(i64::try_from((now + max_ahead).as_micros()).unwrap_or(i64::MAX))
}
