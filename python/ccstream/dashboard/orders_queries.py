"""Defines the queries of ``orders`` by a card, a merchant or a terminal. Each reads a bounded number of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

END = 8192
"""The number of blocks at the end of the table that are read without an index. They have 64 MiB."""
NECESSARY = {"orders": {"order_id", "timestamp"}}
"""The columns without which no row is shown. Every other column may be absent."""
COLUMNS = """SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('orders') AND attnum > 0
AND NOT attisdropped ORDER BY attnum"""
FIRST = f"""SELECT greatest(0, pg_relation_size(to_regclass('orders')) / current_setting('block_size')::bigint - {END})
WHERE has_table_privilege(to_regclass('orders'), 'SELECT')"""
"""Returns the first block of the end of the table; no row if the table may not be read as a whole."""
SEARCHED = "SELECT count(*) FROM orders WHERE ctid >= %s::tid"
EXISTS = "SELECT order_id, timestamp FROM orders WHERE order_id = %s"
LAST = "SELECT card_last4, timestamp FROM {rows}"
CARDS = """SELECT card_token, max(timestamp) FROM {rows} WHERE card_token IS NOT NULL GROUP BY 1
ORDER BY 2 DESC NULLS LAST, 1 LIMIT {limit}"""


def newest(column: str, wanted: Collection[str], there: Collection[str], limit: int, *, is_indexed: bool) -> str:
    """Returns a part of a query: the newest rows with a value, which is the parameter ``value``.

    Without an index, only rows from the place ``first`` on are searched, which is another parameter.

    Args:
        column: a column of ``orders``, which exists.
        wanted: the columns of the rows. Those that are absent are NULL.
        there: the columns that exist.
        limit: the maximum number of rows.
        is_indexed: whether an index leads to the rows.
    """
    names = ", ".join(name if name in there else f"NULL::text AS {name}" for name in wanted)
    where = "timestamp IS NOT NULL ORDER BY timestamp DESC"
    if not is_indexed:
        where = "ctid >= %(first)s::tid ORDER BY timestamp DESC NULLS LAST"
    return f"(SELECT {names} FROM orders WHERE {column} = %(value)s AND {where} LIMIT {limit}) AS o"


def moment(column: str) -> str:
    """Returns a column of times without those that Python cannot represent, such as infinity, which become NULL."""
    return f"CASE WHEN {column} >= '0001-01-01' AND {column} < '9999-12-31' THEN {column} END"
