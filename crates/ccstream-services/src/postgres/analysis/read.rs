//! This module reads what the analysis has written: transactions by id, and labels that are not due.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Transaction;

use super::batch::Known;
use super::{AnalysisStore, micros};
use crate::error::{Error, Result};
use crate::postgres::statements::Statements;
use ccstream_core::event::Micros;
use ccstream_core::label::Label;

/// The age in microseconds up to which labelled transactions of a terminal count.
pub(crate) const LABEL_LIFE: i64 = 64 * 86_400_000_000;

/// What the tables have of the transactions that labels are about.
#[derive(Debug, Default)]
pub(crate) struct Context {
    /// The transactions that are in `scores`, by id.
    pub(crate) known: HashMap<String, Known>,
    /// The labels that are in `labels`, with `is_fraud` false.
    pub(crate) labels: HashSet<Label>,
}

/// Labels that are not due.
#[derive(Debug)]
pub(crate) struct WaitingLabels {
    /// The labels, each with its transaction if that has been scored.
    pub(crate) labels: Vec<(Label, Option<Known>)>,
    /// The time of the last of them, if the table may have later ones.
    pub(crate) until: Option<Micros>,
}

/// A label that an analyst has written and that is not due: the id of its transaction, and its time.
pub(crate) type Verdict = (String, i64);

/// The greatest number of such labels that are read, the latest first.
const MAX_VERDICTS: i64 = 1_000;

