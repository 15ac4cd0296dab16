//! The thread that owns the connection to PostgreSQL. It is given one command at a time and answers
//! each, however long the database is away; the poll loop never waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc as commands;
use tokio_util::sync::CancellationToken;

use crate::batch::Batch;
use crate::config::ConsumerConfig;
use crate::error::{Error, Result};
use crate::store::{Outcome, Positions, Refusal, SchemaChange, Source, Store};

/// Waits between tries to reach PostgreSQL: from this, doubling,
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// to this.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What the writer is told to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Connect, and make and check the tables.
    Prepare,
    /// Make these partitions this consumer's own.
    TakeOver { generation: u64, partitions: Vec<i32>, cluster_id: Option<String> },
    /// Write a sealed batch.
    Write { generation: u64, batch: Box<Batch> },
}

/// What it answers, and what it says in between.
#[derive(Debug)]
pub(super) enum Reply {
    /// The tables are there.
    Prepared(SchemaChange),
    /// The partitions are ours, from these positions on; `elsewhere` were read from another cluster before.
    TakenOver { generation: u64, positions: Positions, elsewhere: Vec<i32> },
    /// The batch is committed; these partitions stand there now.
    Written { batch: Box<Batch>, positions: Positions, took: Duration },
    /// The batch is dropped. The positions of the partitions that are still ours.
    Refused { generation: u64, batch: Box<Batch>, refusal: Refusal, positions: Positions },
    /// PostgreSQL is not to be had; it is tried again until it is.
    Waiting { error: String },
    /// It is back.
    Recovered { after: Duration },
    /// The command is of an assignment that is gone by now; nothing was done.
    Outdated,
    /// It ended with an error that no waiting mends.
    Failed(Error),
}

/// The poll loop's end of it.
#[derive(Debug)]
pub(super) struct Writer {
    commands: Option<commands::UnboundedSender<Command>>,
    replies: mpsc::Receiver<Reply>,
    abandon: CancellationToken,
    /// The newest assignment: to take an older one's partitions over would fence out their owner.
    generation: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(config: &ConsumerConfig) -> Result<Self> {
        let (command_sender, mut command_receiver) = commands::unbounded_channel();
        let (reply_sender, replies) = mpsc::channel();
        let abandon = CancellationToken::new();
        let generation = Arc::new(AtomicU64::new(0));
        let runtime = crate::runtime()?;
        let mut work = Work {
            source: Source { group: config.group.clone(), topic: config.kafka.topic.clone() },
            config: config.clone(),
            store: None,
            positions: Positions::new(),
            replies: reply_sender,
            generation: Arc::clone(&generation),
            outage: None,
        };
        let token = abandon.clone();
        let serve = async move {
            while let Some(command) = command_receiver.recv().await {
                let reply = work.execute(command).await.unwrap_or_else(Reply::Failed);
                let failed = matches!(reply, Reply::Failed(_));
                // The poll loop gone means that nobody waits for the answer.
                if work.replies.send(reply).is_err() || failed {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("ccstream-writer".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = token.cancelled() => {}
                        () = serve => {}
                    }
                });
            })
            .map_err(|error| Error::Inconsistent(format!("the system refused a thread: {error}")))?;
        Ok(Self { commands: Some(command_sender), replies, abandon, generation, thread: Some(thread) })
    }

    /// Gives it a command. One that has ended has said why in its last reply.
    pub(super) fn send(&self, command: Command) {
        if let Command::TakeOver { generation, .. } = command {
            self.generation.store(generation, Ordering::Relaxed);
        }
        if let Some(commands) = &self.commands {
            let _ = commands.send(command);
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
            Err(true) => Some(Reply::Failed(Error::Inconsistent("the writer thread ended without a word".into()))),
        }
    }
}

impl Drop for Writer {
    /// Gives up what is under way (PostgreSQL rolls it back) and waits for the thread.
    fn drop(&mut self) {
        self.commands = None;
        self.abandon.cancel();
        if let Some(thread) = self.thread.take() {
            if thread.join().is_err() {
                tracing::error!("The writer thread panicked.");
            }
        }
    }
}

struct Work {
    source: Source,
    config: ConsumerConfig,
    store: Option<Store>,
    positions: Positions,
    replies: mpsc::Sender<Reply>,
    generation: Arc<AtomicU64>,
    /// Since when PostgreSQL has been away.
    outage: Option<Instant>,
}

impl Work {
    /// Does one command, for as long as it takes while the error is one that passes.
    async fn execute(&mut self, mut command: Command) -> Result<Reply> {
        let mut wait = FIRST_WAIT;
        loop {
            if matches!(command, Command::TakeOver { generation, .. } if generation < self.generation.load(Ordering::Relaxed))
            {
                return Ok(Reply::Outdated);
            }
            match self.attempt(&mut command).await {
                Ok(reply) => {
                    if let Some(since) = self.outage.take() {
                        tracing::warn!(after = ?since.elapsed(), "PostgreSQL is back.");
                        let _ = self.replies.send(Reply::Recovered { after: since.elapsed() });
                    }
                    return Ok(reply);
                }
                Err(error) if error.is_retriable() => {
                    self.store = None;
                    if self.outage.is_none() {
                        self.outage = Some(Instant::now());
                        let error = error.chain();
                        tracing::warn!(error, "PostgreSQL is away; trying again until it is back.");
                        let _ = self.replies.send(Reply::Waiting { error });
                    }
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn attempt(&mut self, command: &mut Command) -> Result<Reply> {
        let store = match &mut self.store {
            Some(store) => store,
            none => {
                let store =
                    Store::connect(&self.config.database_url, self.source.clone(), self.config.synchronous_commit);
                none.insert(store.await?)
            }
        };
        Ok(match command {
            Command::Prepare => Reply::Prepared(store.ensure_schema().await?),
            Command::TakeOver { generation, partitions, cluster_id } => {
                let (positions, elsewhere) = store.take_over(partitions, cluster_id.as_deref()).await?;
                self.positions.clone_from(&positions);
                Reply::TakenOver { generation: *generation, positions, elsewhere }
            }
            Command::Write { generation, batch } => {
                let began = Instant::now();
                match store.write(batch, &self.positions).await? {
                    Outcome::Committed(positions) => {
                        self.positions.extend(positions.iter().map(|(partition, position)| (*partition, *position)));
                        let batch = std::mem::take(batch);
                        Reply::Written { batch, positions, took: began.elapsed() }
                    }
                    Outcome::Refused(refusal) => {
                        self.positions = store.reread(&self.positions).await?;
                        let positions = self.positions.clone();
                        Reply::Refused { generation: *generation, batch: std::mem::take(batch), refusal, positions }
                    }
                }
            }
        })
    }
}
