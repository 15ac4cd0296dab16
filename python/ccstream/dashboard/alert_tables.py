"""Reads alerts, silences and the transactions beside them, with the queries of ``alert_queries``. Times are in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ccstream.dashboard import alert_queries as queries
from ccstream.dashboard import reading

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    import psycopg

STATES = ("open", "acknowledged", "closed")
SEVERITIES = ("critical", "warning", "info")
"""The severities, the worst first."""
OF = {"card_token": "card", "merchant": "merchant", "terminal_id": "terminal", "issuer": "issuer", "country": "country"}
"""The columns of ``orders`` whose last transactions are shown, with their names on the page."""


@dataclass(frozen=True)
class Alert:
    """Holds an alert, as the columns of the table ``alerts`` describe it."""

    id: int
    rule: str
    version: int
    key: str | None
    severity: str
    opened_at: datetime
    last_at: datetime
    count: int
    state: str
    outcome: str | None
    note: str | None
    closed_at: datetime | None
    runbook: str | None
    why: dict[str, Any]
    why_text: str
    silenced: bool

    @property
    def transaction(self) -> str | None:
        """The id of the transaction on which the rule fired; None for an absence and for a suspended rule."""
        found = self.why.get("transaction")
        return found if isinstance(found, str) else None

    @property
    def by(self) -> tuple[str, ...]:
        """The columns of ``orders`` whose values are the key; empty without a key."""
        return tuple(self.why.get("by", ()))

    @property
    def is_anomaly(self) -> bool:
        """Whether it is about a KPI of a series, and not about transactions."""
        return self.why.get("kind") == "anomaly"

    @property
    def place(self) -> dict[str, str]:
        """Of an anomaly, the column of ``OF`` that its series is of, with the value; empty if there is none."""
        column, value = self.why.get("dimension"), self.why.get("series")
        return {column: value} if column in OF and isinstance(value, str) and self.is_anomaly else {}


class Silence(NamedTuple):
    """Holds a silence.

    Attributes:
        id: its number.
        rule: the rule that is silent; None for every rule.
        key: the key for which it is silent; None for every key.
        ends_at: when it ends, by the time of the stream.
        note: why.
    """

    id: int
    rule: str | None
    key: str | None
    ends_at: datetime
    note: str | None


class Transaction(NamedTuple):
    """Holds a transaction. What its rows of ``orders`` and ``scores`` lack is None."""

    id: str
    time: datetime
    score: float | None
    amount: Decimal | None
    currency: str | None
    status: str | None
    response_code: str | None
    merchant: str | None
    card: str | None
    country: str | None
    entry_mode: str | None


@dataclass(frozen=True)
class Filters:
    """Holds which alerts are listed.

    Attributes:
        states: their states.
        severities: their severities; empty for all.
        rule: their rule; None for all.
        key: a part of their key, in any case; empty for all.
        silenced: whether those that were opened during a silence are listed, too.
    """

    states: tuple[str, ...] = STATES[:2]
    severities: tuple[str, ...] = ()
    rule: str | None = None
    key: str = ""
    silenced: bool = False


@dataclass(frozen=True)
class Rights:
    """Holds whether the page may write.

    Attributes:
        user: the page's user in PostgreSQL, quoted for a statement.
        exists: whether there is a role for analysts.
        is_granted: whether the user may take it.
        is_able: whether the role has its privileges.
    """

    user: str
    exists: bool
    is_granted: bool
    is_able: bool

    @property
    def may_write(self) -> bool:
        """Whether the page may write."""
        return self.is_granted and self.is_able


@dataclass(frozen=True)
class Reading:
    """Holds what the page shows.

    Attributes:
        open: the number of open alerts by severity, without silenced ones.
        alerts: the alerts that match the filters, the most urgent first.
        total: the number of alerts that match, up to 1,000.
        selected: the alert that is selected; None if there is none.
        silences: the silences that have not ended.
        event_time: the greatest time of a transaction that was scored.
        rights: whether the page may write.
    """

    open: dict[str, int]
    alerts: list[Alert]
    total: int
    selected: Alert | None
    silences: list[Silence]
    event_time: datetime | None
    rights: Rights


@dataclass(frozen=True)
class Last:
    """Holds the last transactions of a card, a merchant or another value of a column.

    Attributes:
        rows: the transactions, the newest first.
        has_index: whether an index leads to them. Without one, only the newest transactions were searched.
    """

    rows: list[Transaction]
    has_index: bool


def count_open(connection: psycopg.Connection[tuple[Any, ...]]) -> dict[str, int]:
    """Returns the number of open alerts by severity, without silenced ones, within a reading that has begun."""
    counts = dict(connection.execute(queries.OPEN).fetchall())
    return {severity: counts[severity] for severity in SEVERITIES if severity in counts}


def rules(url: str) -> list[str] | None:
    """Returns the names of all rules that were ever applied; None if the tables do not exist."""
    with reading.connect(url) as connection:
        if not reading.begin(connection, queries.COLUMNS, queries.TIME_LIMIT):
            return None
        return [name for (name,) in connection.execute(queries.RULES)]


def read(url: str, filters: Filters, selected: int | None, limit: int) -> Reading | None:
    """Reads what the page shows; returns None if the tables do not exist.

    Args:
        url: the URL of the database.
        filters: which alerts are listed.
        selected: the id of the selected alert.
        limit: the maximum number of alerts that are listed.
    """
    with reading.connect(url) as connection:
        if not reading.begin(connection, queries.COLUMNS, queries.TIME_LIMIT):
            return None
        given = {
            "states": list(filters.states),
            "severities": list(filters.severities) or None,
            "rule": filters.rule,
            "key": filters.key or None,
            "silenced": filters.silenced,
            "limit": limit,
        }
        rows = connection.execute(queries.ALERTS.encode(), given).fetchall()
        one = selected and connection.execute(queries.SELECTED, [selected]).fetchone()
        position = connection.execute("SELECT event_time FROM analysis").fetchone()
        rights = connection.execute(queries.RIGHTS).fetchone()
        return Reading(
            open=count_open(connection),
            alerts=[Alert(*row[:-1]) for row in rows],
            total=rows[0][-1] if rows else 0,
            selected=Alert(*one) if one else None,
            silences=[Silence(*row) for row in connection.execute(queries.SILENCES)],
            event_time=position[0] if position else None,
            rights=Rights(*rights) if rights else Rights("", exists=False, is_granted=False, is_able=False),
        )


def places(url: str, transaction: str | None, by: tuple[str, ...], key: str | None) -> dict[str, str]:
    """Returns the card, the merchant and so on that an alert is about: for each column of ``OF`` its value.

    Those of the rule's key come first, then the card and the merchant of the transaction.

    Args:
        url: the URL of the database.
        transaction: the id of the alert's transaction.
        by: the columns of the rule's key.
        key: the alert's key.
    """
    if transaction is not None:
        with reading.connect(url) as connection:
            if reading.begin(connection, {"orders": {"order_id", *OF}}, queries.TIME_LIMIT):
                row = connection.execute(queries.FIRED, [transaction]).fetchone()
                if row is not None:
                    values = dict(zip(OF, row, strict=True))
                    wanted = dict.fromkeys([*(name for name in by if name in OF), "card_token", "merchant"])
                    return {name: values[name] for name in wanted if values[name] is not None}
    # A key of several fields cannot be split again.
    return {by[0]: key} if key is not None and len(by) == 1 and by[0] in OF else {}


def last(url: str, column: str, value: str) -> Last:
    """Reads the last transactions of a card, a merchant or another value of a column of ``OF``.

    Args:
        url: the URL of the database.
        column: the column.
        value: the value.
    """
    if column not in OF:
        raise ValueError(f"{column!r} is none of {', '.join(OF)}")
    with reading.connect(url) as connection:
        reading.begin(connection, queries.COLUMNS, queries.TIME_LIMIT)
        has_index = (column,) in connection.execute(queries.INDEXED).fetchall()
        query = (queries.BY_INDEX if has_index else queries.AMONG_NEWEST).format(column=column)
        rows = connection.execute(query.encode(), [value]).fetchall()
    return Last([Transaction(*row) for row in rows], has_index)
