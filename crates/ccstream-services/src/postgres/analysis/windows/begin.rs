//! This module begins windows: it creates or changes their tables, and reads what counting continues from.

use std::collections::BTreeMap;

use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;

use super::ddl;
use crate::error::{Error, Result};
use crate::postgres::analysis::AnalysisStore;
use crate::postgres::schema::READER;
use ccstream_analysis::windows::{BUCKETS, Definition};

/// The maximum number of rows that are deleted at once.
const DELETED_AT_ONCE: i64 = 10_000;

/// What is stored of a window.
#[derive(Debug)]
pub(crate) struct StoredWindow {
    pub(crate) version: i32,
    /// The place in the order up to which the rows are complete.
    pub(crate) seq: i64,
    /// The place up to which `windows_late` is complete.
    pub(crate) counted: i64,
    /// Whether the table may have rows of earlier versions.
    pub(crate) replaces: bool,
    /// The parts of the state, each with its place and the greatest time of an event up to it.
    pub(crate) parts: BTreeMap<usize, (i64, Option<i64>, Vec<u8>)>,
}

/// Says whether a window can be counted.
#[derive(Debug)]
pub(crate) enum BegunWindow {
    Stored(StoredWindow),
    /// Its table cannot be created or changed, for the reason in words.
    Refused(String),
}

impl AnalysisStore {
    /// Notes that no batch adds to windows any more, other than those of these names. Returns false if the lease is lost.
    pub(crate) async fn release_windows(&mut self, epoch: i64, but: &[&str]) -> Result<bool> {
        let step = || Error::postgres("reading windows");
        let Some(transaction) = self.begin_fenced(epoch).await? else { return Ok(false) };
        let release =
            "UPDATE windows SET counted = (SELECT seq FROM analysis) WHERE counted IS NULL AND name <> ALL ($1)";
        transaction.execute(release, &[&but]).await.map_err(step())?;
        transaction.commit().await.map_err(step())?;
        Ok(true)
    }

    /// Creates or changes the table of a window, if necessary, and returns what is stored of it. With `again`, it is
    /// counted again from the beginning. Returns None if the lease is lost.
    pub(crate) async fn begin_window(
        &mut self,
        epoch: i64,
        definition: &Definition,
        again: bool,
    ) -> Result<Option<BegunWindow>> {
        let (name, text) = (&definition.name, definition.to_string());
        let step = || Error::postgres(format!("preparing {}", definition.table()));
        let Some(mut transaction) = self.begin_fenced(epoch).await? else { return Ok(None) };
        let query =
            "SELECT version, definition, to_regclass('window_' || name) IS NOT NULL FROM windows WHERE name = $1";
        let found = transaction.query_opt(query, &[name]).await.map_err(step())?;
        let found = found.map(|row| (row.get::<_, i32>(0), row.get::<_, String>(1), row.get::<_, bool>(2)));
        let is_there = found.as_ref().is_some_and(|(_, _, is_there)| *is_there);
        if !is_there || again || found.as_ref().is_none_or(|(_, before, _)| *before != text) {
            let statements = if is_there { ddl::widen(definition) } else { ddl::create(definition) };
            let savepoint = transaction.transaction().await.map_err(step())?;
            if let Err(error) = savepoint.batch_execute(&statements).await.map_err(step()) {
                return refused(definition, &statements, error);
            }
            savepoint.commit().await.map_err(step())?;
            offer_reader(&mut transaction, definition).await?;
            let version = found.map_or(1, |(version, ..)| version + 1);
            begin_version(&transaction, name, version, &text).await?;
        }
        let stored = read(&transaction, name).await?;
        transaction.commit().await.map_err(step())?;
        Ok(Some(BegunWindow::Stored(stored)))
    }

