"""What the dashboard asks PostgreSQL: read-only, pooled, one snapshot per refresh. Knows no Streamlit."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import psycopg
from pandas.tseries.frequencies import to_offset
from psycopg import sql
from psycopg_pool import ConnectionPool

if TYPE_CHECKING:
    from collections.abc import Sequence

STATEMENT_TIMEOUT_MS = 15_000
BUCKETS = 60
"""About so many points in a series over time."""
TOP_MERCHANTS = 8
TOP_CITIES = 60
WIDTHS = [timedelta(seconds=s) for s in (1, 5, 10, 30)]
WIDTHS += [timedelta(minutes=m) for m in (1, 5, 10, 30)]
WIDTHS += [timedelta(hours=h) for h in (1, 3, 6, 12)]
WIDTHS += [timedelta(days=d) for d in (1, 7, 30, 91, 365)]

APPROVED = ("approved", "completed")
"""The statuses that count as conversions."""


@dataclass(frozen=True)
class Filters:
    """What the page is narrowed to; an empty tuple narrows nothing.

    Attributes:
        since: only transactions of the last so long, by their own timestamps; None for all.
        categories: ``orders.category``.
        cities: ``orders.city``.
        merchants: ``orders.merchant``.
        statuses: ``orders.status``.
    """

    since: timedelta | None = None
    categories: tuple[str, ...] = ()
    cities: tuple[str, ...] = ()
    merchants: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()

    def where(self) -> tuple[sql.Composable, dict[str, Any]]:
        """The condition and its parameters."""
        conditions: list[sql.Composable] = [sql.SQL("TRUE")]
        parameters: dict[str, Any] = {}
        if self.since is not None:
            conditions.append(sql.SQL("timestamp >= (now() AT TIME ZONE 'UTC') - {}").format(sql.Placeholder("since")))
            parameters["since"] = self.since
        for column, values in (
            ("category", self.categories),
            ("city", self.cities),
            ("merchant", self.merchants),
            ("status", self.statuses),
        ):
            if values:
                condition = sql.SQL("{} = ANY({})")
                conditions.append(condition.format(sql.Identifier(column), sql.Placeholder(column)))
                parameters[column] = list(values)
        return sql.SQL(" AND ").join(conditions), parameters


@dataclass(frozen=True)
class Totals:
    """The figures of the header row.

    Attributes:
        transactions: how many, in every currency.
        decided: how many of them name a status.
        approved: how many of these were approved.
        currency: of the amounts below; None where no transaction has one.
        currencies: every currency, the most frequent first.
        value: the sum of the amounts in ``currency``, refunds negative.
        average: the mean of the same.
        newest: the newest timestamp, UTC.
    """

    transactions: int = 0
    decided: int = 0
    approved: int = 0
    currency: str | None = None
    currencies: tuple[str, ...] = ()
    value: float = 0.0
    average: float = 0.0
    oldest: datetime | None = None
    newest: datetime | None = None

    @property
    def conversion(self) -> float | None:
        """Approved transactions over those with a status, 0 to 1; None where none has one."""
        return self.approved / self.decided if self.decided else None


@dataclass(frozen=True)
class Snapshot:
    """All that one refresh shows, of one moment.

    Attributes:
        totals: the header row.
        width: seconds of a bucket of the series.
        series: ``bucket``, ``transactions``, ``value``.
        merchants: ``merchant``, ``transactions``, ``value``, ``trend`` (counts by bucket).
        cities: ``city``, ``country``, ``latitude``, ``longitude``, ``transactions``.
        categories: ``category``, ``transactions``.
        methods: ``payment_method``, ``transactions``.
        latest: the newest transactions, as they came.
    """

    totals: Totals
    width: timedelta = WIDTHS[0]
    series: pd.DataFrame = field(default_factory=pd.DataFrame)
    merchants: pd.DataFrame = field(default_factory=pd.DataFrame)
    cities: pd.DataFrame = field(default_factory=pd.DataFrame)
    categories: pd.DataFrame = field(default_factory=pd.DataFrame)
    methods: pd.DataFrame = field(default_factory=pd.DataFrame)
    latest: pd.DataFrame = field(default_factory=pd.DataFrame)


def open_pool(url: str) -> ConnectionPool:
    """A pool of read-only connections that are made when they are needed.

    Args:
        url: as in ``DATABASE_URL``; SQLAlchemy's ``postgresql+driver://`` is understood.
    """
    options = f"-c default_transaction_read_only=on -c statement_timeout={STATEMENT_TIMEOUT_MS} -c timezone=UTC"
    return ConnectionPool(
        re.sub(r"^(postgres(?:ql)?)\+\w+://", r"\1://", url),
        # None is kept while nobody looks, and one that broke is not handed out.
        min_size=0,
        max_size=4,
        timeout=5,
        reconnect_timeout=2,
        check=ConnectionPool.check_connection,
        kwargs={"options": options, "application_name": "ccstream dashboard", "connect_timeout": 3},
        open=True,
    )


def load_choices(pool: ConnectionPool) -> dict[str, list[str]]:
    """What the filters offer: each column's values, the most frequent first, at most 500."""
    choices = {}
    with pool.connection() as connection:
        for column in ("category", "city", "merchant", "status"):
            query = sql.SQL(
                "SELECT {column} FROM orders WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 500"
            ).format(column=sql.Identifier(column))
            choices[column] = [row[0] for row in connection.execute(query)]
    return choices


