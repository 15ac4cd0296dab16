//! Reads from PostgreSQL without leaving a trace in the session, because behind a pooler the session's next transaction
//! may be another client's. Each reading is one transaction, with its settings and role limited to it, and uses unnamed
//! statements only.

use std::time::Duration;

use tokio_postgres::{Client, IsolationLevel, SimpleQueryMessage, Transaction};

use super::connect::connect;
use super::roles::READER;
use super::shape::Shape;
use super::tables::Tables;
use super::version;
use crate::error::{Error, Result};
use ccstream_core::settings::DatabaseUrl;

/// The statement timeout of queries for the dashboard and the command line.
pub(crate) const PAGE_LIMIT: Duration = Duration::from_secs(60);
/// No statement timeout, for queries whose duration grows with the table.
pub(crate) const NO_LIMIT: Duration = Duration::ZERO;

/// A connection that reads.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) client: Client,
    tables: Tables,
}

/// A read-only transaction, with one snapshot for all of its statements.
#[allow(missing_debug_implementations, reason = "the driver's transaction has none")]
pub(crate) struct Reading<'r> {
    pub(crate) transaction: Transaction<'r>,
    /// The reading role, if the transaction has its privileges; None if it has the user's own.
    pub(crate) role: Option<String>,
}

impl Reader {
    /// Connects.
    pub(crate) async fn connect(url: &DatabaseUrl, tables: &Tables) -> Result<Self> {
        Ok(Self { client: connect(url).await?, tables: tables.clone() })
    }

    /// Begins a transaction with this statement timeout. It has the reading role's privileges if the role exists, may
    /// be set, and may read all of the tables. The last is not certain: a table that was recreated or restored has lost
    /// the role's grant.
    pub(crate) async fn begin(&mut self, limit: Duration) -> Result<Reading<'_>> {
        let step = || Error::postgres("beginning to read");
        let names: Vec<String> = self.tables.read().iter().map(|name| format!("'{name}'")).collect();
        let begin = self.client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
        let transaction = begin.start().await.map_err(step())?;
        // Since PostgreSQL 16, a member of a role is not always allowed to SET it.
        let settings = format!(
            "SET LOCAL statement_timeout = '{limit}ms'; SET LOCAL idle_in_transaction_session_timeout = '60s';
             SET LOCAL timezone = 'UTC';
             SELECT set_config('role', rolname, true) FROM pg_roles r
             WHERE rolname = '{READER}'
               AND CASE WHEN current_setting('server_version_num')::int >= 160000 THEN pg_has_role(r.oid, 'SET')
                        ELSE pg_has_role(r.oid, 'MEMBER') END
               AND (SELECT count(*) = {count} AND bool_and(has_table_privilege(r.oid, c.oid, 'SELECT'))
                    FROM unnest(ARRAY[{names}]) AS t JOIN pg_class c ON c.oid = to_regclass(t))",
            limit = limit.as_millis(),
            count = names.len(),
            names = names.join(", "),
        );
        let answer = transaction.simple_query(&settings).await.map_err(step())?;
        let role = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        Ok(Reading { transaction, role })
    }
}

impl Reading<'_> {
    /// Ends the transaction. Without this, a pooler closes the session, because its client left within a transaction.
    pub(crate) async fn end(self) -> Result<()> {
        self.transaction.commit().await.map_err(Error::postgres("ending a snapshot"))
    }

    /// Checks that the tables can be read.
    ///
    /// Errors: [`Error::NoTables`], if one does not exist; [`Error::Schema`], with what to do, if one cannot be used.
    pub(crate) async fn check_tables(&self, tables: &Tables) -> Result<()> {
        if let Some(shape) = Shape::read(&self.transaction).await? {
            shape.complaints(&self.transaction).await?.into_error()?;
        }
        let lacking = version::check(&self.transaction, tables).await?;
        if !lacking.tables.is_empty() {
            return Err(Error::NoTables(lacking.tables.join(", ")));
        }
        if !lacking.columns.is_empty() {
            return Err(Error::Schema(format!(
                "the tables belong to an earlier version of ccstream; start this version's consumer once, which will \
                 {}",
                lacking.in_words().join("; ")
            )));
        }
        Ok(())
    }
}

/// Makes the server cancel the transaction's queries once their client is gone; they may take minutes. A server before
/// PostgreSQL 14, or on Windows, cannot, and runs the query to its end.
pub(crate) async fn end_when_left(reading: &mut Reading<'_>) -> Result<()> {
    let step = || Error::postgres("beginning to read");
    let savepoint = reading.transaction.transaction().await.map_err(step())?;
    match savepoint.batch_execute("SET LOCAL client_connection_check_interval = '1s'").await {
        Ok(()) => savepoint.commit().await.map_err(step()),
        Err(error) => {
            tracing::debug!(%error, "PostgreSQL does not check whether its client is still connected.");
            savepoint.rollback().await.map_err(step())
        }
    }
}
