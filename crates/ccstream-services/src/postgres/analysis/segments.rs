//! This module reads the segments of merchants, which `ccstream segment` writes, and notes from which place in the order on
//! which of its runs counts.

use futures_util::TryStreamExt;

use super::{AnalysisStore, micros};
use crate::error::{Error, Result};
use crate::postgres::table::{OwnColumn, Table};
use ccstream_analysis::segments::Segments;

/// The table of the runs by which transactions go.
pub(in crate::postgres) const SEGMENTS_ADOPTED: Table = Table {
    name: "segments_adopted",
    comment: "ccstream: from which place in the order on windows and alerts go by which run of ccstream segment",
    columns: &[
        OwnColumn::new("seq", "BIGINT PRIMARY KEY")
            .meaning("first place in the order, as in scores, that goes by the run; 0 for the first run"),
        OwnColumn::new("run", "BIGINT").meaning("as in segment_runs; NULL if merchants have no segment"),
        OwnColumn::new("as_of", "TIMESTAMP").meaning("as in segment_runs"),
        OwnColumn::new("ran_at", "TIMESTAMPTZ").meaning("as in segment_runs; with run, it identifies the run"),
        OwnColumn::new("adopted_at", "TIMESTAMPTZ NOT NULL DEFAULT now()"),
    ],
    privileges: &["SELECT", "INSERT", "UPDATE", "DELETE"],
    ..Table::USUAL
};

/// The joins by which a transaction, with the rows `s` of `scores` and `o` of `orders`, gets the segment `m` of its merchant.
pub(super) const JOIN_SEGMENT: &str = "
    LEFT JOIN LATERAL (SELECT run FROM segments_adopted WHERE seq <= s.seq ORDER BY seq DESC LIMIT 1) AS a ON true
    LEFT JOIN merchant_segment AS m
        ON m.merchant = o.merchant AND m.run <= a.run AND (m.ended_run IS NULL OR m.ended_run > a.run)";

/// A run of `ccstream segment`. Its number alone does not identify it, because its tables may have been recreated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentRun {
    run: i64,
    /// Both in microseconds since 1970.
    as_of: i64,
    ran_at: i64,
}

impl AnalysisStore {
    /// Returns why the tables of segments cannot be read, and what to do; None if they can.
    pub(crate) async fn segments_refused(&mut self) -> Result<Option<String>> {
        let query = "SELECT name, c IS NULL, quote_ident(current_user)
                     FROM unnest(ARRAY['segment_runs', 'merchant_segment']) AS name, to_regclass(name) AS c
                     WHERE c IS NULL OR NOT has_table_privilege(c, 'SELECT') LIMIT 1";
        let row = self.client.query_opt(query, &[]).await.map_err(Error::postgres("looking for segments"))?;
        Ok(row.map(|row| {
            let (name, is_missing, role): (&str, bool, &str) = (row.get(0), row.get(1), row.get(2));
            if is_missing {
                return format!("the table {name} does not exist; run ccstream segment");
            }
            format!(
                "the role {role} may not read the tables of segments; have their owner run: GRANT SELECT ON segment_runs, \
                 merchant_segment TO {role}"
            )
        }))
    }

    /// Returns the last run over merchants; or why there is none that can be used, and what to do.
    pub(crate) async fn newest_segments(&mut self) -> Result<std::result::Result<SegmentRun, String>> {
        if let Some(why) = self.segments_refused().await? {
            return Ok(Err(why));
        }
        let query = format!(
            "SELECT run, {}, {}, members FROM segment_runs WHERE kind = 'merchants' ORDER BY run DESC LIMIT 1",
            micros("as_of"),
            micros("ran_at")
        );
        let row = self.client.query_opt(&query, &[]).await.map_err(Error::postgres("reading segment_runs"))?;
        let Some(row) = row else {
            return Ok(Err("merchants were not segmented yet; run ccstream segment".into()));
        };
        let (run, as_of, ran_at, members): (_, _, _, i64) = (row.get(0), row.get(1), row.get(2), row.get(3));
        if members > Segments::MOST as i64 {
            let most = Segments::MOST;
            return Ok(Err(format!(
                "run {run} of ccstream segment has {members} merchants; at most {most} are supported, so use fewer --days"
            )));
        }
        Ok(Ok(SegmentRun { run, as_of, ran_at }))
    }

