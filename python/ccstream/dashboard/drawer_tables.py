"""Reads what the drawer shows of a card, a merchant, a terminal or a transaction. Times are in UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg import sql

from ccstream.dashboard import drawer_queries as queries
from ccstream.dashboard import orders_tables, reading
from ccstream.dashboard.alert_tables import Alert

if TYPE_CHECKING:
    from datetime import datetime

    from ccstream.dashboard.orders_tables import Orders, Reach

COLUMNS = {"card": "card_token", "merchant": "merchant", "terminal": "terminal_id"}
"""The kinds of which there are several transactions, with their columns."""
KINDS = ("transaction", *COLUMNS)
"""What the drawer can show."""


class Quarter(NamedTuple):
    """Holds the number of transactions of a quarter of an hour with a status.

    Attributes:
        start: the beginning, in seconds since 1970 UTC.
        status: the status in small letters; None without one.
        transactions: the number of them.
        first: the time of the first one.
    """

    start: int
    status: str | None
    transactions: int
    first: datetime


class Score(NamedTuple):
    """Holds the score of a transaction.

    Attributes:
        score: the score; None if it came too late to be scored.
        ratio: the amount as a multiple of the usual amount of the card; None if it is not known.
        model: the name of the model, or ``rules``.
        reasons: the reasons for a high score, in words.
    """

    score: float | None
    ratio: float | None
    model: str | None
    reasons: list[str] | None


class Label(NamedTuple):
    """Holds who labelled a transaction, when, and whether it is a fraud."""

    source: str
    labelled_at: datetime
    fraud: bool


@dataclass(frozen=True)
class Several:
    """Holds the transactions of a card, a merchant or a terminal.

    Attributes:
        rows: the newest ones, with the names of ``FIELDS``, and ``score`` and ``reasons``.
        history: the number of transactions by quarter of an hour and status, up to ``COUNTED`` of them, the newest.
        segment: the name of the segment; None without one.
        alerts: open and recent alerts, open ones first.
        reach: how far the search has looked.
        has_alerts: whether there is a table of alerts.
    """

    rows: list[dict[str, Any]]
    history: list[Quarter]
    segment: str | None
    alerts: list[Alert]
    reach: Reach
    has_alerts: bool

    @property
    def count(self) -> int:
        """The number of transactions in the history."""
        return sum(one.transactions for one in self.history)


@dataclass(frozen=True)
class One:
    """Holds a transaction.

    Attributes:
        columns: the names and values of all columns of its row, as text; None for NULL.
        score: its score; None if it has none.
        labels: its labels, the latest first.
        alerts: the alerts that it has opened.
        segments: the segments of its merchant and of its card, by ``merchant`` and ``card``.
    """

    columns: dict[str, str | None]
    score: Score | None
    labels: list[Label]
    alerts: list[Alert]
    segments: dict[str, str] = field(default_factory=dict)


def several(url: str, kind: str, value: str) -> Several | None:
    """Reads the transactions of a card, a merchant or a terminal.

    Args:
        url: the URL of the database.
        kind: a key of ``COLUMNS``.
        value: the token, name or id.

    Returns:
        The transactions; None if ``orders`` or its column does not exist, or may not be read.

    Raises:
        psycopg.Error: the database is unavailable, or a query has reached its time limit.
    """
    column = COLUMNS[kind]
    with reading.connect(url) as connection:
        orders = orders_tables.begin(connection, queries.OTHERS)
        if orders is None or column not in orders.columns:
            return None
        found = orders.newest(queries.ROWS, column, value, queries.FIELDS, among=queries.NEWEST)
        rows = [dict(zip(queries.FIELDS.values(), row, strict=True)) for row in found]
        counted = orders.newest(queries.HISTORY, column, value, ("timestamp", "status"), among=queries.COUNTED)
        ids = [row["id"] for row in rows]
        found = connection.execute(queries.SCORES, [ids]).fetchall() if "scores" in orders.others else []
        scores = {number: (score, reasons) for number, score, reasons in found}
        for row in rows:
            row["score"], row["reasons"] = scores.get(row["id"], (None, None))
        return Several(
            rows=rows,
            history=[Quarter(*row) for row in counted],
            segment=_segment(orders, kind, value),
            alerts=_alerts(orders, column, value, ids),
            reach=orders.reach(column),
            has_alerts="alerts" in orders.others,
        )


def one(url: str, number: str) -> One | None:
    """Reads a transaction.

    Args:
        url: the URL of the database.
        number: its id.

    Returns:
        The transaction; None if there is none, or if ``orders`` may not be read.

    Raises:
        psycopg.Error: the database is unavailable, or a query has reached its time limit.
    """
    with reading.connect(url) as connection:
        orders = orders_tables.begin(connection, queries.OTHERS)
        if orders is None:
            return None
        names = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in orders.columns)
        query = sql.SQL("SELECT {} FROM orders WHERE order_id = %s").format(names)
        row = connection.execute(query, [number]).fetchone()
        if row is None:
            return None
        columns: dict[str, str | None] = dict(zip(orders.columns, row, strict=True))
        score = connection.execute(queries.SCORE, [number]).fetchone() if "scores" in orders.others else None
        labels = connection.execute(queries.LABELS, [number]).fetchall() if "labels" in orders.others else []
        segments = {kind: _segment(orders, kind, columns.get(COLUMNS[kind])) for kind in queries.SEGMENTS}
        return One(
            columns=columns,
            score=None if score is None else Score(*score),
            labels=[Label(*label) for label in labels],
            alerts=_alerts(orders, "order_id", number, [number]),
            segments={kind: name for kind, name in segments.items() if name is not None},
        )


def _segment(orders: Orders, kind: str, value: str | None) -> str | None:
    if value is None or f"{kind}_segment" not in orders.others:
        return None
    row = orders.connection.execute(queries.SEGMENTS[kind], [value]).fetchone()
    return None if row is None else str(row[0])


def _alerts(orders: Orders, column: str, value: str, transactions: list[str]) -> list[Alert]:
    if "alerts" not in orders.others:
        return []
    given = {"column": column, "value": value, "transactions": transactions}
    return [Alert(*row) for row in orders.connection.execute(queries.ALERTS.encode(), given)]
