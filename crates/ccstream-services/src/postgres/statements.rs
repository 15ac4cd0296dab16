//! Statements that every batch needs, parsed by PostgreSQL once a session.

use std::collections::HashMap;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement, Transaction};

/// Those of one session, by their text.
#[derive(Debug, Default)]
pub struct Statements(HashMap<String, Statement>);

impl Statements {
    /// A statement, prepared the first time that it is wanted. What a transaction prepares outlives it.
    pub(super) async fn get(&mut self, transaction: &Transaction<'_>, sql: &str) -> Result<Statement, Error> {
        if let Some(statement) = self.0.get(sql) {
            return Ok(statement.clone());
        }
        let statement = transaction.prepare(sql).await?;
        self.0.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
    /// The rows that a statement answers with.
    pub async fn query(
        &mut self,
        transaction: &Transaction<'_>,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let statement = self.get(transaction, sql).await?;
        transaction.query(&statement, parameters).await
    }

    /// How many rows a statement changed.
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