def load_snapshot(pool: ConnectionPool, filters: Filters, currency: str | None, rows: int) -> Snapshot:
    """Asks for everything in one REPEATABLE READ snapshot, so that all figures agree.

    Args:
        pool: from :func:`open_pool`.
        filters: what to narrow to.
        currency: of the amounts; None for the most frequent.
        rows: how many of the latest transactions.
    """
    with pool.connection() as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        ask = _Asker(connection, filters)
        totals = _load_totals(ask, currency)
        if totals.oldest is None or totals.newest is None:
            return Snapshot(totals)
        width = bucket_width(totals.newest - totals.oldest)
        return Snapshot(
            totals=totals,
            width=width,
            series=_load_series(ask, totals.currency, width),
            merchants=_load_merchants(ask, totals, width),
            cities=ask.frame(
                "SELECT city, country, avg(latitude) AS latitude, avg(longitude) AS longitude, "
                "count(*) AS transactions FROM orders WHERE {where} AND city IS NOT NULL "
                "GROUP BY 1, 2 ORDER BY 5 DESC, 1 LIMIT %(limit)s",
                limit=TOP_CITIES,
            ),
            categories=ask.distribution("category"),
            methods=ask.distribution("payment_method"),
            latest=ask.frame(
                "SELECT timestamp, merchant, category, city, value, currency, payment_method, status, order_id "
                "FROM orders WHERE {where} ORDER BY timestamp DESC NULLS LAST, order_id DESC LIMIT %(limit)s",
                limit=rows,
            ),
        )


def bucket_width(span: timedelta) -> timedelta:
    """The width of a bucket that divides a span into about :data:`BUCKETS`."""
    return next((width for width in WIDTHS if span <= width * BUCKETS), WIDTHS[-1])


class _Asker:
    """Runs queries over the filtered rows; ``{where}`` in a query stands for the filter."""

    def __init__(self, connection: psycopg.Connection, filters: Filters) -> None:
        self._connection = connection
        self._where, self._parameters = filters.where()

    def rows(self, query: str, **parameters: object) -> tuple[list[str], Sequence[tuple[Any, ...]]]:
        text = sql.SQL(query).format(where=self._where)
        cursor = self._connection.execute(text, {**self._parameters, **parameters})
        names = [column.name for column in cursor.description or ()]
        return names, cursor.fetchall()

    def frame(self, query: str, **parameters: object) -> pd.DataFrame:
        names, rows = self.rows(query, **parameters)
        return pd.DataFrame(rows, columns=names)

    def distribution(self, column: str) -> pd.DataFrame:
        return self.frame(
            f"SELECT coalesce({column}, 'unknown') AS {column}, count(*) AS transactions "
            "FROM orders WHERE {where} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20"
        )


