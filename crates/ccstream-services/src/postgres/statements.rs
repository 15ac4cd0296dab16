//! Caches prepared statements, so that PostgreSQL parses each only once per session.

use std::collections::HashMap;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement, Transaction};

/// Holds the prepared statements of one session by their SQL text.
#[derive(Debug, Default)]
pub struct Statements(HashMap<String, Statement>);

impl Statements {
    /// Returns a statement, and prepares it at its first use. A prepared statement outlives its transaction.
    pub(super) async fn get(&mut self, transaction: &Transaction<'_>, sql: &str) -> Result<Statement, Error> {
        if let Some(statement) = self.0.get(sql) {
            return Ok(statement.clone());
        }
        let statement = transaction.prepare(sql).await?;
        self.0.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Runs a statement and returns its rows.
    pub async fn query(
        &mut self,
        transaction: &Transaction<'_>,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let statement = self.get(transaction, sql).await?;
        transaction.query(&statement, parameters).await
    }

    /// Runs a statement and returns the number of rows that it changed.
    pub async fn execute(
        &mut self,
        transaction: &Transaction<'_>,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Error> {
        let statement = self.get(transaction, sql).await?;
        transaction.execute(&statement, parameters).await
    }
}
