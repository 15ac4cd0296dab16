//! The table `truth` has what a generator planted in a simulated world, so that the results of an analysis can be
//! compared with it.
//!
//! The offsets of its topic are in a separate table, `truth_offsets`, because everything that compares the counters of
//! `kafka_offsets` with `orders` would count them too. They are written in the transaction of the rows, and the next
//! reader begins where the last transaction ended, so each message counts once. The key is a hash of the content, so a
//! message that was sent twice is stored once.

mod batch;
mod write;

use std::collections::BTreeMap;

use tokio_postgres::{Client, Row};

pub use self::batch::TruthCounters;
pub(crate) use self::batch::{Skipped, TruthBatch, TruthOutcome};
pub(crate) use self::write::Written;
use super::connect::{Service, connect_with, set};
use super::offsets::{Origin, Restart};
use super::reconnecting::Reopened;
use super::statements::Statements;
use super::table::{OwnColumn, Table};
use super::{WRITING, begin};
use crate::error::{Error, Result};
use ccstream_core::settings::ConsumerConfig;

/// The table of offsets up to which the topic of truth is stored.
pub(super) const TRUTH_OFFSETS: Table = Table {
    name: "truth_offsets",
    comment: "ccstream: position of each partition of a topic of truth, and what became of its messages",
    columns: &[
        OwnColumn::new("topic", "TEXT NOT NULL"),
        OwnColumn::new("partition", "INTEGER NOT NULL"),
        OwnColumn::new("cluster_id", "TEXT"),
        OwnColumn::new("topic_id", "TEXT"),
        OwnColumn::new("next_offset", "BIGINT NOT NULL"),
        OwnColumn::new("stored", "BIGINT NOT NULL").meaning("number of rows inserted into truth"),
        OwnColumn::new("duplicate", "BIGINT NOT NULL").meaning("number of messages whose content was in truth already"),
        OwnColumn::new("skipped", "BIGINT NOT NULL")
            .meaning("number of messages that are invalid, or that PostgreSQL refused; only the topic has them"),
        OwnColumn::new("missing", "BIGINT NOT NULL")
            .meaning("number of offsets that were deleted before they were read, or cannot be read"),
        OwnColumn::new("writer", "BIGINT NOT NULL").meaning("random number of the run that wrote last"),
        OwnColumn::new("updated_at", "TIMESTAMPTZ NOT NULL DEFAULT now()"),
    ],
    constraints: &["PRIMARY KEY (topic, partition)"],
    ..Table::USUAL
};

/// The table of what was planted.
pub(super) const TRUTH: Table = Table {
    name: "truth",
    comment: "ccstream: what a generator planted in a simulated world; timestamps are simulated time, UTC",
    columns: &[
        OwnColumn::new("id", "BYTEA PRIMARY KEY").meaning("hash of the other columns, except for the last two"),
        OwnColumn::new("kind", "TEXT NOT NULL").meaning(
            "fraud, twin (legitimate, but looks like a fraud), incident, refund, retry, malformed, duplicate or world",
        ),
        OwnColumn::new("transaction_id", "VARCHAR(50) COLLATE \"C\"").meaning("order_id of the transaction in orders"),
        OwnColumn::new("scenario", "TEXT")
            .meaning("scenario of a fraud or twin, S1 to S7; otherwise the kind of incident or of malformed message"),
        OwnColumn::new("campaign", "BIGINT").meaning("number of the campaign that it belongs to"),
        OwnColumn::new("timestamp", "TIMESTAMP NOT NULL").meaning("when it happened or began"),
        OwnColumn::new("until", "TIMESTAMP").meaning("when it ended"),
        OwnColumn::new("subject", "TEXT").meaning("merchant, issuer, card token or terminal that it is about"),
        OwnColumn::new("detail", "TEXT"),
        OwnColumn::new("kafka_partition", "INTEGER NOT NULL"),
        OwnColumn::new("kafka_offset", "BIGINT NOT NULL"),
    ],
    indexes: &["transaction_id", "timestamp"],
    // The rows that the offsets count were lost with the previous table, so the topic is read again.
    fill: Some(|| "DELETE FROM truth_offsets;".to_owned()),
    privileges: &["SELECT", "INSERT"],
    ..Table::USUAL
};

