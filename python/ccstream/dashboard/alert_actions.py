"""Writes what an analyst decides: acknowledged alerts, verdicts with their labels, and silences.

Each action is one transaction. It writes with the role ``ccstream_analyst``, which may write these alone.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ccstream.dashboard import reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import psycopg

    from ccstream.dashboard.alert_tables import Alert

LENGTHS = {
    "1 h": timedelta(hours=1),
    "4 h": timedelta(hours=4),
    "1 d": timedelta(days=1),
    "30 d, or until ended": timedelta(days=30),
}
"""How long a silence may last, by the time of the stream."""
FRAUD = {"fraud": True, "not fraud": False}
"""The outcomes that are also a label of the transaction."""

NOT_YET = "No transaction was scored yet, so the stream has no time."
SETTINGS = """SET LOCAL timezone = 'UTC'; SET LOCAL statement_timeout = '5s'; SET LOCAL lock_timeout = '3s';
SET LOCAL idle_in_transaction_session_timeout = '10s'"""
NOW = "SELECT event_time FROM analysis"
ANALYST = "SET LOCAL ROLE ccstream_analyst"
ACKNOWLEDGE = "UPDATE alerts SET state = 'acknowledged', note = %s WHERE id = %s AND state = 'open'"
CLOSE = """UPDATE alerts SET state = 'closed', outcome = %s, note = %s,
    closed_at = coalesce(closed_at, greatest(last_at, %s)) WHERE id = %s"""
# Labels of the page are those without a partition. The latest label of a transaction counts. So a verdict that is
# changed before the stream goes on is dated just after the one before. One that is given again is not written again.
LABEL = """INSERT INTO labels (transaction_id, source, labelled_at, fraud, kafka_partition, kafka_offset)
SELECT %(transaction)s, 'analyst', greatest(%(now)s, l.labelled_at + interval '1 microsecond'), %(fraud)s, -1, 0
FROM (VALUES (1)) AS one LEFT JOIN LATERAL (SELECT labelled_at, fraud FROM labels
    WHERE transaction_id = %(transaction)s AND source = 'analyst' AND kafka_partition = -1
    ORDER BY labelled_at DESC LIMIT 1) l ON true
WHERE l.fraud IS DISTINCT FROM %(fraud)s ON CONFLICT DO NOTHING"""
SILENCE = "INSERT INTO alert_silences (rule, key, ends_at, note) VALUES (%s, %s, %s, %s)"
END = "DELETE FROM alert_silences WHERE id = %s"


class ActionError(Exception):
    """Raised if an action found nothing to change."""


@contextlib.contextmanager
def _writing(url: str) -> Iterator[tuple[psycopg.Connection[tuple[Any, ...]], datetime | None]]:
    """Yields a connection for one action, which is committed at the end of the block, and the time of the stream."""
    with reading.connect(url) as connection:
        connection.execute(SETTINGS)
        # The role for analysts may not read the time of the stream.
        connection.execute(reading.ROLE, [["analysis"]])
        row = connection.execute(NOW).fetchone()
        connection.execute(ANALYST)
        yield connection, row[0] if row else None


def acknowledge(url: str, alert: Alert, note: str) -> None:
    """Notes that somebody looks after an alert.

    Args:
        url: the URL of the database.
        alert: the alert.
        note: what the analyst writes; empty for nothing.

    Raises:
        ActionError: the alert is not open any more.
        psycopg.Error: nothing was written.
    """
    with _writing(url) as (connection, _):
        if connection.execute(ACKNOWLEDGE, [note or None, alert.id]).rowcount != 1:
            raise ActionError("The alert is not open any more.")


def close(url: str, alert: Alert, outcome: str | None, note: str) -> None:
    """Closes an alert with an outcome. ``fraud`` and ``not fraud`` are also a label of its transaction.

    Args:
        url: the URL of the database.
        alert: the alert.
        outcome: ``fraud``, ``not fraud`` or ``noise``; None if it is not known.
        note: what the analyst writes; empty for nothing.

    Raises:
        ActionError: the alert does not exist any more, or has no transaction that could be labelled, or no
            transaction was scored yet. Nothing was written.
        psycopg.Error: nothing was written.
    """
    fraud = FRAUD.get(outcome or "")
    if fraud is not None and alert.transaction is None:
        raise ActionError("The alert has no transaction.")
    with _writing(url) as (connection, now):
        if connection.execute(CLOSE, [outcome, note or None, now, alert.id]).rowcount != 1:
            raise ActionError("The alert does not exist any more.")
        if fraud is not None:
            if now is None:
                raise ActionError(NOT_YET)
            connection.execute(LABEL, {"transaction": alert.transaction, "fraud": fraud, "now": now})


def silence(url: str, rule: str, key: str | None, length: timedelta, note: str) -> None:
    """Silences a rule from now on, by the time of the stream.

    Args:
        url: the URL of the database.
        rule: the rule.
        key: the key for which the rule is silent; None for every key.
        length: how long.
        note: what the analyst writes; empty for nothing.

    Raises:
        ActionError: no transaction was scored yet, so the stream has no time.
        psycopg.Error: nothing was written.
    """
    with _writing(url) as (connection, now):
        if now is None:
            raise ActionError(NOT_YET)
        connection.execute(SILENCE, [rule, key, now + length, note or None])


def end_silence(url: str, number: int) -> None:
    """Ends a silence. One that has ended already is no error.

    Args:
        url: the URL of the database.
        number: the silence.

    Raises:
        psycopg.Error: nothing was written.
    """
    with _writing(url) as (connection, _):
        connection.execute(END, [number])
