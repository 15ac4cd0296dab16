//! This module reads what watching KPIs continues from.

use super::write::OPEN_MINUTES;
use crate::error::{Error, Result};
use crate::postgres::analysis::AnalysisStore;

/// What is stored of KPIs.
#[derive(Debug, Default)]
pub(crate) struct StoredAnomalies {
    /// The parts, each with its number.
    pub(crate) parts: Vec<(i32, Vec<u8>)>,
    /// The journals, in the order of their minutes.
    pub(crate) journals: Vec<Vec<u8>>,
    /// The minutes that were not complete; None if watching begins.
    pub(crate) open: Option<Vec<u8>>,
}

impl AnalysisStore {
    /// Returns what is stored of KPIs. If transactions were scored that it does not have, or with `again`, it is deleted.
    /// Returns None if the lease is lost.
    pub(crate) async fn begin_anomalies(&mut self, epoch: i64, again: bool) -> Result<Option<StoredAnomalies>> {
        let step = || Error::postgres("reading what is known of KPIs");
        let Some(transaction) = self.begin_fenced(epoch).await? else { return Ok(None) };
        let mut stored = StoredAnomalies::default();
        let query = "SELECT data FROM anomaly_state WHERE part = $1 AND seq = (SELECT seq FROM analysis)";
        let open = transaction.query_opt(query, &[&OPEN_MINUTES]).await.map_err(step())?;
        match open.filter(|_| !again) {
            None => {
                let delete = "DELETE FROM anomaly_state; DELETE FROM anomaly_journal";
                transaction.batch_execute(delete).await.map_err(step())?;
            }
            Some(row) => {
                stored.open = Some(row.get(0));
                let query = "SELECT part, data FROM anomaly_state WHERE part <> $1";
                let parts = transaction.query(query, &[&OPEN_MINUTES]).await.map_err(step())?;
                stored.parts = parts.iter().map(|row| (row.get(0), row.get(1))).collect();
                let query = "SELECT data FROM anomaly_journal ORDER BY minute";
                let journals = transaction.query(query, &[]).await.map_err(step())?;
                stored.journals = journals.iter().map(|row| row.get(0)).collect();
            }
        }
        transaction.commit().await.map_err(step())?;
        Ok(Some(stored))
    }
}
