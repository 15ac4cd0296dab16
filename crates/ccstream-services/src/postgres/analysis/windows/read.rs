//! This module reads scored transactions again, as far as windows need them.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use tokio_postgres::types::ToSql;

use crate::error::{Error, Result};
use crate::postgres::analysis::segments::JOIN_SEGMENT;
use crate::postgres::analysis::{AnalysisStore, micros};
use ccstream_analysis::attribute::Attribute;
use ccstream_analysis::windows::{Facts, Fields};
use ccstream_core::event::{Cents, Micros, Transaction};
use ccstream_core::fields::Place;

/// A scored transaction.
#[derive(Debug)]
pub(crate) struct PastRow {
    pub(crate) seq: i64,
    pub(crate) time: i64,
    pub(crate) score: Option<f64>,
    /// None if the transaction is not in `orders` any more.
    pub(crate) facts: Option<Facts>,
}

/// The scored transactions of a range of places.
#[derive(Debug, Default)]
pub(crate) struct PastRows {
    pub(crate) rows: Vec<PastRow>,
    /// The last place of the range. It is before a transaction that the consumer has not stored yet.
    pub(crate) to: i64,
    /// Whether there is such a transaction.
    pub(crate) is_behind: bool,
}

impl AnalysisStore {
    /// Returns up to `most` scored transactions after a place in the order. A transaction that is not in `orders` is left
    /// out if the consumer has passed its offset; otherwise the range ends before it.
    pub(crate) async fn past_rows(&mut self, after: i64, most: i64, fields: &Fields, topic: &str) -> Result<PastRows> {
        let step = || Error::postgres("reading scores and orders for windows");
        let row = self.client.query_one("SELECT seq FROM analysis", &[]).await.map_err(step())?;
        let mut past = PastRows { to: row.get::<_, i64>(0).min(after + most), ..PastRows::default() };
        if past.to <= after {
            past.to = after;
            return Ok(past);
        }
        let is_segmented = fields.number(Attribute::Segment).is_some() && self.segments_refused().await?.is_none();
        let column = |attribute: &Attribute| match attribute {
            Attribute::Field(place) => format!("o.{}::text", place.field().column),
            Attribute::Segment if is_segmented => "m.name".to_owned(),
            Attribute::Segment => "NULL::text".to_owned(),
        };
        let first = [Place::STATUS, Place::CARD_TOKEN].map(Attribute::Field);
        let columns: Vec<String> = first.iter().chain(fields.attributes()).map(column).collect();
        let query = format!(
            "SELECT s.seq, {}, s.score, o.order_id IS NULL, s.kafka_partition, s.kafka_offset, (o.value * 100)::bigint,
                    {}
             FROM scores AS s LEFT JOIN orders AS o ON o.order_id = s.order_id {}
             WHERE s.seq > $1 AND s.seq <= $2 ORDER BY s.seq",
            micros("s.event_time"),
            columns.join(", "),
            if is_segmented { JOIN_SEGMENT } else { "" }
        );
        let parameters: [&(dyn ToSql + Sync); 2] = [&after, &past.to];
        let rows = self.client.query_raw(&query, parameters).await.map_err(step())?;
        let rows: Vec<tokio_postgres::Row> = rows.try_collect().await.map_err(step())?;
        let mut passed = None;
        for row in &rows {
            let (seq, time, score) = (row.get(0), row.get(1), row.get(2));
            if row.get(3) {
                if passed.is_none() {
                    passed = Some(self.passed(topic).await?);
                }
                let (partition, offset): (i32, i64) = (row.get(4), row.get(5));
                let next = passed.as_ref().and_then(|passed| passed.get(&partition)).copied();
                if next.is_none_or(|next| next <= offset) {
                    (past.to, past.is_behind) = (seq - 1, true);
                    break;
                }
                past.rows.push(PastRow { seq, time, score, facts: None });
                continue;
            }
            let mut transaction = Transaction::new("", Micros(time), Cents(row.get(6)));
            for (at, place) in [(7, Place::STATUS), (8, Place::CARD_TOKEN)] {
                if let Some(text) = row.get::<_, Option<&str>>(at) {
                    transaction.set(place, Fields::datum(place, text));
                }
            }
            let mut segment = None;
            for (at, attribute) in fields.attributes().iter().enumerate() {
                match (attribute, row.get::<_, Option<&str>>(9 + at)) {
                    (Attribute::Field(place), Some(text)) => transaction.set(*place, Fields::datum(*place, text)),
                    (Attribute::Segment, found) => segment = found,
                    (Attribute::Field(_), None) => {}
                }
            }
            let mut facts = fields.facts(&transaction);
            if let Some(segment) = segment {
                facts.assign_name(segment);
            }
            past.rows.push(PastRow { seq, time, score, facts: Some(facts) });
        }
        Ok(past)
    }

    /// Returns the next offset of the consumer in each partition of a topic.
    async fn passed(&mut self, topic: &str) -> Result<BTreeMap<i32, i64>> {
        let query = "SELECT partition, max(next_offset) FROM kafka_offsets WHERE topic = $1 GROUP BY 1";
        let rows = self.client.query(query, &[&topic]).await.map_err(Error::postgres("reading kafka_offsets"))?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}
