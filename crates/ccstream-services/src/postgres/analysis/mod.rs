//! This module reads and writes the tables of the analysis: scores and labels, the state from which scores are
//! computed, and the position. One run at a time writes them, each batch in one transaction:
//!
//! ```text
//! BEGIN -> lock and check the position (the fence)
//!       -> scores, labels, places of labels that became due
//!       -> advance the offsets and the position -> COMMIT
//! ```
//! Changed parts of the state are written beside the batches (`snapshot`). The offsets are in a separate table, because
//! everything that compares the counters of `kafka_offsets` with `orders` would include them.

mod alerts;
mod anomalies;
mod batch;
mod history;
mod lease;
mod models;
mod read;
mod schema;
mod segments;
mod snapshot;
mod tally;
mod windows;
mod write;

use std::collections::BTreeMap;

use tokio_postgres::Client;
use tokio_postgres::types::Type;

pub(super) use self::alerts::{ALERT_JOURNAL, ALERT_OUTBOX, ALERT_RULES, ALERT_SILENCES, ALERT_STATE, ALERTS};
pub(crate) use self::alerts::{AlertsBatch, Claimed, ConsumerPosition, Recipient, Recorded, Sending, StoredAlerts};
pub(super) use self::anomalies::{ANOMALY_JOURNAL, ANOMALY_STATE, KPI_BAND};
pub(crate) use self::anomalies::{AnomaliesBatch, StoredAnomalies};
pub use self::batch::AnalysisCounters;
pub(crate) use self::batch::{AnalysisBatch, AppliedLabel, Known, ReceivedLabel, ScoreRow};
pub(crate) use self::history::{Account, Missing, Past, PastLabel};
pub(crate) use self::lease::{LIFETIME, Lease};
pub(super) use self::models::MODELS;
pub(crate) use self::models::{ModelFile, Scoring, StoredModel};
pub(crate) use self::read::{Context, LABEL_LIFE, Verdict, WaitingLabels};
pub(super) use self::schema::{ANALYSIS, ANALYSIS_OFFSETS, LABELS, SCORES, STATE};
pub(super) use self::segments::SEGMENTS_ADOPTED;
pub(crate) use self::segments::SegmentRun;
pub(crate) use self::snapshot::{Snapshot, StatePart};
pub(super) use self::tally::{FEATURE_DAY, FRAUD_CARDS, SCORE_DAY, SCORE_MINUTE, TOP_CARD_DAY};
pub(crate) use self::tally::{Tallied, Tally};
pub(crate) use self::windows::{
    BegunWindow, CountedWindow, ListedWindow, MissedRow, PastRow, StoredWindow, WindowsBatch,
};
pub(super) use self::windows::{WINDOWS, WINDOWS_LATE, WINDOWS_STATE};
pub(crate) use self::write::Written;
use super::WRITING;
use super::connect::{Service, connect_with, set};
use super::offsets::{Origin, Restart};
use super::own_session;
use super::reconnecting::Reopened;
use super::schema::{SchemaChange, ensure};
use super::statements::Statements;
use super::tables::{ANALYZED, Tables};
use crate::error::{Error, Result};
use ccstream_core::settings::DatabaseUrl;

/// The offsets at which a topic's partitions are read.
#[derive(Debug)]
pub(crate) struct AnalysisStart {
    pub(crate) offsets: BTreeMap<i32, i64>,
    /// The partitions that are read from their beginning again, and why.
    pub(crate) restarted: Vec<(i32, Restart)>,
}

/// A session that reads and writes the tables of the analysis.
#[derive(Debug)]
pub(crate) struct AnalysisStore {
    client: Client,
    service: Service,
    statements: Statements,
    /// A random number by which this run recognizes its own lease.
    writer: i64,
}

impl Reopened for AnalysisStore {
    type Settings = DatabaseUrl;
    const WHAT: &'static str = "The analysis was";

    async fn open(url: &DatabaseUrl, writer: i64) -> Result<Self> {
        // A suspended run holds the lock of its lease. Another run gets it once the server has ended its session.
        let settings = WRITING.map(|(name, value)| match name {
            "idle_in_transaction_session_timeout" => (name, "10s"),
            _ => (name, value),
        });
        let (client, service) = connect_with(url, &settings).await?;
        if let Err(error) = set(&client, &settings).await {
            return Err(service.explain(&client, error).await);
        }
        Ok(Self { client, service, statements: Statements::default(), writer })
    }

