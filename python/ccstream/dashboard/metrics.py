"""Makes the KPIs of the header from answers of the engine: values and changes as texts, and trends."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ccstream import kpi
from ccstream.dashboard.custom import MEASURES, Custom
from ccstream.dashboard.view import CHARTED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from ccstream import KpiAnswer

HELP = {
    "count": "All transactions in every currency, approved or not.",
    "approved_share": "The share of approved transactions among those with a status that means approved or declined.",
    "value": "The money that moved: the sum of the amounts of approved purchases in this currency. Refunds are not "
    "subtracted.",
    "refunds": "The sum of approved amounts below zero in this currency, as a positive number.",
    "declined": "The number of transactions with a status that means declined.",
    "cards": "The number of distinct card tokens, counted exactly.",
}
"""The measures of the header in their order, each with its meaning."""
CENTS = ("value", "refunds", "sum", "average", "mean", "p50", "p95", "p99")
SHARES = ("approved_share", "ratio")
GOOD = {"declined": -1, "refunds": -1, "approved_share": 1, "count": 1, "value": 1, "sum": 1, "rate": 1}
"""For each measure with a direction, whether a larger value is better (1) or worse (-1)."""
_TIMES = 10
"""From this ratio to the value before on, a change is a multiple, since nobody can read ``+2,797.4%``."""

Whole: TypeAlias = "npt.NDArray[np.bool_]"


@dataclass(frozen=True)
class Metric:
    """Holds one figure of the header.

    Attributes:
        label: the figure's name.
        value: the value as text.
        number: the exact value, money in units of its currency; None if there is no value.
        change: the change from the preceding period, as text; None if there is nothing to compare with.
        direction: whether the value rises (1), falls (-1) or neither (0).
        good: whether a larger value is better (1), worse (-1) or neither (0).
        trend: the values over the range, one for each complete bucket that has a value.
        help: the meaning of the figure.
        charted: the measure by which charts show it, a key of :data:`ccstream.dashboard.view.CHARTED`; None if they
            cannot.
    """

    label: str
    value: str
    number: float | None
    change: str | None
    direction: int
    good: int
    trend: list[float]
    help: str
    charted: str | None = None


@dataclass(frozen=True)
class Answered:
    """Holds the answer from which metrics are made.

    Attributes:
        answer: the answer, with the grouping ``time`` and its measure ``approved``.
        before: the totals of the preceding period; None if the engine does not hold all of its rows.
        whole: which buckets of time are over and lie entirely within the range.
    """

    answer: KpiAnswer
    before: Mapping[str, Any] | None
    whole: Whole

    def value(self, measure: str) -> float | None:
        """Returns the value of a measure in the range."""
        return _value(self.answer, self.answer.totals, measure)

    def value_before(self, measure: str) -> float | None:
        """Returns the value of a measure in the preceding period."""
        return None if self.before is None else _value(self.answer, self.before, measure)

    def by_time(self, measure: str) -> npt.NDArray[np.float64]:
        """Returns the values of a measure by bucket of time; those without a value are NaN."""
        series = self.answer["time"]
        if measure == "average":
            return divided(series["value"].astype(float), series["purchases"].astype(float))
        # A measure without values by bucket, such as the median, has the chart of the counts.
        found: npt.NDArray[np.float64] = series[measure if measure in series else "count"].astype(float)
        return found


def of_measure(measure: str, label: str, answered: Answered, about: str) -> Metric:
    """Makes the metric of a measure."""
    values = _Values(answered.value(measure), answered.value_before(measure), answered.by_time(measure))
    return _metric(measure, label, values, answered, about)


def of_custom(custom: Custom, ask: Callable[[str], Answered]) -> Metric:
    """Makes the metric of one of the viewer's own KPIs.

    Args:
        custom: the KPI.
        ask: a function that returns the answer for a condition, within the page's filters.
    """
    answered = ask(custom.where)
    about = f"{MEASURES[custom.measure]} where {custom.where or 'anything'}"
    if custom.of is None:
        metric = of_measure(custom.measure, custom.name, answered, about)
    else:
        base = ask(custom.of)
        about += f", divided by that where {custom.of or 'anything'}"
        pairs = [
            (answered.value(custom.measure), base.value(custom.measure)),
            (answered.value_before(custom.measure), base.value_before(custom.measure)),
        ]
        now, before = (None if part is None or not whole else part / whole for part, whole in pairs)
        # A range without an end has other buckets for another condition, so both are matched by their starts.
        starts = base.answer["time"]["key"].tolist()
        wholes = dict(zip(starts, base.by_time(custom.measure).tolist(), strict=True))
        matched = [wholes.get(start, 0.0) for start in answered.answer["time"]["key"].tolist()]
        trend = divided(answered.by_time(custom.measure), np.array(matched))
        metric = _metric("ratio", custom.name, _Values(now, before, trend), answered, about)
    # The charts show measures of all transactions of the page, not of a condition.
    return replace(metric, charted=None, good=metric.good if custom.good is None else custom.good)


def divided(part: npt.NDArray[np.float64], whole: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Divides, with NaN where the divisor is 0."""
    found: npt.NDArray[np.float64] = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole != 0)
    return found


