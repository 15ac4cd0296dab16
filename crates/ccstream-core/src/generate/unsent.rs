//! What a run made and did not send, and its form in the file of `--resume`: one JSON object a line.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Generator;
use super::labels::Source;
use super::message::{Message, Topic};
use super::waiting_label::WaitingLabel;
use crate::json::push_timestamp;
use crate::record::Record;
use crate::units::Micros;
use crate::validate::parse_moment;

/// A message that a run made and did not send.
///
/// ```
/// use ccstream_core::generate::Unsent;
/// let line = r#"{"label":"019a0b1c-2d3e-7f40-8a5b-6c7d8e9f0a1b","due":"2026-12-01T10:00:00.000000Z","source":"issuer"}"#;
/// let unsent: Unsent = line.parse().unwrap();
/// assert_eq!(unsent.to_string(), line);
/// assert!("{}".parse::<Unsent>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsent {
    /// A label that is not due yet.
    Label(WaitingLabel),
    /// Any other message.
    Message(Box<Message>),
}

/// A line of the file. A label has `label` and `source`; any other message has `topic`, `key`, and one of the payloads, or
/// neither if its payload is null.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    due: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    /// A payload that is not UTF-8, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hex: Option<String>,
}

const TOPICS: [(&str, Topic); 3] = [("orders", Topic::Orders), ("labels", Topic::Labels), ("truth", Topic::Truth)];

impl Unsent {
    /// Returns when it is due.
    pub fn due(&self) -> Micros {
        match self {
            Self::Label(label) => Micros(label.due),
            Self::Message(message) => message.due,
        }
    }

    /// Returns the message.
    pub fn into_message(self) -> Message {
        match self {
            Self::Label(label) => label.message(Micros(label.due)),
            Self::Message(message) => *message,
        }
    }

    /// Returns whether it is a label.
    pub fn is_label(&self) -> bool {
        match self {
            Self::Label(_) => true,
            Self::Message(message) => message.topic == Topic::Labels,
        }
    }

    fn line(&self) -> Line {
        match self {
            Self::Label(label) => Line {
                label: Some(uuid::Uuid::from_bytes(label.id).to_string()),
                due: text(Micros(label.due)),
                source: Some(label.source.name().into()),
                ..Line::default()
            },
            Self::Message(message) => {
                let Record { key, payload, is_tombstone } = &message.record;
                let topic = TOPICS.iter().find(|(_, topic)| *topic == message.topic).map(|(name, _)| (*name).into());
                let key = key.as_ref().map(|key| String::from_utf8_lossy(key).into_owned());
                let (payload, payload_hex) = match std::str::from_utf8(payload) {
                    _ if *is_tombstone => (None, None),
                    Ok(payload) => (Some(payload.into()), None),
                    Err(_) => (None, Some(hex(payload))),
                };
                Line { due: text(message.due), topic, key, payload, payload_hex, ..Line::default() }
            }
        }
    }
}

impl Generator {
    /// Returns what is not due yet: late and second messages, and labels. Their order is that in which they are due.
    /// Refunds and retries are no messages yet.
    pub fn unsent(&self) -> Vec<Unsent> {
        let held = self.holding.in_order().into_iter();
        let held =
            held.flat_map(|held| [Some(held.message.clone()), held.truth(held.message.due)].into_iter().flatten());
        let messages = self.pending.iter().cloned().chain(held).map(|message| Unsent::Message(Box::new(message)));
        let labels = self.labels.in_order().into_iter().copied().map(Unsent::Label);
        let mut all: Vec<Unsent> = messages.chain(labels).collect();
        // The sort is stable, so the truth about a message stays behind it.
        all.sort_by_key(Unsent::due);
        all
    }