    /// Returns the segments after a run.
    pub(crate) async fn segments_after(&mut self, run: &SegmentRun) -> Result<Segments> {
        let step = || Error::postgres("reading merchant_segment");
        let query = "SELECT merchant, name FROM merchant_segment
                     WHERE run <= $1 AND (ended_run IS NULL OR ended_run > $1)";
        let rows = self.client.query_raw(query, [run.run]).await.map_err(step())?;
        let mut rows = std::pin::pin!(rows);
        let mut segments = Segments::default();
        while let Some(row) = rows.try_next().await.map_err(step())? {
            segments.add(row.get(0), row.get(1));
        }
        Ok(segments)
    }

    /// Notes that transactions from the next place in the order on go by a run, or by none. The first run counts for those
    /// before, too, because nothing went by segments until then. Returns false if the lease is lost.
    pub(crate) async fn adopt_segments(&mut self, epoch: i64, run: Option<&SegmentRun>) -> Result<bool> {
        let step = || Error::postgres("writing segments_adopted");
        let Some(transaction) = self.begin_fenced(epoch).await? else { return Ok(false) };
        // Places that are ahead of the analysis are those of one that was deleted.
        let delete = "DELETE FROM segments_adopted WHERE seq > (SELECT seq + 1 FROM analysis)";
        transaction.execute(delete, &[]).await.map_err(step())?;
        let insert = "
            INSERT INTO segments_adopted (seq, run, as_of, ran_at)
            SELECT CASE WHEN l.seq IS NULL THEN 0 ELSE a.seq + 1 END, n.run, n.as_of, n.ran_at
            FROM analysis AS a
                 CROSS JOIN (SELECT $1::bigint AS run, timestamp '1970-01-01' + $2::bigint * interval '1 microsecond' AS as_of,
                                    timestamptz '1970-01-01 UTC' + $3::bigint * interval '1 microsecond' AS ran_at) AS n
                 LEFT JOIN (SELECT * FROM segments_adopted ORDER BY seq DESC LIMIT 1) AS l ON true
            WHERE l.seq IS NULL OR (l.run, l.ran_at) IS DISTINCT FROM (n.run, n.ran_at)
            ON CONFLICT (seq) DO UPDATE SET run = excluded.run, as_of = excluded.as_of, ran_at = excluded.ran_at,
                adopted_at = excluded.adopted_at";
        let (number, as_of, ran_at) = (run.map(|run| run.run), run.map(|run| run.as_of), run.map(|run| run.ran_at));
        transaction.execute(insert, &[&number, &as_of, &ran_at]).await.map_err(step())?;
        transaction.commit().await.map_err(step())?;
        Ok(true)
    }

    /// Returns why the segments by which transactions went cannot be read any more; None if they can.
    pub(crate) async fn adopted_segments_lost(&mut self) -> Result<Option<String>> {
        let step = || Error::postgres("reading segments_adopted");
        let query = "SELECT EXISTS (SELECT FROM segments_adopted WHERE run IS NOT NULL)";
        if !self.client.query_one(query, &[]).await.map_err(step())?.get::<_, bool>(0) {
            return Ok(None);
        }
        if let Some(why) = self.segments_refused().await? {
            return Ok(Some(why));
        }
        let query = "SELECT min(a.run) FROM segments_adopted AS a LEFT JOIN segment_runs AS r USING (run, ran_at)
                     WHERE a.run IS NOT NULL AND r.run IS NULL";
        let lost: Option<i64> = self.client.query_one(query, &[]).await.map_err(step())?.get(0);
        Ok(lost.map(|run| format!("run {run} of ccstream segment is not in segment_runs any more; restore its tables")))
    }
}
