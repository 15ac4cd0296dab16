"""Asks the broker and the database what the demo has stored. Moments are in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import ccstream
from ccstream import settings
from ccstream.errors import CcstreamError

if TYPE_CHECKING:
    import psycopg

ONE_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Stored:
    """Holds which rows of a period exist.

    Attributes:
        newest: the minute of the newest row; None without rows.
        hours: the number of hours with rows.
        hours_without_rows: the number of hours without rows before the newest row.
    """

    newest: datetime | None = None
    hours: int = 0
    hours_without_rows: int = 0

    @classmethod
    def between(cls, connection: psycopg.Connection, start: datetime, end: datetime) -> Stored:
        """Reads which rows exist between two moments, from the totals by minute."""
        if not _exists(connection, "kpi_minute"):
            return cls()
        period = [moment.replace(tzinfo=None) for moment in (start, end)]
        newest, hours = _row(
            connection,
            "SELECT max(minute), count(DISTINCT date_trunc('hour', minute)) FROM kpi_minute "
            "WHERE minute >= %s AND minute <= %s",
            *period,
        )
        if newest is None:
            return cls()
        newest = newest.replace(tzinfo=timezone.utc)
        until_newest = (_hour(newest) - _hour(start)) // ONE_HOUR + 1
        return cls(newest, hours, until_newest - hours)


def rows(connection: psycopg.Connection) -> int:
    """Returns the number of stored rows. It sums the counters of ``kafka_offsets`` instead of scanning ``orders``."""
    if not _exists(connection, "kafka_offsets"):
        return 0
    return int(_row(connection, "SELECT coalesce(sum(stored), 0)::bigint FROM kafka_offsets")[0])


def newest(connection: psycopg.Connection, now: datetime) -> datetime | None:
    """Returns the minute of the newest row that is not of the future; None without rows."""
    return Stored.between(connection, now - timedelta(days=1), now).newest


def scored(connection: psycopg.Connection, since: datetime) -> int:
    """Returns the number of scored transactions; 0 if the analyzer has not come to a moment."""
    if not _exists(connection, "score_minute"):
        return 0
    count, reached = _row(
        connection,
        "SELECT (SELECT coalesce(sum(scored), 0)::bigint FROM score_minute), (SELECT event_time FROM analysis)",
    )
    return int(count) if reached is not None and reached >= since.replace(tzinfo=None) else 0


def backlog(connection: psycopg.Connection) -> int:
    """Returns the number of messages in the topic that are not stored yet."""
    try:
        ends = ccstream.topic_ends(bootstrap_servers=settings.bootstrap_servers(), topic=settings.topic())
    except CcstreamError:
        return 0
    found: dict[int, int] = {}
    if _exists(connection, "kafka_offsets"):
        of = "SELECT partition, next_offset FROM kafka_offsets WHERE consumer_group = %s AND topic = %s"
        found = dict(connection.execute(of, [settings.group(), settings.topic()]).fetchall())
    return sum(max(0, end - found.get(partition, 0)) for partition, end in ends.items())


@dataclass(frozen=True)
class Ring:
    """Holds what a ring has done so far: at which merchant, how many payments, and by how many cards."""

    merchant: str
    payments: int
    cards: int


def ring(connection: psycopg.Connection, begins: datetime, ends: datetime) -> Ring | None:
    """Returns the ring that began at a moment; None before its second payment."""
    if not _exists(connection, "truth"):
        return None
    found = connection.execute(
        "SELECT merchant, count(*), count(DISTINCT card_token) FROM truth t JOIN orders o ON order_id = transaction_id "
        "WHERE t.timestamp >= %s AND t.timestamp < %s AND kind = 'fraud' AND scenario = 'S5' "
        "GROUP BY campaign, merchant HAVING count(*) > 1 ORDER BY 2 DESC, 1 LIMIT 1",
        [moment.replace(tzinfo=None) for moment in (begins, ends)],
    ).fetchone()
    return Ring(*found) if found else None


@dataclass(frozen=True)
class Alert:
    """Holds an alert: its id, its rule, and why it was opened."""

    id: int
    rule: str
    why: str


def newest_alert(connection: psycopg.Connection) -> int:
    """Returns the id of the newest alert; 0 without alerts."""
    if not _exists(connection, "alerts"):
        return 0
    return int(_row(connection, "SELECT coalesce(max(id), 0) FROM alerts")[0])


def alerts(connection: psycopg.Connection, after: int, since: datetime) -> list[Alert]:
    """Returns alerts, oldest first: those after an id whose transactions are not older than a moment."""
    if not _exists(connection, "alerts"):
        return []
    of = "SELECT id, rule, why_text FROM alerts WHERE id > %s AND opened_at >= %s ORDER BY id"
    found = connection.execute(of, [after, since.replace(tzinfo=None)]).fetchall()
    return [Alert(*row) for row in found]


def _exists(connection: psycopg.Connection, table: str) -> bool:
    return bool(_row(connection, "SELECT to_regclass(%s) IS NOT NULL", table)[0])


def _row(connection: psycopg.Connection, query: str, *values: object) -> tuple[Any, ...]:
    """Returns the only row of a query."""
    found = connection.execute(query.encode(), values).fetchone()
    assert found is not None  # noqa: S101
    return found


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
