"""Asks the engine for the transactions of a range by each dimension, now and at the same time before.

Moments are in microseconds since 1970 UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from ccstream.dashboard.dimensions import shown
from ccstream.dashboard.memory import lacks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    import numpy as np
    import numpy.typing as npt

    from ccstream import KpiEngine, KpiStatus
    from ccstream.dashboard.view import View

DIMENSIONS = (
    "payment_method",
    "category",
    "country",
    "city",
    "merchant",
    "entry_mode",
    "issuer",
    "response_code",
)
"""The dimensions whose values are compared."""
MOST = 5_000
"""The maximum number of values of a dimension, those with the most transactions."""
MEASURES = ("count", "approved", "decided", "declined", "value", "purchases")
STEPS = 60
"""The least number of steps in which a compared range moves by its own length."""
DAY, WEEK = timedelta(days=1), timedelta(days=7)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Table:
    """Holds the transactions of a range by the values of a dimension.

    Attributes:
        names: the values' names on the page (length n).
        figures: for each of :data:`MEASURES`, the numbers (int64, length n).
        is_whole: whether these are all values.
    """

    names: list[str]
    figures: dict[str, npt.NDArray[np.int64]]
    is_whole: bool


@dataclass(frozen=True)
class Side:
    """Holds the transactions of a range.

    Attributes:
        at: the moment for which the figures are true.
        span: the start (inclusive) and the end (exclusive) of the range.
        currency: the currency of amounts.
        totals: for each of :data:`MEASURES`, the number.
        tables: for each of :data:`DIMENSIONS`, its values.
    """

    at: int
    span: tuple[int, int]
    currency: str | None
    totals: dict[str, int]
    tables: dict[str, Table]


def ask(engine: KpiEngine, question: dict[str, Any]) -> Side:
    """Asks for a range.

    Args:
        engine: the engine that answers.
        question: the arguments of ``KpiEngine.query`` that select a range, rows and a currency.
    """
    answer = engine.query(**question, by={name: ["approved"] for name in DIMENSIONS}, top=MOST)
    return Side(
        at=answer.at,
        span=(answer.start or 0, answer.end or answer.at),
        currency=answer.currency,
        totals={name: answer.totals[name] for name in MEASURES},
        tables={name: _table(answer[name]) for name in DIMENSIONS},
    )


def _table(grouped: Mapping[str, Any]) -> Table:
    return Table(
        names=[shown(key) for key in grouped["key"]],
        figures={measure: grouped[measure] for measure in MEASURES},
        is_whole=not grouped["other_groups"],
    )


def question_now(view: View) -> dict[str, Any]:
    """Returns the question about the page's range."""
    question = view.question()
    question.pop("before", None)
    return question


def question_then(view: View, now: Side, ago: timedelta, zone: tzinfo) -> dict[str, Any]:
    """Returns the question about the same time a number of days before, by the viewer's clock.

    A range that follows the clock is compared with one that moves in steps of 1/60 of its length, such as a minute for
    an hour, so it is up to half a step off. Between two steps the engine has the counts, and visits only new rows.
    Otherwise it would count all rows of the compared range at each refresh. Each step costs that once. Of a range that
    is not over, the part that has passed is compared, whose end moves in steps of at most 1/60 of that part.

    Args:
        view: the settings of the page.
        now: the range of the page.
        ago: a number of days.
        zone: the viewer's time zone.
    """

    def before(moment: int) -> int:
        # The clock on the wall counts: a day on which clocks change has 23 or 25 hours.
        return _micros((_EPOCH + moment * _MICROSECOND).astimezone(zone) - ago)

    def in_steps(moment: int) -> int:
        return (moment + step // 2) // step * step

    start, end = now.span
    question = question_now(view)
    if question.pop("last", None) is not None:
        step = max(1, (end - start) // STEPS)
        start, end = in_steps(before(end)) - (end - start), in_steps(before(end))
    elif end <= now.at:
        start, end = before(start), before(end)
    else:
        # A power of two does not change at each refresh, although the passed part grows.
        step = 1 << (max(1, (now.at - start) // STEPS).bit_length() - 1)
        start, end = before(start), max(before(start) + 1, in_steps(before(now.at)))
    # The currency may have been less frequent then.
    return {**question, "currency": now.currency or "", "start": start, "end": end}


def obstacle(status: KpiStatus, span: tuple[int, int], ago: timedelta, since: int, zone: tzinfo) -> str | None:
    """Says why a range cannot be compared with an earlier one; None if it can.

    Args:
        status: the state of the engine.
        span: the range.
        ago: how long before the other range is.
        since: the start of the other range.
        zone: the time zone in which moments are written.
    """
    if (span[1] - span[0]) * _MICROSECOND > ago:
        return f"the range is longer than {'a day' if ago == DAY else 'a week'}"
    return lacks(status, since, zone)


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
