//! This module keeps the PostgreSQL session that writes truth. It reconnects after an error, and retries while
//! PostgreSQL is unavailable.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::postgres::truth::TruthStore;
use ccstream_core::settings::ConsumerConfig;

/// The wait after the first failed attempt. It doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Writes truth, with a session that it reopens when necessary.
pub(super) struct TruthDatabase {
    runtime: Runtime,
    config: ConsumerConfig,
    /// A random number by which this run recognizes its own transactions.
    writer: i64,
    session: Option<TruthStore>,
    /// Cancelled when the run no longer waits for this thread.
    abandon: CancellationToken,
}

impl TruthDatabase {
    pub(super) fn new(config: &ConsumerConfig, abandon: CancellationToken) -> Result<Self> {
        Ok(Self { runtime: crate::runtime()?, config: config.clone(), writer: rand::random(), session: None, abandon })
    }

    /// Does `work` with a session, and retries it after each temporary error. Returns None if the run stopped waiting.
    pub(super) fn by<T>(&mut self, mut work: impl AsyncFnMut(&mut TruthStore) -> Result<T>) -> Result<Option<T>> {
        let Self { runtime, config, writer, session, abandon } = self;
        let until_done = async {
            let mut wait = FIRST_WAIT;
            loop {
                match attempt(session, config, *writer, &mut work).await {
                    Err(error) if error.is_retriable() => {
                        tracing::warn!(error = error.chain(), "Truth was not written; retrying.");
                        tokio::time::sleep(wait).await;
                        wait = (wait * 2).min(LONGEST_WAIT);
                    }
                    done => return done.map(Some),
                }
            }
        };
        runtime.block_on(async {
            tokio::select! {
                () = abandon.cancelled() => Ok(None),
                done = until_done => done,
            }
        })
    }
}

async fn attempt<T>(
    slot: &mut Option<TruthStore>,
    config: &ConsumerConfig,
    writer: i64,
    work: &mut impl AsyncFnMut(&mut TruthStore) -> Result<T>,
) -> Result<T, Error> {
    let mut session = match slot.take() {
        Some(session) => session,
        None => TruthStore::connect(config, writer).await?,
    };
    match work(&mut session).await {
        Ok(done) => {
            *slot = Some(session);
            Ok(done)
        }
        Err(error) => Err(session.fail(error).await),
    }
}
