//! Contains everything that writes to PostgreSQL. Each batch is written in one transaction:
//!
//! ```text
//! BEGIN -> lock and check the offset rows (the fence)
//!       -> insert rows into orders, each attempt in a savepoint (insert)
//!       -> update the derived tables (tables)
//!       -> advance the offset rows (offsets) -> COMMIT
//! ```

pub(crate) mod analysis;
mod blame;
mod blockers;
pub(crate) mod connect;
mod copy;
pub mod derived;
mod fixes;
mod insert;
mod offsets;
mod orders;
pub(crate) mod own_session;
mod password;
pub(crate) mod reading;
pub(crate) mod reconnecting;
pub(crate) mod roles;
mod row_refusal;
pub(crate) mod schema;
pub(crate) mod shape;
mod staging;
mod statements;
pub mod table;
pub mod tables;
mod target;
mod tls;
pub(crate) mod truth;
pub(crate) mod version;

use std::collections::BTreeMap;

use tokio_postgres::{Client, IsolationLevel, Transaction};

pub use self::analysis::AnalysisCounters;
pub(crate) use self::blame::Blame;
pub(crate) use self::blockers::MARK;
use self::blockers::{Claim, HELPER};
use self::connect::Service;
use self::derived::Write;
use self::insert::Caution;
pub use self::offsets::Counters;
use self::offsets::FenceVerdict;
pub use self::offsets::Source;
pub(crate) use self::offsets::{Origin, Position, Positions, Refusal, Restart, TakeOver};
pub use self::schema::SchemaChange;
pub use self::statements::Statements;
use self::tables::Tables;
pub(crate) use self::target::check_url;
pub use self::truth::TruthCounters;
use crate::error::{Error, Result};
use ccstream_core::batch::Batch;
use ccstream_core::settings::{ConsumerConfig, DatabaseUrl};

/// Settings of a session that writes, except `synchronous_commit`, which the user chooses.
///
/// No statement or transaction timeout of the server may end our transaction: the same batch would run into the timeout
/// again, forever. The keepalives and `idle_in_transaction_session_timeout` are there for a consumer that has vanished:
/// the server then ends its session.
///
/// `enable_seqscan` is off because a batch's queries of `orders` use its primary key. For a table that has not been
/// analyzed yet, the planner would prefer to scan it, and to compare each row with every id of a batch. `jit` is off
/// because, before PostgreSQL 18, an unavoidable scan gets so high a cost while scans are disabled that its plan is
/// compiled.
const WRITING: [(&str, &str); 13] = [
    ("enable_seqscan", "off"),
    ("jit", "off"),
    ("statement_timeout", "0"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "60s"),
    ("transaction_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "5"),
    ("tcp_user_timeout", "20000"),
    ("timezone", "UTC"),
    ("client_encoding", "UTF8"),
];

/// The outcome of writing a batch.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The batch is committed, now or by an earlier attempt whose answer was lost. Holds its partitions' new positions.
    Committed(Positions),
    /// Nothing was written, because a partition is not where this consumer left it.
    Refused(Refusal),
}

/// A connection that writes for one consumer. A consumer may have several of them.
#[derive(Debug)]
pub(crate) struct Store {
    client: Client,
    service: Service,
    url: DatabaseUrl,
    source: Source,
    /// The process id of the session in PostgreSQL.
    backend: i32,
    statements: Statements,
    /// Determines the route of the next batch's rows.
    caution: Caution,
    blame: Blame,
    tables: Tables,
    /// Whether the topic is read from its beginning if `orders` has none of the rows that were stored.
    start_over: bool,
}

impl Store {
    /// Opens a consumer's first connection and sets its session up.
    pub(crate) async fn connect(config: &ConsumerConfig, tables: &Tables, blame: &Blame) -> Result<Self> {
        Self::connect_as(config, tables, blame, MARK).await
    }

    /// Opens an additional connection of a consumer and sets its session up.
    pub(crate) async fn connect_another(config: &ConsumerConfig, tables: &Tables, blame: &Blame) -> Result<Self> {
        Self::connect_as(config, tables, blame, HELPER).await
    }

    async fn connect_as(config: &ConsumerConfig, tables: &Tables, blame: &Blame, mark: i64) -> Result<Self> {
        let url = config.database_url.clone();
        let mut settings = WRITING.to_vec();
        settings.push(("synchronous_commit", if config.synchronous_commit { "on" } else { "off" }));
        let (client, service) = connect::connect_with(&url, &settings).await?;
        let prepared = async {
            connect::set(&client, &settings).await?;
            register(&client, mark).await
        };
        let backend = match prepared.await {
            Ok(backend) => backend,
            Err(error) => return Err(service.explain(&client, error).await),
        };
        let source = Source { group: config.group.clone(), topic: config.kafka.topic.clone() };
        let caution = if config.always_stage { Caution::AlwaysStage } else { Caution::default() };
        Ok(Self {
            client,
            service,
            url,
            source,
            backend,
            statements: Statements::default(),
            caution,
            blame: blame.clone(),
            tables: tables.clone(),
            start_over: config.start_over,
        })
    }

