//! This module reads scored transactions in their order, together with their rows in `orders`.

use std::collections::HashSet;

use futures_util::TryStreamExt;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::batch::Known;
use super::{AnalysisStore, micros};
use crate::error::{Error, Result};
use ccstream_analysis::event::{Carried, Event, Seen};
use ccstream_analysis::state::Settings;
use ccstream_core::datum::Datum;
use ccstream_core::event::{Cents, Micros, Transaction};
use ccstream_core::fields::Place;
use ccstream_core::label::Label;

/// The fields of a transaction that are texts and that features use, in the order of the query's columns.
const TEXTS: [(Place, &str); 8] = [
    (Place::CURRENCY, "currency"),
    (Place::CARD_TOKEN, "card_token"),
    (Place::MERCHANT, "merchant"),
    (Place::TERMINAL_ID, "terminal_id"),
    (Place::COUNTRY, "country"),
    (Place::ENTRY_MODE, "entry_mode"),
    (Place::RESPONSE_CODE, "response_code"),
    (Place::STATUS, "status"),
];

/// A transaction that was scored before.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) seq: i64,
    pub(crate) id: String,
    pub(crate) event: Seen,
    pub(crate) carried: Carried,
    /// The score, and the name of the model that made it; None if it was not scored.
    pub(crate) score: Option<(f64, String)>,
    /// The reasons for the score; None if it is not high.
    pub(crate) reasons: Option<Vec<String>>,
}

/// A transaction that was scored before, and is not in `orders`.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) seq: i64,
    pub(crate) id: String,
    pub(crate) carried: Carried,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// What the tables say of the whole analysis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    /// The last place in the order.
    pub(crate) seq: i64,
    /// The number of rows in `scores`.
    pub(crate) scores: i64,
    /// Number of labels that have a place in the order.
    pub(crate) applied: i64,
}

/// A label that was applied before, with its transaction.
#[derive(Debug, Clone)]
pub(crate) struct PastLabel {
    pub(crate) seq: i64,
    pub(crate) label: Label,
    pub(crate) known: Known,
    /// The last labels of the terminal's other transactions and of this one, from before this label; None if it is the
    /// first label of its transaction.
    pub(crate) corrects: Option<Vec<(Label, Known)>>,
}

impl AnalysisStore {
    /// Returns the number of transactions after a place in the order that are in `scores` and not in `orders`, because
    /// the consumer has not stored them yet.
    pub(crate) async fn not_stored(&mut self, after: i64) -> Result<i64> {
        let query = "SELECT count(*) FROM scores AS s
                     WHERE s.seq > $1 AND NOT EXISTS (SELECT FROM orders AS o WHERE o.order_id = s.order_id)";
        let row = self.client.query_one(query, &[&after]).await;
        Ok(row.map_err(Error::postgres("comparing scores with orders"))?.get(0))
    }

    /// Returns the first place in the order whose transaction is not in `orders`; None if all are there.
    pub(crate) async fn first_not_stored(&mut self) -> Result<Option<i64>> {
        let query = "SELECT min(s.seq) FROM scores AS s
                     WHERE NOT EXISTS (SELECT FROM orders AS o WHERE o.order_id = s.order_id)";
        let row = self.client.query_one(query, &[]).await;
        Ok(row.map_err(Error::postgres("comparing scores with orders"))?.get(0))
    }

    /// Returns what the tables say of the whole analysis.
    pub(crate) async fn account(&mut self) -> Result<Account> {
        let query = "SELECT seq, (SELECT count(*) FROM scores), (SELECT count(seq) FROM labels) FROM analysis";
        let row = self.client.query_one(query, &[]).await.map_err(Error::postgres("counting scores and labels"))?;
        let [seq, scores, applied] = [0, 1, 2].map(|at| row.get(at));
        Ok(Account { seq, scores, applied })
    }

