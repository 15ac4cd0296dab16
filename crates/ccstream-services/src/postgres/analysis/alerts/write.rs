//! This module writes what a batch has changed of alerts, and what their rules continue from.

use tokio_postgres::Transaction;
use tokio_postgres::types::ToSql;

use super::notifying::{Notifying, Recipient, recipients};
use crate::error::{Error, Result};
use crate::postgres::statements::Statements;
use ccstream_analysis::alerts::{Alert, Change};

/// What one transaction writes about alerts.
#[derive(Debug, Default)]
pub(crate) struct AlertsBatch {
    pub(crate) changes: Vec<Change>,
    /// Who is notified of them.
    pub(crate) recipients: Vec<Recipient>,
    /// What the rules have observed, with the number of the journal; None without rules.
    pub(crate) journal: Option<(i64, Vec<u8>)>,
    /// The parts of the state that are complete up to it: the number of the rule, that of the part, and its data.
    pub(crate) parts: Vec<(i32, i32, Vec<u8>)>,
    /// The first journal that is still needed; None if that is not known.
    pub(crate) keep_from: Option<i64>,
}

/// SQL that makes a timestamp of microseconds since 1970.
const AT: &str = "timestamp '1970-01-01' + at * interval '1 microsecond'";

/// Returns SQL that says whether a silence covers the alert of the row `t`.
fn is_silenced() -> String {
    format!(
        "EXISTS (SELECT FROM alert_silences AS s
                 WHERE s.ends_at > {AT} AND (s.rule IS NULL OR s.rule = t.rule) AND (s.key IS NULL OR s.key = t.key))"
    )
}

/// Writes the alerts of a batch.
pub(in super::super) async fn write(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    batch: &AlertsBatch,
) -> Result<()> {
    let Some((journal, data)) = &batch.journal else { return Ok(()) };
    let step = || Error::postgres("writing what the rules of alerts remember");
    let insert = "INSERT INTO alert_journal (number, data) VALUES ($1, $2)";
    statements.execute(transaction, insert, &[journal, data]).await.map_err(step())?;
    if !batch.parts.is_empty() {
        let rules: Vec<i32> = batch.parts.iter().map(|(rule, ..)| *rule).collect();
        let parts: Vec<i32> = batch.parts.iter().map(|(_, part, _)| *part).collect();
        let data: Vec<&[u8]> = batch.parts.iter().map(|(.., data)| data.as_slice()).collect();
        let upsert = "INSERT INTO alert_state (rule, part, journal, data)
                      SELECT rule, part, $1, data FROM unnest($2::int[], $3::int[], $4::bytea[]) AS t (rule, part, data)
                      ON CONFLICT (rule, part) DO UPDATE SET journal = excluded.journal, data = excluded.data";
        statements.execute(transaction, upsert, &[journal, &rules, &parts, &data]).await.map_err(step())?;
    }
    if let Some(keep_from) = batch.keep_from {
        let delete = "DELETE FROM alert_journal WHERE number < $1";
        statements.execute(transaction, delete, &[&keep_from]).await.map_err(step())?;
    }
    let recipients = recipients(&batch.recipients);
    let opened: Vec<&Alert> = batch.changes.iter().filter_map(opened).collect();
    if !opened.is_empty() {
        open(transaction, statements, &opened, &recipients).await?;
    }
    // An absence can be over, and begin again within the cooldown, in the same batch. So the order matters.
    let mut from = 0;
    for (at, change) in batch.changes.iter().enumerate() {
        if matches!(change, Change::Closed { .. }) {
            repeat(transaction, statements, &batch.changes[from..at], &recipients).await?;
            close(transaction, statements, change, &recipients).await?;
            from = at + 1;
        }
    }
    repeat(transaction, statements, &batch.changes[from..], &recipients).await
}

fn opened(change: &Change) -> Option<&Alert> {
    if let Change::Opened(alert) = change { Some(alert) } else { None }
}

