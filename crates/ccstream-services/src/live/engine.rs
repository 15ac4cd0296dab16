//! The engine has a thread that follows the database. It answers queries from any thread.

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
use super::segments::SegmentWatch;
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

/// Pause after a failure before the database is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Longest time that new rows wait for a moment without a query.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two attempts to find a moment without a query.
const LOCK_AGAIN: Duration = Duration::from_millis(1);
/// Minimum number of new rows before the column file is written again, or a tenth of the file's rows if that is more.
const SAVE_EVERY: u64 = 100_000;

/// Holds the rows that queries read.
#[derive(Debug, Default)]
struct Data {
    columns: Columns,
    /// The time of the snapshot that the rows are from, in microseconds since 1970 UTC.
    at: i64,
    /// The number of the first row of each piece. A full reading goes backwards through the table, piece by piece.
    pieces: Vec<u64>,
    /// The number of the first row that came by following. None while the table is read.
    followed: Option<u64>,
}

/// Matches requested refreshes with those that are done. Requests are numbered from 1.
#[derive(Debug, Default)]
struct Turn {
    /// The last request that was made.
    asked: u64,
    /// The last request that was fulfilled.
    done: u64,
    /// The last request that had been made when the database last failed.
    failed: u64,
    /// The error of that failure.
    failure: Option<Arc<Error>>,
}

/// Holds what the engine and its thread share.
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

/// Follows `orders` in a database until it is closed or dropped, and answers queries from memory.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
    threads: usize,
}

