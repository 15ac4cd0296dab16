"""Defines the query that sums up ``orders`` by merchant or card.

Every sum is one of integers, so it is the same in whatever order PostgreSQL adds, and however many processes it uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from ccstream.segments.kinds import Kind

PERIOD = sql.SQL("""
SELECT min("timestamp"), max("timestamp") FROM orders
WHERE "timestamp" >= %(since)s AND "timestamp" < %(as_of)s AND {key} <> ''
""")
NEWEST = """SELECT max("timestamp") FROM orders WHERE "timestamp" <= localtimestamp + interval '1 minute'"""
"""The time of the newest transaction that is not of the future. A wrong clock may have dated one years ahead."""

MEMORY = """SELECT set_config('work_mem', '64MB', true)
WHERE pg_size_bytes(current_setting('work_mem')) < pg_size_bytes('64MB')"""
"""Lets the sums of a million transactions use memory instead of files, which takes a third less time."""

FRAUDS = sql.SQL("""
    SELECT transaction_id FROM (
        SELECT DISTINCT ON (transaction_id) transaction_id, fraud FROM labels
        WHERE labelled_at < %(as_of)s ORDER BY transaction_id, labelled_at DESC, source DESC
    ) AS last WHERE fraud
""")
NO_FRAUDS = sql.SQL("SELECT NULL::text AS transaction_id WHERE false")

# A place's local time is taken from its longitude, as in the features of the scores.
SUMS = sql.SQL("""
WITH frauds AS MATERIALIZED ({frauds}),
chosen AS MATERIALIZED (
    SELECT order_id, {key} AS key, nullif({other}, '') AS other, value, upper(coalesce(currency, '')) AS unit,
           "timestamp" AS time, "timestamp" + coalesce(longitude, 0) * interval '4 minutes' AS local,
           coalesce(lower(status), '') = ANY(%(declined)s) AS declined
    FROM orders
    WHERE "timestamp" >= %(since)s AND "timestamp" < %(as_of)s AND {key} <> ''
),
usual AS (
    SELECT unit, percentile_disc(0.5) WITHIN GROUP (ORDER BY value)::float8 AS amount
    FROM chosen WHERE value > 0 AND NOT declined GROUP BY unit
),
rows AS (
    SELECT c.key, c.other, c.time, c.value < 0 AS refund, c.declined, f.transaction_id IS NOT NULL AS fraud,
           extract(isodow FROM c.local) >= 6 AS weekend,
           c.local::time >= '22:30' OR c.local::time < '6:30' AS night,
           CASE WHEN c.value > 0 AND NOT c.declined THEN round(c.value::float8 / u.amount * 1e6)::bigint END AS ratio,
           CASE WHEN c.value > 0 AND NOT c.declined THEN round(ln(c.value::float8 / u.amount) * 1e6)::bigint END AS log
    FROM chosen AS c LEFT JOIN usual AS u USING (unit) LEFT JOIN frauds AS f ON f.transaction_id = c.order_id
),
members AS (
    SELECT key, count(*)::float8 AS count, extract(epoch FROM %(as_of)s - max(time))::float8 / 86400 AS idle,
           count(ratio)::float8 AS amounts, coalesce(sum(ratio), 0)::float8 / 1e6 AS total,
           coalesce(sum(log), 0)::float8 / 1e6 AS logs, coalesce(sum(log * log), 0)::float8 / 1e12 AS squares,
           count(*) FILTER (WHERE refund)::float8 AS refunds, count(*) FILTER (WHERE weekend)::float8 AS weekend,
           count(*) FILTER (WHERE night)::float8 AS night, count(other)::float8 AS named,
           count(*) FILTER (WHERE declined)::float8 AS declined, count(*) FILTER (WHERE fraud)::float8 AS frauds
    FROM rows GROUP BY key
),
others AS (
    SELECT key, count(*)::float8 AS others
    FROM (SELECT DISTINCT key, other FROM chosen WHERE other IS NOT NULL) AS pairs GROUP BY key
)
SELECT key, count, idle, amounts, total, logs, squares, refunds, weekend, night, named, coalesce(others, 0), declined,
       frauds
FROM members LEFT JOIN others USING (key) ORDER BY key COLLATE "C"
""")
"""The columns are those of :class:`~ccstream.segments.features.Sums`, after the key."""


def period(kind: Kind) -> sql.Composed:
    """Returns the query of the first and the last time in a period."""
    return PERIOD.format(key=sql.Identifier(kind.key))


def sums(kind: Kind, *, has_labels: bool) -> sql.Composed:
    """Returns the query of the sums by member."""
    return SUMS.format(
        key=sql.Identifier(kind.key),
        other=sql.Identifier(kind.other),
        frauds=FRAUDS if has_labels else NO_FRAUDS,
    )
