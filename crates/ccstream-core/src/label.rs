//! This module reads labels: messages that say whether a transaction was a fraud, and since when that is known. It is
//! pure.

use crate::event::Micros;
use crate::truth::{MAX_ID, checked, read_object, refused};
use crate::validate::parse_moment;

/// Maximum number of characters of a label's source.
const MAX_SOURCE: usize = 50;

/// Describes what somebody found out about a transaction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// When it became known, in the time of the events. An analysis uses the label from then on, and not before.
    pub labelled_at: Micros,
    /// The id of the transaction, as in `orders.order_id`.
    pub transaction_id: String,
    /// Who found out, such as `chargeback`. Each source may label a transaction several times.
    pub source: String,
    /// Whether the transaction was a fraud.
    pub is_fraud: bool,
}

/// The JSON object of a message.
#[derive(serde::Deserialize)]
struct Wire {
    transaction_id: String,
    fraud: bool,
    labelled_at: String,
    source: Option<String>,
}

impl Label {
    /// Reads the payload of one message; `None` is a tombstone. An invalid message fails with the reason, which is
    /// short and has no card number. Without a `source`, the source is empty.
    ///
    /// ```
    /// use ccstream_core::label::Label;
    /// let payload = br#"{"transaction_id":"a1","fraud":true,"labelled_at":"2026-11-22T10:15:30Z","source":"claim"}"#;
    /// let label = Label::read(Some(payload)).unwrap();
    /// assert_eq!((label.transaction_id.as_str(), label.is_fraud), ("a1", true));
    /// assert!(Label::read(Some(b"{}")).unwrap_err().contains("missing field `transaction_id`"));
    /// ```
    pub fn read(payload: Option<&[u8]>) -> Result<Self, String> {
        read(payload).map_err(|reason| refused(&reason))
    }
}

fn read(payload: Option<&[u8]>) -> Result<Label, String> {
    let wire: Wire = read_object(payload)?;
    if wire.transaction_id.is_empty() {
        return Err("transaction_id is empty".into());
    }
    let moment = parse_moment(&wire.labelled_at);
    Ok(Label {
        labelled_at: moment.map_err(|why| format!("labelled_at {:?} {why}", wire.labelled_at))?,
        transaction_id: checked("transaction_id", MAX_ID, true, Some(wire.transaction_id))?.unwrap_or_default(),
        source: checked("source", MAX_SOURCE, false, wire.source)?.unwrap_or_default(),
        is_fraud: wire.fraud,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_labels_are_refused_with_the_reason() {
        let label = |id: &str, fraud: &str, at: &str, source: &str| {
            let text = format!(
                r#"{{"transaction_id":{id},"fraud":{fraud},"labelled_at":{at},"source":{source},"note":"ignored"}}"#
            );
            Label::read(Some(text.as_bytes()))
        };
        let at = r#""2026-11-22T10:15:30Z""#;
        let read = label(r#""a""#, "false", at, "null").unwrap();
        assert_eq!((read.is_fraud, read.source.as_str(), read.labelled_at), (false, "", Micros(1_795_342_530_000_000)));
        for (refused, why) in [
            (label(r#""""#, "true", at, "null"), "transaction_id is empty"),
            (label("7", "true", at, "null"), "expected a string"),
            (label(r#""a""#, "1", at, "null"), "expected a boolean"),
            (label(r#""a""#, "true", r#""soon""#, "null"), "labelled_at \"soon\""),
            (label(&format!("{:?}", "a".repeat(51)), "true", at, "null"), "transaction_id has 51 characters"),
            (label(r#""a""#, "true", at, r#""4111 1111 1111 1111""#), "source has a card number"),
        ] {
            let reason = refused.unwrap_err();
            assert!(reason.contains(why), "{reason} is not {why}");
        }
        assert!(Label::read(None).is_err());
    }
}
