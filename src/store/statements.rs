//! Statements that every batch needs, parsed by PostgreSQL once a session.

use std::collections::HashMap;

use tokio_postgres::{Statement, Transaction};

/// Those of one session, by their text.
#[derive(Debug, Default)]
pub(super) struct Statements(HashMap<String, Statement>);

impl Statements {
    /// A statement, prepared the first time that it is wanted. What a transaction prepares outlives it.
    pub(super) async fn get(
        &mut self,
        transaction: &Transaction<'_>,
        sql: &str,
    ) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.0.get(sql) {
            return Ok(statement.clone());
        }
        let statement = transaction.prepare(sql).await?;
        self.0.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}