def text(measure: str, value: float | None) -> str:
    """Formats a measure for people: money in units of its currency, counts with thousands separators."""
    if value is None or math.isnan(value):
        return "-"
    if measure in CENTS:
        units = kpi.units(value)
        return f"{units:,.2f}" if abs(units) < 10**7 else f"{units / 10**6:,.2f} M"
    if measure in SHARES:
        return f"{value:.1%}"
    return f"{value:,.2f}" if measure == "rate" else f"{value:,.0f}"


def change_text(measure: str, value: float | None, before: float | None) -> str | None:
    """Formats the change of a measure: of a share in percentage points, of other measures in percent or as a multiple.

    Example:
        >>> change_text("count", 2800, 100), change_text("count", 90, 100)
        ('28x', '-10.0%')
    """
    if measure in SHARES:
        points = None if value is None or before is None else (value - before) * 100
        found = None if points is None else f"{points:+.1f} pp"
    elif value is not None and before is not None and 0 < before * _TIMES <= value:
        return f"{value / before:,.0f}x"
    else:
        change = kpi.change(value, before)
        found = None if change is None else f"{change:+,.1%}"
    return found.strip("+-") if found and is_zero(found) else found


def is_zero(change: str) -> bool:
    """Returns whether a change is 0 when rounded. It then has no sign and no arrow."""
    return not change.strip("+-0.%p ")


def _direction(change: str | None, value: float | None, before: float | None) -> int:
    if change is None or value is None or before is None or is_zero(change):
        return 0
    return 1 if value > before else -1


def _value(answer: KpiAnswer, totals: Mapping[str, Any], measure: str) -> float | None:
    if measure == "declined" and not totals["decided"]:
        # Without any known status, the number of declined transactions is unknown, not 0.
        return None
    if measure in {"value", "refunds"} and not totals["amounts"]:
        return None
    if measure == "average":
        return totals["value"] / totals["purchases"] if totals["purchases"] else None
    if measure != "rate" or totals["rate"] is not None:
        return None if totals[measure] is None else float(totals[measure])
    # A query of all time has no rate in its totals. The buckets cover the time from the first event to the last.
    rates = answer["time"]["rate"]
    return float(np.mean(rates)) if len(rates) else None


@dataclass(frozen=True)
class _Values:
    """Holds the values of a KPI in the range, in the preceding period, and by bucket of time."""

    now: float | None
    before: float | None
    by_time: npt.NDArray[np.float64]


def _metric(measure: str, label: str, values: _Values, answered: Answered, about: str) -> Metric:
    value = values.now
    is_money = measure in CENTS
    trend = values.by_time[answered.whole]
    trend = trend[~np.isnan(trend)]
    change = change_text(measure, value, values.before)
    unit = f" ({answered.answer.currency or 'no currency'})" if is_money else ""
    return Metric(
        label=label + unit,
        value=text(measure, value),
        number=kpi.units(value) if is_money else value,
        change=change,
        direction=_direction(change, value, values.before),
        good=GOOD.get(measure, 0),
        trend=(kpi.units(trend) if is_money else trend).tolist() if len(trend) > 1 else [],
        help=about,
        charted=measure if measure in CHARTED else None,
    )
