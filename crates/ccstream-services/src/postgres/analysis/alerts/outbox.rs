//! This module claims notifications from the outbox, and records what became of them.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::postgres::analysis::AnalysisStore;
use ccstream_analysis::notify::{Notice, Noticed, What};

/// How long a notification belongs to the run that has claimed it. After that, it is re-sent.
const CLAIMED_FOR: &str = "30 s";
/// The maximum number of alerts in one notification.
const MOST: i64 = 1_000;
/// How long a notification is tried, and how long it waits for a target that was removed.
const TRIED_FOR: &str = "1 day";
/// How often a notification is tried that the target refuses.
const REFUSED_MOST: i32 = 5;
/// How long rows remain after they were sent or have failed, and how many are deleted at once.
const KEPT_FOR: &str = "7 days";
const DELETED_AT_ONCE: i64 = 10_000;

/// A notification that belongs to this run for a while.
#[derive(Debug)]
pub(crate) struct Claimed {
    /// The rows of the outbox.
    pub(crate) rows: Vec<i64>,
    /// How often it was begun to send it, this time included.
    pub(crate) attempts: i32,
    /// None if all of its alerts were deleted.
    pub(crate) notice: Option<Notice>,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sending {
    Sent,
    /// It failed, and is tried again after a time. `is_refused` is whether the target does not want it.
    Failed {
        error: String,
        again_after: Duration,
        is_refused: bool,
    },
    /// It is not tried again.
    Abandoned(String),
}

/// What was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recorded {
    Sent,
    Waiting,
    /// It is not tried again.
    Failed,
    /// Somebody else has recorded something since, or the rows are gone.
    Nothing,
}

