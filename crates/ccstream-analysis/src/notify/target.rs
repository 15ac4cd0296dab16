//! Defines a target of notifications.

use super::secret::Secret;
use crate::alerts::Severity;

/// The form of the body that a webhook receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// ccstream's own: an object with all alerts.
    Json,
    /// That of Slack's incoming webhooks.
    Slack,
    /// That of Alertmanager's API, version 2.
    Alertmanager,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Json, Self::Slack, Self::Alertmanager];

    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Slack => "slack",
            Self::Alertmanager => "alertmanager",
        }
    }
}

/// How an e-mail is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The address of the recipient.
    pub to: String,
    /// The address of the sender.
    pub from: String,
    /// The name of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether TLS begins at once, as it does on port 465. If not, it begins with STARTTLS.
    pub is_tls: bool,
    /// The user and where its password is; None for a server that asks for none. With it, TLS is required.
    pub login: Option<(String, Secret)>,
}

/// Where notifications are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// A POST to a URL.
    Webhook(Secret, Form),
    /// An e-mail.
    Mail(Mail),
    /// A message to a topic of the analyzer's cluster.
    Topic(String),
}

/// Defines who is notified of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name.
    pub name: String,
    /// Where notifications are sent.
    pub channel: Channel,
    /// The least severity of alerts.
    pub severity: Severity,
    /// The names of the rules; empty for all.
    pub rules: Vec<String>,
    /// Whether an alert that is closed is notified of, too.
    pub resolved: bool,
    /// The least time between two notifications of a rule, in microseconds. What comes meanwhile goes into one.
    pub group: i64,
}
