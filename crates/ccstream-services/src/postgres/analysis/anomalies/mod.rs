//! This module stores what is known of KPIs, and the readings that left their usual band or are shown, in the transactions
//! of the analysis.

mod begin;
mod schema;
mod write;

pub(crate) use self::begin::StoredAnomalies;
pub(in crate::postgres) use self::schema::{ANOMALY_JOURNAL, ANOMALY_STATE, KPI_BAND};
pub(crate) use self::write::AnomaliesBatch;
pub(super) use self::write::write;
