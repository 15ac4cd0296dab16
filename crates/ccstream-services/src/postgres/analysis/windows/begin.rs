//! This module begins windows: it creates or changes their tables, and reads what counting continues from.

use std::collections::BTreeMap;

use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;

use super::ddl;
use crate::error::{Error, Result};
use crate::postgres::analysis::AnalysisStore;
use crate::postgres::roles::READER;
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
        // A role that counts no windows may lack the privilege to change the table.
        let query = "SELECT EXISTS (SELECT FROM windows WHERE counted IS NULL AND name <> ALL ($1))";
        if !transaction.query_one(query, &[&but]).await.map_err(step())?.get::<_, bool>(0) {
            return Ok(true);
        }
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
        let query = "SELECT version, definition, greatest(w.seq, w.counted) > a.seq FROM windows AS w, analysis AS a
                     WHERE name = $1";
        let found = transaction.query_opt(query, &[name]).await.map_err(step())?;
        // A window that is ahead of the analysis is of one that was deleted.
        let is_same = found.as_ref().is_some_and(|row| row.get::<_, &str>(1) == text && !row.get::<_, bool>(2));
        let prepared = prepare(&mut transaction, definition, is_same).await?;
        if let Prepared::Refused(text) = prepared {
            return Ok(Some(BegunWindow::Refused(text)));
        }
        if again || !is_same || prepared == Prepared::Created {
            let version = found.map_or(1, |row| row.get::<_, i32>(0) + 1);
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
        let Some(mut transaction) = self.begin_fenced(epoch).await? else { return Ok(None) };
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
                try_out(&mut transaction, &format!("ALTER TABLE {table} {}", drop.join(", "))).await?;
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

/// Says what became of the table of a window.
#[derive(Debug, PartialEq, Eq)]
enum Prepared {
    /// It was there.
    Found,
    Created,
    /// It cannot be used, for the reason in words.
    Refused(String),
}

/// Creates the table of a window, or adds the columns that it lacks. Nothing is changed if nothing is lacking, because the
/// table may belong to another role.
async fn prepare(transaction: &mut Transaction<'_>, definition: &Definition, is_same: bool) -> Result<Prepared> {
    let table = definition.table();
    let step = || Error::postgres(format!("preparing {table}"));
    let query = "SELECT coalesce(obj_description(c.oid, 'pg_class'), ''),
                        ARRAY(SELECT attname::text FROM pg_attribute
                              WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
                 FROM pg_class AS c WHERE oid = to_regclass($1)";
    let found = transaction.query_opt(query, &[&table]).await.map_err(step())?;
    let found = found.map(|row| (row.get::<_, String>(0), row.get::<_, Vec<String>>(1)));
    let statements = match &found {
        None => ddl::create(definition),
        Some((comment, _)) if comment != ddl::COMMENT => {
            return Ok(Prepared::Refused(format!(
                "there is a table {table} that is not a window's; rename it, or the window"
            )));
        }
        Some((_, columns)) => {
            let is_lacking = |column: &ddl::Column| !columns.iter().any(|name| name == column.name);
            if ddl::columns(definition).iter().any(is_lacking) { ddl::widen(definition) } else { String::new() }
        }
    };
    let savepoint = transaction.transaction().await.map_err(step())?;
    if let Err(error) = savepoint.batch_execute(&statements).await.map_err(step()) {
        if error.sql_state() != Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
            return Err(error);
        }
        return Ok(Prepared::Refused(format!(
            "this role may not prepare {table}; have an administrator run the following, and grant the role SELECT, \
             INSERT, UPDATE and DELETE on it:\n{statements}"
        )));
    }
    savepoint.commit().await.map_err(step())?;
    if found.is_none() {
        offer_reader(transaction, definition).await?;
    } else if !is_same {
        try_out(transaction, &ddl::comments(definition)).await?;
    }
    Ok(if found.is_some() { Prepared::Found } else { Prepared::Created })
}

/// Runs statements that only the owner of a table may run, and does without them if this role is not.
async fn try_out(transaction: &mut Transaction<'_>, statements: &str) -> Result<()> {
    let step = || Error::postgres("changing the table of a window");
    let savepoint = transaction.transaction().await.map_err(step())?;
    match savepoint.batch_execute(statements).await {
        Ok(()) => savepoint.commit().await.map_err(step()),
        Err(error) => {
            tracing::debug!(%error, "The table of a window belongs to another role.");
            savepoint.rollback().await.map_err(step())
        }
    }
}

/// Lets the reading role read the table, if the role exists and the current role may.
async fn offer_reader(transaction: &mut Transaction<'_>, definition: &Definition) -> Result<()> {
    let grant = format!(
        "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{READER}') THEN
             GRANT SELECT ON {} TO {READER}; END IF; END $$",
        definition.table()
    );
    try_out(transaction, &grant).await
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
