//! The truth about the simulated world: what was planted in it, as messages of a separate topic.

use super::message::{Message, Topic};
use crate::json::{push_text, push_timestamp};
use crate::record::Record;
use crate::units::Micros;

/// One truth. Fields that are None are left out of its message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Truth<'t> {
    /// `fraud`, `twin`, `incident`, `refund`, `retry`, `malformed`, `duplicate` or `world`.
    pub(super) kind: &'static str,
    /// The transaction that it is about.
    pub(super) transaction_id: Option<&'t str>,
    /// The fraud's scenario (`S1` to `S7`), the kind of incident, or the kind of malformed message.
    pub(super) scenario: Option<&'t str>,
    /// The number of the planned campaign that it belongs to.
    pub(super) campaign: Option<i64>,
    /// When it happened or began.
    pub(super) timestamp: Micros,
    /// When it ended.
    pub(super) until: Option<Micros>,
    /// The merchant, issuer, card token, terminal or other transaction that it is about.
    pub(super) subject: Option<&'t str>,
    /// What else there is to know.
    pub(super) detail: Option<&'t str>,
}

impl Truth<'_> {
    pub(super) fn new(kind: &'static str, timestamp: Micros) -> Self {
        Self {
            kind,
            transaction_id: None,
            scenario: None,
            campaign: None,
            timestamp,
            until: None,
            subject: None,
            detail: None,
        }
    }

    /// Its message, which is sent at a time. The key is the transaction's id, or else the kind.
    pub(super) fn message(&self, due: Micros) -> Message {
        let key = Some(self.transaction_id.unwrap_or(self.kind).as_bytes().to_vec());
        Message { topic: Topic::Truth, due, record: Record { key, payload: self.payload(), ..Record::default() } }
    }

    fn payload(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(224);
        out.extend_from_slice(b"{\"kind\":");
        push_text(self.kind, &mut out);
        push_field("transaction_id", self.transaction_id, &mut out);
        push_field("scenario", self.scenario, &mut out);
        if let Some(campaign) = self.campaign {
            out.extend_from_slice(format!(",\"campaign\":{campaign}").as_bytes());
        }
        out.extend_from_slice(b",\"timestamp\":");
        push_timestamp(self.timestamp, &mut out);
        if let Some(until) = self.until {
            out.extend_from_slice(b",\"until\":");
            push_timestamp(until, &mut out);
        }
        push_field("subject", self.subject, &mut out);
        push_field("detail", self.detail, &mut out);
        out.push(b'}');
        out
    }
}

/// Appends `,"name":"text"` where there is a text.
fn push_field(name: &str, text: Option<&str>, out: &mut Vec<u8>) {
    let Some(text) = text else { return };
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    push_text(text, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truth_is_flat_json_without_absent_fields() {
        let (start, due) = (Micros(1_795_342_530_000_001), Micros(1_795_342_530_000_002));
        let message = Truth::new("world", start).message(due);
        assert_eq!((message.topic, message.due), (Topic::Truth, due));
        assert_eq!(message.record.key.as_deref(), Some(b"world".as_slice()));
        let text = String::from_utf8(message.record.payload).unwrap();
        assert_eq!(text, r#"{"kind":"world","timestamp":"2026-11-22T10:15:30.000001Z"}"#);
        let full = Truth {
            transaction_id: Some("a1"),
            scenario: Some("S4"),
            campaign: Some(-7),
            until: Some(Micros(0)),
            subject: Some("Café \"Zoë\""),
            detail: Some("step 2"),
            ..Truth::new("fraud", start)
        };
        let record = full.message(start).record;
        assert_eq!(record.key.as_deref(), Some(b"a1".as_slice()));
        let read: serde_json::Value = serde_json::from_slice(&record.payload).unwrap();
        let expected = serde_json::json!({
            "kind": "fraud", "transaction_id": "a1", "scenario": "S4", "campaign": -7, "subject": "Café \"Zoë\"",
            "timestamp": "2026-11-22T10:15:30.000001Z", "until": "1970-01-01T00:00:00.000000Z", "detail": "step 2",
        });
        assert_eq!(read, expected);
    }
}
