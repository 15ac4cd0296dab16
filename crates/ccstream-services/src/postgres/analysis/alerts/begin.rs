//! This module begins the rules of alerts, and reads what they continue from.

use std::sync::Arc;

use tokio_postgres::Transaction;

use crate::error::{Error, Result};
use crate::postgres::analysis::AnalysisStore;
use ccstream_analysis::alerts::Definition;

/// What is stored of a rule.
#[derive(Debug)]
pub(crate) struct StoredRule {
    pub(crate) number: i32,
    pub(crate) version: i32,
    /// The parts of its state, each with the number of the journal up to which it is complete.
    pub(crate) parts: Vec<(i32, i64, Vec<u8>)>,
}

/// What is stored of all rules.
#[derive(Debug)]
pub(crate) struct StoredAlerts {
    /// The rules, in the order of their definitions.
    pub(crate) rules: Vec<StoredRule>,
    /// The journals, in their order, each with its number.
    pub(crate) journals: Vec<(i64, Vec<u8>)>,
    /// The number of the last journal.
    pub(crate) last: i64,
}

impl AnalysisStore {
    /// Notes that these rules are applied from now on, and no others, and returns what is stored of them. A rule that was
    /// not applied until now begins without a past; with `again`, every rule does. Returns None if the lease is lost.
    pub(crate) async fn begin_alerts(
        &mut self,
        epoch: i64,
        definitions: &[Arc<Definition>],
        again: bool,
    ) -> Result<Option<StoredAlerts>> {
        let step = || Error::postgres("reading the rules of alerts");
        let Some(transaction) = self.begin_fenced(epoch).await? else { return Ok(None) };
        let mut stored = StoredAlerts { rules: Vec::new(), journals: Vec::new(), last: 0 };
        let active = "SELECT name, definition, number FROM alert_rules WHERE is_active";
        let active = transaction.query(active, &[]).await.map_err(step())?;
        if definitions.is_empty() && active.is_empty() {
            return Ok(Some(stored));
        }
        let is_kept = |row: &&tokio_postgres::Row| {
            let (name, definition): (&str, &str) = (row.get(0), row.get(1));
            !again && definitions.iter().any(|one| one.name == name && one.to_string() == definition)
        };
        let kept: Vec<i32> = active.iter().filter(is_kept).map(|row| row.get(2)).collect();
        let end = "UPDATE alert_rules SET is_active = false WHERE is_active AND number <> ALL ($1)";
        transaction.execute(end, &[&kept]).await.map_err(step())?;
        transaction.execute("DELETE FROM alert_state WHERE rule <> ALL ($1)", &[&kept]).await.map_err(step())?;
        if kept.is_empty() {
            transaction.execute("DELETE FROM alert_journal", &[]).await.map_err(step())?;
        }
        for definition in definitions {
            let (number, version) = begin(&transaction, definition).await?;
            let query = "SELECT part, journal, data FROM alert_state WHERE rule = $1";
            let parts = transaction.query(query, &[&number]).await.map_err(step())?;
            let parts = parts.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
            stored.rules.push(StoredRule { number, version, parts });
        }
        let query = "SELECT number, data FROM alert_journal ORDER BY number";
        let journals = transaction.query(query, &[]).await.map_err(step())?;
        stored.journals = journals.iter().map(|row| (row.get(0), row.get(1))).collect();
        stored.last = stored.journals.last().map_or(0, |(number, _)| *number);
        transaction.commit().await.map_err(step())?;
        Ok(Some(stored))
    }
}

/// Returns the number and the version of a rule, and begins it unless it is active.
async fn begin(transaction: &Transaction<'_>, definition: &Definition) -> Result<(i32, i32)> {
    let step = || Error::postgres("beginning a rule of alerts");
    let (name, text) = (&definition.name, definition.to_string());
    let active = "SELECT number, version FROM alert_rules WHERE name = $1 AND is_active";
    if let Some(row) = transaction.query_opt(active, &[name]).await.map_err(step())? {
        return Ok((row.get(0), row.get(1)));
    }
    let begin = "
        INSERT INTO alert_rules (name, version, kind, severity, definition, is_active, number)
        SELECT $1::text, coalesce(max(version) FILTER (WHERE name = $1 AND definition = $4),
                            max(version) FILTER (WHERE name = $1) + 1, 1),
               $2::text, $3::text, $4, true, coalesce(max(number), 0) + 1
        FROM alert_rules
        ON CONFLICT (name, version)
        DO UPDATE SET is_active = true, number = excluded.number, since = now()
        RETURNING number, version";
    let (kind, severity) = (definition.kind.name(), definition.severity.name());
    let row = transaction.query_one(begin, &[name, &kind, &severity, &text]).await.map_err(step())?;
    Ok((row.get(0), row.get(1)))
}