    /// After the last event, takes what is not due yet, like [`Self::unsent`]. Refunds and retries are dropped with the
    /// generator.
    pub fn take_unsent(&mut self) -> Vec<Unsent> {
        let all = self.unsent();
        self.holding.clear();
        self.pending.clear();
        self.labels.clear();
        all
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.line()).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Unsent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let line: Line = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let due = parse_moment(&line.due).map_err(|why| format!("due: {:?} {why}", line.due))?;
        if let Some(id) = &line.label {
            let id = uuid::Uuid::try_parse(id).map_err(|_| format!("label: {id:?} is not the id of a transaction"))?;
            let name = line.source.unwrap_or_default();
            let source = Source::ALL.into_iter().find(|source| source.name() == name);
            let source = source.ok_or_else(|| format!("source: {name:?} is not a source of labels"))?;
            return Ok(Self::Label(WaitingLabel::new(due.0, source, id.into_bytes())));
        }
        let name = line.topic.unwrap_or_default();
        let topic = TOPICS.iter().find(|(topic, _)| *topic == name).map(|(_, topic)| *topic);
        let topic = topic.ok_or_else(|| format!("topic: {name:?} is not orders, labels or truth"))?;
        let payload = match (line.payload, line.payload_hex) {
            (Some(payload), _) => Some(payload.into_bytes()),
            (None, Some(digits)) => Some(bytes(&digits).ok_or("payload_hex: these are not hexadecimal digits")?),
            (None, None) => None,
        };
        let record = Record {
            key: line.key.map(String::into_bytes),
            is_tombstone: payload.is_none(),
            payload: payload.unwrap_or_default(),
        };
        Ok(Self::Message(Box::new(Message { topic, due, record })))
    }
}

/// Returns a moment as text, without quotes.
fn text(moment: Micros) -> String {
    let mut out = Vec::with_capacity(29);
    push_timestamp(moment, &mut out);
    String::from_utf8_lossy(&out).trim_matches('"').to_owned()
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = digits.chars().map(|digit| Some(digit.to_digit(16)? as u8)).collect();
    let pair = |pair: &[u8]| if let [upper, lower] = *pair { Some(upper << 4 | lower) } else { None };
    digits?.chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_read_as_it_was_written() {
        let due = Micros(1_795_342_530_000_001);
        for (topic, payload, is_tombstone) in [
            (Topic::Orders, b"{\"a\":\"b\\n\"}".to_vec(), false),
            (Topic::Truth, "Zo\u{eb}\n\u{0}".as_bytes().to_vec(), false),
            (Topic::Orders, vec![0xff, 0xfe, 0x7b, 0], false),
            (Topic::Labels, Vec::new(), false),
            (Topic::Orders, Vec::new(), true),
        ] {
            for key in [Some(b"tok_a".to_vec()), None] {
                let record = Record { key, payload: payload.clone(), is_tombstone };
                let unsent = Unsent::Message(Box::new(Message { topic, due, record }));
                let line = unsent.to_string();
                assert!(!line.contains('\n'), "{line}");
                assert_eq!(line.parse(), Ok(unsent));
            }
        }
        let label = Unsent::Label(WaitingLabel::new(due.0, Source::Analyst, [7; 16]));
        let read: Unsent = label.to_string().parse().unwrap();
        assert_eq!(read, label);
        assert_eq!((read.due(), read.into_message().topic), (due, Topic::Labels));
    }

    #[test]
    fn what_is_no_message_says_why() {
        let wrong = |text: &str| text.parse::<Unsent>().unwrap_err();
        for (text, part) in [
            ("", "EOF"),
            ("[]", "due: \"\""),
            (r#"{"due":"soon","topic":"orders"}"#, "due: \"soon\""),
            (r#"{"due":"2026-12-01","topic":"other"}"#, "topic: \"other\""),
            (r#"{"due":"2026-12-01","label":"7","source":"issuer"}"#, "label: \"7\""),
            (r#"{"due":"2026-12-01","label":"019a0b1c-2d3e-7f40-8a5b-6c7d8e9f0a1b"}"#, "source: \"\""),
            (r#"{"due":"2026-12-01","topic":"orders","payload_hex":"f"}"#, "payload_hex"),
            (r#"{"due":"2026-12-01","topic":"orders","payload_hex":"+1"}"#, "payload_hex"),
            (r#"{"due":"2026-12-01","topic":"orders","body":""}"#, "body"),
        ] {
            assert!(wrong(text).contains(part), "{text}: {}", wrong(text));
        }
    }
}
