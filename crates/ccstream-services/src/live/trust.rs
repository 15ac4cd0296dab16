//! This module queries what became of messages that are not rows, and how long events took until they were stored.

use super::snapshot::Snapshot;
use crate::error::{Error, Result};
use crate::postgres::reading::{PAGE_LIMIT, Reader};

/// Number of minutes over which latency is computed.
const MINUTES: i32 = 5;

/// Holds what a page shows beside the KPIs, so that its users can judge how far to trust them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trust {
    /// Number of rejected messages by reason, the most frequent first.
    pub rejected: Vec<(String, i64)>,
    /// The sum of the consumers' counters of rejected messages when `rejected` was queried; None before.
    pub rejected_total: Option<i64>,
    /// Time from an event until it was stored, in milliseconds: p50, p95 and p99 of the events that were stored in the
    /// last five minutes. Each is the upper end of its bin. None if no event was stored in that time.
    pub latency_ms: Option<[i64; 3]>,
    /// Number of events from which `latency_ms` was computed.
    pub latency_events: i64,
    /// Number of rows that were stored with a time in the minutes before the oldest row's; 0 if no row is lacking.
    pub before_oldest: i64,
    /// Number of rows that were lacking when `before_oldest` was queried; None before.
    pub lacking: Option<i64>,
}

/// Describes the rows that were stored but are not held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lacking {
    /// Number of rows.
    pub(crate) rows: i64,
    /// The time of the oldest row that is held, in microseconds since 1970 UTC; None if another program may have
    /// inserted that row.
    pub(crate) oldest: Option<i64>,
}

/// Queries what has changed since `before`.
///
/// Errors: the database cannot be read.
pub(crate) async fn ask_trust(
    reader: &mut Reader,
    snapshot: &Snapshot,
    before: Trust,
    lacking: Lacking,
) -> Result<Trust> {
    let reading = reader.begin(PAGE_LIMIT).await?;
    let ask = async |what: &str, sql: &str| {
        reading.transaction.query_typed(sql, &[]).await.map_err(Error::postgres(format!("reading {what}")))
    };
    let total = Some(snapshot.partitions.iter().map(|partition| partition.counters.rejected).sum());
    let mut trust = before;
    if trust.rejected_total != total {
        let rows = ask(
            "rejected_counts",
            "SELECT reason, sum(count)::bigint FROM rejected_counts GROUP BY 1 ORDER BY 2 DESC, 1",
        )
        .await?;
        trust.rejected = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        trust.rejected_total = total;
    }
    // The query may have to read the whole table, so it is sent only if the number has changed.
    if trust.lacking != Some(lacking.rows) {
        trust.before_oldest = 0;
        if lacking.rows > 0 {
            let oldest = lacking.oldest.map_or_else(
                || "(SELECT min(timestamp) FROM orders WHERE kafka_partition IS NOT NULL)".to_owned(),
                |oldest| format!("timestamp '1970-01-01' + {oldest}::bigint * interval '1 microsecond'"),
            );
            let sql = format!(
                "SELECT coalesce(sum(count), 0)::bigint FROM kpi_minute WHERE minute < date_trunc('minute', {oldest})"
            );
            trust.before_oldest = ask("kpi_minute", &sql).await?.first().map_or(0, |row| row.get(0));
        }
        trust.lacking = Some(lacking.rows);
    }
    let sql = format!(
        "SELECT up_to_ms, sum(count)::bigint FROM latency_minute
         WHERE minute > (now() AT TIME ZONE 'UTC') - interval '{MINUTES} minutes' GROUP BY 1 ORDER BY 1"
    );
    let bins: Vec<(i64, i64)> = ask("latency_minute", &sql).await?.iter().map(|row| (row.get(0), row.get(1))).collect();
    reading.end().await?;
    trust.latency_events = bins.iter().map(|(_, count)| count).sum();
    trust.latency_ms = (trust.latency_events > 0).then(|| {
        [0.5, 0.95, 0.99].map(|fraction| {
            let rank = ccstream_kpi::rows::multiset::rank(fraction, trust.latency_events as u64) as i64;
            let mut below = 0;
            let reached = bins.iter().find(|(_, count)| {
                below += count;
                below >= rank
            });
            reached.map_or(0, |(up_to, _)| *up_to)
        })
    });
    Ok(trust)
}