impl AnalysisStore {
    /// Lists those targets for which something is due.
    pub(crate) async fn due_targets(&mut self, targets: &[String]) -> Result<Vec<String>> {
        let query = "SELECT name FROM unnest($1::text[]) AS name
                     WHERE EXISTS (SELECT FROM alert_outbox
                                   WHERE status = 'waiting' AND target = name AND next_at <= now())";
        let rows = self.client.query(query, &[&targets]).await.map_err(Error::postgres("reading alert_outbox"))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Claims what is due for a target first: a notification that was begun before, or alerts of a rule that are not sent
    /// yet, which get the idempotency key. Returns None if nothing is due, or if the lease is lost.
    ///
    /// What became of an alert is sent in order: that it was closed only after that it was opened.
    pub(crate) async fn claim_notification(&mut self, epoch: i64, target: &str, key: &str) -> Result<Option<Claimed>> {
        let step = || Error::postgres("claiming a notification");
        let is_next = |row: &str| {
            format!(
                "NOT EXISTS (SELECT FROM alert_outbox AS b
                             WHERE b.alert = {row}.alert AND b.target = {row}.target AND b.status = 'waiting' AND b.id < {row}.id)"
            )
        };
        let query = format!(
            "WITH first AS (
                 SELECT key, rule, what FROM alert_outbox AS o
                 WHERE status = 'waiting' AND target = $1 AND next_at <= now() AND {}
                     AND EXISTS (SELECT FROM analysis WHERE epoch = $2)
                 ORDER BY next_at, id LIMIT 1 FOR UPDATE SKIP LOCKED),
             members AS (
                 SELECT m.id FROM alert_outbox AS m, first AS f
                 WHERE m.status = 'waiting' AND m.target = $1 AND m.rule = f.rule AND m.what = f.what
                     AND m.key IS NOT DISTINCT FROM f.key AND {}
                 ORDER BY m.id LIMIT {MOST} FOR UPDATE OF m SKIP LOCKED),
             claimed AS (
                 UPDATE alert_outbox AS o SET attempts = attempts + 1, key = coalesce(key, $3),
                     begun_at = coalesce(begun_at, now()), next_at = now() + interval '{CLAIMED_FOR}'
                 WHERE id IN (SELECT id FROM members)
                 RETURNING id, alert, rule, what, at, key, attempts)
             SELECT c.id, c.attempts, c.key, c.rule, c.what, a.id, a.version, a.key, a.severity,
                    {}, {}, a.why::text, a.why_text, a.runbook
             FROM claimed AS c LEFT JOIN alerts AS a ON a.id = c.alert ORDER BY c.id",
            is_next("o"),
            is_next("m"),
            iso("CASE c.what WHEN 'opened' THEN c.at ELSE a.opened_at END"),
            iso("CASE c.what WHEN 'closed' THEN c.at END"),
        );
        let rows = self.client.query(&query, &[&target, &epoch, &key]).await.map_err(step())?;
        let Some(first) = rows.first() else { return Ok(None) };
        let alerts: Vec<Noticed> = rows
            .iter()
            .filter_map(|row| {
                Some(Noticed {
                    id: row.get::<_, Option<i64>>(5)?,
                    version: row.get(6),
                    key: row.get(7),
                    severity: row.get(8),
                    opened_at: row.get(9),
                    closed_at: row.get(10),
                    why: row.get(11),
                    text: row.get(12),
                    runbook: row.get(13),
                })
            })
            .collect();
        let what = if first.get::<_, &str>(4) == "closed" { What::Closed } else { What::Opened };
        let notice = Notice { key: first.get(2), target: target.to_owned(), rule: first.get(3), what, alerts };
        Ok(Some(Claimed {
            rows: rows.iter().map(|row| row.get(0)).collect(),
            attempts: rows.iter().map(|row| row.get(1)).max().unwrap_or_default(),
            notice: (!notice.alerts.is_empty()).then_some(notice),
        }))
    }

    /// Records what became of an attempt. That it was sent counts whoever has claimed it since; that it was not counts
    /// only for the last attempt.
    pub(crate) async fn record_notification(&mut self, claimed: &Claimed, sending: &Sending) -> Result<Recorded> {
        let step = || Error::postgres("recording a notification");
        let Claimed { rows, attempts, .. } = claimed;
        let (error, again_after, is_refused) = match sending {
            Sending::Sent => {
                let query = "UPDATE alert_outbox SET status = 'sent', sent_at = now(), last_error = NULL
                             WHERE id = ANY ($1) AND status <> 'sent'";
                let sent = self.client.execute(query, &[rows]).await.map_err(step())?;
                return Ok(if sent > 0 { Recorded::Sent } else { Recorded::Nothing });
            }
            Sending::Failed { error, again_after, is_refused } => (error, *again_after, Some(*is_refused)),
            Sending::Abandoned(error) => (error, Duration::ZERO, None),
        };
        let most = match is_refused {
            Some(true) => REFUSED_MOST,
            Some(false) => i32::MAX,
            None => 0,
        };
        let query = format!(
            "WITH recorded AS (
                 UPDATE alert_outbox SET last_error = $3, next_at = now() + $4::bigint * interval '1 millisecond',
                     status = CASE WHEN attempts >= $5 OR begun_at < now() - interval '{TRIED_FOR}'
                              THEN 'failed' ELSE 'waiting' END
                 WHERE id = ANY ($1) AND status = 'waiting' AND attempts <= $2
                 RETURNING status)
             SELECT bool_and(status = 'failed') FROM recorded"
        );
        let again_after = again_after.as_millis() as i64;
        let row = self.client.query_one(&query, &[rows, attempts, error, &again_after, &most]).await.map_err(step())?;
        Ok(match row.get::<_, Option<bool>>(0) {
            None => Recorded::Nothing,
            Some(true) => Recorded::Failed,
            Some(false) => Recorded::Waiting,
        })
    }

    /// Lets notifications fail whose target was removed, and deletes old rows. Returns how many have failed.
    pub(crate) async fn tidy_outbox(&mut self, epoch: i64, targets: &[String]) -> Result<u64> {
        let step = || Error::postgres("tidying alert_outbox");
        let query = format!(
            "UPDATE alert_outbox SET status = 'failed', last_error = coalesce(last_error, 'the target was removed')
             WHERE status = 'waiting' AND target <> ALL ($1) AND written_at < now() - interval '{TRIED_FOR}'
                 AND EXISTS (SELECT FROM analysis WHERE epoch = $2)"
        );
        let failed = self.client.execute(&query, &[&targets, &epoch]).await.map_err(step())?;
        let query = format!(
            "DELETE FROM alert_outbox WHERE id IN (
                 SELECT id FROM alert_outbox WHERE status <> 'waiting' AND written_at < now() - interval '{KEPT_FOR}'
                 ORDER BY written_at LIMIT $1)"
        );
        self.client.execute(&query, &[&DELETED_AT_ONCE]).await.map_err(step())?;
        Ok(failed)
    }
}

/// Returns SQL that writes a time as JSON does.
fn iso(time: &str) -> String {
    format!("to_char({time}, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
}
