//! The thread that owns the connections to PostgreSQL. It is given one command at a time and answers
//! each, however long the database is away; the poll loop never waits for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::mpsc as commands;
use tokio_util::sync::CancellationToken;

use super::database::{Database, Session};
use super::ledger::Receipt;
use super::shares::{Share, Shares};
use super::warning::{Waiting, WaitingKind, Warning, WarningKind};
use crate::error::{Error, Result};
use crate::postgres::{Origin, Outcome, SchemaChange, TakeOver};

/// Waits between tries to reach PostgreSQL: from this, doubling,
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// to this.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// A PostgreSQL that has not answered for so long, though the connection stands, is told of.
const SILENCE: Duration = Duration::from_secs(20);
/// The waits that this is measured by.
const WAITS: u32 = 40;
/// How long the end of a run waits for partitions to be released.
const RELEASE_LIMIT: Duration = Duration::from_secs(1);
/// A further connection that is not to be had is asked for again after so long.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// What the writer is told to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Connect, and make and check the tables.
    Prepare,
    /// Only connect: an outage is told of until it is over.
    Connect,
    /// Make these partitions this consumer's own.
    TakeOver { generation: u64, partitions: Vec<i32>, origin: Origin, start_over: bool },
    /// Write sealed shares.
    Write { generation: u64, shares: Shares },
}

/// What it answers, and what it says in between.
#[derive(Debug)]
pub(super) enum Reply {
    /// The tables are there.
    Prepared(SchemaChange),
    /// The partitions are ours.
    TakenOver { generation: u64, taken: TakeOver },
    /// A share is committed; of those that were given with it there may be more to come.
    Committed(Receipt),
    /// Each share is committed or refused.
    Written { generation: u64, shares: Shares },
    /// PostgreSQL is unavailable; it is retried until it is back.
    Waiting(Waiting),
    /// It is back.
    Recovered { after: Duration },
    /// There is a connection.
    Connected,
    /// Something a person should know.
    Warning(Warning),
    /// The command is of an assignment that is gone by now; it is done no more. Of shares, some may be committed.
    Outdated(Option<Shares>),
    /// It ended with an error that no waiting mends.
    Failed(Error),
}