    /// Returns the partitions in which the counters of accepted messages differ from the rows in `scores` and `labels`, each
    /// with the counter and the number of rows. The rows do not name their topic, so the topics' partitions of the same
    /// number are added up. Labels of analysts come from no partition.
    pub(crate) async fn uncounted(&mut self) -> Result<Vec<(i32, i64, i64)>> {
        let query = "SELECT partition, coalesce(counted, 0)::bigint, coalesce(found, 0)::bigint
             FROM (SELECT partition, sum(accepted) AS counted FROM analysis_offsets GROUP BY 1) AS o
             FULL JOIN (SELECT partition, sum(rows) AS found
                        FROM (SELECT kafka_partition AS partition, count(*) AS rows FROM scores GROUP BY 1
                              UNION ALL SELECT kafka_partition, count(*) FROM labels WHERE kafka_partition >= 0 GROUP BY 1) AS n
                        GROUP BY 1) AS t USING (partition)
             WHERE coalesce(counted, 0) <> coalesce(found, 0) ORDER BY partition";
        let rows = self.client.query(query, &[]).await.map_err(Error::postgres("counting scores and labels"))?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
    }

    /// Returns the bounds of the state of the run that had the lease last: the maximum numbers of cards and merchants.
    pub(crate) async fn bounds(&mut self) -> Result<(usize, usize)> {
        let row = self.client.query_opt("SELECT cards, merchants FROM analysis", &[]).await;
        let row = row.map_err(Error::postgres("reading the bounds of the state"))?;
        let usual = Settings::default();
        let of =
            |column: usize| row.as_ref().and_then(|row| row.get::<_, Option<i64>>(column)).map(|most| most as usize);
        Ok((of(0).unwrap_or(usual.cards), of(1).unwrap_or(usual.merchants)))
    }

    /// Calls `each` with every transaction after one place in the order, up to another; with an error for those that are
    /// not in `orders`.
    pub(crate) async fn past(
        &mut self,
        after: i64,
        to: i64,
        mut each: impl FnMut(Result<Past, Missing>) -> Result<()>,
    ) -> Result<()> {
        let step = || Error::postgres("reading scores and orders");
        let texts: Vec<String> = TEXTS.iter().map(|(_, column)| format!("o.{column}::text")).collect();
        let query = format!(
            "SELECT s.seq, s.ratio, s.level, s.tested, {}, (o.value * 100)::bigint, o.latitude::float8,
                    o.longitude::float8, s.order_id::text, {}, s.score, s.model, s.reasons, s.kafka_partition,
                    s.kafka_offset, o.order_id IS NULL
             FROM scores AS s LEFT JOIN orders AS o ON o.order_id = s.order_id
             WHERE s.seq > $1 AND s.seq <= $2 ORDER BY s.seq",
            micros("o.timestamp"),
            texts.join(", ")
        );
        let parameters: [&(dyn ToSql + Sync); 2] = [&after, &to];
        let rows = self.client.query_raw(&query, parameters).await.map_err(step())?;
        let mut rows = std::pin::pin!(rows);
        while let Some(row) = rows.try_next().await.map_err(step())? {
            each(past(&row))?;
        }
        Ok(())
    }

    /// Returns the labels that were applied after one place in the order, up to another.
    pub(crate) async fn past_labels(&mut self, after: i64, to: i64) -> Result<Vec<PastLabel>> {
        let query = format!(
            "SELECT l.seq, {}, l.transaction_id::text, l.source, l.fraud, {}, s.terminal, s.ratio,
                    EXISTS (SELECT FROM labels AS p WHERE p.transaction_id = l.transaction_id AND p.seq < l.seq)
             FROM labels AS l JOIN scores AS s ON s.order_id = l.transaction_id
             WHERE l.seq > $1 AND l.seq <= $2 ORDER BY l.seq",
            micros("l.labelled_at"),
            micros("s.event_time")
        );
        let rows = self.client.query(&query, &[&after, &to]).await.map_err(Error::postgres("reading labels"))?;
        let mut past = Vec::with_capacity(rows.len());
        for row in rows {
            let label = Label {
                labelled_at: Micros(row.get(1)),
                transaction_id: row.get(2),
                source: row.get(3),
                is_fraud: row.get(4),
            };
            let (seq, known) =
                (row.get(0), Known { time: Micros(row.get(5)), terminal: row.get(6), ratio: row.get(7) });
            let mut corrects = None;
            if let Some(terminal) = known.terminal.filter(|_| row.get(8)) {
                let labels = self.labels_of(terminal, seq, label.labelled_at).await?;
                // The transaction may be too old, by the time of this label, for its earlier labels to count.
                let is_corrected = labels.iter().any(|(other, _)| other.transaction_id == label.transaction_id);
                corrects = is_corrected.then_some(labels);
            }
            past.push(PastLabel { seq, label, known, corrects });
        }
        Ok(past)
    }

