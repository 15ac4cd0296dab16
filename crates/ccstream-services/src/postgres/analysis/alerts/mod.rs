//! This module writes alerts, what their rules remember, and who is to be notified, in the transactions of the analysis.
//! Notifications are taken from the outbox, and what became of them is recorded, in transactions beside it.

mod begin;
mod consumer;
mod notifying;
mod outbox;
mod schema;
mod write;

pub(crate) use self::begin::StoredAlerts;
pub(crate) use self::consumer::ConsumerPosition;
pub(crate) use self::notifying::Recipient;
pub(crate) use self::outbox::{Claimed, Recorded, Sending};
pub(in crate::postgres) use self::schema::{
    ALERT_JOURNAL, ALERT_OUTBOX, ALERT_RULES, ALERT_SILENCES, ALERT_STATE, ALERTS,
};
pub(crate) use self::write::AlertsBatch;
pub(super) use self::write::write;
