//! The writer is a thread that owns the connections to PostgreSQL. It executes one command at a time and replies to
//! each. While the database is unavailable it retries, and the poll loop goes on serving its group.

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

/// Pause before the first retry of a command. It doubles with each retry.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Longest pause between two retries of a command.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// Time without an answer over an open connection after which PostgreSQL is reported as silent.
const SILENCE: Duration = Duration::from_secs(20);
/// Number of waits into which [`SILENCE`] is divided: see [`answer_within`].
const WAITS: u32 = 40;
/// Longest wait for partitions to be released at the end of a run.
const RELEASE_LIMIT: Duration = Duration::from_secs(1);
/// Pause before an additional connection that was refused is requested again.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Tells the writer what to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Connect, then create and check the tables.
    Prepare,
    /// Only connect. Success ends an outage, which is then reported.
    Connect,
    /// Take these partitions over, so that this consumer owns them.
    TakeOver { generation: u64, partitions: Vec<i32>, origin: Origin, start_over: bool },
    /// Write sealed shares.
    Write { generation: u64, shares: Shares },
}

/// Reports what the writer has done. Each command has one final reply; `Committed`, `Waiting`, `Recovered` and
/// `Warning` may come before it.
#[derive(Debug)]
pub(super) enum Reply {
    /// The tables exist and were checked.
    Prepared(SchemaChange),
    /// This consumer owns the partitions.
    TakenOver { generation: u64, taken: TakeOver },
    /// One share is committed. The command's other shares may follow.
    Committed(Receipt),
    /// Every share is committed or refused.
    Written { generation: u64, shares: Shares },
    /// PostgreSQL is unavailable. The writer retries until it is back.
    Waiting(Waiting),
    /// PostgreSQL is available again, after this time.
    Recovered { after: Duration },
    /// The connection is open.
    Connected,
    /// The user should know this.
    Warning(Warning),
    /// The command belongs to an earlier generation and was not completed. It returns the command's shares, of which
    /// some may be committed.
    Outdated(Option<Shares>),
    /// The command failed with a permanent error, and the writer has ended.
    Failed(Error),
}

/// Lets the poll loop send commands to the writer and receive its replies.
#[derive(Debug)]
pub(super) struct Writer {
    /// Sends commands. None once the writer is closed.
    commands: Option<commands::UnboundedSender<Command>>,
    replies: mpsc::Receiver<Reply>,
    /// Cancels the command that is under way.
    abandon: CancellationToken,
    /// The current generation. A command of an earlier one is not begun: a take-over would fence out the partitions'
    /// owner.
    generation: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread, which opens at most `connections` sessions.
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
                    // Sending fails once the poll loop has dropped its end, and no more commands come.
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
            // A blocking name resolution may still be running; do not wait for it.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new()
            .name("ccstream-writer".into())
            .spawn(run)
            .map_err(Error::system("starting the thread that writes to PostgreSQL"))?;
        Ok(Self { commands: Some(command_sender), replies, abandon, generation, thread: Some(thread) })
    }

    /// Makes commands of earlier generations outdated.
    pub(super) fn set_generation(&self, generation: u64) {
        self.generation.store(generation, Ordering::Relaxed);
    }

    /// Sends a command to the writer.
    pub(super) fn send(&self, command: Command) {
        if let Some(commands) = &self.commands {
            // Sending fails only if the writer has ended, and then its last reply has the reason.
            let _ = commands.send(command);
        }
    }

    /// Ends the writer after it has released the partitions, for which it waits up to [`RELEASE_LIMIT`].
    pub(super) fn close(&mut self) {
        self.commands = None;
        let until = Instant::now() + RELEASE_LIMIT;
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Returns the writer's next reply, waiting up to `wait` for it.
    pub(super) fn reply(&self, wait: Duration) -> Option<Reply> {
        let reply = if wait.is_zero() {
            self.replies.try_recv().map_err(|error| error == mpsc::TryRecvError::Disconnected)
        } else {
            self.replies.recv_timeout(wait).map_err(|error| error == mpsc::RecvTimeoutError::Disconnected)
        };
        match reply {
            Ok(reply) => Some(reply),
            Err(false) => None,
            // The writer sends a reply even when it fails, so it must have panicked.
            Err(true) => Some(Reply::Failed(Error::inconsistent("the writer thread ended without a reply"))),
        }
    }
}

