//! This module declares the tables of alerts.

use crate::postgres::table::{Index, OwnColumn, Table};

/// The table of alerts.
pub(in crate::postgres) const ALERTS: Table = Table {
    name: "alerts",
    comment: "ccstream: what the rules of alerts.toml have found",
    columns: &[
        OwnColumn::new("id", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
        OwnColumn::new("rule", "TEXT NOT NULL").meaning("name of the rule, as in alert_rules"),
        OwnColumn::new("version", "INTEGER NOT NULL").meaning("version of the rule, as in alert_rules"),
        OwnColumn::new("key", "TEXT").meaning("values of the fields in the rule's by; NULL for a rule without them"),
        OwnColumn::new("severity", "TEXT NOT NULL").meaning("info, warning or critical"),
        OwnColumn::new("opened_at", "TIMESTAMP NOT NULL")
            .meaning("time of the transaction, UTC; for an absence, time of the clock"),
        OwnColumn::new("last_at", "TIMESTAMP NOT NULL").meaning("when the rule fired last within the cooldown"),
        OwnColumn::new("count", "BIGINT NOT NULL DEFAULT 1").meaning("how often the rule has fired"),
        OwnColumn::new("state", "TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'acknowledged', 'closed'))")
            .meaning("open, acknowledged or closed"),
        OwnColumn::new("outcome", "TEXT CHECK (outcome IN ('fraud', 'not fraud', 'noise'))")
            .meaning("what it was: fraud, not fraud or noise; NULL while it is not known"),
        OwnColumn::new("note", "TEXT"),
        OwnColumn::new("closed_at", "TIMESTAMP")
            .meaning("when what it is about was over, UTC; for an absence, an anomaly or the system"),
        OwnColumn::new("runbook", "TEXT").meaning("where to read what to do"),
        OwnColumn::new("why", "JSONB NOT NULL").meaning("what the rule has found"),
        OwnColumn::new("why_text", "TEXT NOT NULL").meaning("the same in words"),
        OwnColumn::new("seq", "BIGINT NOT NULL").meaning("place in the order, as in scores, at which it was opened"),
        OwnColumn::new("key_hash", "BIGINT NOT NULL"),
        OwnColumn::new("silenced", "BOOLEAN NOT NULL DEFAULT false")
            .meaning("whether a silence covers it, so that nobody is notified"),
        OwnColumn::new("written_at", "TIMESTAMPTZ NOT NULL DEFAULT now()"),
    ],
    constraints: &["UNIQUE (rule, seq, key_hash)"],
    indexes: &["opened_at"],
    further_indexes: &[Index { name: "alerts_open", on: "alerts (id) WHERE state <> 'closed'" }],
    analyst: &["SELECT", "UPDATE (state, outcome, note, closed_at)"],
    ..Table::USUAL
};

/// The table of silences.
pub(in crate::postgres) const ALERT_SILENCES: Table = Table {
    name: "alert_silences",
    comment: "ccstream: which alerts nobody is notified of, and until when",
    columns: &[
        OwnColumn::new("id", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
        OwnColumn::new("rule", "TEXT").meaning("name of the rule; NULL for every rule"),
        OwnColumn::new("key", "TEXT").meaning("key, as in alerts; NULL for every key"),
        OwnColumn::new("ends_at", "TIMESTAMP NOT NULL").meaning("time of the stream at which it ends, UTC"),
        OwnColumn::new("note", "TEXT").meaning("why"),
        OwnColumn::new("created_at", "TIMESTAMPTZ NOT NULL DEFAULT now()"),
    ],
    constraints: &["CHECK (rule IS NOT NULL OR key IS NOT NULL)"],
    indexes: &["ends_at"],
    privileges: &["SELECT"],
    analyst: &["SELECT", "INSERT", "DELETE"],
    ..Table::USUAL
};

/// The table of rules.
pub(in crate::postgres) const ALERT_RULES: Table = Table {
    name: "alert_rules",
    comment: "ccstream: the rules of alerts.toml in all of their versions",
    columns: &[
        OwnColumn::new("name", "TEXT NOT NULL"),
        OwnColumn::new("version", "INTEGER NOT NULL").meaning("number of the definition; each change adds one"),
        OwnColumn::new("kind", "TEXT NOT NULL"),
        OwnColumn::new("severity", "TEXT NOT NULL"),
        OwnColumn::new("definition", "TEXT NOT NULL").meaning("the definition as in alerts.toml, in full"),
        OwnColumn::new("is_active", "BOOLEAN NOT NULL").meaning("whether the analysis applies it"),
        OwnColumn::new("number", "INTEGER NOT NULL").meaning("identifies the rule in alert_state and alert_journal"),
        OwnColumn::new("since", "TIMESTAMPTZ NOT NULL DEFAULT now()").meaning("when it was last begun"),
    ],
    constraints: &["PRIMARY KEY (name, version)"],
    ..Table::USUAL
};

/// The table that holds what rules remember.
pub(in crate::postgres) const ALERT_STATE: Table = Table {
    name: "alert_state",
    comment: "ccstream: what the rules of alerts remember of their keys, in parts",
    columns: &[
        OwnColumn::new("rule", "INTEGER NOT NULL").meaning("number of the rule, as in alert_rules"),
        OwnColumn::new("part", "INTEGER NOT NULL"),
        OwnColumn::new("journal", "BIGINT NOT NULL")
            .meaning("number in alert_journal up to which the part is complete"),
        OwnColumn::new("data", "BYTEA NOT NULL"),
    ],
    constraints: &["PRIMARY KEY (rule, part)"],
    fill: Some(|| "ALTER TABLE alert_state ALTER COLUMN data SET STORAGE EXTERNAL;".to_owned()),
    privileges: &["SELECT", "INSERT", "UPDATE", "DELETE"],
    ..Table::USUAL
};

/// The table of the observations that are not in [`ALERT_STATE`].
pub(in crate::postgres) const ALERT_JOURNAL: Table = Table {
    name: "alert_journal",
    comment: "ccstream: what the rules of alerts have observed since the parts in alert_state, by batch",
    columns: &[OwnColumn::new("number", "BIGINT PRIMARY KEY"), OwnColumn::new("data", "BYTEA NOT NULL")],
    privileges: &["SELECT", "INSERT", "DELETE"],
    ..Table::USUAL
};

/// The table of what targets of notifications are to receive.
pub(in crate::postgres) const ALERT_OUTBOX: Table = Table {
    name: "alert_outbox",
    comment: "ccstream: which alerts each target of alerts.toml is notified of, and what became of it",
    columns: &[
        OwnColumn::new("id", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
        OwnColumn::new("alert", "BIGINT NOT NULL").meaning("id of the alert, as in alerts"),
        OwnColumn::new("rule", "TEXT NOT NULL").meaning("name of its rule, as in alert_rules"),
        OwnColumn::new("target", "TEXT NOT NULL").meaning("name of the target, as in alerts.toml"),
        OwnColumn::new("what", "TEXT NOT NULL CHECK (what IN ('opened', 'closed'))")
            .meaning("what became of the alert: opened or closed"),
        OwnColumn::new("at", "TIMESTAMP NOT NULL").meaning("when it was opened or closed, as in alerts"),
        OwnColumn::new("key", "TEXT")
            .meaning("idempotency key of the notification; rows with the same one are sent together"),
        OwnColumn::new("status", "TEXT NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'sent', 'failed'))")
            .meaning("waiting, sent or failed"),
        OwnColumn::new("attempts", "INTEGER NOT NULL DEFAULT 0").meaning("how often it was begun to send it"),
        OwnColumn::new("next_at", "TIMESTAMPTZ NOT NULL").meaning("from when on it can be sent or re-sent"),
        OwnColumn::new("begun_at", "TIMESTAMPTZ").meaning("when it was first begun to send it"),
        OwnColumn::new("sent_at", "TIMESTAMPTZ").meaning("when the target had it"),
        OwnColumn::new("last_error", "TEXT").meaning("why the last attempt failed"),
        OwnColumn::new("written_at", "TIMESTAMPTZ NOT NULL DEFAULT now()"),
    ],
    further_indexes: &[
        Index { name: "alert_outbox_waiting", on: "alert_outbox (target, next_at) WHERE status = 'waiting'" },
        Index { name: "alert_outbox_waiting_alert", on: "alert_outbox (alert) WHERE status = 'waiting'" },
        Index { name: "alert_outbox_begun", on: "alert_outbox (target, rule, what, begun_at)" },
        Index { name: "alert_outbox_done", on: "alert_outbox (written_at) WHERE status <> 'waiting'" },
    ],
    privileges: &["SELECT", "INSERT", "UPDATE", "DELETE"],
    ..Table::USUAL
};
