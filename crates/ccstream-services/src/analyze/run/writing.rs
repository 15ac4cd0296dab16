//! This module writes batches on another thread, so that the next batch is folded meanwhile.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::consume::Waiting;
use crate::error::{Error, Result};
use crate::postgres::analysis::{AnalysisBatch, AnalysisStore, Written};
use crate::postgres::reconnecting::Reconnecting;

/// Which batch is written, by whom, and how long it may take.
pub(super) struct Order {
    pub(super) epoch: i64,
    /// Number of batches that were committed before it.
    pub(super) number: i64,
    /// The names of the topics of events and of labels.
    pub(super) topics: (String, String),
    pub(super) batch: AnalysisBatch,
    /// How long the write may take after a stop.
    pub(super) grace: Duration,
}

/// What became of a batch.
pub(super) struct Done {
    pub(super) batch: AnalysisBatch,
    /// None after a stop.
    pub(super) written: Result<Option<Written>>,
}

/// A batch that is being written.
struct Writing {
    thread: JoinHandle<(Reconnecting<AnalysisStore>, Done)>,
    waiting: Receiver<Waiting>,
}

/// The database, which is either free or used by the thread that writes a batch.
pub(super) struct Database {
    free: Option<Reconnecting<AnalysisStore>>,
    writing: Option<Writing>,
}

impl Database {
    pub(super) fn new(database: Reconnecting<AnalysisStore>) -> Self {
        Self { free: Some(database), writing: None }
    }

    /// Returns the database once no batch is being written, which [`wait`](Self::wait) waits for.
    pub(super) fn free(&mut self) -> Result<&mut Reconnecting<AnalysisStore>> {
        self.free.as_mut().ok_or_else(|| Error::inconsistent("the database was asked while a batch is written"))
    }

    /// Begins to write a batch. The thread that calls this is unparked when it is written.
    pub(super) fn write(&mut self, order: Order) -> Result<()> {
        let Some(database) = self.free.take() else {
            return Err(Error::inconsistent("a batch was to be written while another one is written"));
        };
        let (report, waiting) = channel();
        let reader = thread::current();
        let run = move || {
            let finished = write(database, order, &report);
            drop(report);
            reader.unpark();
            finished
        };
        let thread = thread::Builder::new()
            .name("ccstream-scores".into())
            .spawn(run)
            .map_err(Error::system("starting the thread that writes scores"))?;
        self.writing = Some(Writing { thread, waiting });
        Ok(())
    }

    /// Returns whether the batch that was being written is done.
    pub(super) fn is_done(&self) -> bool {
        self.writing.as_ref().is_some_and(|writing| writing.thread.is_finished())
    }

    /// Returns what the thread has reported since, without waiting.
    pub(super) fn reported(&self) -> impl Iterator<Item = Waiting> + '_ {
        self.writing.iter().flat_map(|writing| writing.waiting.try_iter())
    }

    /// Waits for the batch that is being written, and passes on what the thread reports meanwhile. Returns None if there
    /// is no such batch.
    pub(super) fn wait(&mut self, report: impl FnMut(Waiting)) -> Option<Done> {
        let Writing { thread, waiting } = self.writing.take()?;
        waiting.iter().for_each(report);
        let (database, done) = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        self.free = Some(database);
        Some(done)
    }
}

fn write(
    mut database: Reconnecting<AnalysisStore>,
    order: Order,
    report: &Sender<Waiting>,
) -> (Reconnecting<AnalysisStore>, Done) {
    let Order { epoch, number, topics, batch, grace } = order;
    let mut last = String::new();
    let failed = |error: &Error| {
        let text = error.causes();
        if last != text {
            let _ = report.send(Waiting::for_postgres(error));
            last = text;
        }
    };
    // After a stop, a session that waits for PostgreSQL would be abandoned at once, even while it commits.
    database.wait_at_most(grace);
    let written =
        database.reporting(failed, async |store| store.write(epoch, number, (&topics.0, &topics.1), &batch).await);
    database.wait_at_most(Duration::ZERO);
    (database, Done { batch, written })
}