/// Returns the labels of analysts that are not due.
pub(super) async fn verdicts(transaction: &Transaction<'_>, statements: &mut Statements) -> Result<Vec<Verdict>> {
    let query = format!(
        "SELECT transaction_id::text, {} FROM labels WHERE kafka_partition < 0 AND seq IS NULL
         ORDER BY labelled_at DESC, transaction_id LIMIT {MAX_VERDICTS}",
        micros("labelled_at")
    );
    let rows = statements.query(transaction, &query, &[]).await;
    let rows = rows.map_err(Error::postgres("reading the labels of analysts"))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

impl AnalysisStore {
    /// Returns those of the ids that are in `scores`. Ids above the greatest one there are not searched for, which
    /// spares nearly all searches if ids grow with time, as UUIDv7 do.
    pub(crate) async fn find_scored(&mut self, ids: &[&str]) -> Result<HashSet<String>> {
        let query = "SELECT order_id::text FROM scores WHERE order_id = ANY (ARRAY(
             SELECT id FROM unnest($1::varchar[]) AS id WHERE id COLLATE \"C\" <= (SELECT max(order_id) FROM scores)))";
        let rows = self.client.query(query, &[&ids]).await.map_err(Error::postgres("searching scores for ids"))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Returns what the tables have of these transactions.
    pub(crate) async fn context(&mut self, ids: &[&str]) -> Result<Context> {
        let step = || Error::postgres("reading labelled transactions");
        let query = format!(
            "SELECT order_id::text, {}, terminal, ratio FROM scores WHERE order_id = ANY ($1::varchar[])",
            micros("event_time")
        );
        let rows = self.client.query(&query, &[&ids]).await.map_err(step())?;
        let known = |row: &tokio_postgres::Row| {
            (row.get(0), Known { time: Micros(row.get(1)), terminal: row.get(2), ratio: row.get(3) })
        };
        let known = rows.iter().map(known).collect();
        let query = format!(
            "SELECT {}, transaction_id::text, source FROM labels WHERE transaction_id = ANY ($1::varchar[])",
            micros("labelled_at")
        );
        let rows = self.client.query(&query, &[&ids]).await.map_err(step())?;
        let label = |row: &tokio_postgres::Row| Label {
            labelled_at: Micros(row.get(0)),
            transaction_id: row.get(1),
            source: row.get(2),
            is_fraud: false,
        };
        Ok(Context { known, labels: rows.iter().map(label).collect() })
    }

    /// Returns about `limit` labels that are not due, the earliest of those after a time. All labels of the last time are
    /// among them.
    pub(crate) async fn waiting_labels(&mut self, after: Option<Micros>, limit: i64) -> Result<WaitingLabels> {
        let query = format!(
            "SELECT {}, transaction_id::text, source, fraud, {}, scores.terminal, ratio
             FROM (SELECT labelled_at, transaction_id, source, fraud FROM labels
                   WHERE seq IS NULL
                     AND ($2::bigint IS NULL
                          OR labelled_at > timestamp '1970-01-01' + $2::bigint * interval '1 microsecond')
                   ORDER BY labelled_at FETCH FIRST $1 ROWS WITH TIES) AS l
                  LEFT JOIN scores ON order_id = transaction_id",
            micros("labelled_at"),
            micros("event_time")
        );
        let rows = self.client.query(&query, &[&limit, &after.map(|after| after.0)]).await;
        let rows = rows.map_err(Error::postgres("reading labels"))?;
        let waiting = |row: &tokio_postgres::Row| {
            let label = Label {
                labelled_at: Micros(row.get(0)),
                transaction_id: row.get(1),
                source: row.get(2),
                is_fraud: row.get(3),
            };
            let time: Option<i64> = row.get(4);
            let known = time.map(|time| Known { time: Micros(time), terminal: row.get(5), ratio: row.get(6) });
            (label, known)
        };
        let labels: Vec<_> = rows.iter().map(waiting).collect();
        let last = labels.iter().map(|(label, _)| label.labelled_at).max();
        Ok(WaitingLabels { until: last.filter(|_| labels.len() as i64 >= limit), labels })
    }

    /// Returns the ids of transactions that have several labels.
    pub(crate) async fn relabelled(&mut self) -> Result<HashSet<String>> {
        let query = "SELECT transaction_id::text FROM labels GROUP BY transaction_id HAVING count(*) > 1";
        let rows = self.client.query(query, &[]).await.map_err(Error::postgres("reading labels"))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Returns the last label of each labelled transaction of a terminal, of the labels before a place in the order.
    /// Only transactions of the [`LABEL_LIFE`] before `now` count.
    pub(crate) async fn labels_of(&mut self, terminal: i64, before: i64, now: Micros) -> Result<Vec<(Label, Known)>> {
        let since = now.0.saturating_sub(LABEL_LIFE);
        let query = format!(
            "SELECT {}, l.transaction_id::text, l.fraud, {}, s.ratio
             FROM (SELECT DISTINCT ON (transaction_id) transaction_id, labelled_at, fraud FROM labels
                   WHERE terminal = $1 AND seq < $2
                   ORDER BY transaction_id, labelled_at DESC, seq DESC) AS l
                  JOIN scores AS s ON s.order_id = l.transaction_id
             WHERE s.event_time >= timestamp '1970-01-01' + $3::bigint * interval '1 microsecond'
             ORDER BY s.seq",
            micros("l.labelled_at"),
            micros("s.event_time")
        );
        let rows = self.client.query(&query, &[&terminal, &before, &since]).await;
        let rows = rows.map_err(Error::postgres("reading the labels of a terminal"))?;
        let label = |row: &tokio_postgres::Row| Label {
            labelled_at: Micros(row.get(0)),
            transaction_id: row.get(1),
            source: String::new(),
            is_fraud: row.get(2),
        };
        let known =
            |row: &tokio_postgres::Row| Known { time: Micros(row.get(3)), terminal: Some(terminal), ratio: row.get(4) };
        Ok(rows.iter().map(|row| (label(row), known(row))).collect())
    }

    /// Returns the greatest id in `scores`; empty if there is none.
    pub(crate) async fn greatest_id(&mut self) -> Result<String> {
        let row = self.client.query_one("SELECT coalesce(max(order_id), '')::text FROM scores", &[]).await;
        Ok(row.map_err(Error::postgres("reading the greatest id in scores"))?.get(0))
    }
}
