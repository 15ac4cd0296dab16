"""Defines the queries of the drawer. Each reads a bounded number of rows."""

from __future__ import annotations

from ccstream.dashboard.alert_queries import ALERT, COLUMNS

NEWEST = 20
"""The number of newest transactions that are listed."""
COUNTED = 10_000
"""The number of newest transactions that the history counts."""
MOST_ALERTS, AMONG_ALERTS = 10, 1_000
"""The number of alerts that are listed, and the number of newest ones among which they are searched."""
MOST_LABELS = 10
FIELDS = {
    "order_id": "id",
    "timestamp": "time",
    "value": "amount",
    "currency": "currency",
    "status": "status",
    "response_code": "response_code",
    "merchant": "merchant",
    "card_last4": "last4",
    "card_token": "card",
    "terminal_id": "terminal",
    "category": "category",
    "entry_mode": "entry_mode",
    "city": "city",
    "country": "country",
}
"""The columns of ``orders`` that the list of transactions has, and their names there."""
OTHERS = {
    "scores": {"order_id", "score", "ratio", "model", "reasons"},
    "labels": {"transaction_id", "source", "labelled_at", "fraud"},
    "alerts": COLUMNS["alerts"],
    "merchant_segment": {"merchant", "name", "valid_to"},
    "card_segment": {"card_token", "name", "valid_to"},
}
"""The other tables, with the columns without which they are left out."""

ROWS = "SELECT * FROM {rows}"
# The days of every time zone begin with a quarter of an hour of UTC.
HISTORY = """SELECT floor(extract(epoch FROM timestamp) / 900)::bigint * 900, lower(status), count(*), min(timestamp)
FROM {rows} WHERE timestamp IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"""
SCORES = "SELECT order_id, score, reasons FROM scores WHERE order_id = ANY (%s)"
SCORE = "SELECT score, ratio, model, reasons FROM scores WHERE order_id = %s"
LABELS = f"""SELECT source, labelled_at, fraud FROM labels WHERE transaction_id = %s
ORDER BY labelled_at DESC, source LIMIT {MOST_LABELS}"""
SEGMENTS = {
    "merchant": "SELECT name FROM merchant_segment WHERE merchant = %s AND valid_to IS NULL",
    "card": "SELECT name FROM card_segment WHERE card_token = %s AND valid_to IS NULL",
}
# Open alerts have an index, and the newest ones have the key. No index leads to those of a card or a merchant.
ALERTS = f"""SELECT {ALERT} FROM alerts WHERE id IN (
    SELECT id FROM (
        (SELECT id, key, why FROM alerts WHERE state <> 'closed' ORDER BY id DESC LIMIT {AMONG_ALERTS})
        UNION ALL (SELECT id, key, why FROM alerts ORDER BY id DESC LIMIT {AMONG_ALERTS})) AS among
    WHERE why->>'transaction' = ANY (%(transactions)s)
        OR key = %(value)s AND why->'by' = jsonb_build_array(%(column)s::text)
        OR why->>%(column)s::text = %(value)s
        OR why->>'dimension' = %(column)s AND why->>'series' = %(value)s)
ORDER BY state = 'closed', array_position(ARRAY['critical', 'warning', 'info'], severity), id DESC
LIMIT {MOST_ALERTS}"""
