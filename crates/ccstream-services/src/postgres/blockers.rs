//! Who keeps a lock that is waited for in vain. A consumer that was stopped in mid-transaction keeps
//! its locks through every timeout that PostgreSQL has; whoever has its partitions now ends its session.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio_postgres::Client;

use super::connect::connect;
use super::offsets::Source;
use crate::error::{Error, Result};
use ccstream_core::settings::DatabaseUrl;

/// So long a lock is waited for before somebody is ended; less than the `lock_timeout`.
const PATIENCE: Duration = Duration::from_secs(4);
/// And so long for each of the next, of whoever else stood behind the first.
const NEXT_PATIENCE: Duration = Duration::from_millis(500);

/// The advisory lock that the first session of every consumer shares, by which the others know it, and consumers are
/// counted: "ccwriter" in ASCII.
pub(crate) const MARK: i64 = i64::from_be_bytes(*b"ccwriter");
/// The one that its further sessions share: "cchelper".
pub(super) const HELPER: i64 = i64::from_be_bytes(*b"cchelper");

/// Marks the session as a consumer's, by one of the two.
pub(super) async fn mark(client: &Client, mark: i64) -> Result<()> {
    client
        .execute("SELECT pg_advisory_lock_shared($1)", &[&mark])
        .await
        .map_err(Error::postgres("marking the session"))?;
    Ok(())
}

/// Whose right it is to end others: a session, and what must be true for it to have that right.
pub(super) struct Claim<'s> {
    pub(super) url: &'s DatabaseUrl,
    pub(super) source: &'s Source,
    /// The session that waits.
    pub(super) backend: i32,
    /// Epochs that must still be the committed ones; none for a take-over, which makes new ones.
    pub(super) epochs: Vec<(i32, i64)>,
    /// Whether the work is wanted still.
    pub(super) is_wanted: &'s (dyn Fn() -> bool + Sync),
}

impl std::fmt::Debug for Claim<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").field("backend", &self.backend).field("epochs", &self.epochs).finish_non_exhaustive()
    }
}

impl Claim<'_> {
    /// Waits for what needs a lock, and ends other consumers' sessions that keep it too long; those.
    pub(super) async fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<(T, Vec<i32>)> {
        let mut work = pin!(work);
        let (mut ended, mut patience) = (Vec::new(), PATIENCE);
        loop {
            match tokio::time::timeout(patience, &mut work).await {
                Ok(done) => return done.map(|done| (done, ended)),
                // Failing to end them changes nothing: the lock is waited for as long as PostgreSQL lets us.
                Err(_) => match self.end_blockers().await {
                    Ok(pids) => ended.extend(pids),
                    Err(error) => {
                        tracing::warn!(error = error.chain(), "Ending the session that keeps a lock failed.");
                    }
                },
            }
            patience = NEXT_PATIENCE;
        }
    }

    /// Ends the consumers' sessions that keep ours waiting. A session of anybody else, a person's say, is left alone.
    async fn end_blockers(&self) -> Result<Vec<i32>> {
        let step = || Error::postgres("looking who keeps a lock");
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
