"""Reads the latest transactions: those at the end of ``orders``, because rows are appended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ccstream.dashboard import latest_queries as queries
from ccstream.dashboard import orders_tables, reading
from ccstream.dashboard.orders_where import SEGMENTS

if TYPE_CHECKING:
    from ccstream.dashboard.orders_tables import Orders
    from ccstream.dashboard.orders_where import Slice

LAST_PLACE = "(4294967295,65535)"
"""A place after every row."""


@dataclass(frozen=True)
class Latest:
    """Holds the latest transactions.

    Attributes:
        rows: the transactions, the last one first, with the names of ``latest_queries.FIELDS``, and ``score``.
        searched: the number of rows at the end of the table among which they were found; None if these are as many as
            asked for, or if the whole table was searched.
    """

    rows: list[dict[str, Any]]
    searched: int | None = None


def read(url: str, asked: Slice, count: int) -> Latest | None:
    """Reads the latest transactions.

    Args:
        url: the URL of the database.
        asked: which transactions.
        count: the maximum number of them.

    Returns:
        The transactions; None if there is no table ``orders``, or if it may not be read.

    Raises:
        psycopg.Error: the database is unavailable, or a query has reached its time limit.
    """
    with reading.connect(url) as connection:
        orders = orders_tables.begin(connection, SEGMENTS | queries.SCORES)
        if orders is None:
            return None
        found, is_whole = _rows(orders, asked, count)
        ids = [row["id"] for row in found]
        scores = dict(connection.execute(queries.SCORES_OF, [ids]).fetchall()) if "scores" in orders.others else {}
        for row in found:
            row["score"] = scores.get(row["id"])
        return Latest(found, None if is_whole else orders.searched())


def _rows(orders: Orders, asked: Slice, count: int) -> tuple[list[dict[str, Any]], bool]:
    """Returns the rows, and whether there are as many as asked for, or no more in the whole table."""
    where, given = asked.condition(orders.columns, has_segments=SEGMENTS.keys() <= orders.others)
    query = queries.rows(orders.columns, where).encode()
    size = orders.connection.execute(queries.BLOCKS).fetchone()
    found: list[dict[str, Any]] = []
    low, high = 0, LAST_PLACE
    for step in queries.STEPS:
        low = max(orders.first, (size[0] if size else 0) - step)
        limits = {"low": f"({low},0)", "high": high, "limit": count - len(found)}
        rows = orders.connection.execute(query, given | limits)
        found += [dict(zip(queries.FIELDS.values(), row, strict=True)) for row in rows]
        if len(found) == count or low == orders.first:
            break
        high = f"({low},0)"
    return found, len(found) == count or low == 0
