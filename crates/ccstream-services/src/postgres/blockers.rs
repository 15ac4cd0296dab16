//! Ends the session of a suspended consumer that holds a lock we wait for. A process that is suspended (SIGSTOP) within
//! a transaction keeps its locks beyond every timeout of PostgreSQL. The consumer that is assigned its partitions next
//! may therefore end its session.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio_postgres::Client;

use super::connect::connect;
use super::offsets::Source;
use crate::error::{Error, Result};
use ccstream_core::settings::DatabaseUrl;

/// The time to wait for a lock before sessions that hold it are ended. It is less than the `lock_timeout`.
const PATIENCE: Duration = Duration::from_secs(4);
/// The time to wait after that before further sessions are ended, which may have queued for the lock ahead of ours.
const NEXT_PATIENCE: Duration = Duration::from_millis(500);

/// The key of the advisory lock that the first session of every consumer shares: "ccwriter" in ASCII. Other consumers
/// recognize the session by it, and the number of consumers is the number of its holders.
pub(crate) const MARK: i64 = i64::from_be_bytes(*b"ccwriter");
/// The key of the advisory lock that a consumer's further sessions share: "cchelper" in ASCII.
pub(super) const HELPER: i64 = i64::from_be_bytes(*b"cchelper");

/// Marks the session as a consumer's, with [`MARK`] or [`HELPER`].
pub(super) async fn mark(client: &Client, mark: i64) -> Result<()> {
    client
        .execute("SELECT pg_advisory_lock_shared($1)", &[&mark])
        .await
        .map_err(Error::postgres("marking the session"))?;
    Ok(())
}

/// Holds a session that may end other sessions, and the conditions under which it may.
pub(super) struct Claim<'s> {
    pub(super) url: &'s DatabaseUrl,
    pub(super) source: &'s Source,
    /// The process id in PostgreSQL of the session that waits.
    pub(super) backend: i32,
    /// Partitions and the epochs that must still be in their offset rows. It is empty for a take-over, which increments
    /// the epochs.
    pub(super) epochs: Vec<(i32, i64)>,
    /// Whether the work is still wanted.
    pub(super) is_wanted: &'s (dyn Fn() -> bool + Sync),
}

impl std::fmt::Debug for Claim<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").field("backend", &self.backend).field("epochs", &self.epochs).finish_non_exhaustive()
    }
}

impl Claim<'_> {
    /// Awaits work that needs a lock, and ends other consumers' sessions that hold it for too long. Returns the work's
    /// result and the process ids of those sessions.
    pub(super) async fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<(T, Vec<i32>)> {
        let mut work = pin!(work);
        let (mut ended, mut patience) = (Vec::new(), PATIENCE);
        loop {
            match tokio::time::timeout(patience, &mut work).await {
                Ok(done) => return done.map(|done| (done, ended)),
                // If they cannot be ended, we go on waiting for the lock until PostgreSQL's `lock_timeout`.
                Err(_) => match self.end_blockers().await {
                    Ok(pids) => ended.extend(pids),
                    Err(error) => {
                        tracing::warn!(error = error.chain(), "Could not end the session that holds our lock.");
                    }
                },
            }
            patience = NEXT_PATIENCE;
        }
    }

    /// Ends the sessions of consumers that block ours, and returns their process ids. It never ends the session of
    /// another program or of a person.
    async fn end_blockers(&self) -> Result<Vec<i32>> {
        let step = || Error::postgres("finding the sessions that hold a lock");
        let client = connect(self.url).await?;
        let (partitions, epochs): (Vec<i32>, Vec<i64>) = self.epochs.iter().copied().unzip();
        let ours = client
            .query_one(
                "SELECT count(*) = cardinality($3::int[]) FROM kafka_offsets o
                 JOIN unnest($3::int[], $4::bigint[]) AS h (partition, epoch) USING (partition, epoch)
                 WHERE o.consumer_group = $1 AND o.topic = $2",
                &[&self.source.group, &self.source.topic, &partitions, &epochs],
            )
            .await
            .map_err(step())?;
        if !(ours.get::<_, bool>(0) && (self.is_wanted)()) {
            return Ok(Vec::new());
        }
        let ended = client
            .query(
                "SELECT pid FROM (
                     SELECT DISTINCT b.pid FROM unnest(pg_blocking_pids($1)) AS b (pid)
                     JOIN pg_locks l ON l.pid = b.pid AND l.locktype = 'advisory' AND l.objsubid = 1
                         AND (l.classid::bigint << 32 | l.objid::bigint) = ANY ($2::bigint[])
                 ) AS consumers WHERE pg_terminate_backend(pid)",
                &[&self.backend, &vec![MARK, HELPER]],
            )
            .await
            .map_err(step())?;
        Ok(ended.iter().map(|row| row.get(0)).collect())
    }
}
