//! Records in `latency_minute` the latency of events, from their own time until they were stored: the number of events
//! in each bin of latencies, for each minute in which they were stored.
//!
//! Rows do not have the time at which they were stored, because it would make each row permanently eight bytes longer.
//! A batch adds a few cells here instead, and the dashboard computes percentiles from a few hundred cells.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use tokio_postgres::Transaction;

use crate::error::{Error, Result};
use crate::postgres::derived::{Derived, Recount, Snapshot, Write};
use crate::postgres::table::{OwnColumn, Table};

/// The interval between two deletions of a partition's old cells.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// The upper end of the last bin, one day. The last bin also holds all longer latencies: such events were replayed, or
/// came from a machine whose clock is wrong.
const MAX_MS: i64 = 86_400_000;

/// Returns the upper end of a latency's bin, in milliseconds. It equals the latency up to 16 ms, and is at most an
/// eighth above it beyond. An event from the future has latency 0.
fn up_to(ms: i64) -> i64 {
    let ms = ms.clamp(0, MAX_MS);
    if ms <= 16 {
        return ms;
    }
    let shift = (ms - 1).ilog2() - 3;
    ((((ms - 1) >> shift) + 1) << shift).min(MAX_MS)
}

const TABLE: Table = Table {
    name: "latency_minute",
    comment: "ccstream: number of events by the minute (UTC) in which they were stored and by latency; up_to_ms is the \
              upper end of a bin of latencies; the last day",
    columns: &[
        OwnColumn::new("minute", "TIMESTAMP NOT NULL"),
        OwnColumn::new("kafka_partition", "INTEGER NOT NULL"),
        OwnColumn::new("up_to_ms", "BIGINT NOT NULL"),
        OwnColumn::new("count", "BIGINT NOT NULL"),
    ],
    constraints: &["PRIMARY KEY (minute, kafka_partition, up_to_ms)"],
    privileges: &["SELECT", "INSERT", "UPDATE", "DELETE"],
    ..Table::USUAL
};

/// The derived table `latency_minute`.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    /// The time at which each partition's old cells were last deleted.
    swept: Mutex<HashMap<i32, Instant>>,
}

impl Derived for Latency {
    fn table(&self) -> Table {
        TABLE
    }

    fn apply<'w>(&'w self, write: &'w mut Write<'_>) -> BoxFuture<'w, Result<()>> {
        Box::pin(async move {
            add(write).await?;
            let due = self.due(write.batch.advances().into_keys());
            if due.is_empty() { Ok(()) } else { sweep(write.transaction, &due).await }
        })
    }

    /// Compares nothing, because the latency table cannot be recounted: rows do not have the time at which they were
    /// stored.
    fn recount<'w>(&'w self, _snapshot: &'w Snapshot<'_>) -> BoxFuture<'w, Result<Recount>> {
        Box::pin(std::future::ready(Ok(Recount::default())))
    }
}

impl Latency {
    /// Returns the partitions whose old cells are to be deleted now. If the batch fails after this, they are deleted
    /// after the next interval.
    fn due(&self, partitions: impl Iterator<Item = i32>) -> Vec<i32> {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let due: Vec<i32> =
            partitions.filter(|one| swept.get(one).is_none_or(|at| at.elapsed() > SWEEP_EVERY)).collect();
        swept.extend(due.iter().map(|partition| (*partition, Instant::now())));
        due
    }
}

/// Adds the batch's rows to `latency_minute`, in the order of the table's keys.
async fn add(write: &mut Write<'_>) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_micros() as i64);
    let mut cells: HashMap<(i32, i64), i64, hashbrown::DefaultHashBuilder> = HashMap::default();
    for row in write.batch.stored() {
        *cells.entry((row.partition(), up_to((now - row.timestamp().0) / 1000))).or_default() += 1;
    }
    if cells.is_empty() {
        return Ok(());
    }
    let (keys, counts): (Vec<_>, Vec<i64>) = cells.into_iter().collect::<BTreeMap<_, _>>().into_iter().unzip();
    let (partitions, bins): (Vec<i32>, Vec<i64>) = keys.into_iter().unzip();
    write
        .statements
        .execute(
            write.transaction,
            "INSERT INTO latency_minute AS l (minute, kafka_partition, up_to_ms, count)
             SELECT timestamp '1970-01-01' + $1::bigint * interval '1 minute', p, b, n
             FROM unnest($2::int[], $3::bigint[], $4::bigint[]) AS c (p, b, n) ORDER BY 1, 2, 3
             ON CONFLICT (minute, kafka_partition, up_to_ms) DO UPDATE SET count = l.count + excluded.count",
            &[&(now / 60_000_000), &partitions, &bins, &counts],
        )
        .await
        .map_err(Error::postgres("adding to latency_minute"))?;
    Ok(())
}

/// Deletes cells of these partitions that are older than a day. The dashboard does not show them.
async fn sweep(transaction: &Transaction<'_>, partitions: &[i32]) -> Result<()> {
    transaction
        .execute(
            "DELETE FROM latency_minute
             WHERE minute < (now() AT TIME ZONE 'UTC') - interval '1 day' AND kafka_partition = ANY ($1)",
            &[&partitions],
        )
        .await
        .map_err(Error::postgres("deleting old cells of latency_minute"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins() {
        for ms in 0..200_000 {
            let end = up_to(ms);
            assert!(end >= ms && (end - ms) * 8 <= ms, "{ms}: {end}");
            assert_eq!(up_to(end), end);
            assert!(up_to(ms + 1) >= end);
        }
        assert_eq!((up_to(-5), up_to(i64::MAX / 1000)), (0, MAX_MS));
    }
}
