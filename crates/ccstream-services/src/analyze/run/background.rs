//! This module writes to the database on another thread, so that the next events are folded meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::consume::Waiting;
use crate::error::{Error, Result};
use crate::postgres::analysis::AnalysisStore;
use crate::postgres::reconnecting::Reconnecting;

type Database = Reconnecting<AnalysisStore>;

/// A connection to the database, which is either free or used by a thread that writes.
pub(super) struct Background<T> {
    free: Option<Database>,
    running: Option<Running<T>>,
}

/// What is being written.
struct Running<T> {
    thread: JoinHandle<(Database, T)>,
    waiting: Receiver<Waiting>,
    /// Whether it is written. The thread itself ends a moment after it has unparked its caller.
    is_done: Arc<AtomicBool>,
}

/// The connection of a thread that writes.
pub(super) struct Writer {
    database: Database,
    report: Sender<Waiting>,
}

impl Writer {
    /// Does `work`, again and again while the database is unavailable. Returns None after a stop, `grace` later.
    pub(super) fn write<T>(
        &mut self,
        grace: Duration,
        work: impl AsyncFnMut(&mut AnalysisStore) -> Result<T>,
    ) -> Result<Option<T>> {
        let Self { database, report } = self;
        let failed = |error: &Error| drop(report.send(Waiting::for_postgres(error)));
        // After a stop, a session that waits for PostgreSQL would be abandoned at once, even while it commits.
        database.wait_at_most(grace);
        let done = database.reporting(failed, work);
        database.wait_at_most(Duration::ZERO);
        done
    }
}

impl<T: Send + 'static> Background<T> {
    pub(super) fn new(database: Database) -> Self {
        Self { free: Some(database), running: None }
    }

    /// Returns the connection. It is free once nothing is being written, which [`wait`](Self::wait) waits for.
    pub(super) fn free(&mut self) -> Result<&mut Database> {
        self.free.as_mut().ok_or_else(|| Error::inconsistent("the database was asked while it is written to"))
    }

    /// Returns whether nothing is being written.
    pub(super) fn is_free(&self) -> bool {
        self.free.is_some()
    }

    /// Begins to write, on a thread with this name. The thread that calls this is unparked at the end.
    pub(super) fn begin(&mut self, name: &str, work: impl FnOnce(&mut Writer) -> T + Send + 'static) -> Result<()> {
        let Some(database) = self.free.take() else {
            return Err(Error::inconsistent("two things were to be written at once"));
        };
        let (report, waiting) = channel();
        let (caller, is_done) = (thread::current(), Arc::new(AtomicBool::new(false)));
        let flag = Arc::clone(&is_done);
        let run = move || {
            let mut writer = Writer { database, report };
            let done = work(&mut writer);
            flag.store(true, Ordering::Release);
            caller.unpark();
            (writer.database, done)
        };
        let spawned = thread::Builder::new().name(name.into()).spawn(run);
        let thread = spawned.map_err(Error::system("starting a thread that writes to PostgreSQL"))?;
        self.running = Some(Running { thread, waiting, is_done });
        Ok(())
    }

    /// Returns whether what was being written is done.
    pub(super) fn is_done(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.is_done.load(Ordering::Acquire))
    }

    /// Returns what the thread has reported since, without waiting.
    pub(super) fn reported(&self) -> impl Iterator<Item = Waiting> + '_ {
        self.running.iter().flat_map(|running| running.waiting.try_iter())
    }

    /// Waits for what is being written, and passes on what the thread reports meanwhile. Returns None if nothing is.
    pub(super) fn wait(&mut self, report: impl FnMut(Waiting)) -> Option<T> {
        let Running { thread, waiting, .. } = self.running.take()?;
        waiting.iter().for_each(report);
        let (database, done) = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        self.free = Some(database);
        Some(done)
    }
}
