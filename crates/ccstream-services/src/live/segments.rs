//! This module reads the merchants' current segments, which `ccstream segment` writes.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio_postgres::Transaction;

use crate::error::{Error, Result};
use crate::postgres::reading::{PAGE_LIMIT, Reader};
use ccstream_kpi::rows::segments::Segments;

/// Time between two looks for a newer run.
const EVERY: Duration = Duration::from_secs(5);

/// Looks for new segments from time to time.
#[derive(Debug, Default)]
pub(super) struct SegmentWatch {
    looked: Option<Instant>,
    /// The run whose segments are known; None if there was none.
    run: Option<i64>,
}

impl SegmentWatch {
    /// Returns the segments, if those of another run than before are there, and it is time to look.
    ///
    /// Errors: the database cannot be read.
    pub(super) async fn look(&mut self, reader: &mut Reader) -> Result<Option<Segments>> {
        if self.looked.is_some_and(|at| at.elapsed() < EVERY) {
            return Ok(None);
        }
        let reading = reader.begin(PAGE_LIMIT).await?;
        let run = last_run(&reading.transaction).await?;
        let is_first = self.looked.replace(Instant::now()).is_none();
        let segments = if run != self.run || is_first { Some(read(&reading.transaction, run).await?) } else { None };
        reading.end().await?;
        self.run = run;
        Ok(segments)
    }
}

/// Returns the last run that found segments of merchants; None if there is none, or if its tables cannot be read.
pub(super) async fn last_run(transaction: &Transaction<'_>) -> Result<Option<i64>> {
    let step = || Error::postgres("querying segment_runs");
    let readable = "SELECT coalesce(bool_and(has_table_privilege(to_regclass(name), 'SELECT')), false)
                    FROM unnest(ARRAY['segment_runs', 'merchant_segment']) AS name
                    HAVING count(to_regclass(name)) = 2";
    if transaction.query_typed_opt(readable, &[]).await.map_err(step())?.is_none_or(|row| !row.get::<_, bool>(0)) {
        return Ok(None);
    }
    let last = "SELECT max(run) FROM segment_runs WHERE kind = 'merchants'";
    Ok(transaction.query_typed_one(last, &[]).await.map_err(step())?.get(0))
}

/// Reads the current segments of all merchants; none if there was no run.
pub(super) async fn read(transaction: &Transaction<'_>, run: Option<i64>) -> Result<Segments> {
    let step = || Error::postgres("reading merchant_segment");
    let mut segments = Segments::default();
    if run.is_none() {
        return Ok(segments);
    }
    let current = "SELECT merchant, name FROM merchant_segment WHERE valid_to IS NULL ORDER BY merchant";
    let rows = transaction.query_typed_raw(current, std::iter::empty::<(i32, _)>()).await.map_err(step())?;
    let mut rows = pin!(rows);
    while let Some(row) = rows.next().await.transpose().map_err(step())? {
        if !segments.add(row.get(0), row.get(1)) {
            let limit = Segments::MERCHANTS;
            tracing::warn!(limit, "Not all segments of merchants are held; merchants beyond the limit have none.");
            break;
        }
    }
    Ok(segments)
}
