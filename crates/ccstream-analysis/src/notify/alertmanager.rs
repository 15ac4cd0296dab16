//! Writes a notification for Alertmanager's API, version 2, `POST /api/v2/alerts`:
//! <https://prometheus.io/docs/alerting/latest/alerts_api/>. Alertmanager groups alerts itself, so all are listed.

use serde_json::{Map, Value, json};

use super::notice::Notice;

pub(super) fn body(notice: &Notice) -> Value {
    let alerts = notice.alerts.iter().map(|alert| {
        // The labels identify an alert: one that is closed must have those that it was opened with.
        let mut labels = Map::new();
        labels.insert("alertname".into(), json!(notice.rule));
        labels.insert("severity".into(), json!(alert.severity));
        labels.insert("service".into(), "ccstream".into());
        labels.insert("alert_id".into(), json!(alert.id.to_string()));
        if let Some(key) = &alert.key {
            labels.insert("key".into(), json!(key));
        }
        let mut annotations = Map::new();
        annotations.insert("summary".into(), json!(alert.text));
        annotations.insert("why".into(), json!(alert.why));
        if let Some(runbook) = &alert.runbook {
            annotations.insert("runbook_url".into(), json!(runbook));
        }
        let mut one = Map::new();
        one.insert("labels".into(), Value::Object(labels));
        one.insert("annotations".into(), Value::Object(annotations));
        one.insert("startsAt".into(), json!(alert.opened_at));
        if let Some(closed_at) = &alert.closed_at {
            one.insert("endsAt".into(), json!(closed_at));
        }
        Value::Object(one)
    });
    Value::Array(alerts.collect())
}
