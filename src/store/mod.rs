//! The only writer to PostgreSQL. One transaction per batch holds all that it brings:
//!
//! ```text
//! BEGIN -> lock the offset rows, check them (the fence)
//!       -> SAVEPOINT, COPY into orders   (a key is there already: staging, ON CONFLICT DO NOTHING)
//!       -> rejected_events -> kpi_minute -> kafka_offsets -> COMMIT
//! ```

pub(crate) mod connect;
mod copy;
mod offsets;
pub(crate) mod rejected;
pub(crate) mod schema;
mod totals;

use std::time::Duration;

use tokio_postgres::{Client, IsolationLevel, Transaction};

pub use self::offsets::Counters;
pub(crate) use self::offsets::{Position, Positions, Refusal, Source};
pub use self::schema::SchemaChange;
use crate::batch::Batch;
use crate::config::DatabaseUrl;
use crate::error::{Error, Result};

/// How long an offset row's lock is waited for.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// After a repeat was found, so many batches without one pass before COPY goes straight again.
const CLEAN_BATCHES: u32 = 20;

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Committed: where its partitions stand now.
    Committed(Positions),
    /// Not written: a partition is not where this consumer left it.
    Refused(Refusal),
}

/// A connection that writes for one consumer.
#[derive(Debug)]
pub(crate) struct Store {
    client: Client,
    source: Source,
    /// Batches to go before COPY is tried without looking for repeats.
    wary: u32,
}

impl Store {
    /// Connects and sets the session up.
    pub(crate) async fn connect(url: &DatabaseUrl, source: Source, synchronous_commit: bool) -> Result<Self> {
        let client = connect::connect(url).await?;
        let setup = format!(
            "SET lock_timeout = {}; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = '60s'; SET synchronous_commit = {}; \
             SET timezone = 'UTC'; SET client_encoding = 'UTF8'",
            LOCK_TIMEOUT.as_millis(),
            if synchronous_commit { "on" } else { "off" },
        );
        client.batch_execute(&setup).await.map_err(Error::postgres("setting up the connection"))?;
        Ok(Self { client, source, wary: 0 })
    }

    /// Makes and checks the tables.
    pub(crate) async fn ensure_schema(&mut self) -> Result<SchemaChange> {
        schema::ensure(&mut self.client).await
    }

    async fn begin(&mut self) -> Result<Transaction<'_>> {
        let begin = self.client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start();
        begin.await.map_err(Error::postgres("beginning a transaction"))
    }

    /// Makes partitions this consumer's own; the second list starts over, on another cluster.
    pub(crate) async fn take_over(
        &mut self,
        partitions: &[i32],
        cluster_id: Option<&str>,
    ) -> Result<(Positions, Vec<i32>)> {
        let source = self.source.clone();
        let transaction = self.begin().await?;
        let taken = offsets::take_over(&transaction, &source, partitions, cluster_id).await?;
        transaction.commit().await.map_err(Error::postgres("taking the offset rows over"))?;
        Ok(taken)
    }

    /// Reads again where the partitions stand that are still this consumer's.
    pub(crate) async fn reread(&mut self, positions: &Positions) -> Result<Positions> {
        let source = self.source.clone();
        let transaction = self.begin().await?;
        let found = offsets::reread(&transaction, &source, positions).await?;
        transaction.commit().await.map_err(Error::postgres("reading the offset rows"))?;
        Ok(found)
    }

    /// Writes a sealed batch in one transaction, or nothing of it.
    ///
    /// Later: a row that PostgreSQL itself refuses (SQLSTATE classes 22 and 23) is rejected alone;
    /// today such an error ends the program, with nothing lost.
    pub(crate) async fn write(&mut self, batch: &mut Batch, positions: &Positions) -> Result<Outcome> {
        let (source, mut wary) = (self.source.clone(), self.wary);
        let mut transaction = self.begin().await?;
        if let Some(refusal) = offsets::fence(&transaction, &source, positions, &batch.advances).await? {
            transaction.rollback().await.map_err(Error::postgres("dropping a batch"))?;
            return Ok(Outcome::Refused(refusal));
        }
        if batch.rows().len() > 0 {
            wary = write_rows(&mut transaction, batch, wary).await?;
        }
        rejected::keep(&transaction, &source, &batch.rejected).await?;
        totals::add(&transaction, batch).await?;
        let reached = offsets::advance(&transaction, &source, &batch.advances).await?;
        if reached.len() != batch.advances.len() {
            return Err(Error::Inconsistent("an offset row vanished while it was locked".into()));
        }
        transaction.commit().await.map_err(Error::postgres("committing a batch"))?;
        self.wary = wary;
        Ok(Outcome::Committed(reached))
    }
}

/// Writes the rows, leaving in the batch those that were new; how wary to be of the next batch.
///
/// Later: while wary, look up which ids are there already, and COPY the rest.
async fn write_rows(transaction: &mut Transaction<'_>, batch: &mut Batch, wary: u32) -> Result<u32> {
    if wary == 0 && copy::copy(transaction, batch).await? {
        return Ok(0);
    }
    let before = batch.rows().len();
    copy::insert_new(transaction, batch).await?;
    Ok(if batch.rows().len() < before { CLEAN_BATCHES } else { wary.saturating_sub(1) })
}

#[cfg(test)]
mod tests;
