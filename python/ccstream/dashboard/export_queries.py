"""Defines the query of a file of transactions, which is a COPY of at most ``MOST`` rows."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from ccstream.dashboard.csv_texts import FORMULAS
from ccstream.dashboard.orders_queries import moment

MOST = 200_000
"""The maximum number of transactions in a file."""
TIME_LIMIT = 60_000
"""The statement timeout in milliseconds. Nothing but the download waits for these queries."""
SETTINGS = "SET LOCAL work_mem = '128MB'; SET LOCAL jit = off"
"""Lets PostgreSQL sort the transactions of a file in memory."""
TYPES = """SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass('orders') AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
SCORE = "score"
"""The column that is added to those of ``orders``, unless there is one with this name."""
SCORES = {"scores": {"order_id", "score"}}
"""The table and columns without which there are no scores."""

_TIMES = ("timestamp without time zone", "timestamp with time zone")
_NUMBERS = ("boolean", "smallint", "integer", "bigint", "real", "double precision")


@dataclass(frozen=True)
class Column:
    """Holds a column of ``orders``: its name, and its type as PostgreSQL writes it, such as ``numeric(10,2)``."""

    name: str
    type: str

    @property
    def is_time(self) -> bool:
        """Whether the values are moments."""
        return self.type in _TIMES

    @property
    def decimals(self) -> tuple[int, int] | None:
        """The number of digits, and of those after the point, of an exact number; None for other types.

        A number without limits is a text in a file of columns, because each of its values has other decimals.
        """
        if not self.type.startswith("numeric("):
            return None
        digits, decimals = map(int, self.type[len("numeric(") : -1].split(","))
        return (digits, decimals) if digits <= 38 and 0 <= decimals <= digits else None  # noqa: PLR2004

    @property
    def is_text(self) -> bool:
        """Whether the values are neither moments nor numbers."""
        return not (self.is_time or self.decimals or self.type in _NUMBERS)

    def in_csv(self) -> sql.Composable:
        """Returns the expression of a column in CSV. A spreadsheet takes no text for a formula."""
        name = _quoted(self.name)
        if self.type == _TIMES[0]:
            return sql.SQL("{} AT TIME ZONE 'UTC' AS {}").format(name, name)
        if not self.is_text or self.type == "numeric":
            return name
        text = sql.SQL("{}::text").format(name)
        formula = sql.SQL("left({}, 1) = ANY({})").format(text, sql.Literal(list(FORMULAS)))
        return sql.SQL("CASE WHEN {} THEN '''' || {} ELSE {} END AS {}").format(formula, text, text, name)

    def typed(self) -> sql.Composable:
        """Returns the expression from which a typed file is written: moments are microseconds since 1970 UTC."""
        name = _quoted(self.name)
        if self.is_time:
            epoch = f"(extract(epoch FROM {moment('{}')}) * 1000000)::bigint AS {{}}"
            return sql.SQL(epoch).format(name, name, name, name)
        if self.decimals:
            return sql.SQL("nullif({}, 'NaN') AS {}").format(name, name)
        return sql.SQL("{}::text AS {}").format(name, name) if self.is_text else name


def copy(columns: list[sql.Composable], where: str, *, has_scores: bool) -> sql.Composed:
    """Returns the COPY of the newest transactions, the newest first. The parameter ``rows`` is the maximum number.

    Args:
        columns: the expressions of the columns.
        where: a condition.
        has_scores: whether to add the scores.
    """
    score = sql.SQL(", s.score") if has_scores else sql.SQL("")
    join = (
        sql.SQL(" LEFT JOIN (SELECT order_id, score FROM scores) AS s USING (order_id)") if has_scores else sql.SQL("")
    )
    return sql.SQL(
        "COPY (SELECT {columns}{score} FROM (SELECT * FROM orders WHERE {where}"
        " ORDER BY timestamp DESC NULLS LAST, order_id DESC LIMIT %(rows)s) AS o{join}"
        " ORDER BY o.timestamp DESC NULLS LAST, order_id DESC) TO STDOUT (FORMAT csv, HEADER, ENCODING 'UTF8')"
    ).format(
        columns=sql.SQL(", ").join(columns),
        score=score,
        where=sql.SQL(where),
        join=join,
    )


def _quoted(name: str) -> sql.Composable:
    # The query always has a parameter, so a percent sign is written twice.
    return sql.Identifier(name.replace("%", "%%"))
