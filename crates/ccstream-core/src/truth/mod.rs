//! This module reads the truth about a simulated world: a generator describes what it planted in messages of a separate
//! topic. The module is pure.
//!
//! A message is one flat JSON object with the fields of [`Truth`]. Its size and each text are limited, which limits the
//! memory of a batch of messages.

use sha2::{Digest, Sha256};

use crate::card_number;
use crate::event::Micros;
use crate::validate::{check_envelope, parse_moment};

/// Maximum number of bytes of a message.
pub const MAX_BYTES: usize = 1 << 16;
/// Maximum number of characters of the reason for which a message is refused.
const MAX_REASON_CHARS: usize = 200;

/// Lists what a message can be about.
pub const KINDS: [&str; 8] = ["fraud", "twin", "incident", "refund", "retry", "malformed", "duplicate", "world"];

/// Maximum number of characters of a transaction's id. The other limits also count characters.
pub(crate) const MAX_ID: usize = 50;
const MAX_SCENARIO: usize = 50;
const MAX_SUBJECT: usize = 200;
const MAX_DETAIL: usize = 4000;

/// Describes one thing that the generator planted. In a message, all fields except `kind` and `timestamp` may be absent
/// or null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// One of [`KINDS`].
    pub kind: &'static str,
    /// The id of the transaction that it is about, as in `orders.order_id`.
    pub transaction_id: Option<String>,
    /// The fraud's scenario (`S1` to `S7`), the kind of incident, or the kind of malformed message.
    pub scenario: Option<String>,
    /// The number of the planned campaign that it belongs to.
    pub campaign: Option<i64>,
    /// When it happened or began, in simulated time.
    pub timestamp: Micros,
    /// When it ended.
    pub until: Option<Micros>,
    /// The merchant, issuer, card token or terminal that it is about.
    pub subject: Option<String>,
    /// Any further description.
    pub detail: Option<String>,
}

/// The JSON object of a message.
#[derive(serde::Deserialize)]
struct Wire {
    kind: String,
    transaction_id: Option<String>,
    scenario: Option<String>,
    campaign: Option<i64>,
    timestamp: String,
    until: Option<String>,
    subject: Option<String>,
    detail: Option<String>,
}

impl Truth {
    /// Reads the payload of one message; `None` is a tombstone. An invalid message fails with the reason, which is
    /// short and has no card number.
    ///
    /// ```
    /// use ccstream_core::truth::Truth;
    /// let payload = br#"{"kind":"fraud","transaction_id":"a1","scenario":"S4","timestamp":"2026-11-22T10:15:30Z"}"#;
    /// assert_eq!(Truth::read(Some(payload)).unwrap().scenario.as_deref(), Some("S4"));
    /// assert!(Truth::read(Some(b"{}")).unwrap_err().contains("missing field `kind`"));
    /// ```
    pub fn read(payload: Option<&[u8]>) -> Result<Self, String> {
        read(payload).map_err(|reason| refused(&reason))
    }

    /// Returns a hash of the content. Two messages with the same fields have the same hash, even if their JSON differs.
    pub fn digest(&self) -> [u8; 16] {
        let Self { kind, transaction_id, scenario, campaign, timestamp, until, subject, detail } = self;
        let mut hasher = Sha256::new();
        for text in [Some(*kind), transaction_id.as_deref(), scenario.as_deref(), subject.as_deref(), detail.as_deref()]
        {
            // The length precedes each text, so that no two lists of texts give the same sequence of bytes.
            hasher.update(text.map_or(u64::MAX, |text| text.len() as u64).to_be_bytes());
            hasher.update(text.unwrap_or_default());
        }
        for number in [*campaign, Some(timestamp.0), until.map(|until| until.0)] {
            hasher.update([u8::from(number.is_some())]);
            hasher.update(number.unwrap_or_default().to_be_bytes());
        }
        let digest = hasher.finalize();
        std::array::from_fn(|at| digest[at])
    }

    /// Returns the approximate number of bytes in memory.
    pub fn weight(&self) -> usize {
        let texts = [&self.transaction_id, &self.scenario, &self.subject, &self.detail];
        size_of::<Self>() + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

/// Reads the JSON object of a message of at most [`MAX_BYTES`].
pub(crate) fn read_object<'p, T: serde::Deserialize<'p>>(payload: Option<&'p [u8]>) -> Result<T, String> {
    if let Some(bytes) = payload.filter(|bytes| bytes.len() > MAX_BYTES) {
        return Err(format!("it has {} bytes; at most {MAX_BYTES} are accepted", bytes.len()));
    }
    let text = check_envelope(payload).map_err(|rejection| rejection.detail)?;
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn read(payload: Option<&[u8]>) -> Result<Truth, String> {
    let wire: Wire = read_object(payload)?;
    let Some(kind) = KINDS.into_iter().find(|kind| *kind == wire.kind) else {
        return Err(format!("kind {:?} is none of {}", wire.kind, KINDS.join(", ")));
    };
    if wire.transaction_id.as_deref() == Some("") {
        return Err("transaction_id is empty; leave it out if there is none".into());
    }
    let moment = |name: &str, text: &str| parse_moment(text).map_err(|why| format!("{name} {text:?} {why}"));
    // The subject of a refund or a retry is the id of its purchase. Those of the scenario S7 are refunds.
    let is_id = matches!(kind, "refund" | "retry") || wire.scenario.as_deref() == Some("S7");
    Ok(Truth {
        kind,
        transaction_id: checked("transaction_id", MAX_ID, true, wire.transaction_id)?,
        scenario: checked("scenario", MAX_SCENARIO, false, wire.scenario)?,
        campaign: wire.campaign,
        timestamp: moment("timestamp", &wire.timestamp)?,
        until: wire.until.map(|text| moment("until", &text)).transpose()?,
        subject: checked("subject", MAX_SUBJECT, is_id, wire.subject)?,
        detail: checked("detail", MAX_DETAIL, false, wire.detail)?,
    })
}

/// Checks that a text can be stored. Only an id may look like a card number, as in `orders`.
pub(crate) fn checked(
    name: &str,
    max_chars: usize,
    is_id: bool,
    text: Option<String>,
) -> Result<Option<String>, String> {
    let Some(text) = text else { return Ok(None) };
    let chars = if text.len() > max_chars { text.chars().count() } else { 0 };
    if chars > max_chars {
        Err(format!("{name} has {chars} characters; at most {max_chars} are stored"))
    } else if text.contains('\0') {
        Err(format!("{name} has a NUL character"))
    } else if !is_id && card_number::is_in(text.as_bytes()) {
        Err(format!("{name} has a card number"))
    } else {
        Ok(Some(text))
    }
}

/// Limits the length of the reason for which a message is refused. The reason may quote the message, so card numbers are
/// masked, and masked first: a number that was cut would not be recognized.
pub(crate) fn refused(reason: &str) -> String {
    let masked = card_number::mask(reason.as_bytes());
    let text = String::from_utf8_lossy(&masked).replace(char::is_control, " ");
    match text.char_indices().nth(MAX_REASON_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
