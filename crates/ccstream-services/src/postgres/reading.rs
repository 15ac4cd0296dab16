//! Reading that leaves no trace in the session: behind a pooler the next transaction of it is somebody else's. Each
//! question is one transaction, whose settings and role end with it, by statements without a name.

use std::time::Duration;

use tokio_postgres::{Client, IsolationLevel, SimpleQueryMessage, Transaction};

use super::connect::connect;
use super::schema::READER;
use super::shape::Shape;
use super::tables::Tables;
use super::version;
use crate::error::{Error, Result};
use ccstream_core::settings::DatabaseUrl;

/// How long a statement of a page may take.
pub(crate) const PAGE_LIMIT: Duration = Duration::from_secs(60);
/// For work that takes as long as the table is large.
pub(crate) const NO_LIMIT: Duration = Duration::ZERO;

/// A connection that reads.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) client: Client,
    tables: Tables,
}

/// A transaction that only reads, with one snapshot from its begin to its end.
#[allow(missing_debug_implementations, reason = "the driver's transaction has none")]
pub(crate) struct Reading<'r> {
    pub(crate) transaction: Transaction<'r>,
    /// The reading role, where its rights are those that it reads with.
    pub(crate) role: Option<String>,
}

impl Reader {
    /// Connects.
    pub(crate) async fn connect(url: &DatabaseUrl, tables: &Tables) -> Result<Self> {
        Ok(Self { client: connect(url).await?, tables: tables.clone() })
    }

    /// Begins to read, with the reading role's rights where there is one that may read all of the tables: one of them that
    /// was made anew by somebody else, or restored, may not be the role's to read.
    pub(crate) async fn begin(&mut self, limit: Duration) -> Result<Reading<'_>> {
        let step = || Error::postgres("beginning to read");
        let names: Vec<String> = self.tables.read().iter().map(|name| format!("'{name}'")).collect();
        let begin = self.client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
        let transaction = begin.start().await.map_err(step())?;
        // From PostgreSQL 16 on, a member need not be allowed to take a role.
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
    /// Ends it. A pooler closes a session whose client leaves within a transaction.
    pub(crate) async fn end(self) -> Result<()> {
        self.transaction.commit().await.map_err(Error::postgres("ending a snapshot"))
    }

    /// Whether the tables can be read. Errors: [`Error::NoTables`] where there are none; [`Error::Schema`] where they are not
    /// as they must be, with what fixes them.
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
                "the tables are of an earlier version; start this version's consumer once, which will {}",
                lacking.in_words().join("; ")
            )));
        }
        Ok(())
    }
}

/// Has the server give up a query that takes minutes once nobody is there to hear its answer. Before PostgreSQL 14, and on
/// Windows, it goes on to the query's end.
pub(crate) async fn end_when_left(reading: &mut Reading<'_>) -> Result<()> {
    let step = || Error::postgres("beginning to read");
    let savepoint = reading.transaction.transaction().await.map_err(step())?;
    match savepoint.batch_execute("SET LOCAL client_connection_check_interval = '1s'").await {
        Ok(()) => savepoint.commit().await.map_err(step()),
        Err(error) => {
            tracing::debug!(%error, "PostgreSQL does not check that its client is there.");
            savepoint.rollback().await.map_err(step())
        }
    }
}