/// The poll loop's end of it.
#[derive(Debug)]
pub(super) struct Writer {
    commands: Option<commands::UnboundedSender<Command>>,
    replies: mpsc::Receiver<Reply>,
    abandon: CancellationToken,
    /// What is of an older one is not begun: a take-over would fence out the partitions' owner.
    generation: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread, which opens at most that number of sessions.
    pub(super) fn start(database: impl Database, connections: usize) -> Result<Self> {
        let (command_sender, mut command_receiver) = commands::unbounded_channel();
        let (reply_sender, replies) = mpsc::channel();
        let abandon = CancellationToken::new();
        let generation = Arc::new(AtomicU64::new(0));
        let runtime = crate::runtime()?;
        let (token, newest) = (abandon.clone(), Arc::clone(&generation));
        let run = move || {
            let mut work = Work {
                database,
                sessions: std::iter::repeat_with(|| None).take(connections).collect(),
                replies: reply_sender,
                generation: newest,
                outage: Outage::default(),
                scarcity: None,
                owned: BTreeMap::new(),
            };
            let serve = async {
                while let Some(command) = command_receiver.recv().await {
                    let reply = work.execute(command).await.unwrap_or_else(Reply::Failed);
                    let failed = matches!(reply, Reply::Failed(_));
                    // The poll loop gone means that nobody waits for the answer.
                    if work.replies.send(reply).is_err() || failed {
                        break;
                    }
                }
                work.release().await;
            };
            runtime.block_on(async {
                tokio::select! {
                    () = token.cancelled() => {}
                    () = serve => {}
                }
            });
            // A name that is being resolved keeps nobody waiting.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new()
            .name("ccstream-writer".into())
            .spawn(run)
            .map_err(Error::system("starting the thread that writes to PostgreSQL"))?;
        Ok(Self { commands: Some(command_sender), replies, abandon, generation, thread: Some(thread) })
    }

    /// What was given to it under an earlier generation is void.
    pub(super) fn set_generation(&self, generation: u64) {
        self.generation.store(generation, Ordering::Relaxed);
    }

    /// Gives it a command. One that has ended has said why in its last reply.
    pub(super) fn send(&self, command: Command) {
        if let Some(commands) = &self.commands {
            let _ = commands.send(command);
        }
    }

    /// The last of it: partitions are released, where PostgreSQL takes that in a moment.
    pub(super) fn close(&mut self) {
        self.commands = None;
        let until = Instant::now() + RELEASE_LIMIT;
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Its next reply, waited for at most so long.
    pub(super) fn reply(&self, wait: Duration) -> Option<Reply> {
        let reply = if wait.is_zero() {
            self.replies.try_recv().map_err(|error| error == mpsc::TryRecvError::Disconnected)
        } else {
            self.replies.recv_timeout(wait).map_err(|error| error == mpsc::RecvTimeoutError::Disconnected)
        };
        match reply {
            Ok(reply) => Some(reply),
            Err(false) => None,
            // It answers every command, and says so when it fails: it can only have panicked.
            Err(true) => Some(Reply::Failed(Error::inconsistent("the writer thread ended without a word"))),
        }
    }
}

impl Drop for Writer {
    /// Gives up what is under way (PostgreSQL rolls it back) and waits for the thread.
    fn drop(&mut self) {
        self.commands = None;
        self.abandon.cancel();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("The writer thread panicked.");
        }
    }
}

struct Work<D: Database> {
    database: D,
    /// The first does all but writing too; the others are opened once they have something to write, and stay.
    sessions: Vec<Option<D::Session>>,
    replies: mpsc::Sender<Reply>,
    generation: Arc<AtomicU64>,
    outage: Outage,
    /// When a further connection was last not to be had; none once all are there.
    scarcity: Option<Instant>,
    /// Epochs of the partitions that were taken over.
    owned: BTreeMap<i32, i64>,
}

/// Since when something has not been to be had, and whether that has been told.
#[derive(Debug, Default)]
struct Outage {
    since: Option<Instant>,
    told: bool,
}

impl<D: Database> Work<D> {
    /// Does one command, for as long as it takes while the error is one that passes.
    async fn execute(&mut self, mut command: Command) -> Result<Reply> {
        let mut wait = FIRST_WAIT;
        loop {
            if let Some(outdated) = self.give_up_if_outdated(&mut command) {
                return Ok(outdated);
            }
            match self.attempt_aloud(&mut command).await {
                Ok(reply) => {
                    self.end_outage();
                    return Ok(reply);
                }
                Err(error) if error.is_retriable() => {
                    self.note_outage(&error);
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn give_up_if_outdated(&self, command: &mut Command) -> Option<Reply> {
        let newest = self.generation.load(Ordering::Relaxed);
        match command {
            Command::TakeOver { generation, .. } if *generation < newest => Some(Reply::Outdated(None)),
            Command::Write { generation, shares } if *generation < newest => {
                Some(Reply::Outdated(Some(std::mem::take(shares))))
            }
            _ => None,
        }
    }

    /// A first failure is not told: a session that was ended, or one lock, is had again at once.
    fn note_outage(&mut self, error: &Error) {
        if self.outage.since.is_none() {
            self.outage.since = Some(Instant::now());
            tracing::warn!(error = error.chain(), "PostgreSQL is away; trying again until it is back.");
        } else if !std::mem::replace(&mut self.outage.told, true) {
            let _ = self.replies.send(Reply::Waiting(Waiting::for_postgres(error)));
        }
    }

    fn end_outage(&mut self) {
        let Outage { since: Some(since), told } = std::mem::take(&mut self.outage) else { return };
        tracing::warn!(after = ?since.elapsed(), "PostgreSQL is back.");
        if told {
            let _ = self.replies.send(Reply::Recovered { after: since.elapsed() });
        }
    }

    /// PostgreSQL is there, and would not have one connection more.
    fn note_scarcity(&mut self, error: &Error) {
        let error = error.chain();
        tracing::warn!(error, "A further connection is not to be had.");
        if self.scarcity.replace(Instant::now()).is_none() {
            let text = format!(
                "no further connection to PostgreSQL ({error}); what it was for is written by the first, and it is asked \
                 for again each minute; where `connections` is 1, none is asked for"
            );
            let _ = self.replies.send(Reply::Warning(Warning::new(WarningKind::ConnectionRefused, text)));
        }
    }

    /// Tries once. There is no limit: what is under way may be long, and nothing is gained by doing it again.
    async fn attempt_aloud(&mut self, command: &mut Command) -> Result<Reply> {
        let (replies, began) = (self.replies.clone(), Instant::now());
        let (done, was_silent) = {
            let mut attempt = std::pin::pin!(self.attempt(command));
            if let Some(done) = heard_within(SILENCE, &mut attempt).await {
                (done, false)
            } else {
                let reason = format!("PostgreSQL has not answered for {} s", SILENCE.as_secs());
                let _ = replies.send(Reply::Waiting(Waiting::new(WaitingKind::PostgresSilent, reason)));
                (attempt.await, true)
            }
        };
        if was_silent {
            self.outage.since.get_or_insert(began);
            self.outage.told = true;
        }
        done
    }

    async fn attempt(&mut self, command: &mut Command) -> Result<Reply> {
        let (first, database) = (&mut self.sessions[0], &self.database);
        Ok(match command {
            Command::Prepare => {
                Reply::Prepared(by(first, database, async |session| session.ensure_schema().await).await?)
            }
            Command::Connect => {
                by(first, database, async |_| Ok(())).await?;
                Reply::Connected
            }
            Command::TakeOver { generation, partitions, origin, start_over } => {
                let is_wanted = || *generation >= self.generation.load(Ordering::Relaxed);
                let take = async |session: &mut D::Session| {
                    session.take_over(partitions, origin, *start_over, &is_wanted).await
                };
                match by(first, database, take).await? {
                    Some(taken) => {
                        let epochs = taken.positions.iter().map(|(partition, position)| (*partition, position.epoch));
                        self.owned.extend(epochs);
                        Reply::TakenOver { generation: *generation, taken }
                    }
                    None => Reply::Outdated(None),
                }
            }
            Command::Write { generation, shares } => {
                self.write(shares).await?;
                Reply::Written { generation: *generation, shares: std::mem::take(shares) }
            }
        })
    }

    /// Releases what is still this consumer's. Nothing is lost where that fails: the next start takes this one for killed.
    async fn release(&mut self) {
        if self.owned.is_empty() {
            return;
        }
        let owned = std::mem::take(&mut self.owned);
        if let Err(error) =
            by(&mut self.sessions[0], &self.database, async |session| session.release(&owned).await).await
        {
            tracing::debug!(error = error.chain(), "Partitions were not released.");
        }
    }

    /// Writes what an earlier try has not: each share by its own connection, at the same time. One whose connection is not
    /// to be had goes by the first, after that one's own.
    async fn write(&mut self, shares: &mut Shares) -> Result<()> {
        let (database, replies) = (&self.database, &self.replies);
        let may_open = self.scarcity.is_none_or(|since| since.elapsed() > ASK_AGAIN);
        let due = self.sessions.iter_mut().zip(shares.iter_mut()).enumerate().filter(|(_, (_, share))| share.is_due());
        let writes = due.map(|(place, (session, share))| async move {
            if place > 0 && session.is_none() {
                if !may_open {
                    return Ok(None);
                }
                match database.another().await {
                    Ok(new) => *session = Some(new),
                    Err(error) => return Ok(Some(error)),
                }
            }
            write(session, database, share, replies).await.map(|()| None)
        });
        // Each to its end: what one has committed is known, whatever becomes of the other.
        let (mut unopened, mut failed) = (None, Vec::new());
        for done in join_all(writes).await {
            match done {
                Ok(error) => unopened = error.or(unopened),
                Err(error) => failed.push(error),
            }
        }
        // One that no waiting mends comes before one that passes.
        if let Some(error) = failed.into_iter().min_by_key(Error::is_retriable) {
            return Err(error);
        }
        for share in shares.iter_mut().filter(|share| share.is_due()) {
            write(&mut self.sessions[0], database, share, replies).await?;
        }
        if let Some(error) = unopened {
            self.note_scarcity(&error);
        } else if self.sessions.iter().all(Option::is_some) {
            self.scarcity = None;
        }
        Ok(())
    }
}

/// Its result, or None where it takes longer. Time in which this process was stopped does not count, as nobody listened:
/// it lengthens one of many short waits, each of which counts as what it was to be.
async fn heard_within<T>(limit: Duration, mut attempt: impl Future<Output = T> + Unpin) -> Option<T> {
    for _ in 0..WAITS {
        if let Ok(done) = tokio::time::timeout(limit / WAITS, &mut attempt).await {
            return Some(done);
        }
    }
    None
}

/// Writes a share, and sends the receipt.
async fn write<D: Database>(
    slot: &mut Option<D::Session>,
    database: &D,
    share: &mut Share,
    replies: &mpsc::Sender<Reply>,
) -> Result<()> {
    by(slot, database, async |session| {
        let began = Instant::now();
        match session.write(&mut share.batch).await? {
            Outcome::Committed(positions) => {
                let _ = replies.send(Reply::Committed(Receipt::new(&share.batch, positions, began.elapsed())));
            }
            Outcome::Refused(refusal) => share.refusal = Some(refusal),
        }
        share.batch.clear();
        Ok(())
    })
    .await
}

/// Does something by a session, opened where there is none. After an error the next gets a new one: what the session
/// was told (read-only, say) need not be true any more.
async fn by<D: Database, T>(
    slot: &mut Option<D::Session>,
    database: &D,
    work: impl AsyncFnOnce(&mut D::Session) -> Result<T>,
) -> Result<T> {
    let mut session = match slot.take() {
        Some(session) => session,
        None => database.first().await?,
    };
    match work(&mut session).await {
        Ok(done) => {
            *slot = Some(session);
            Ok(done)
        }
        Err(error) => Err(session.fail(error).await),
    }
}

#[cfg(test)]
mod tests;
