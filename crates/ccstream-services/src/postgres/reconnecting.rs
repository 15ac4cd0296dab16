//! Keeps one PostgreSQL session for a thread. It reconnects after an error, and retries while PostgreSQL is unavailable.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// The wait after the first failed attempt. It doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A session that can be opened again.
pub(crate) trait Reopened: Sized {
    /// What a session is opened with.
    type Settings: Clone;
    /// What it writes, for the log.
    const WHAT: &'static str;
    /// Opens a session. `writer` is a random number by which a run recognizes what it wrote itself.
    async fn open(settings: &Self::Settings, writer: i64) -> Result<Self>;
    /// Closes the session after `error`. If the driver reports only that the connection ended, returns the reason.
    async fn fail(self, error: Error) -> Error;
}

/// Works with a session that it reopens when necessary.
#[derive(Debug)]
pub(crate) struct Reconnecting<S: Reopened> {
    runtime: Runtime,
    settings: S::Settings,
    writer: i64,
    session: Option<S>,
    /// Cancelled when nobody waits for the result any more.
    abandon: CancellationToken,
    /// How long work may take after that.
    grace: Duration,
}

impl<S: Reopened> Reconnecting<S> {
    pub(crate) fn new(settings: &S::Settings, abandon: CancellationToken) -> Result<Self> {
        Ok(Self {
            runtime: crate::runtime()?,
            settings: settings.clone(),
            writer: rand::random(),
            session: None,
            abandon,
            grace: Duration::ZERO,
        })
    }

    /// Returns the random number by which the run of this session recognizes what it wrote itself.
    pub(crate) fn writer(&self) -> i64 {
        self.writer
    }

    /// Lets all further work take this long in total, even if nobody waits for it.
    pub(crate) fn wait_at_most(&mut self, grace: Duration) {
        self.grace = grace;
    }

    /// Does `work` with a session, and retries it after each temporary error. Returns None if nobody waits any more.
    pub(crate) fn by<T>(&mut self, work: impl AsyncFnMut(&mut S) -> Result<T>) -> Result<Option<T>> {
        self.reporting(|_| {}, work)
    }

    /// Works like [`by`](Self::by), and calls `failed` with each temporary error.
    pub(crate) fn reporting<T>(
        &mut self,
        mut failed: impl FnMut(&Error),
        mut work: impl AsyncFnMut(&mut S) -> Result<T>,
    ) -> Result<Option<T>> {
        let Self { runtime, settings, writer, session, abandon, grace } = self;
        let began = Instant::now();
        let until_done = async {
            let mut wait = FIRST_WAIT;
            loop {
                match attempt(session, settings, *writer, &mut work).await {
                    Err(error) if error.is_retriable() => {
                        failed(&error);
                        tracing::warn!(error = error.chain(), "{} not written; retrying.", S::WHAT);
                        tokio::time::sleep(wait).await;
                        wait = (wait * 2).min(LONGEST_WAIT);
                    }
                    done => return done.map(Some),
                }
            }
        };
        let done = runtime.block_on(async {
            let abandoned = async {
                abandon.cancelled().await;
                tokio::time::sleep(*grace).await;
            };
            tokio::select! {
                () = abandoned => Ok(None),
                done = until_done => done,
            }
        });
        *grace = grace.saturating_sub(began.elapsed());
        done
    }
}

async fn attempt<S: Reopened, T>(
    slot: &mut Option<S>,
    settings: &S::Settings,
    writer: i64,
    work: &mut impl AsyncFnMut(&mut S) -> Result<T>,
) -> Result<T, Error> {
    let mut session = match slot.take() {
        Some(session) => session,
        None => S::open(settings, writer).await?,
    };
    match work(&mut session).await {
        Ok(done) => {
            *slot = Some(session);
            Ok(done)
        }
        Err(error) => Err(session.fail(error).await),
    }
}
