//! This module compares the small tables of the analysis with what they are computed from.

use super::tables::{fraud_cards, score_day, score_minute, top_cards};
use super::{FRAUD_CARDS, SCORE_DAY, SCORE_MINUTE, TOP_CARD_DAY, Tally};
use crate::error::{Error, Result};
use crate::postgres::analysis::AnalysisStore;

impl AnalysisStore {
    /// Returns the names of the small tables, each with the number of rows that differ from `scores` and `labels`. The
    /// table of features is not among them.
    pub(crate) async fn tally_differences(&mut self) -> Result<Vec<(&'static str, i64)>> {
        let tables = [
            (SCORE_MINUTE.name, score_minute(), ""),
            (SCORE_DAY.name, score_day(), ""),
            (TOP_CARD_DAY.name, top_cards(), ""),
            // The row of a card remains if none of its transactions is a fraud after all.
            (FRAUD_CARDS.name, fraud_cards(), "WHERE frauds <> 0"),
        ];
        let mut differences = Vec::new();
        for (name, contents, rows) in tables {
            let query = format!(
                "WITH computed AS MATERIALIZED ({contents})
                 SELECT count(*) FROM ((SELECT * FROM computed EXCEPT ALL SELECT * FROM {name} {rows})
                                       UNION ALL (SELECT * FROM {name} {rows} EXCEPT ALL SELECT * FROM computed)) AS t"
            );
            let row = self.client.query_one(&query, &[]).await;
            differences.push((name, row.map_err(Error::postgres(format!("comparing {name} with scores")))?.get(0)));
        }
        Ok(differences)
    }

    /// Returns the number of rows in the table of features that differ from what was counted again. The first day of the
    /// table is left out, because a table that was added later has only a part of it.
    pub(crate) async fn value_differences(&mut self, counted: &Tally) -> Result<i64> {
        let (days, values, counts) = counted.counted_values();
        let (names, bins): (Vec<&str>, Vec<i16>) = values.into_iter().unzip();
        let query = "WITH computed AS MATERIALIZED (
                 SELECT date '1970-01-01' + day AS day, feature, bin, seen
                 FROM unnest($1::int[], $2::text[], $3::smallint[], $4::bigint[]) AS n (day, feature, bin, seen)
             ), first AS (SELECT coalesce(min(day), 'infinity') AS day FROM feature_day)
             SELECT count(*)
             FROM ((SELECT * FROM computed EXCEPT ALL SELECT * FROM feature_day)
                   UNION ALL (SELECT * FROM feature_day EXCEPT ALL SELECT * FROM computed)) AS t
             WHERE day > (SELECT day FROM first)";
        let row = self.client.query_one(query, &[&days, &names, &bins, &counts]).await;
        Ok(row.map_err(Error::postgres("comparing feature_day with scores"))?.get(0))
    }
}
