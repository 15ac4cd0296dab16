"""Prepares the table of the latest transactions, independently of Streamlit."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeAlias

from ccstream.dashboard.declines_figures import reason
from ccstream.dashboard.dimensions import named

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import tzinfo

    from ccstream.dashboard.latest_tables import Latest

Cell: TypeAlias = "str | list[float | str]"
NONE = "-"
"""What the table has for an absent value."""
_WORDS: dict[str, Callable[[Any], Cell]] = {
    "status": named,
    "response": reason,
    "merchant": str,
    "last4": lambda digits: f"••{digits}",
    "score": lambda score: [score, f"{score:.3f}"],
    "entry_mode": named,
    "category": named,
    "method": named,
    "city": str,
    "country": str,
    "id": str,
}
"""How the values of the columns after time and amount are written, in their order."""


def columns(rows: Sequence[dict[str, Any]], zone: tzinfo) -> dict[str, list[Cell]]:
    """Returns the cells of each column that has a value. A phone shows time, amount and status without scrolling.

    Args:
        rows: the transactions, with the names of ``latest_queries.FIELDS``, and ``score``.
        zone: the viewer's time zone.
    """
    found: dict[str, list[Cell]] = {
        "time": [*_times([row["time"] for row in rows], zone)],
        "amount": [_amount(row) for row in rows],
    }
    for name, write in _WORDS.items():
        found[name] = [_absent(name) if row[name] is None else write(row[name]) for row in rows]
    return {name: cells for name, cells in found.items() if any(row[name] is not None for row in rows)}


def _absent(name: str) -> Cell:
    return [0.0, NONE] if name == "score" else NONE


def _amount(row: dict[str, Any]) -> str:
    amount, currency = row["amount"], row["currency"]
    return NONE if amount is None else f"{amount:,.2f} {currency or ''}".rstrip()


def _times(times: Sequence[datetime | None], zone: tzinfo) -> list[str]:
    """Returns times in the viewer's zone, with their days unless all are of today."""
    local = [None if time is None else time.replace(tzinfo=timezone.utc).astimezone(zone) for time in times]
    days = {time.date() for time in local if time is not None}
    form = "%H:%M:%S" if days <= {datetime.now(zone).date()} else "%m-%d %H:%M:%S"
    return [NONE if time is None else time.strftime(form) for time in local]


def bound(found: Latest) -> str:
    """Says how far the search has looked, if it found fewer than were asked for; empty if nothing can be missing."""
    if found.searched is None:
        return ""
    number = {0: "None was", 1: "One was"}.get(len(found.rows), f"{len(found.rows)} were")
    return f"{number} found among the {found.searched:,} rows at the end of the table. Older ones were not searched."