/// The offsets at which partitions are read.
#[derive(Debug)]
pub(crate) struct TruthStart {
    pub(crate) offsets: BTreeMap<i32, i64>,
    /// The partitions that are read from their beginning again, and why.
    pub(crate) restarted: Vec<(i32, Restart)>,
}

/// A session that writes truth.
#[derive(Debug)]
pub(crate) struct TruthStore {
    client: Client,
    service: Service,
    statements: Statements,
    topic: String,
    /// A random number by which this run recognizes its own transactions.
    writer: i64,
}

impl Reopened for TruthStore {
    type Settings = ConsumerConfig;
    const WHAT: &'static str = "Truth was";

    async fn open(config: &ConsumerConfig, writer: i64) -> Result<Self> {
        let mut settings = WRITING.to_vec();
        settings.push(("synchronous_commit", if config.synchronous_commit { "on" } else { "off" }));
        let (client, service) = connect_with(&config.database_url, &settings).await?;
        if let Err(error) = set(&client, &settings).await {
            return Err(service.explain(&client, error).await);
        }
        Ok(Self { client, service, statements: Statements::default(), topic: config.truth_topic.clone(), writer })
    }

    async fn fail(self, error: Error) -> Error {
        self.service.explain(&self.client, error).await
    }
}

impl TruthStore {
    /// Returns the offsets at which partitions are read. A partition is read from its beginning if it is new, if its
    /// cluster or topic is a different one, or if its log is `shorter` than what is stored.
    pub(crate) async fn start(&mut self, partitions: &[i32], origin: &Origin, shorter: bool) -> Result<TruthStart> {
        let step = || Error::postgres("reading truth_offsets");
        let transaction = begin(&mut self.client).await?;
        transaction
            .execute(
                "INSERT INTO truth_offsets (topic, partition, next_offset, stored, duplicate, skipped, missing, writer)
                 SELECT $1, p, 0, 0, 0, 0, 0, $3 FROM unnest($2::int[]) AS p ORDER BY p
                 ON CONFLICT (topic, partition) DO NOTHING",
                &[&self.topic, &partitions, &self.writer],
            )
            .await
            .map_err(step())?;
        let rows = transaction
            .query(
                "SELECT partition, next_offset, cluster_id, topic_id FROM truth_offsets
                 WHERE topic = $1 AND partition = ANY($2) ORDER BY partition FOR NO KEY UPDATE",
                &[&self.topic, &partitions],
            )
            .await
            .map_err(step())?;
        let restart = |row: &Row| {
            let before = Origin { cluster_id: row.get(2), topic_id: row.get(3) };
            let why = origin.restart(&before, shorter)?;
            (row.get::<_, i64>(1) > 0).then(|| (row.get::<_, i32>(0), why))
        };
        let restarted: Vec<(i32, Restart)> = rows.iter().filter_map(restart).collect();
        let over: Vec<i32> = restarted.iter().map(|(partition, _)| *partition).collect();
        let rows = transaction
            .query(
                "UPDATE truth_offsets SET
                     next_offset = CASE WHEN partition = ANY($3) THEN 0 ELSE next_offset END,
                     cluster_id = coalesce($4, cluster_id), topic_id = coalesce($5, topic_id)
                 WHERE topic = $1 AND partition = ANY($2) RETURNING partition, next_offset",
                &[&self.topic, &partitions, &over, &origin.cluster_id, &origin.topic_id],
            )
            .await
            .map_err(step())?;
        transaction.commit().await.map_err(step())?;
        Ok(TruthStart { offsets: rows.iter().map(|row| (row.get(0), row.get(1))).collect(), restarted })
    }
}
