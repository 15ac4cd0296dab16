"""Finds rows of ``orders`` by a card, a merchant or a terminal: by an index, or else among the rows at its end.

``orders`` has an index on its key alone, because every further index slows the consumer down. Without one, a bounded
number of blocks at the end of the table is read. They usually have the newest rows, because rows are appended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ccstream.dashboard import orders_queries as queries
from ccstream.dashboard import reading
from ccstream.dashboard.alert_queries import INDEXED, TIME_LIMIT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import psycopg


@dataclass(frozen=True)
class Reach:
    """Holds how far a search has looked.

    Attributes:
        unindexed: the columns by which no index finds rows.
        searched: the number of rows at the end of the table that were searched; None if no row was left out.
    """

    unindexed: tuple[str, ...] = ()
    searched: int | None = None


@dataclass(frozen=True)
class Orders:
    """Holds what is known of ``orders`` within a reading.

    Attributes:
        connection: the connection, whose reading has begun.
        columns: the names of its columns, in order.
        indexed: the columns by which an index finds rows.
        first: the first block of the end of the table; 0 if the end is the whole table.
        others: which of the other tables exist with their columns, and may be read.
    """

    connection: psycopg.Connection[tuple[Any, ...]]
    columns: tuple[str, ...]
    indexed: frozenset[str]
    first: int
    others: frozenset[str]

    def newest(
        self, query: str, column: str, value: str, wanted: Collection[str], *, among: int, limit: int = 0
    ) -> list[tuple[Any, ...]]:
        """Returns what a query finds in the newest rows with a value.

        Args:
            query: the query, with ``{rows}`` for the rows, and ``{limit}`` for ``limit``.
            column: a column of ``orders``, which exists.
            value: its value.
            wanted: the columns of the rows. Those that are absent are NULL.
            among: the maximum number of rows.
            limit: a number for the query.
        """
        rows = queries.newest(column, wanted, self.columns, among, is_indexed=column in self.indexed)
        given = {"value": value, "first": self._end}
        return self.connection.execute(query.format(rows=rows, limit=limit).encode(), given).fetchall()

    def reach(self, *columns: str) -> Reach:
        """Returns how far searches by these columns look."""
        unindexed = tuple(column for column in columns if column not in self.indexed)
        if not unindexed or self.first == 0:
            return Reach(unindexed)
        return Reach(unindexed, self.searched())

    def searched(self) -> int:
        """Returns the number of rows at the end of the table."""
        row = self.connection.execute(queries.SEARCHED, [self._end]).fetchone()
        return row[0] if row else 0

    @property
    def _end(self) -> str:
        return f"({self.first},0)"


def begin(
    connection: psycopg.Connection[tuple[Any, ...]], others: Mapping[str, set[str]] | None = None
) -> Orders | None:
    """Begins a reading of ``orders``. Returns None if there is no such table, or if it may not be read.

    Args:
        connection: the connection, without a transaction.
        others: the names of other tables with the columns that are needed of them.
    """
    found = reading.begin_with(connection, queries.NECESSARY, others or {}, TIME_LIMIT)
    first = connection.execute(queries.FIRST).fetchone()
    if found is None or first is None:
        return None
    columns = tuple(name for (name,) in connection.execute(queries.COLUMNS))
    indexed = frozenset(name for (name,) in connection.execute(INDEXED))
    return Orders(connection, columns, indexed, int(first[0]), frozenset(found))