    /// Returns the ids of transactions that are known to be frauds at a time: those whose last label before it says so.
    pub(crate) async fn frauds(&mut self, as_of: Micros) -> Result<HashSet<String>> {
        let query = "SELECT transaction_id::text
             FROM (SELECT DISTINCT ON (transaction_id) transaction_id, fraud FROM labels
                   WHERE labelled_at < timestamp '1970-01-01' + $1::bigint * interval '1 microsecond'
                   ORDER BY transaction_id, labelled_at DESC, source DESC) AS l
             WHERE fraud";
        let rows = self.client.query(query, &[&as_of.0]).await.map_err(Error::postgres("reading labels"))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Returns the delays of frauds' labels in microseconds, of the labels before a time and of the transactions before
    /// another.
    pub(crate) async fn label_delays(&mut self, as_of: Micros, before: Micros) -> Result<Vec<i64>> {
        let query = format!(
            "SELECT {} - {} FROM labels AS l JOIN scores AS s ON s.order_id = l.transaction_id
             WHERE l.fraud AND l.labelled_at < timestamp '1970-01-01' + $1::bigint * interval '1 microsecond'
               AND s.event_time < timestamp '1970-01-01' + $2::bigint * interval '1 microsecond'",
            micros("l.labelled_at"),
            micros("s.event_time")
        );
        let rows = self.client.query(&query, &[&as_of.0, &before.0]).await;
        let rows = rows.map_err(Error::postgres("measuring the delays of labels"))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

fn past(row: &Row) -> Result<Past, Missing> {
    let further = 9 + TEXTS.len();
    let (seq, id, carried) = (row.get(0), row.get(8), carried(row, 1));
    if row.get(further + 5) {
        return Err(Missing { seq, id, carried, partition: row.get(further + 3), offset: row.get(further + 4) });
    }
    let mut transaction = Transaction::new("", Micros(row.get(4)), Cents(row.get(5)));
    for (at, place) in [(6, Place::LATITUDE), (7, Place::LONGITUDE)] {
        if let Some(degrees) = row.get::<_, Option<f64>>(at) {
            transaction.set(place, Datum::Real(degrees));
        }
    }
    for (at, (place, _)) in TEXTS.iter().enumerate() {
        if let Some(text) = row.get::<_, Option<&str>>(9 + at) {
            transaction.set(*place, Datum::Text(text.into()));
        }
    }
    Ok(Past {
        seq,
        id,
        event: Seen::from(&Event::from(&transaction)),
        carried,
        score: row.get::<_, Option<f64>>(further).zip(row.get(further + 1)),
        reasons: row.get(further + 2),
    })
}

impl From<Missing> for Error {
    fn from(missing: Missing) -> Self {
        Self::Schema(format!(
            "the scored transaction {:?} is not in the table orders, from which its features are computed; start the \
             consumer if it has not stored it yet, or restore the row",
            missing.id
        ))
    }
}

/// Reads what was stored with a transaction from three columns of a row: `ratio`, `level` and `tested`.
fn carried(row: &Row, at: usize) -> Carried {
    let real = |at: usize| row.get::<_, Option<f32>>(at).unwrap_or(f32::NAN);
    Carried { ratio: real(at), level: real(at + 1), tested: row.get::<_, i16>(at + 2) as u8 }
}
