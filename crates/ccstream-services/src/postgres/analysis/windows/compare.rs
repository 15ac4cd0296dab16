//! This module compares the tables of windows with rows that were computed again.

use super::ddl;
use super::write::Given;
use crate::error::{Error, Result};
use crate::postgres::analysis::AnalysisStore;
use ccstream_analysis::windows::{Definition, Missed, WindowRow};

/// A row of the table `windows`.
#[derive(Debug)]
pub(crate) struct ListedWindow {
    pub(crate) name: String,
    pub(crate) version: i32,
    pub(crate) definition: String,
    /// The place in the order up to which the rows are complete.
    pub(crate) seq: i64,
    /// The place up to which `windows_late` is complete.
    pub(crate) counted: i64,
    /// Whether the table exists.
    pub(crate) is_there: bool,
}

impl AnalysisStore {
    /// Lists the windows.
    pub(crate) async fn windows(&mut self) -> Result<Vec<ListedWindow>> {
        let query = "SELECT name, version, definition, seq, coalesce(counted, (SELECT seq FROM analysis)),
                            to_regclass('window_' || name) IS NOT NULL
                     FROM windows ORDER BY name";
        let rows = self.client.query(query, &[]).await.map_err(Error::postgres("reading windows"))?;
        let listed = |row: &tokio_postgres::Row| ListedWindow {
            name: row.get(0),
            version: row.get(1),
            definition: row.get(2),
            seq: row.get(3),
            counted: row.get(4),
            is_there: row.get(5),
        };
        Ok(rows.iter().map(listed).collect())
    }

    /// Returns how many of the rows are not in the table as they are, and the start of the first.
    pub(crate) async fn differing_rows(
        &mut self,
        definition: &Definition,
        version: i32,
        rows: &[WindowRow],
    ) -> Result<(i64, Option<String>)> {
        let given = Given::new(rows, definition.by.len());
        let row = self.client.query_one(&ddl::compare(definition), &given.parameters(&version)).await;
        let row = row.map_err(Error::postgres(format!("comparing {}", definition.table())))?;
        Ok((row.get(1), row.get(0)))
    }

    /// Returns the number of a window's rows.
    pub(crate) async fn window_rows(&mut self, definition: &Definition, version: i32) -> Result<i64> {
        let query = format!("SELECT count(*) FROM {} WHERE version = $1", definition.table());
        let row = self.client.query_one(&query, &[&version]).await;
        Ok(row.map_err(Error::postgres(format!("counting {}", definition.table())))?.get(0))
    }

    /// Returns how often transactions of each day, from 1970, were not counted in a window.
    pub(crate) async fn missed(&mut self, name: &str, version: i32) -> Result<Vec<(i32, Missed)>> {
        let query = "SELECT day - date '1970-01-01', late, no_room FROM windows_late
                     WHERE name = $1 AND version = $2 ORDER BY day";
        let rows =
            self.client.query(query, &[&name, &version]).await.map_err(Error::postgres("reading windows_late"))?;
        Ok(rows.iter().map(|row| (row.get(0), Missed { late: row.get(1), no_room: row.get(2) })).collect())
    }
}