    /// Closes the store after an error of its connection, and returns the error. If the driver reported only that the
    /// connection is closed, returns the reason for that instead.
    pub(crate) async fn fail(self, error: Error) -> Error {
        self.service.explain(&self.client, error).await
    }

    /// Creates and checks the tables.
    pub(crate) async fn ensure_schema(&mut self) -> Result<SchemaChange> {
        schema::ensure(&mut self.client, &self.tables, self.start_over).await
    }

    /// Takes partitions over for this consumer, and ends sessions of suspended consumers that hold their locks.
    ///
    /// Returns None, and changes nothing, if `is_wanted` has become false meanwhile: the take-over would then fence out
    /// the partitions' new owner.
    pub(crate) async fn take_over(
        &mut self,
        partitions: &[i32],
        origin: &Origin,
        start_over: bool,
        is_wanted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<TakeOver>> {
        let (source, url) = (self.source.clone(), self.url.clone());
        let claim = Claim { url: &url, source: &source, backend: self.backend, epochs: Vec::new(), is_wanted };
        let transaction = begin(&mut self.client).await?;
        let work = offsets::take_over(&transaction, &mut self.statements, &source, partitions, origin, start_over);
        let (taken, ended) = claim.wait(work).await?;
        if !is_wanted() {
            return Ok(None);
        }
        transaction.commit().await.map_err(Error::postgres("taking over the offset rows"))?;
        Ok(Some(TakeOver { ended, ..taken }))
    }

    /// Releases partitions that this consumer owns under the given epochs.
    pub(crate) async fn release(&mut self, owned: &BTreeMap<i32, i64>) -> Result<()> {
        offsets::release(&self.client, &self.source, owned).await
    }

    /// Writes a sealed batch in one transaction: all of it, or nothing.
    pub(crate) async fn write(&mut self, batch: &mut Batch) -> Result<Outcome> {
        let advances = batch.advances();
        let epochs = advances.iter().map(|(partition, advance)| (*partition, advance.epoch)).collect();
        let claim = Claim { url: &self.url, source: &self.source, backend: self.backend, epochs, is_wanted: &|| true };
        let (mut transaction, statements) = (begin(&mut self.client).await?, &mut self.statements);
        let (verdict, ended) = claim.wait(offsets::fence(&transaction, statements, &self.source, &advances)).await?;
        if !ended.is_empty() {
            tracing::warn!(?ended, "Ended sessions of suspended consumers that held locks on our partitions.");
        }
        match verdict {
            FenceVerdict::Ready => {}
            FenceVerdict::Committed(positions) => return Ok(Outcome::Committed(positions)),
            FenceVerdict::Refused(refusal) => return Ok(Outcome::Refused(refusal)),
        }
        batch.begin_writing();
        // A deferred constraint would fail only at COMMIT, and its error would not show which row violates it.
        transaction
            .batch_execute("SET CONSTRAINTS ALL IMMEDIATE")
            .await
            .map_err(Error::postgres("preparing to write"))?;
        let learned = insert::insert(&mut transaction, statements, batch, self.caution).await?;
        let pending = self.blame.judge(&learned.refusals)?;
        for derived in self.tables.derived() {
            let mut write = Write { transaction: &transaction, statements, source: &self.source, batch };
            derived.apply(&mut write).await?;
        }
        let reached = offsets::advance(&transaction, statements, &self.source, &batch.advances()).await?;
        if reached.len() != advances.len() {
            return Err(Error::inconsistent("an offset row disappeared while it was locked"));
        }
        transaction.commit().await.map_err(Error::postgres("committing a batch"))?;
        pending.commit();
        self.caution = learned.caution;
        Ok(Outcome::Committed(reached))
    }
}

/// Marks the session as a consumer's, and returns its process id in PostgreSQL.
async fn register(client: &Client, mark: i64) -> Result<i32> {
    let row = client.query_one("SELECT pg_backend_pid()", &[]).await;
    let backend = row.map_err(Error::postgres("setting up the connection"))?.get(0);
    blockers::mark(client, mark).await?;
    Ok(backend)
}

async fn begin(client: &mut Client) -> Result<Transaction<'_>> {
    let begin = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start();
    begin.await.map_err(Error::postgres("beginning a transaction"))
}

#[cfg(test)]
pub(crate) mod tests;
