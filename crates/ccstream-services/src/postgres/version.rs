//! Checks which version of ccstream the tables belong to. The schema step upgrades tables of an earlier version. Tables
//! of a later version are refused, because this version does not know what they mean.

use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

use super::table::{OwnColumn, Table, Upgrade};
use super::tables::Tables;
use crate::error::{Error, Result};

/// The version of the tables. It increases with each change that an earlier ccstream would misread.
pub(super) const VERSION: i32 = 1;

/// The table `ccstream_version`, which has one row.
pub(super) const VERSIONS: Table = Table {
    name: "ccstream_version",
    comment: "ccstream: the version of its tables",
    columns: &[OwnColumn::new("version", "INTEGER NOT NULL")
        .meaning("ccstream refuses tables of a later version than it knows")],
    fill: Some(|| format!("INSERT INTO ccstream_version VALUES ({VERSION});")),
    upgrades: &[Upgrade {
        what: "recording the tables' version",
        is_needed: "SELECT NOT EXISTS (SELECT FROM ccstream_version)",
        statements: "INSERT INTO ccstream_version VALUES (1);",
    }],
    ..Table::USUAL
};

/// Lists what the database lacks of ccstream's tables.
#[derive(Debug, Default)]
pub(crate) struct Lacking {
    /// Tables that do not exist.
    pub(crate) tables: Vec<&'static str>,
    /// Existing tables other than `orders`, each with the columns that it lacks.
    pub(crate) columns: Vec<(Table, Vec<OwnColumn>)>,
}

impl Lacking {
    /// Describes what the consumer will do about it; empty if nothing is lacking.
    pub(crate) fn in_words(&self) -> Vec<String> {
        let created = (!self.tables.is_empty()).then(|| format!("create {}", self.tables.join(", ")));
        let added = self.columns.iter().map(|(table, columns)| {
            let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
            format!("add {} to {}", names.join(", "), table.name)
        });
        created.into_iter().chain(added).collect()
    }
}

/// Checks ccstream's tables.
///
/// Errors: [`Error::Schema`], if they belong to a later version, or lack a column whose values cannot be recomputed.
pub(crate) async fn check(client: &impl GenericClient, tables: &Tables) -> Result<Lacking> {
    let step = || Error::postgres("checking the tables");
    let mut lacking = Lacking::default();
    // A missing privilege is reported elsewhere.
    let is_readable = "SELECT coalesce(has_table_privilege(to_regclass('ccstream_version'), 'SELECT'), false)";
    if client.query_typed_one(is_readable, &[]).await.map_err(step())?.get(0) {
        let row = client.query_typed_one("SELECT max(version) FROM ccstream_version", &[]).await.map_err(step())?;
        if let Some(later) = row.get::<_, Option<i32>>(0).filter(|version| *version > VERSION) {
            return Err(Error::Schema(format!(
                "the tables belong to a later version of ccstream (their version is {later}; this ccstream knows \
                 versions up to {VERSION}): use that version of ccstream or a later one"
            )));
        }
    }
    for table in tables.all() {
        let rows = client
            .query_typed(
                "SELECT attname::text FROM pg_attribute
                 WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
                &[(&table.name, Type::TEXT)],
            )
            .await
            .map_err(step())?;
        if rows.is_empty() {
            lacking.tables.push(table.name);
            continue;
        }
        let is_there = |column: &&OwnColumn| rows.iter().any(|row| row.get::<_, &str>(0) == column.name);
        let missing: Vec<OwnColumn> = table.columns.iter().filter(|column| !is_there(column)).copied().collect();
        if let Some(lost) = missing.iter().find(|column| !column.can_be_added()) {
            return Err(Error::Schema(format!(
                "the table {} lacks its column {}, whose values cannot be recomputed: restore the table from a backup; \
                 or rename all of ccstream's tables as follows and start the consumer, which creates new ones and \
                 reads the topic from its beginning: {}",
                table.name,
                lost.name,
                put_aside(tables)
            )));
        }
        if !missing.is_empty() {
            lacking.columns.push((table, missing));
        }
    }
    Ok(lacking)
}

/// Returns the statements that rename all tables.
fn put_aside(tables: &Tables) -> String {
    let rename = |name: &str| format!("ALTER TABLE IF EXISTS {name} RENAME TO {name}_before;");
    tables.names().into_iter().map(rename).collect::<Vec<_>>().join(" ")
}
