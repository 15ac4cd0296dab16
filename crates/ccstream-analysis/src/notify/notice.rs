//! Holds what a notification says, and writes it as JSON.

use serde_json::{Map, Value, json};

use super::target::Form;
use super::{alertmanager, slack};

/// How many alerts a notification lists.
pub(super) const LISTED: usize = 20;

/// What has become of alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// They were opened.
    Opened,
    /// They were closed.
    Closed,
}

impl What {
    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Closed => "closed",
        }
    }
}

/// An alert of a notification. Everything is as it was when the alert was opened or closed, so that a notification that is
/// re-sent says the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Noticed {
    /// Its id in the table `alerts`.
    pub id: i64,
    /// The version of the rule.
    pub version: i32,
    /// The values of the key's fields; None for a rule without a key.
    pub key: Option<String>,
    /// How serious it is: `info`, `warning` or `critical`.
    pub severity: String,
    /// When it was opened, as in `2026-01-05T10:00:00.000000Z`.
    pub opened_at: String,
    /// When it was closed; None if it was opened.
    pub closed_at: Option<String>,
    /// Why, as a JSON object.
    pub why: String,
    /// Why, in words.
    pub text: String,
    /// Where to read what to do.
    pub runbook: Option<String>,
}

/// A notification of alerts of one rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The idempotency key, which is the same each time the notification is sent.
    pub key: String,
    /// The name of the target.
    pub target: String,
    /// The name of the rule.
    pub rule: String,
    /// What has become of the alerts.
    pub what: What,
    /// The alerts, in the order of their ids.
    pub alerts: Vec<Noticed>,
}

impl Notice {
    /// Returns the alerts that are listed, and the number of the others.
    pub(super) fn listed(&self) -> (&[Noticed], usize) {
        let listed = &self.alerts[..self.alerts.len().min(LISTED)];
        (listed, self.alerts.len() - listed.len())
    }

    /// Returns the body in a form.
    pub fn body(&self, form: Form) -> String {
        match form {
            Form::Json => self.json(),
            Form::Slack => slack::body(self),
            Form::Alertmanager => alertmanager::body(self),
        }
        .to_string()
    }

    fn json(&self) -> Value {
        let (listed, others) = self.listed();
        let alerts: Vec<Value> = listed.iter().map(Noticed::json).collect();
        json!({
            "key": self.key,
            "target": self.target,
            "rule": self.rule,
            "what": self.what.name(),
            "severity": self.severity(),
            "count": self.alerts.len(),
            "others": others,
            "alerts": alerts,
        })
    }

    /// Returns the severity, which is that of the rule.
    pub(super) fn severity(&self) -> &str {
        self.alerts.first().map_or("", |alert| &alert.severity)
    }
}

impl Noticed {
    fn json(&self) -> Value {
        let mut alert = Map::new();
        alert.insert("id".into(), self.id.into());
        alert.insert("version".into(), self.version.into());
        alert.insert("key".into(), json!(self.key));
        alert.insert("severity".into(), json!(self.severity));
        alert.insert("opened_at".into(), json!(self.opened_at));
        alert.insert("closed_at".into(), json!(self.closed_at));
        alert.insert("text".into(), json!(self.text));
        alert.insert("runbook".into(), json!(self.runbook));
        alert.insert("why".into(), serde_json::from_str(&self.why).unwrap_or(Value::Null));
        Value::Object(alert)
    }
}

/// Shortens a text to a number of characters.
pub(super) fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
    }
}
