"""Finds what has changed against the same time yesterday and last week, independently of Streamlit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ccstream.dashboard import changes_scales as scales
from ccstream.dashboard.changes_sides import DAY, DIMENSIONS, WEEK, ask, obstacle, question_now, question_then

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta, tzinfo

    import numpy.typing as npt

    from ccstream import KpiEngine
    from ccstream.dashboard.changes_sides import Side, Table
    from ccstream.dashboard.view import View

MOVERS = 8
"""The maximum number of values that are shown."""
LEAST = 20
"""The least count of transactions, on one of both sides, and on both sides for a rate."""
SURPRISE = 4.0
"""The least change of a value, in standard deviations."""
LEAST_CHANGE, LEAST_POINTS = 0.1, 0.01
"""The least change of a count, as a share of the larger one, and of an approval rate. Large counts make small changes
certain, but not important."""
COUNT, DECLINED, RATE = "count", "declined", "approved_share"
"""What may have changed of a value: its transactions, its declined ones (of a response code), its approval rate."""
AGO: dict[str, timedelta] = {"yesterday": DAY, "last week": WEEK}
"""Each time of comparison with its distance."""


@dataclass(frozen=True)
class Values:
    """Holds figures of one value of a dimension, or of all transactions, at one time.

    Attributes:
        count: the number of transactions.
        approved: the number of approved ones.
        decided: the number of those with a status that means approved or declined.
        declined: the number of declined ones.
        value: the sum of approved amounts without refunds, in cents.
        purchases: the number of these amounts.
    """

    count: int
    approved: int
    decided: int
    declined: int
    value: int
    purchases: int

    @property
    def approved_share(self) -> float | None:
        """The approval rate; None if nothing was decided."""
        return self.approved / self.decided if self.decided else None


NOTHING = Values(0, 0, 0, 0, 0, 0)


@dataclass(frozen=True)
class Mover:
    """Holds a value that has changed.

    Attributes:
        dimension: the dimension.
        name: the value's name on the page.
        what: what has changed most surprisingly: :data:`COUNT`, :data:`DECLINED` or :data:`RATE`.
        surprise: the change in standard deviations.
        now: its figures now.
        then: its figures at each time that can be compared, one or two keys of :data:`AGO` in their order.
    """

    dimension: str
    name: str
    what: str
    surprise: float
    now: Values
    then: Mapping[str, Values]


@dataclass(frozen=True)
class Changes:
    """Holds what has changed.

    Attributes:
        now: the figures of all transactions.
        then: these at each time that can be compared.
        obstacles: for each other time, why it cannot be compared, in words.
        movers: the values that have changed most surprisingly, at most :data:`MOVERS`.
        currency: the currency of amounts.
    """

    now: Values
    then: dict[str, Values]
    obstacles: dict[str, str]
    movers: list[Mover]
    currency: str | None


def load(engine: KpiEngine, view: View, zone: tzinfo, ask_then: Callable[..., Side] = ask) -> Changes | None:
    """Compares the page's range with the same time yesterday and last week.

    Args:
        engine: the engine that answers.
        view: the settings of the page.
        zone: the viewer's time zone.
        ask_then: a function that asks as :func:`ccstream.dashboard.changes_sides.ask` does, and may have answers of a
            minute before. It is called for the time before only.

    Returns:
        What has changed; None if the range is all of time.
    """
    question = question_now(view)
    if not {"last", "start"} & question.keys():
        return None
    now = ask(engine, question)
    status = engine.status
    sides: dict[str, Side] = {}
    obstacles: dict[str, str] = {}
    for name, ago in AGO.items():
        question = question_then(view, now, ago, zone)
        if why := obstacle(status, now.span, ago, question["start"], zone):
            obstacles[name] = why
        else:
            sides[name] = ask_then(engine, question)
    return Changes(
        now=Values(**now.totals),
        then={name: Values(**side.totals) for name, side in sides.items()},
        obstacles=obstacles,
        movers=movers(now, sides),
        currency=now.currency,
    )


def movers(now: Side, sides: Mapping[str, Side]) -> list[Mover]:
    """Returns the values that have changed most surprisingly, the most surprising first.

    A value's change counts as far as it is one both by itself and beside the others. Without the first, a network's
    outage would seem to be growth of the others' share. Without the second, every value would change on a quiet day.

    Args:
        now: the range.
        sides: the same time before, by its name.
    """
    best: dict[tuple[str, str], tuple[float, str]] = {}
    for side in sides.values():
        for dimension in DIMENSIONS:
            for name, what, surprise in _changed(now, side, dimension):
                before = best.get((dimension, name))
                if before is None or abs(surprise) > abs(before[0]):
                    best[dimension, name] = (surprise, what)
    found: list[Mover] = []
    for (dimension, name), (surprise, what) in sorted(best.items(), key=lambda one: -abs(one[1][0])):
        now_values = _values(now.tables[dimension], name) or NOTHING
        then = {key: values for key, side in sides.items() if (values := _values(side.tables[dimension], name))}
        # A country with one city, or an issuer with one network, has the same transactions.
        if not any((one.what, one.now, one.then) == (what, now_values, then) for one in found):
            found.append(Mover(dimension, name, what, surprise, now_values, then))
        if len(found) == MOVERS:
            break
    return found


def table(changes: Changes) -> pd.DataFrame:
    """Returns the figures of all transactions and of each mover, now and at each time of comparison.

    The columns are ``dimension`` (``all`` for all transactions), ``name``, ``time``, ``transactions``, ``approved``,
    ``decided``, ``declined``, and ``value`` in units of the currency.
    """
    known = [("all", "", {"now": changes.now, **changes.then})]
    known += [(one.dimension, one.name, {"now": one.now, **one.then}) for one in changes.movers]
    rows = [
        (dimension, name, time, one.count, one.approved, one.decided, one.declined, one.value / 100)
        for dimension, name, times in known
        for time, one in times.items()
    ]
    columns = ("dimension", "name", "time", "transactions", "approved", "decided", "declined", "value")
    return pd.DataFrame(rows, columns=columns)


def _values(table: Table, name: str) -> Values | None:
    """Returns the figures of a value; None if they are unknown."""
    if name not in table.names:
        return NOTHING if table.is_whole else None
    at = table.names.index(name)
    return Values(**{measure: int(numbers[at]) for measure, numbers in table.figures.items()})


def _changed(now: Side, then: Side, dimension: str) -> list[tuple[str, str, float]]:
    """Returns the values of a dimension that have changed: the name, what has changed, and by how much."""
    names, here, there = _joined(now.tables[dimension], then.tables[dimension])
    if len(names) < 2:  # noqa: PLR2004
        # What has one value for all transactions does not explain a change.
        return []
    counted = DECLINED if dimension == "response_code" else COUNT
    a, b = here[counted], there[counted]
    score = scales.smaller(scales.of_counts(a, b), scales.of_shares(a, now.totals[COUNT], b, then.totals[COUNT]))
    larger = np.maximum(a, b)
    is_large = (larger >= LEAST) & (np.abs(a - b) >= LEAST_CHANGE * larger) & (np.abs(score) >= SURPRISE)
    found = [(names[at], counted, float(score[at])) for at in np.flatnonzero(is_large)]
    if dimension == "response_code":
        # Every transaction with such a code is approved, or every one is declined.
        return found
    part = (here["approved"], here["decided"], there["approved"], there["decided"])
    whole = tuple(side.totals[name] for side in (now, then) for name in ("approved", "decided"))
    rest = tuple(np.subtract(all_of, some) for all_of, some in zip(whole, part, strict=True))
    score = scales.smaller(scales.of_shares(*part), scales.beside(part, rest))  # type: ignore[arg-type]
    enough = np.minimum(part[1], part[3]) >= LEAST
    shares = [np.divide(part[at], np.maximum(part[at + 1], 1)) for at in (0, 2)]
    is_large = enough & (np.abs(shares[0] - shares[1]) >= LEAST_POINTS) & (np.abs(score) >= SURPRISE)
    return found + [(names[at], RATE, float(score[at])) for at in np.flatnonzero(is_large)]


def _joined(
    now: Table, then: Table
) -> tuple[list[str], dict[str, npt.NDArray[np.int64]], dict[str, npt.NDArray[np.int64]]]:
    """Returns the values whose figures are known at both times, with their figures now and then."""
    places = {name: at for at, name in enumerate(now.names)}
    others = {name: at for at, name in enumerate(then.names)}
    names = [name for name in now.names if then.is_whole or name in others]
    names += [name for name in then.names if name not in places and now.is_whole]
    columns = []
    for table, known in ((now, places), (then, others)):
        # What is not in a table has no transactions: it is the place after the last one.
        at = np.array([known.get(name, len(known)) for name in names], dtype=np.int64)
        columns.append({measure: np.append(numbers, 0)[at] for measure, numbers in table.figures.items()})
    return names, columns[0], columns[1]
