//! This module makes the SQL that announces alerts: to those who listen to PostgreSQL, and to the targets of `alerts.toml`
//! by rows of the outbox.

use serde_json::{Value, json};

use ccstream_analysis::alerts::Severity;
use ccstream_analysis::notify::Target;

/// A target, as far as the outbox has to know it. It has no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipient {
    name: String,
    severity: Severity,
    rules: Vec<String>,
    resolved: bool,
    group: i64,
}

impl From<&Target> for Recipient {
    fn from(target: &Target) -> Self {
        let Target { name, severity, rules, resolved, group, .. } = target.clone();
        Self { name, severity, rules, resolved, group }
    }
}

/// Returns the parameter of the SQL that has the recipients.
pub(super) fn recipients(recipients: &[Recipient]) -> String {
    let one = |one: &Recipient| {
        let severities: Vec<&str> =
            Severity::ALL.iter().skip_while(|severity| **severity != one.severity).map(|one| one.name()).collect();
        let rules = (!one.rules.is_empty()).then_some(&one.rules);
        json!({ "name": one.name, "severities": severities, "rules": rules, "resolved": one.resolved, "pause": one.group })
    };
    Value::Array(recipients.iter().map(one).collect()).to_string()
}

/// How alerts are announced that a statement changes.
pub(super) struct Notifying {
    /// The state that listeners receive.
    state: &'static str,
    /// What has become of them, in the outbox.
    what: &'static str,
    /// Which recipients are notified.
    to: &'static str,
}

impl Notifying {
    pub(super) const OPENED: Self = Self { state: "open", what: "opened", to: "true" };
    /// An alert is heard for the first time because its silence has ended, or it was closed and is open again. Who did not
    /// hear that it was closed, hears nothing.
    pub(super) const OPEN_AGAIN: Self = Self { state: "open", what: "opened", to: "(a.is_new OR t.resolved)" };
    pub(super) const CLOSED: Self = Self { state: "closed", what: "closed", to: "t.resolved" };

    /// Returns SQL that changes alerts, and announces them once the transaction is committed. `change` returns their `id`,
    /// `rule`, `key`, `severity`, the time `at`, and whether somebody has to hear of the change as `is_heard`. `recipients`
    /// is the number of the parameter that has the recipients.
    ///
    /// The first alert of a rule is sent to a target at once, and those that come soon after it together.
    pub(super) fn of(&self, change: &str, recipients: usize) -> String {
        let Self { state, what, to } = self;
        format!(
            "WITH changed AS ({change}),
             announced AS (SELECT * FROM changed WHERE is_heard),
             outbox AS (
                 INSERT INTO alert_outbox (alert, rule, target, what, at, next_at)
                 SELECT a.id, a.rule, t.name, '{what}', a.at,
                        greatest(now(), (SELECT max(begun_at) FROM alert_outbox AS o
                                         WHERE o.target = t.name AND o.rule = a.rule AND o.what = '{what}')
                                        + t.pause * interval '1 microsecond')
                 FROM announced AS a
                 JOIN jsonb_to_recordset(${recipients}::text::jsonb)
                     AS t (name text, severities text[], rules text[], resolved boolean, pause bigint)
                     ON a.severity = ANY (t.severities) AND (t.rules IS NULL OR a.rule = ANY (t.rules)) AND {to}
                 ORDER BY a.id)
             SELECT count(pg_notify('ccstream_alerts', json_build_object('id', id, 'rule', rule, 'key', left(key, 500),
                                                                         'severity', severity, 'state', '{state}')::text))
             FROM announced"
        )
    }
}
