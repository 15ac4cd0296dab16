//! The engine: a thread that follows the database, and answers for everybody who asks.

use std::panic::AssertUnwindSafe;
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use super::file::{self, Saved};
use super::follow::{Follower, Known, Refreshed, Sink, or_stop};
use super::snapshot::Snapshot;
use super::status::Status;
use super::trust::{Lacking, Trust, ask_trust};
use crate::error::{Error, Result};
use crate::postgres::reading::Reader;
use crate::postgres::tables::Tables;
use ccstream_core::settings::EngineConfig;
use ccstream_kpi::query::answer::Answer;
use ccstream_kpi::query::kept::KeptQueries;
use ccstream_kpi::query::latest::{LatestRow, latest};
use ccstream_kpi::query::question::{Filter, Query};
use ccstream_kpi::rows::codes::DAY;
use ccstream_kpi::rows::columns::Columns;

/// How long after a failure the database is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long rows that came wait for a moment in which nobody asks.
const PATIENCE: Duration = Duration::from_secs(10);
/// And how often such a moment is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// The column file is written again when so many rows have come, or a tenth of what it has.
const SAVE_EVERY: u64 = 100_000;

#[derive(Debug, Default)]
struct Data {
    columns: Columns,
    /// The moment that they are true for, microseconds since 1970 UTC.
    at: i64,
    /// First rows of the pieces of the first reading, which went backwards.
    pieces: Vec<u64>,
    /// The row with which following began; none has yet while the table is read.
    followed: Option<u64>,
}

#[derive(Debug, Default)]
struct Turn {
    asked: u64,
    done: u64,
    /// Those that were asked when the database failed.
    failed: u64,
    /// Why it did.
    failure: Option<Arc<Error>>,
}

#[derive(Debug)]
struct Shared {
    config: EngineConfig,
    data: RwLock<Data>,
    kept: KeptQueries,
    status: Mutex<Status>,
    turn: Mutex<Turn>,
    turned: Condvar,
    stop: CancellationToken,
    wake: tokio::sync::Notify,
}

/// Follows a database until it is dropped.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
    threads: usize,
}