async fn open(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    alerts: &[&Alert],
    recipients: &str,
) -> Result<()> {
    fn column<'a, T>(alerts: &[&'a Alert], pick: impl Fn(&'a Alert) -> T) -> Vec<T> {
        alerts.iter().map(|alert| pick(alert)).collect()
    }
    let insert = format!(
        "INSERT INTO alerts (rule, version, key, severity, opened_at, last_at, runbook, why, why_text, seq, key_hash,
                             silenced)
         SELECT rule, version, key, severity, {AT}, {AT}, nullif(runbook, ''), why::jsonb, why_text, seq, key_hash,
                {}
         FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[],
                     $9::bigint[], $10::bigint[])
             AS t (rule, version, key, severity, at, runbook, why, why_text, seq, key_hash)
         RETURNING id, rule, key, severity, opened_at AS at, NOT silenced AS is_heard",
        is_silenced()
    );
    statements
        .query(
            transaction,
            &Notifying::OPENED.of(&insert, 11),
            &[
                &column(alerts, |alert| alert.rule.as_str()),
                &column(alerts, |alert| alert.version),
                &column(alerts, |alert| alert.key.as_deref()),
                &column(alerts, |alert| alert.severity.name()),
                &column(alerts, |alert| alert.at),
                &column(alerts, |alert| alert.runbook.as_str()),
                &column(alerts, |alert| alert.why.as_str()),
                &column(alerts, |alert| alert.text.as_str()),
                &column(alerts, |alert| alert.seq as i64),
                &column(alerts, |alert| alert.hash as i64),
                &recipients,
            ],
        )
        .await
        .map(drop)
        .map_err(Error::postgres("writing alerts"))
}

/// Counts up alerts that fire again. One of an absence that was over is open again, and one whose silence has ended is
/// heard now.
async fn repeat(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    changes: &[Change],
    recipients: &str,
) -> Result<()> {
    let repeated: Vec<(&str, i64, i64, i64)> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Repeated { rule, hash, opened, at } => Some((rule.as_str(), *opened as i64, *hash as i64, *at)),
            Change::Opened(_) | Change::Closed { .. } => None,
        })
        .collect();
    if repeated.is_empty() {
        return Ok(());
    }
    let rules: Vec<&str> = repeated.iter().map(|(rule, ..)| *rule).collect();
    let places: Vec<i64> = repeated.iter().map(|(_, opened, ..)| *opened).collect();
    let hashes: Vec<i64> = repeated.iter().map(|(_, _, hash, _)| *hash).collect();
    let times: Vec<i64> = repeated.iter().map(|(.., at)| *at).collect();
    let update = format!(
        "UPDATE alerts AS a SET count = a.count + t.count, last_at = greatest(a.last_at, {AT}), closed_at = NULL,
             state = CASE WHEN a.closed_at IS NULL OR a.outcome IS NOT NULL THEN a.state ELSE 'open' END,
             silenced = t.silenced AND {}
         FROM (SELECT id, rule, key, silenced, state, r.count, at
               FROM (SELECT rule, seq, key_hash, count(*) AS count, max(at) AS at
                     FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS r (rule, seq, key_hash, at)
                     GROUP BY rule, seq, key_hash) AS r
                    JOIN alerts USING (rule, seq, key_hash)) AS t
         WHERE a.id = t.id
         RETURNING a.id, a.rule, a.key, a.severity, a.last_at AS at, t.silenced AND NOT a.silenced AS is_new,
             NOT a.silenced AND (t.silenced OR t.state = 'closed' AND a.state = 'open') AS is_heard",
        is_silenced()
    );
    let update = Notifying::OPEN_AGAIN.of(&update, 5);
    let updated = statements.query(transaction, &update, &[&rules, &places, &hashes, &times, &recipients]).await;
    updated.map(drop).map_err(Error::postgres("counting up alerts"))
}

async fn close(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    change: &Change,
    recipients: &str,
) -> Result<()> {
    let Change::Closed { rule, hash, opened, at } = change else { return Ok(()) };
    let update = "UPDATE alerts SET state = 'closed',
                      closed_at = timestamp '1970-01-01' + $4::bigint * interval '1 microsecond'
                  WHERE rule = $1 AND seq = $2 AND key_hash = $3 AND state <> 'closed'
                  RETURNING id, rule, key, severity, closed_at AS at, NOT silenced AS is_heard";
    let parameters: [&(dyn ToSql + Sync); 5] = [rule, &(*opened as i64), &(*hash as i64), at, &recipients];
    let closed = statements.query(transaction, &Notifying::CLOSED.of(update, 5), &parameters).await;
    closed.map(drop).map_err(Error::postgres("closing an alert"))
}