impl Drop for Writer {
    /// Cancels the command that is under way, which PostgreSQL rolls back, and waits for the thread.
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

/// Holds what the writer's thread needs to execute commands.
struct Work<D: Database> {
    database: D,
    /// The sessions. The first executes every kind of command. The others only write; each is opened when it first has
    /// something to write, and stays open.
    sessions: Vec<Option<D::Session>>,
    replies: mpsc::Sender<Reply>,
    generation: Arc<AtomicU64>,
    outage: Outage,
    /// When an additional connection was last refused. None once all are open.
    scarcity: Option<Instant>,
    /// Epochs of the partitions that were taken over.
    owned: BTreeMap<i32, i64>,
}

/// Remembers an outage of PostgreSQL.
#[derive(Debug, Default)]
struct Outage {
    /// Since when PostgreSQL has been unavailable. None while it is available.
    since: Option<Instant>,
    /// Whether the outage was reported to the poll loop.
    reported: bool,
}

impl<D: Database> Work<D> {
    /// Executes one command. Retries it for as long as the error is temporary.
    async fn execute(&mut self, mut command: Command) -> Result<Reply> {
        let mut wait = FIRST_WAIT;
        loop {
            if let Some(outdated) = self.outdated(&mut command) {
                return Ok(outdated);
            }
            match self.attempt_reporting_silence(&mut command).await {
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

    /// Returns the reply to a command that belongs to an earlier generation; None for other commands.
    fn outdated(&self, command: &mut Command) -> Option<Reply> {
        let newest = self.generation.load(Ordering::Relaxed);
        match command {
            Command::TakeOver { generation, .. } if *generation < newest => Some(Reply::Outdated(None)),
            Command::Write { generation, shares } if *generation < newest => {
                Some(Reply::Outdated(Some(std::mem::take(shares))))
            }
            _ => None,
        }
    }

    /// Notes a failed attempt. The first one is not reported to the poll loop: a retry succeeds at once if only a
    /// session was ended or a lock was held.
    fn note_outage(&mut self, error: &Error) {
        if self.outage.since.is_none() {
            self.outage.since = Some(Instant::now());
            tracing::warn!(error = error.chain(), "PostgreSQL is unavailable; retrying until it is back.");
        } else if !std::mem::replace(&mut self.outage.reported, true) {
            let _ = self.replies.send(Reply::Waiting(Waiting::for_postgres(error)));
        }
    }

    /// Reports the end of an outage, if there was one.
    fn end_outage(&mut self) {
        let Outage { since: Some(since), reported } = std::mem::take(&mut self.outage) else { return };
        tracing::warn!(after = ?since.elapsed(), "PostgreSQL is available again.");
        if reported {
            let _ = self.replies.send(Reply::Recovered { after: since.elapsed() });
        }
    }

    /// Notes that an additional connection was refused, and warns once.
    fn note_scarcity(&mut self, error: &Error) {
        let error = error.chain();
        tracing::warn!(error, "An additional connection was refused.");
        if self.scarcity.replace(Instant::now()).is_none() {
            let text = format!(
                "PostgreSQL refused an additional connection ({error}). Its part is written over the first one; the \
                 additional one is requested again every {} s. Set `connections` to 1 to stop requesting it",
                ASK_AGAIN.as_secs()
            );
            let _ = self.replies.send(Reply::Warning(Warning::new(WarningKind::ConnectionRefused, text)));
        }
    }

    /// Executes a command once, and reports if PostgreSQL does not answer for [`SILENCE`]. The attempt has no time
    /// limit: a long transaction is not made shorter by starting it again.
    async fn attempt_reporting_silence(&mut self, command: &mut Command) -> Result<Reply> {
        let (replies, began) = (self.replies.clone(), Instant::now());
        let (done, was_silent) = {
            let mut attempt = std::pin::pin!(self.attempt(command));
            if let Some(done) = answer_within(SILENCE, &mut attempt).await {
                (done, false)
            } else {
                let reason = format!("PostgreSQL has not answered for {} s", SILENCE.as_secs());
                let _ = replies.send(Reply::Waiting(Waiting::new(WaitingKind::PostgresSilent, reason)));
                (attempt.await, true)
            }
        };
        if was_silent {
            self.outage.since.get_or_insert(began);
            self.outage.reported = true;
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

    /// Releases the partitions that this consumer still owns. If that fails, nothing is lost: the partitions' next
    /// owner counts this consumer as killed.
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

    /// Writes the shares that an earlier attempt has not written, each over its own connection, at the same time. A
    /// share whose connection is unavailable is written over the first connection, after the first share.
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
        // Wait for all of them, so that every commit is counted even if another connection fails.
        let (mut unopened, mut failed) = (None, Vec::new());
        for done in join_all(writes).await {
            match done {
                Ok(error) => unopened = error.or(unopened),
                Err(error) => failed.push(error),
            }
        }
        // A permanent error is returned rather than a temporary one.
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

/// Returns the result of `attempt`; None if it takes longer than `limit`.
///
/// Time in which this process was stopped (SIGSTOP) does not count, since an answer could not be received. The limit is
/// therefore divided into [`WAITS`] short waits: a stop lengthens only one of them, and each counts as its nominal
/// length.
async fn answer_within<T>(limit: Duration, mut attempt: impl Future<Output = T> + Unpin) -> Option<T> {
    for _ in 0..WAITS {
        if let Ok(done) = tokio::time::timeout(limit / WAITS, &mut attempt).await {
            return Some(done);
        }
    }
    None
}

/// Writes a share, and sends its receipt to the poll loop.
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

/// Runs `work` with the session in `slot`, or with a new session if there is none. After an error the session is
/// dropped, because what it knows of the server, such as that it is read-only, may no longer be true.
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