/// Locks a mutex, even if another thread panicked while it held it: the data is still usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Starts the engine's thread, which reads the column file, if there is one, and then the database. Queries are
    /// answered from the rows that have been read so far.
    ///
    /// Errors: [`Error::Core`] for a setting that is not usable, [`Error::System`] if no thread can be started.
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

    /// Answers a query from the rows of the last snapshot.
    ///
    /// Errors: [`Error::Core`], if the query is not valid.
    pub fn query(&self, query: &Query) -> Result<Answer> {
        let data = self.shared.read();
        Ok(self.shared.kept.answer(query, data.at, &data.columns, self.threads)?)
    }

    /// Returns up to `count` of the rows that came last and pass the filter, the newest first.
    pub fn latest(&self, filter: &Filter, count: usize) -> Vec<LatestRow> {
        let data = self.shared.read();
        latest(&data.columns, &data.pieces, data.followed, filter, count)
    }

    /// Returns the values of a dimension, sorted, followed by None for an unknown value. The list is empty for places,
    /// which are pairs of values.
    pub fn values(&self, dimension: ccstream_kpi::query::question::Dimension) -> Vec<Option<String>> {
        let data = self.shared.read();
        dimension.attribute().map(|attribute| data.columns.values(attribute)).unwrap_or_default()
    }

    /// Returns a copy of the engine's current status.
    pub fn status(&self) -> Status {
        lock(&self.shared.status).clone()
    }

    /// Requests a refresh from the database and waits for it. Returns false if it took longer than `limit`, or if
    /// `stop` was cancelled or the engine closed meanwhile.
    ///
    /// Errors: the error with which the database could not be read.
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

    /// Stops following the database, and writes the column file if one is configured and rows have come since it was
    /// last written. A second call does nothing.
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

    /// Locks the rows for writing, once no query reads them. It does not wait in the lock's queue at first, because a
    /// waiting writer blocks every new reader, and one slow query would then delay every page.
    fn write(&self) -> RwLockWriteGuard<'_, Data> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.data.try_write() {
                Ok(data) => return data,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_AGAIN),
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
                .unwrap_or_else(|_| Err(Error::inconsistent("following orders panicked; all rows are read again")));
            if let Err(error) = done {
                if error.is_inconsistent() {
                    known = None;
                }
                tracing::debug!(error = error.chain(), "Following orders failed.");
                self.fail(error);
                let _ = or_stop(tokio::time::sleep(RETRY), &self.stop).await;
            }
        }
        if self.next_row() != saved_at {
            self.write_file(known.as_ref());
        }
    }

    /// Publishes an error in the status, and passes it to everyone who waits for a refresh.
    fn fail(&self, error: Error) {
        let mut status = lock(&self.status);
        status.no_tables = matches!(error, Error::NoTables(_));
        status.unusable = matches!(error, Error::Schema(_));
        let since = status.trouble.take().map_or_else(Instant::now, |(_, since)| since);
        status.trouble = Some((error.chain(), since));
        drop(status);
        // Waiting threads read the status as soon as they are notified, so it is set before.
        let mut turn = lock(&self.turn);
        turn.failed = turn.asked;
        turn.failure = Some(Arc::new(error));
        self.turned.notify_all();
    }

    /// Follows the table over one connection, until that fails or the engine is closed.
    async fn follow(&self, known: &mut Option<Known>, saved_at: &mut u64) -> Result<()> {
        let tables = Tables::default();
        let connecting = Reader::connect(&self.config.database_url, &tables);
        let Some(reader) = or_stop(connecting, &self.stop).await else { return Ok(()) };
        let mut follower = Follower::new(reader?);
        let mut segments = SegmentWatch::default();
        while !self.stop.is_cancelled() {
            let asked = lock(&self.turn).asked;
            let mut sink = Rows { shared: self };
            let Some(refreshed) = or_stop(follower.refresh(known, &mut sink), &self.stop).await else {
                return Ok(());
            };
            let refreshed = refreshed?;
            if let Some(segments) = segments.look(&mut follower.reader).await? {
                self.write().columns.set_segments(segments);
            }
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

    /// Evicts rows that are older or more than the settings allow.
    fn make_room(&self, columns: &mut Columns, snapshot: &Snapshot) {
        let oldest = self.config.max_days.map(|days| snapshot.at - i64::from(days) * DAY);
        columns.drop_oldest(self.config.max_rows, oldest, snapshot.at);
        columns.limit_bytes(self.column_bytes(), snapshot.at);
    }

    /// Returns how many bytes the columns may take: three quarters. The rest is for the results of kept queries.
    fn column_bytes(&self) -> usize {
        self.config.max_bytes / 4 * 3
    }

    /// Returns how many of the rows that the consumers have counted as stored are lacking here. It is 0 if rows were
    /// evicted, because the engine then holds only part of the table.
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

    /// Publishes a refresh: completes the rows' snapshot and updates the status.
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

    /// Reads the column file, if one is configured and usable.
    fn read_file(&self) -> Option<Known> {
        let path = self.config.file.as_ref()?;
        let saved = match file::read(path) {
            Ok(saved) => saved?,
            Err(error) => {
                tracing::warn!(error = error.chain(), "The column file is not usable and will be replaced.");
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

    /// Writes the column file, if one is configured. A failure is only logged.
    fn write_file(&self, known: Option<&Known>) {
        let data = self.read();
        let (Some(path), Some(known), Some(followed)) = (&self.config.file, known, data.followed) else { return };
        if let Err(error) = file::write(path, known, &data.columns, data.at, &data.pieces, followed) {
            tracing::warn!(error = error.chain(), "The column file could not be written.");
        }
    }
}

/// Receives the follower's rows for the engine.
struct Rows<'a> {
    shared: &'a Shared,
}

impl Sink for Rows<'_> {
    fn restart(&mut self) {
        let mut data = self.shared.write();
        *data = Data { pieces: vec![0], at: data.at, columns: data.columns.emptied(), ..Data::default() };
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
    fn rows_that_come_during_a_slow_query_delay_no_other_query() {
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
            // The writer has waited for a different time in each round.
            for _ in 0..100 {
                assert_eq!(shared.data.try_read().expect("the waiting writer blocks no reader").at, 0);
                thread::sleep(LOCK_AGAIN);
            }
            drop(slow);
            writer.join().unwrap();
            assert_eq!(shared.read().at, 1);
        });
    }
}
