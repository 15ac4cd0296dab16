//! This module reads how far the consumer is.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::postgres::analysis::AnalysisStore;

/// How far the consumer is.
#[derive(Debug, Default)]
pub(crate) struct ConsumerPosition {
    /// The offset of the next message, by partition.
    pub(crate) next: BTreeMap<i32, i64>,
    /// The number of messages that it has read, and of those that it has rejected.
    pub(crate) read: i64,
    pub(crate) rejected: i64,
    /// How long ago it has stored something, in microseconds; None if it never has.
    pub(crate) idle: Option<i64>,
}

impl AnalysisStore {
    /// Returns how far the consumer of a topic is. If several groups read it, it is the one that has stored last.
    pub(crate) async fn consumer_position(&mut self, topic: &str) -> Result<ConsumerPosition> {
        let query = "
            SELECT partition, next_offset, consumed, rejected,
                   (extract(epoch FROM clock_timestamp() - updated_at) * 1000000)::bigint
            FROM kafka_offsets
            WHERE topic = $1 AND consumer_group =
                (SELECT consumer_group FROM kafka_offsets WHERE topic = $1 ORDER BY updated_at DESC LIMIT 1)";
        let rows = self.client.query(query, &[&topic]).await.map_err(Error::postgres("reading kafka_offsets"))?;
        let mut position = ConsumerPosition::default();
        for row in &rows {
            position.next.insert(row.get(0), row.get(1));
            position.read += row.get::<_, i64>(2);
            position.rejected += row.get::<_, i64>(3);
            let idle: i64 = row.get(4);
            position.idle = Some(position.idle.map_or(idle, |least| least.min(idle)));
        }
        Ok(position)
    }
}
