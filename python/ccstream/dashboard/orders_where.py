"""Converts the filters of a page to an SQL condition on ``orders``, which selects the rows that the engine counts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ccstream.dashboard.figures import OTHERS
from ccstream.dashboard.fraud_tables import Span

if TYPE_CHECKING:
    from collections.abc import Collection

    from ccstream.dashboard.view import View

SEGMENTS = {"merchant_segment": {"merchant", "name", "valid_to"}, "segment_runs": {"kind"}}
"""The tables and columns without which no merchant has a segment."""
MOST = Decimal(1_000_000_000)
"""The limit of amounts. The engine takes a larger one, and what is not a number, for an absent one."""
COLUMNS = {"risk": "risk_flag"}
"""The columns of the dimensions that have another name in ``orders``."""
_CODE = re.compile("[A-Za-z]{3}")
# The engine compares currencies without case, and takes what is not a code for an absent one.
_CURRENCY = """CASE WHEN currency COLLATE "C" ~ '^[A-Za-z]{3}$' THEN upper(currency COLLATE "C") END"""
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001


@dataclass(frozen=True)
class Slice:
    """Holds which transactions a page shows. Slices are equal if they select the same.

    Attributes:
        filters: for each filtered dimension, the values to include; None stands for an absent value.
        least: the smallest amount to include; None for no limit.
        most: the largest amount to include; None for no limit.
        start: the start of the range (inclusive; naive, UTC); None for all of time.
        end: the end of the range (exclusive); None for all of time.
    """

    filters: tuple[tuple[str, tuple[str | None, ...]], ...] = ()
    least: Decimal | None = None
    most: Decimal | None = None
    start: datetime | None = None
    end: datetime | None = None

    @classmethod
    def of(cls, view: View, at: int | None = None) -> Slice:
        """Returns the slice of a page.

        Args:
            view: the settings of the page.
            at: the moment at which a range such as "the last hour" ends, in microseconds since 1970 UTC. Default: the
                time range does not apply.
        """
        rows = view.rows()
        filters = tuple(sorted((name, tuple(values)) for name, values in rows["filters"].items()))
        span = Span() if at is None else Span.of(view)
        start, end = span.start, span.end
        if at is not None and span.length is not None:
            end = _EPOCH + timedelta(microseconds=at)
            start = end - span.length
        return cls(filters, rows["min_amount"], rows["max_amount"], start, end)

    def condition(self, columns: Collection[str], *, has_segments: bool) -> tuple[str, dict[str, Any]]:
        """Returns the condition and its parameters.

        Args:
            columns: the columns of ``orders`` that exist. Every row counts as one without a value of the others.
            has_segments: whether the tables of :data:`SEGMENTS` exist.
        """
        parts, given = ["true"], dict[str, Any]()
        for name, values in self.filters:
            column = COLUMNS.get(name, name)
            # No text of PostgreSQL has a NUL, and none could be sent.
            given[name] = [value for value in values if value is not None and "\0" not in value]
            if name == "segment":
                parts.append(_segment(is_absent=None in values, is_known=has_segments and "merchant" in columns))
                continue
            shown = f'{column}::text COLLATE "C"'
            if name == "currency":
                given[name] = [value.upper() for value in given[name] if _CODE.fullmatch(value)]
                shown = _CURRENCY
            shown = shown if column in columns else "NULL::text"
            absent = f" OR {shown} IS NULL" if None in values else ""
            parts.append(f"({shown} = ANY(%({name})s::text[]){absent})")
        if self.least is not None or self.most is not None:
            given |= {"least": -MOST if self.least is None else self.least}
            given |= {"most": MOST if self.most is None else self.most}
            amount = "round(value::numeric, 2)" if "value" in columns else "NULL::numeric"
            parts.append(f"{amount} BETWEEN greatest(%(least)s, {-MOST}) AND least(%(most)s, {MOST})")
        if self.start is not None and self.end is not None:
            given |= {"start": self.start, "end": self.end}
            parts.append("timestamp >= %(start)s AND timestamp < %(end)s")
        return " AND ".join(parts), given


def uncounted(view: View, folded: Collection[str]) -> list[str]:
    """Returns the dimensions by whose rare values a page filters. No condition selects their rows.

    Args:
        view: the settings of the page.
        folded: the dimensions whose rare values the engine counts together.
    """
    return [name for name, values in view.filters.items() if name in folded and OTHERS in values]


def _segment(*, is_absent: bool, is_known: bool) -> str:
    """Returns the condition of a merchant's current segment.

    Args:
        is_absent: whether rows without a segment are included.
        is_known: whether any merchant may have one.
    """
    if not is_known:
        return str(is_absent).lower()
    of = "SELECT merchant FROM merchant_segment WHERE valid_to IS NULL"
    named = f"merchant IN ({of} AND name = ANY(%(segment)s::text[]))"
    # Only a run over merchants makes their segments current.
    run = "EXISTS (SELECT FROM segment_runs WHERE kind = 'merchants')"
    absent = f" OR merchant IS NULL OR merchant NOT IN ({of}) OR NOT {run}" if is_absent else ""
    return f"({named} AND {run}{absent})"
