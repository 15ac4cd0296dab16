//! This module leases the analysis to one run at a time. A run that has lost the lease is recognized by its epoch, and
//! can write nothing more.

use tokio_postgres::Transaction;

use super::AnalysisStore;
use super::models::Scoring;
use crate::error::{Error, Result};
use crate::postgres::begin;
use crate::postgres::statements::Statements;
use ccstream_core::event::Micros;

/// The time without a sign of life after which another run may take the lease.
pub(crate) const LIFETIME: &str = "10 s";

/// A lease, and how far the analysis had come when it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) epoch: i64,
    /// Number of batches that were committed.
    pub(crate) batch: i64,
    /// The last place in the order.
    pub(crate) seq: i64,
    /// The greatest time of an event.
    pub(crate) time: Option<Micros>,
    pub(crate) late: i64,
}

/// The fence's verdict on a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fence {
    /// The batch is the next one.
    Ready,
    /// The batch is committed already: only the answer to its COMMIT was lost.
    Written,
    /// Another run has the lease, or the position is not where this run left it.
    Lost,
}

impl AnalysisStore {
    /// Takes the lease if no run has it, or if the run that has it is gone. Returns None if another run has it.
    ///
    /// The bounds of the state are stored, because who computes the state again needs the same ones. PostgreSQL hides the
    /// start of another role's session. Its process id alone then tells whether it is there.
    pub(crate) async fn claim(&mut self, (cards, merchants): (usize, usize)) -> Result<Option<Lease>> {
        self.end_suspended().await?;
        let query = format!(
            "UPDATE analysis SET epoch = epoch + 1, writer = $1, owner_pid = pg_backend_pid(),
                 owner_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()),
                 renewed_at = now(), cards = $2, merchants = $3
             WHERE writer IS NULL OR writer = $1 OR renewed_at < now() - interval '{LIFETIME}'
                OR NOT EXISTS (SELECT FROM pg_stat_activity
                               WHERE pid = owner_pid AND coalesce(backend_start = owner_start, true))
             RETURNING epoch, batch, seq, {}, late",
            super::micros("event_time")
        );
        let row = self.client.query_opt(&query, &[&self.writer, &(cards as i64), &(merchants as i64)]).await;
        let row = row.map_err(Error::postgres("taking the lease of the analysis"))?;
        Ok(row.map(|row| Lease {
            epoch: row.get(0),
            batch: row.get(1),
            seq: row.get(2),
            time: row.get::<_, Option<i64>>(3).map(Micros),
            late: row.get(4),
        }))
    }

    /// Ends the session of a run that is suspended in the middle of a COPY. It holds the lock of the lease, and no timeout of
    /// PostgreSQL applies while the server waits for the rest of the rows.
    async fn end_suspended(&mut self) -> Result<()> {
        let query = format!(
            "SELECT pg_terminate_backend(pid) FROM analysis JOIN pg_stat_activity
                 ON pid = owner_pid AND backend_start = owner_start AND usename = current_user
             WHERE writer <> $1 AND renewed_at < now() - interval '{LIFETIME}' AND wait_event = 'ClientRead'"
        );
        let ended = self.client.query(&query, &[&self.writer]).await;
        ended.map(drop).map_err(Error::postgres("ending the session of a suspended analyzer"))
    }

    /// Renews the lease. Returns whether this run still has it.
    pub(crate) async fn renew(&mut self, epoch: i64) -> Result<bool> {
        let renewed = self.client.execute("UPDATE analysis SET renewed_at = now() WHERE epoch = $1", &[&epoch]).await;
        Ok(renewed.map_err(Error::postgres("renewing the lease of the analysis"))? > 0)
    }

    /// Releases the lease, so that another run can take it at once.
    pub(crate) async fn release(&mut self, epoch: i64) -> Result<()> {
        let query = "UPDATE analysis SET writer = NULL, owner_pid = NULL, owner_start = NULL WHERE epoch = $1";
        let released = self.client.execute(query, &[&epoch]).await;
        released.map(drop).map_err(Error::postgres("releasing the lease of the analysis"))
    }
}

/// Locks the position and compares it with a batch. Also returns the models that score.
pub(super) async fn fence(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    epoch: i64,
    batch: i64,
) -> Result<(Fence, Scoring)> {
    let query = "SELECT epoch, batch, (SELECT min(name) FROM models WHERE is_active),
                        (SELECT min(name) FROM models WHERE is_shadow)
                 FROM analysis FOR NO KEY UPDATE";
    let rows = statements.query(transaction, query, &[]).await;
    let rows = rows.map_err(Error::postgres("locking the position of the analysis"))?;
    let Some(row) = rows.first() else { return Ok((Fence::Lost, Scoring::default())) };
    let scoring = Scoring { active: row.get(2), shadow: row.get(3) };
    Ok((judge((row.get(0), row.get(1)), (epoch, batch)), scoring))
}

/// Compares the epoch and the number of batches in the table with those that a batch was made from.
fn judge((epoch, batch): (i64, i64), own: (i64, i64)) -> Fence {
    match epoch == own.0 {
        true if batch == own.1 => Fence::Ready,
        true if batch == own.1 + 1 => Fence::Written,
        _ => Fence::Lost,
    }
}

/// Returns whether this run still has the lease. The row remains locked until the transaction ends.
pub(super) async fn is_held(transaction: &Transaction<'_>, epoch: i64) -> Result<bool> {
    let row = transaction.query_opt("SELECT epoch FROM analysis FOR NO KEY UPDATE", &[]).await;
    let row = row.map_err(Error::postgres("locking the position of the analysis"))?;
    Ok(row.is_some_and(|row| row.get::<_, i64>(0) == epoch))
}

impl AnalysisStore {
    /// Begins a transaction, and locks the lease until its end. Returns None if this run has lost the lease.
    pub(super) async fn begin_fenced(&mut self, epoch: i64) -> Result<Option<Transaction<'_>>> {
        let transaction = begin(&mut self.client).await?;
        Ok(is_held(&transaction, epoch).await?.then_some(transaction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fence() {
        for (found, own, expected) in [
            ((3, 7), (3, 7), Fence::Ready),
            ((3, 8), (3, 7), Fence::Written),
            ((4, 7), (3, 7), Fence::Lost),
            // The epoch decides even if the number is the batch's.
            ((4, 8), (3, 7), Fence::Lost),
            ((3, 6), (3, 7), Fence::Lost),
        ] {
            assert_eq!(judge(found, own), expected, "{found:?} {own:?}");
        }
    }
}