    /// Deletes rows of earlier versions of a window, a number at a time, and in the end the columns that only they had.
    /// Returns whether there are none left; None if the lease is lost.
    pub(crate) async fn clear_window(
        &mut self,
        epoch: i64,
        definition: &Definition,
        version: i32,
    ) -> Result<Option<bool>> {
        let table = definition.table();
        let step = || Error::postgres(format!("deleting earlier rows of {table}"));
        let Some(transaction) = self.begin_fenced(epoch).await? else { return Ok(None) };
        let delete = format!(
            "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE version < $1 LIMIT $2))"
        );
        let deleted = transaction.execute(&delete, &[&version, &DELETED_AT_ONCE]).await.map_err(step())?;
        let is_done = (deleted as i64) < DELETED_AT_ONCE;
        if is_done {
            let names: Vec<&str> = ddl::columns(definition).iter().map(|column| column.name).collect();
            let query = "SELECT quote_ident(attname) FROM pg_attribute
                         WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped AND attname <> ALL ($2)";
            let others = transaction.query(query, &[&table, &names]).await.map_err(step())?;
            if !others.is_empty() {
                let drop: Vec<String> =
                    others.iter().map(|row| format!("DROP COLUMN {}", row.get::<_, &str>(0))).collect();
                transaction.batch_execute(&format!("ALTER TABLE {table} {}", drop.join(", "))).await.map_err(step())?;
            }
            let update = "UPDATE windows SET replaces = false WHERE name = $1";
            transaction.execute(update, &[&definition.name]).await.map_err(step())?;
            let forget = "DELETE FROM windows_late WHERE name = $1 AND version < $2";
            transaction.execute(forget, &[&definition.name, &version]).await.map_err(step())?;
        }
        transaction.commit().await.map_err(step())?;
        Ok(Some(is_done))
    }
}

fn refused(definition: &Definition, statements: &str, error: Error) -> Result<Option<BegunWindow>> {
    let table = definition.table();
    let text = match error.sql_state() {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            format!(
                "this role may not prepare {table}; have an administrator run, and grant the role all on it:\n{statements}"
            )
        }
        Some(&SqlState::DUPLICATE_TABLE) => {
            format!("there is a table {table} that is not in the table windows; rename it, or the window")
        }
        Some(_) => format!("{table} cannot be prepared: {}", error.causes()),
        None => return Err(error),
    };
    if error.is_retriable() { Err(error) } else { Ok(Some(BegunWindow::Refused(text))) }
}

/// Lets the reading role read the table, if the role exists and the current role may.
async fn offer_reader(transaction: &mut Transaction<'_>, definition: &Definition) -> Result<()> {
    let step = || Error::postgres("looking for the reading role");
    let savepoint = transaction.transaction().await.map_err(step())?;
    let grant = format!(
        "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{READER}') THEN
             GRANT SELECT ON {} TO {READER}; END IF; END $$",
        definition.table()
    );
    match savepoint.batch_execute(&grant).await {
        Ok(()) => savepoint.commit().await.map_err(step()),
        Err(error) => {
            tracing::debug!(%error, "The reading role was not granted a window; readers use their own role.");
            savepoint.rollback().await.map_err(step())
        }
    }
}

/// Begins to count a window from the beginning.
async fn begin_version(transaction: &Transaction<'_>, name: &str, version: i32, text: &str) -> Result<()> {
    let step = || Error::postgres("beginning a window");
    transaction
        .execute(
            "INSERT INTO windows (name, version, definition, seq, counted, replaces) VALUES ($1, $2, $3, 0, 0, $2 > 1)
             ON CONFLICT (name) DO UPDATE SET version = $2, definition = $3, seq = 0, counted = 0, lacking = 0,
                 replaces = true, since = now()",
            &[&name, &version, &text],
        )
        .await
        .map_err(step())?;
    transaction.execute("DELETE FROM windows_state WHERE name = $1", &[&name]).await.map_err(step())?;
    let parts: Vec<i32> = (0..BUCKETS as i32).collect();
    let insert =
        "INSERT INTO windows_state (name, part, seq, data) SELECT $1, part, 0, '' FROM unnest($2::int[]) AS part";
    transaction.execute(insert, &[&name, &parts]).await.map_err(step())?;
    Ok(())
}

async fn read(transaction: &Transaction<'_>, name: &str) -> Result<StoredWindow> {
    let step = || Error::postgres("reading windows");
    let query =
        "SELECT version, seq, coalesce(counted, (SELECT seq FROM analysis)), replaces FROM windows WHERE name = $1";
    let row = transaction.query_one(query, &[&name]).await.map_err(step())?;
    let query = "SELECT part, seq, reached, data FROM windows_state WHERE name = $1";
    let parts = transaction.query(query, &[&name]).await.map_err(step())?;
    let part = |row: &tokio_postgres::Row| (row.get::<_, i32>(0) as usize, (row.get(1), row.get(2), row.get(3)));
    Ok(StoredWindow {
        version: row.get(0),
        seq: row.get(1),
        counted: row.get(2),
        replaces: row.get(3),
        parts: parts.iter().map(part).collect(),
    })
}
