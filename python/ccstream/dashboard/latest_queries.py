"""Defines the queries of the latest transactions. Each reads a bounded number of blocks at the end of ``orders``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccstream.dashboard.orders_queries import END, moment

if TYPE_CHECKING:
    from collections.abc import Collection

STEPS = (32, 512, END)
"""The numbers of blocks at the end of the table that are read, each if the one before had too few rows."""
FIELDS = {
    "timestamp": "time",
    "value": "amount",
    "currency": "currency",
    "status": "status",
    "response_code": "response",
    "merchant": "merchant",
    "card_last4": "last4",
    "entry_mode": "entry_mode",
    "category": "category",
    "payment_method": "method",
    "city": "city",
    "country": "country",
    "order_id": "id",
}
"""The columns of ``orders`` that the table shows, and their names there."""
SCORES = {"scores": {"order_id", "score"}}
"""The table and columns without which there are no scores."""
BLOCKS = "SELECT pg_relation_size(to_regclass('orders')) / current_setting('block_size')::bigint"
SCORES_OF = "SELECT order_id, score FROM scores WHERE order_id = ANY (%s)"


def rows(there: Collection[str], where: str) -> str:
    """Returns the query of the last rows from the place ``low`` to the place ``high``, which are parameters.

    Args:
        there: the columns that exist. The others are NULL.
        where: a condition.
    """
    names = {name: name if name in there else "NULL" for name in FIELDS} | {"timestamp": moment("timestamp")}
    return f"""SELECT {", ".join(names.values())} FROM orders
WHERE ctid >= %(low)s::tid AND ctid < %(high)s::tid AND {where} ORDER BY ctid DESC LIMIT %(limit)s"""
