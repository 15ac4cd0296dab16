//! This module writes and reads the stored state.
//!
//! The parts of the state are written beside the batches, because they are large and no score depends on them. A part is
//! what all runs compute from the transactions and labels up to its `seq`, which must be committed before. So it is
//! right whoever writes it, and a run that has lost the lease meanwhile does no harm.

use super::AnalysisStore;
use crate::error::{Error, Result};
use crate::postgres::begin;

/// A part of the stored state as of a place in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatePart {
    /// The place among all parts.
    pub(crate) part: i32,
    pub(crate) seq: i64,
    pub(crate) data: Vec<u8>,
}

/// Parts of the state that have changed, and those that have not since they were written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The place in the order as of which all of them are true.
    pub(crate) seq: i64,
    /// Those that have changed: the place of each among all parts, and its data.
    pub(crate) changed: Vec<(i32, Vec<u8>)>,
    pub(crate) unchanged: Vec<i32>,
}

impl Snapshot {
    /// Returns whether there is nothing to store.
    pub(crate) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.unchanged.is_empty()
    }
}

impl AnalysisStore {
    /// Stores a snapshot, unless another run than `writer` has taken the lease since or the table has newer parts.
    pub(crate) async fn write_state(&mut self, writer: i64, snapshot: &Snapshot) -> Result<()> {
        let step = || Error::postgres("writing analysis_state");
        let (parts, data): (Vec<i32>, Vec<&[u8]>) =
            snapshot.changed.iter().map(|(part, data)| (*part, data.as_slice())).unzip();
        let transaction = begin(&mut self.client).await?;
        self.statements
            .execute(
                &transaction,
                "INSERT INTO analysis_state AS s (part, seq, data)
                 SELECT part, $1, data FROM unnest($2::int[], $3::bytea[]) AS t (part, data)
                 WHERE EXISTS (SELECT FROM analysis WHERE writer = $4 AND seq >= $1)
                 ON CONFLICT (part) DO UPDATE SET seq = excluded.seq, data = excluded.data WHERE s.seq <= excluded.seq",
                &[&snapshot.seq, &parts, &data, &writer],
            )
            .await
            .map_err(step())?;
        self.statements
            .execute(
                &transaction,
                "UPDATE analysis_state SET seq = $1 WHERE part = ANY ($2) AND seq < $1
                     AND EXISTS (SELECT FROM analysis WHERE writer = $3 AND seq >= $1)",
                &[&snapshot.seq, &snapshot.unchanged, &writer],
            )
            .await
            .map_err(step())?;
        transaction.commit().await.map_err(step())
    }

    /// Returns all parts of the stored state.
    pub(crate) async fn state(&mut self) -> Result<Vec<StatePart>> {
        let rows = self.client.query("SELECT part, seq, data FROM analysis_state ORDER BY part", &[]).await;
        let rows = rows.map_err(Error::postgres("reading analysis_state"))?;
        Ok(rows.iter().map(|row| StatePart { part: row.get(0), seq: row.get(1), data: row.get(2) }).collect())
    }
}
