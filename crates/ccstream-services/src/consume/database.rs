//! What the writer needs of a database, and no more: PostgreSQL is the one of every run, and a test has one in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};
use crate::postgres::own_session::check as check_own_session;
use crate::postgres::tables::Tables;
use crate::postgres::{Blame, Origin, Outcome, SchemaChange, Store, TakeOver};
use ccstream_core::batch::Batch;
use ccstream_core::settings::ConsumerConfig;

/// Opens sessions.
pub(super) trait Database: Send + 'static {
    /// What it opens.
    type Session: Session;
    /// A consumer's first session.
    async fn first(&self) -> Result<Self::Session>;
    /// A further one, beside the first.
    async fn another(&self) -> Result<Self::Session>;
}

/// A session that writes for one consumer. See [`Store`], whose methods these are.
pub(super) trait Session: Sized {
    async fn ensure_schema(&mut self) -> Result<SchemaChange>;
    async fn take_over(
        &mut self,
        partitions: &[i32],
        origin: &Origin,
        start_over: bool,
        is_wanted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<TakeOver>>;
    async fn write(&mut self, batch: &mut Batch) -> Result<Outcome>;
    async fn release(&mut self, owned: &BTreeMap<i32, i64>) -> Result<()>;
    async fn fail(self, error: Error) -> Error;
}

/// The consumer's tables in PostgreSQL.
#[derive(Debug)]
pub(super) struct Postgres {
    config: ConsumerConfig,
    tables: Tables,
    /// One for all sessions.
    blame: Blame,
    /// Whether a connection is known to have a session to itself, behind whatever pooler.
    has_own_sessions: AtomicBool,
}

impl Postgres {
    pub(super) fn new(config: &ConsumerConfig) -> Self {
        Self {
            config: config.clone(),
            tables: Tables::default(),
            blame: Blame::new(config.max_refused),
            has_own_sessions: AtomicBool::new(false),
        }
    }
}

impl Database for Postgres {
    type Session = Store;

    async fn first(&self) -> Result<Store> {
        // Once a run: a session that was cut off is opened again as it was.
        if !self.has_own_sessions.load(Ordering::Relaxed) {
            check_own_session(&self.config.database_url).await?;
            self.has_own_sessions.store(true, Ordering::Relaxed);
        }
        Store::connect(&self.config, &self.tables, &self.blame).await
    }

    async fn another(&self) -> Result<Store> {
        Store::connect_another(&self.config, &self.tables, &self.blame).await
    }
}

impl Session for Store {
    async fn ensure_schema(&mut self) -> Result<SchemaChange> {
        self.ensure_schema().await
    }

    async fn take_over(
        &mut self,
        partitions: &[i32],
        origin: &Origin,
        start_over: bool,
        is_wanted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<TakeOver>> {
        self.take_over(partitions, origin, start_over, is_wanted).await
    }

    async fn write(&mut self, batch: &mut Batch) -> Result<Outcome> {
        self.write(batch).await
    }

    async fn release(&mut self, owned: &BTreeMap<i32, i64>) -> Result<()> {
        self.release(owned).await
    }

    async fn fail(self, error: Error) -> Error {
        self.fail(error).await
    }
}
