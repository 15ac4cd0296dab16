//! This module has the interface through which the writer uses a database. PostgreSQL implements it for every run, and
//! tests implement it in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};
use crate::postgres::own_session::check as check_own_session;
use crate::postgres::tables::Tables;
use crate::postgres::{Blame, Origin, Outcome, SchemaChange, Store, TakeOver};
use ccstream_core::batch::Batch;
use ccstream_core::settings::ConsumerConfig;

/// Opens sessions with a database.
pub(super) trait Database: Send + 'static {
    /// The type of its sessions.
    type Session: Session;
    /// Opens the consumer's first session.
    async fn first(&self) -> Result<Self::Session>;
    /// Opens an additional session.
    async fn another(&self) -> Result<Self::Session>;
}

/// A session that writes for one consumer. [`Store`] documents the methods.
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

/// Opens the consumer's sessions with PostgreSQL.
#[derive(Debug)]
pub(super) struct Postgres {
    config: ConsumerConfig,
    tables: Tables,
    /// Shared by all sessions.
    blame: Blame,
    /// Whether it has been checked that each connection keeps the same session, which some poolers do not ensure.
    has_own_sessions: AtomicBool,
}

impl Postgres {
    pub(super) fn new(config: &ConsumerConfig) -> Self {
        Self {
            config: config.clone(),
            tables: if config.truth { Tables::default().with_truth() } else { Tables::default() },
            blame: Blame::new(config.max_refused),
            has_own_sessions: AtomicBool::new(false),
        }
    }
}

impl Database for Postgres {
    type Session = Store;

    async fn first(&self) -> Result<Store> {
        // The check is made once in a run: reconnecting after a lost connection leads to the same server or pooler.
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
