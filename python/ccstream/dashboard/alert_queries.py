"""Defines the queries of the page "Alerts". Each reads a bounded number of rows, and finds them by an index."""

from __future__ import annotations

MOST_ALERTS = 1_000
"""The number of alerts, counted from the newest that match the filters, among which the most urgent are searched."""
MOST_OPEN = 10_000
"""The number of open alerts up to which they are counted."""
MOST_SILENCES, MOST_RULES = 100, 500
LAST = 20
"""The number of transactions of a card or merchant that are shown."""
AMONG = 10_000
"""The number of transactions, counted from the newest, among which a card or merchant is searched without an index."""
TIME_LIMIT = 5_000
"""The statement timeout in milliseconds. The page waits for these queries."""

OPEN_COLUMNS = {"alerts": {"id", "severity", "state", "silenced"}}
"""The table and columns without which open alerts are not counted."""
COLUMNS = {
    "alerts": {
        *("id", "rule", "version", "key", "severity", "opened_at", "last_at", "count", "state", "outcome", "note"),
        *("closed_at", "runbook", "why", "why_text", "silenced"),
    },
    "alert_rules": {"name"},
    "alert_silences": {"id", "rule", "key", "ends_at", "note"},
    "analysis": {"event_time"},
    "scores": {"seq", "order_id", "score"},
    "orders": {"order_id", "timestamp"},
}
"""The tables and columns without which there is no page."""

OPEN = f"""SELECT severity, count(*)
FROM (SELECT severity FROM alerts WHERE state = 'open' AND NOT silenced LIMIT {MOST_OPEN}) AS open
GROUP BY 1"""
ALERT = """id, rule, version, key, severity, opened_at, last_at, count, state, outcome, note, closed_at, runbook, why,
    why_text, silenced"""
ALERTS = f"""SELECT {ALERT}, count(*) OVER ()
FROM (SELECT * FROM alerts WHERE state = ANY (%(states)s)
    AND (%(severities)s::text[] IS NULL OR severity = ANY (%(severities)s))
    AND (%(rule)s::text IS NULL OR rule = %(rule)s)
    AND (%(key)s::text IS NULL OR strpos(lower(key), lower(%(key)s)) > 0)
    AND (%(silenced)s OR NOT silenced) ORDER BY id DESC LIMIT {MOST_ALERTS}) AS newest
ORDER BY array_position(ARRAY['open', 'acknowledged', 'closed'], state),
    array_position(ARRAY['critical', 'warning', 'info'], severity), id DESC LIMIT %(limit)s"""
SELECTED = f"SELECT {ALERT} FROM alerts WHERE id = %s"
RULES = f"SELECT DISTINCT name FROM alert_rules ORDER BY 1 LIMIT {MOST_RULES}"
SILENCES = f"""SELECT id, rule, key, ends_at, note FROM alert_silences
WHERE ends_at > coalesce((SELECT event_time FROM analysis), '-infinity') ORDER BY ends_at, id LIMIT {MOST_SILENCES}"""
RIGHTS = """SELECT quote_ident(session_user), r.oid IS NOT NULL, coalesce(pg_has_role(session_user, r.oid,
        CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END), false),
    coalesce(has_column_privilege(r.oid, 'alerts', 'state', 'UPDATE')
        AND has_column_privilege(r.oid, 'alerts', 'outcome', 'UPDATE')
        AND has_table_privilege(r.oid, 'alert_silences', 'INSERT')
        AND has_table_privilege(r.oid, 'alert_silences', 'DELETE')
        AND has_table_privilege(r.oid, to_regclass('labels'), 'INSERT'), false)
FROM (VALUES (1)) AS one LEFT JOIN pg_roles r ON rolname = 'ccstream_analyst'"""

INDEXED = """SELECT attname FROM pg_index i JOIN pg_class c ON c.oid = indexrelid JOIN pg_am m ON m.oid = relam
JOIN pg_attribute a ON attrelid = indrelid AND attnum = indkey[0]
WHERE indrelid = to_regclass('orders') AND indisvalid AND indpred IS NULL AND amname = 'btree'"""
"""Returns the columns by which an index finds rows of ``orders``."""
ROW = """o.order_id, o.timestamp, s.score, o.value, o.currency, o.status, o.response_code, o.merchant,
    coalesce('••' || o.card_last4, o.card_token), o.country, o.entry_mode"""
FIRED = "SELECT card_token, merchant, terminal_id, issuer, country FROM orders WHERE order_id = %s"
BY_INDEX = f"""SELECT {ROW} FROM (SELECT * FROM orders WHERE {{column}} = %s AND timestamp IS NOT NULL
    ORDER BY timestamp DESC LIMIT {LAST}) o LEFT JOIN scores s USING (order_id) ORDER BY o.timestamp DESC, o.order_id"""
AMONG_NEWEST = f"""SELECT {ROW} FROM (SELECT seq, order_id, score FROM scores ORDER BY seq DESC LIMIT {AMONG}) s
JOIN orders o USING (order_id) WHERE o.{{column}} = %s ORDER BY s.seq DESC LIMIT {LAST}"""