    async fn fail(self, error: Error) -> Error {
        self.service.explain(&self.client, error).await
    }
}

impl AnalysisStore {
    /// Begins to read the tables of the analysis in one snapshot. Returns None if they do not exist.
    pub(crate) async fn read(url: &DatabaseUrl) -> Result<Option<Self>> {
        let step = || Error::postgres("beginning to read the analysis");
        let (client, service) = connect_with(url, &[]).await?;
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL timezone = 'UTC';
                     SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";
        client.batch_execute(begin).await.map_err(step())?;
        let names = ANALYZED.map(|table| table.name);
        let query = "SELECT bool_and(to_regclass(t) IS NOT NULL) FROM unnest($1::text[]) AS t";
        let row = client.query_typed_one(query, &[(&names.as_slice(), Type::TEXT_ARRAY)]).await.map_err(step())?;
        let store = Self { client, service, statements: Statements::default(), writer: 0 };
        if row.get(0) {
            return Ok(Some(store));
        }
        store.end().await?;
        Ok(None)
    }

    /// Ends the snapshot. Without this, a pooler closes the session, because its client left within a transaction.
    pub(crate) async fn end(self) -> Result<()> {
        self.client.batch_execute("COMMIT").await.map_err(Error::postgres("ending a snapshot"))
    }

    /// Creates and checks the tables, once it is certain that the session is this run's own.
    pub(crate) async fn prepare(&mut self, url: &DatabaseUrl) -> Result<SchemaChange> {
        own_session::check(url).await?;
        ensure(&mut self.client, &Tables::default().with_analysis(), false).await
    }

    /// Returns the offsets at which partitions are read; None if the lease is lost. A partition is read from its
    /// beginning if it is new, if its cluster or topic is a different one, or if its log is `shorter` than what was
    /// read.
    pub(crate) async fn start(
        &mut self,
        epoch: i64,
        topic: &str,
        partitions: &[i32],
        origin: &Origin,
        shorter: bool,
    ) -> Result<Option<AnalysisStart>> {
        let step = || Error::postgres("reading analysis_offsets");
        let Some(transaction) = self.begin_fenced(epoch).await? else { return Ok(None) };
        transaction
            .execute(
                "INSERT INTO analysis_offsets (topic, partition, next_offset, accepted, duplicate, rejected, missing)
                 SELECT $1, p, 0, 0, 0, 0, 0 FROM unnest($2::int[]) AS p ORDER BY p
                 ON CONFLICT (topic, partition) DO NOTHING",
                &[&topic, &partitions],
            )
            .await
            .map_err(step())?;
        let rows = transaction
            .query(
                "SELECT partition, next_offset, cluster_id, topic_id FROM analysis_offsets
                 WHERE topic = $1 AND partition = ANY($2)",
                &[&topic, &partitions],
            )
            .await
            .map_err(step())?;
        let mut start = AnalysisStart { offsets: BTreeMap::new(), restarted: Vec::new() };
        for row in rows {
            let (partition, next): (i32, i64) = (row.get(0), row.get(1));
            let before = Origin { cluster_id: row.get(2), topic_id: row.get(3) };
            let why = origin.restart(&before, shorter).filter(|_| next > 0);
            start.restarted.extend(why.map(|why| (partition, why)));
            start.offsets.insert(partition, if why.is_some() { 0 } else { next });
        }
        transaction
            .execute(
                "UPDATE analysis_offsets AS o SET next_offset = s.next, cluster_id = coalesce($4, cluster_id),
                     topic_id = coalesce($5, topic_id)
                 FROM unnest($2::int[], $3::bigint[]) AS s (partition, next)
                 WHERE o.topic = $1 AND o.partition = s.partition",
                &[
                    &topic,
                    &start.offsets.keys().copied().collect::<Vec<i32>>(),
                    &start.offsets.values().copied().collect::<Vec<i64>>(),
                    &origin.cluster_id,
                    &origin.topic_id,
                ],
            )
            .await
            .map_err(step())?;
        transaction.commit().await.map_err(step())?;
        Ok(Some(start))
    }
}

/// Returns the SQL expression of a timestamp's microseconds since 1970.
fn micros(column: &str) -> String {
    format!("(extract(epoch FROM {column}) * 1000000)::bigint")
}
