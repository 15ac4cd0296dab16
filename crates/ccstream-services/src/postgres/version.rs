//! Which version of ccstream the tables are of. An earlier one's are brought up by the schema step; a later one's are left
//! alone, as what they mean is not known here.

use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

use super::table::{OwnColumn, Table, Upgrade};
use super::tables::Tables;
use crate::error::{Error, Result};

/// The tables' version: one more with each change of them that an earlier ccstream would misread.
pub(super) const VERSION: i32 = 1;

/// `ccstream_version`: one row.
pub(super) const VERSIONS: Table = Table {
    name: "ccstream_version",
    comment: "ccstream: the version that its tables are of",
    columns: &[
        OwnColumn::new("version", "INTEGER NOT NULL").meaning("a later one than a ccstream knows is refused by it")
    ],
    fill: Some(|| format!("INSERT INTO ccstream_version VALUES ({VERSION});")),
    upgrades: &[Upgrade {
        what: "noting the tables' version",
        is_needed: "SELECT NOT EXISTS (SELECT FROM ccstream_version)",
        statements: "INSERT INTO ccstream_version VALUES (1);",
    }],
    ..Table::USUAL
};

/// What the tables that are there, but for `orders`, lack.
#[derive(Debug, Default)]
pub(crate) struct Lacking {
    /// Tables that are not there.
    pub(crate) tables: Vec<&'static str>,
    /// Columns that the schema step adds, with their tables.
    pub(crate) columns: Vec<(Table, Vec<OwnColumn>)>,
}

impl Lacking {
    /// What the consumer will do about it, in words; empty where nothing is lacking.
    pub(crate) fn in_words(&self) -> Vec<String> {
        let created = (!self.tables.is_empty()).then(|| format!("create {}", self.tables.join(", ")));
        let added = self.columns.iter().map(|(table, columns)| {
            let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
            format!("add {} to {}", names.join(", "), table.name)
        });
        created.into_iter().chain(added).collect()
    }
}

/// Checks our tables. Errors: [`Error::Schema`] where they are of a later version, or lack a column whose values
/// nobody knows any more.
pub(crate) async fn check(client: &impl GenericClient, tables: &Tables) -> Result<Lacking> {
    let step = || Error::postgres("checking the tables");
    let mut lacking = Lacking::default();
    // Where it may not be read, that is the privileges' matter.
    let is_readable = "SELECT coalesce(has_table_privilege(to_regclass('ccstream_version'), 'SELECT'), false)";
    if client.query_typed_one(is_readable, &[]).await.map_err(step())?.get(0) {
        let row = client.query_typed_one("SELECT max(version) FROM ccstream_version", &[]).await.map_err(step())?;
        if let Some(later) = row.get::<_, Option<i32>>(0).filter(|version| *version > VERSION) {
            return Err(Error::Schema(format!(
                "the tables are of a later ccstream (their version is {later}, and {VERSION} is the latest that this one \
                 knows): use that ccstream, or one that is later still"
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
                "the table {} lacks its column {}, and what was in it is not known: restore the table from a backup; or \
                 put all of ccstream's tables aside and start the consumer, which makes new ones and reads the topic from \
                 its beginning: {}",
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

/// The statements that put all tables aside.
fn put_aside(tables: &Tables) -> String {
    let rename = |name: &str| format!("ALTER TABLE IF EXISTS {name} RENAME TO {name}_before;");
    tables.names().into_iter().map(rename).collect::<Vec<_>>().join(" ")
}