/// A panic of another thread leaves what is whole by construction.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Begins to read; answers come from what is there already. Errors: settings that cannot be.
    pub fn start(config: EngineConfig) -> Result<Self> {
        config.validate()?;
        crate::postgres::check_url(&config.database_url)?;
        let shared = Arc::new(Shared {
            kept: KeptQueries::new(config.max_bytes / 4),
            config,
            data: RwLock::default(),
            status: Mutex::default(),
            turn: Mutex::default(),
            turned: Condvar::new(),
            stop: CancellationToken::new(),
            wake: tokio::sync::Notify::new(),
        });
        let runtime = crate::runtime()?;
        let theirs = Arc::clone(&shared);
        let work = move || runtime.block_on(theirs.run());
        let thread = thread::Builder::new()
            .name("ccstream-kpi".into())
            .spawn(work)
            .map_err(Error::system("starting the engine's thread"))?;
        let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self { shared, thread: Mutex::new(Some(thread)), threads })
    }

    /// Answers from the rows of the last snapshot.
    pub fn query(&self, query: &Query) -> Result<Answer> {
        let data = self.shared.read();
        Ok(self.shared.kept.answer(query, data.at, &data.columns, self.threads)?)
    }

    /// The last rows that came and pass the filter, the newest first.
    pub fn latest(&self, filter: &Filter, count: usize) -> Vec<LatestRow> {
        let data = self.shared.read();
        latest(&data.columns, &data.pieces, data.followed, filter, count)
    }

    /// Names that a dimension has, in the order of the alphabet; None is unknown.
    pub fn values(&self, dimension: ccstream_kpi::query::question::Dimension) -> Vec<Option<String>> {
        let data = self.shared.read();
        dimension.attribute().map(|attribute| data.columns.values(attribute)).unwrap_or_default()
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        lock(&self.shared.status).clone()
    }

    /// Looks at the database now, and waits for it; false where that took longer, or was stopped. Errors: why the
    /// database could not be read.
    pub fn refresh(&self, limit: Duration, stop: &CancellationToken) -> Result<bool, Arc<Error>> {
        let until = Instant::now() + limit;
        let mut turn = lock(&self.shared.turn);
        turn.asked += 1;
        let mine = turn.asked;
        self.shared.wake.notify_one();
        while turn.done < mine {
            let left = until.saturating_duration_since(Instant::now());
            if turn.failed >= mine
                && let Some(failure) = &turn.failure
            {
                return Err(Arc::clone(failure));
            }
            if left.is_zero() || stop.is_cancelled() || self.shared.stop.is_cancelled() {
                return Ok(false);
            }
            turn = self
                .shared
                .turned
                .wait_timeout(turn, left.min(Duration::from_millis(200)))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        Ok(true)
    }

    /// Ends following; the column file is written, if there is to be one.
    pub fn close(&self) {
        self.shared.stop.cancel();
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, Data> {
        self.data.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for those who read, but not in their queue: a writer there lets no reader pass, so that one slow question
    /// would hold up every page.
    fn write(&self) -> RwLockWriteGuard<'_, Data> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.data.try_write() {
                Ok(data) => return data,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => thread::sleep(LOOK_AGAIN),
            }
        }
        self.data.write().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self) {
        let mut known = self.read_file();
        let mut saved_at = self.next_row();
        while !self.stop.is_cancelled() {
            let following = AssertUnwindSafe(self.follow(&mut known, &mut saved_at)).catch_unwind();
            let done = following
                .await
                .unwrap_or_else(|_| Err(Error::inconsistent("following orders panicked; everything is read again")));
            if let Err(error) = done {
                if error.is_inconsistent() {
                    known = None;
                }
                tracing::debug!(error = error.chain(), "Following orders failed.");
                self.tell(error);
                let _ = or_stop(tokio::time::sleep(RETRY), &self.stop).await;
            }
        }
        if self.next_row() != saved_at {
            self.write_file(known.as_ref());
        }
    }

    /// Tells everybody what is wrong.
    fn tell(&self, error: Error) {
        let mut status = lock(&self.status);
        status.no_tables = matches!(error, Error::NoTables(_));
        status.unusable = matches!(error, Error::Schema(_));
        let since = status.trouble.take().map_or_else(Instant::now, |(_, since)| since);
        status.trouble = Some((error.chain(), since));
        drop(status);
        // Last, as whoever waits for it reads the status next.
        let mut turn = lock(&self.turn);
        turn.failed = turn.asked;
        turn.failure = Some(Arc::new(error));
        self.turned.notify_all();
    }

    /// Follows over one connection until it fails or the engine is closed.
    async fn follow(&self, known: &mut Option<Known>, saved_at: &mut u64) -> Result<()> {
        let tables = Tables::default();
        let connecting = Reader::connect(&self.config.database_url, &tables);
        let Some(reader) = or_stop(connecting, &self.stop).await else { return Ok(()) };
        let mut follower = Follower::new(reader?);
        while !self.stop.is_cancelled() {
            let asked = lock(&self.turn).asked;
            let mut sink = Rows { shared: self };
            let Some(refreshed) = or_stop(follower.refresh(known, &mut sink), &self.stop).await else {
                return Ok(());
            };
            let refreshed = refreshed?;
            let before = lock(&self.status).trust.clone();
            let lacking = self.lacking(&refreshed.snapshot, known.as_ref());
            let trust = ask_trust(&mut follower.reader, &refreshed.snapshot, before, lacking).await;
            self.publish(&refreshed, known.as_ref(), trust.as_ref().ok(), lacking.rows);
            lock(&self.turn).done = asked;
            self.turned.notify_all();
            let next = self.next_row();
            if refreshed.reload.is_some() || next - *saved_at > SAVE_EVERY.max(*saved_at / 10) {
                self.write_file(known.as_ref());
                *saved_at = next;
            }
            trust?;
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(self.config.interval) => {}
            }
        }
        Ok(())
    }

    fn next_row(&self) -> u64 {
        self.read().columns.next_row
    }

    fn make_room(&self, columns: &mut Columns, snapshot: &Snapshot) {
        let oldest = self.config.max_days.map(|days| snapshot.at - i64::from(days) * DAY);
        columns.drop_oldest(self.config.max_rows, oldest, snapshot.at);
        columns.limit_bytes(self.column_bytes(), snapshot.at);
    }

    /// The bytes that columns may take; the rest is for what kept queries have counted.
    fn column_bytes(&self) -> usize {
        self.config.max_bytes / 4 * 3
    }

    /// Rows that were stored, by the consumers' own count, less those that are here; 0 where not all are held.
    fn lacking(&self, snapshot: &Snapshot, known: Option<&Known>) -> Lacking {
        let columns = &self.read().columns;
        match known {
            Some(known) if columns.dropped_until.is_none() => Lacking {
                rows: snapshot.stored() - (columns.rows() as i64 - known.foreign as i64),
                oldest: columns.span().map(|(first, _)| first).filter(|_| known.foreign == 0),
            },
            _ => Lacking { rows: 0, oldest: None },
        }
    }

    fn publish(&self, refreshed: &Refreshed, known: Option<&Known>, trust: Option<&Trust>, lacking: i64) {
        let Refreshed { snapshot, reload, outdated, role } = refreshed;
        let mut data = self.write();
        self.make_room(&mut data.columns, snapshot);
        if reload.is_some() {
            data.followed = Some(data.columns.next_row);
        }
        data.at = snapshot.at;
        let mut status = lock(&self.status);
        status.take(snapshot, &data.columns, 1.0);
        drop(data);
        if let Some(known) = known {
            status.bytes += known.seen.bytes() as u64;
            status.foreign_rows = known.foreign;
            status.odd_amounts = known.odd_amounts;
        }
        status.reloads += u64::from(reload.is_some());
        status.reload = reload.or(status.reload);
        status.outdated = *outdated;
        status.role.clone_from(role);
        if let Some(trust) = trust {
            status.trust = trust.clone();
        }
        let is_expired = lacking > 0 && status.trust.before_oldest == lacking;
        status.expired_rows = if is_expired { lacking } else { 0 };
        status.lacking_rows = if is_expired { 0 } else { lacking };
    }

    fn read_file(&self) -> Option<Known> {
        let path = self.config.file.as_ref()?;
        let saved = match file::read(path) {
            Ok(saved) => saved?,
            Err(error) => {
                tracing::warn!(error = error.chain(), "The column file is of no use and will be written anew.");
                return None;
            }
        };
        let mut data = self.write();
        let Saved { known, columns, at, pieces, followed } = saved;
        *data = Data { columns, at, pieces, followed: Some(followed) };
        let mut status = lock(&self.status);
        status.hold(&data.columns, at, 1.0);
        status.rows_from_file = status.rows;
        Some(known)
    }

    fn write_file(&self, known: Option<&Known>) {
        let data = self.read();
        let (Some(path), Some(known), Some(followed)) = (&self.config.file, known, data.followed) else { return };
        if let Err(error) = file::write(path, known, &data.columns, data.at, &data.pieces, followed) {
            tracing::warn!(error = error.chain(), "The column file could not be written.");
        }
    }
}