def _load_totals(ask: _Asker, currency: str | None) -> Totals:
    _, rows = ask.rows(
        "SELECT currency, count(*), count(status), count(*) FILTER (WHERE status = ANY(%(approved)s)), "
        "sum(value), avg(value), min(timestamp), max(timestamp) "
        "FROM orders WHERE {where} GROUP BY 1 ORDER BY 2 DESC, 1",
        approved=list(APPROVED),
    )
    # Sums never mix currencies: the amounts are of one, chosen or the most frequent.
    known = tuple(row[0] for row in rows if row[0] is not None)
    chosen = currency if currency in known else next(iter(known), None)
    amounts = next((row for row in rows if row[0] == chosen), None)
    return Totals(
        transactions=sum(row[1] for row in rows),
        decided=sum(row[2] for row in rows),
        approved=sum(row[3] for row in rows),
        currency=chosen,
        currencies=known,
        value=float(amounts[4] or 0) if amounts else 0.0,
        average=float(amounts[5] or 0) if amounts else 0.0,
        oldest=min((row[6] for row in rows if row[6]), default=None),
        newest=max((row[7] for row in rows if row[7]), default=None),
    )


def _load_series(ask: _Asker, currency: str | None, width: timedelta) -> pd.DataFrame:
    frame = ask.frame(
        "SELECT date_bin(%(width)s, timestamp, timestamp '1970-01-01') AS bucket, count(*) AS transactions, "
        "coalesce(sum(value) FILTER (WHERE currency IS NOT DISTINCT FROM %(currency)s::text), 0)::float8 AS value "
        "FROM orders WHERE {where} AND timestamp IS NOT NULL GROUP BY 1 ORDER BY 1",
        width=width,
        currency=currency,
    )
    # A bucket in which nothing happened is a zero, not a line drawn past it.
    frame["bucket"] = pd.to_datetime(frame["bucket"])
    return (
        frame.set_index("bucket")
        .asfreq(to_offset(pd.Timedelta(width)), fill_value=0)
        .rename_axis("bucket")
        .reset_index()
    )


def _load_merchants(ask: _Asker, totals: Totals, width: timedelta) -> pd.DataFrame:
    frame = ask.frame(
        "WITH top AS (SELECT merchant FROM orders WHERE {where} AND merchant IS NOT NULL "
        "             GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT %(limit)s) "
        "SELECT merchant, date_bin(%(width)s, timestamp, timestamp '1970-01-01') AS bucket, "
        "count(*) AS transactions, "
        "coalesce(sum(value) FILTER (WHERE currency IS NOT DISTINCT FROM %(currency)s::text), 0)::float8 AS value "
        "FROM orders JOIN top USING (merchant) WHERE {where} AND timestamp IS NOT NULL GROUP BY 1, 2",
        limit=TOP_MERCHANTS,
        width=width,
        currency=totals.currency,
    )
    if frame.empty:
        return frame
    frame["bucket"] = pd.to_datetime(frame["bucket"])
    counts = frame.pivot_table(index="merchant", columns="bucket", values="transactions", aggfunc="sum", fill_value=0)
    buckets = pd.date_range(counts.columns.min(), counts.columns.max(), freq=pd.Timedelta(width))
    counts = counts.reindex(columns=buckets, fill_value=0)
    merchants = frame.groupby("merchant")[["transactions", "value"]].sum()
    merchants["trend"] = pd.Series({merchant: row.tolist() for merchant, row in counts.iterrows()})
    return merchants.sort_values(["transactions"], ascending=False).reset_index()
