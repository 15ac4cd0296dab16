//! How long events took from their own time to being stored, in bins, by the minute in which they were stored.
//!
//! Kept by the batch and not by the row: a time of storing in every row makes each eight bytes longer for ever,
//! while a batch adds a handful of cells here, and a page reads its percentiles from some hundred of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use tokio_postgres::Transaction;

use crate::error::{Error, Result};
use crate::postgres::derived::{Derived, Recount, Snapshot, Write};
use crate::postgres::table::{OwnColumn, Table};

/// How often a partition's old cells are dropped.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// A day and more is one bin: such events are replayed, or their clock is wrong.
const MAX_MS: i64 = 86_400_000;

/// The upper end of a latency's bin in milliseconds: exact to 16, then at most an eighth above it. An event from the
/// future took no time.
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
    comment: "ccstream: how many events were stored in a minute (UTC) up to so many milliseconds after their own \
              time; one day",
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

/// `latency_minute`.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    /// When each partition was last swept.
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

    /// Nothing: no row says when it was stored.
    fn recount<'w>(&'w self, _snapshot: &'w Snapshot<'_>) -> BoxFuture<'w, Result<Recount>> {
        Box::pin(std::future::ready(Ok(Recount::default())))
    }
}

impl Latency {
    /// Those that are to be swept now. A batch that fails after this sweeps them the next time.
    fn due(&self, partitions: impl Iterator<Item = i32>) -> Vec<i32> {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let due: Vec<i32> =
            partitions.filter(|one| swept.get(one).is_none_or(|at| at.elapsed() > SWEEP_EVERY)).collect();
        swept.extend(due.iter().map(|partition| (*partition, Instant::now())));
        due
    }
}

/// Adds the batch's rows to `latency_minute`, in the order of its keys.
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

/// Drops what nobody who watches looks at any more: all but the last day of these partitions.
async fn sweep(transaction: &Transaction<'_>, partitions: &[i32]) -> Result<()> {
    transaction
        .execute(
            "DELETE FROM latency_minute
             WHERE minute < (now() AT TIME ZONE 'UTC') - interval '1 day' AND kafka_partition = ANY ($1)",
            &[&partitions],
        )
        .await
        .map_err(Error::postgres("sweeping latency_minute"))?;
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