/// Takes the follower's rows into the engine.
struct Rows<'a> {
    shared: &'a Shared,
}

impl Sink for Rows<'_> {
    fn restart(&mut self) {
        let mut data = self.shared.write();
        let generation = data.columns.generation + 1;
        *data = Data { pieces: vec![0], at: data.at, ..Data::default() };
        data.columns.generation = generation;
        let mut status = lock(&self.shared.status);
        status.loaded = 0.0;
        status.rows_from_file = 0;
    }

    fn write(&mut self, at: Option<i64>, change: &mut dyn FnMut(&mut Columns) -> Result<()>) -> Result<()> {
        let mut data = self.shared.write();
        change(&mut data.columns)?;
        data.at = at.unwrap_or(data.at);
        Ok(())
    }

    fn progress(&mut self, snapshot: &Snapshot, share: f64) -> bool {
        let mut data = self.shared.write();
        let next = data.columns.next_row;
        data.pieces.push(next);
        data.at = snapshot.at;
        let has_room = data.columns.has_room(self.shared.config.max_rows, self.shared.column_bytes()) || share >= 1.0;
        self.shared.make_room(&mut data.columns, snapshot);
        lock(&self.shared.status).take(snapshot, &data.columns, share);
        has_room
    }

    fn catching_up(&mut self, share: f64) {
        lock(&self.shared.status).loaded = share;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn rows_that_come_during_a_slow_question_hold_up_no_other() {
        let shared = Shared {
            config: EngineConfig::default(),
            data: RwLock::default(),
            kept: KeptQueries::default(),
            status: Mutex::default(),
            turn: Mutex::default(),
            turned: Condvar::new(),
            stop: CancellationToken::new(),
            wake: tokio::sync::Notify::new(),
        };
        let (started, start) = mpsc::channel();
        thread::scope(|scope| {
            let slow = shared.read();
            let writer = scope.spawn(|| {
                started.send(()).unwrap();
                shared.write().at = 1;
            });
            start.recv().unwrap();
            // However long the writer has waited by now.
            for _ in 0..100 {
                assert_eq!(shared.data.try_read().expect("nobody is held up").at, 0);
                thread::sleep(LOOK_AGAIN);
            }
            drop(slow);
            writer.join().unwrap();
            assert_eq!(shared.read().at, 1);
        });
    }
}
