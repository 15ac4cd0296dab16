//! This module writes alerts, and what their rules remember, in the transactions of the analysis.

mod begin;
mod schema;
mod write;

pub(crate) use self::begin::StoredAlerts;
pub(in crate::postgres) use self::schema::{ALERT_JOURNAL, ALERT_RULES, ALERT_SILENCES, ALERT_STATE, ALERTS};
pub(crate) use self::write::AlertsBatch;
pub(super) use self::write::write;
