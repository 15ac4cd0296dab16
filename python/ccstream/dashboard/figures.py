"""What a page shows, asked of the engine: frames for charts, texts for metrics. Knows no Streamlit."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from ccstream import kpi
from ccstream.dashboard.custom import MEASURES, Custom
from ccstream.dashboard.dimensions import UNKNOWN, WEEKDAYS, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta, tzinfo

    from ccstream import KpiAnswer, KpiEngine, KpiStatus
    from ccstream.dashboard.view import View

TOP = 12
"""Bars of a chart."""
MERCHANTS = 15
"""Rows of the merchants' table."""
PLACES = 300
"""Dots on the map."""
GROUPINGS: dict[str, list[str]] = {
    "time": ["p95", "cards", "approved"],
    "trend:merchant": [],
    "merchant": [],
    "category": [],
    "payment_method": [],
    "place": [],
    "hour_of_week": [],
    "amount": [],
    "currency": [],
}
"""All that a page asks, in one pass."""
CENTS = ("sum", "mean", "p50", "p95", "p99")
GOOD = {"declined": -1, "approved_share": 1, "count": 1, "sum": 1, "rate": 1}
"""Of which measures more is better (1) or worse (-1)."""
USUAL = 6
"""Points after which half of what the line of the usual level knows is older."""
HELP = {
    "count": "In every currency, whatever became of them.",
    "sum": "All amounts in this currency, those of declined transactions too; refunds count negative.",
    "mean": "The mean of the same amounts.",
    "p95": "95 % of the amounts in this currency are at most this: exact. Its small chart is within 1 %.",
    "approved_share": "Approved transactions over those that were approved or declined, by the word of their status.",
    "declined": "Transactions whose status says declined, in any of its usual words.",
    "cards": "Different card tokens, counted exactly.",
    "rate": "Transactions a second of the range, by their own time.",
}


@dataclass(frozen=True)
class Metric:
    """One figure of the header.

    Attributes:
        label: what it is.
        value: as text.
        number: the same, exact: money in units of its currency; None for none.
        change: against the period before, as text; None where there is nothing to compare with.
        good: whether more is better (1), worse (-1) or neither (0).
        trend: its course over the range, a point a bucket that is over and has a value.
        help: what it means.
    """

    label: str
    value: str
    number: float | None
    change: str | None
    good: int
    trend: list[float]
    help: str


@dataclass(frozen=True)
class Figures:
    """One refresh of a page.

    Attributes:
        at: the moment that all of it is true for, in microseconds since 1970 UTC.
        metrics: the header.
        count: transactions.
        amounts: those of them with an amount in the currency.
        currency: whose amounts are added up.
        width: of a bucket of time.
        series: ``time`` (UTC), ``end``, ``whole`` (the range has all of the bucket), ``transactions``, ``usual`` (their
            moving average; NaN where not whole), ``value``.
        merchants: ``merchant``, ``trend`` (a list), ``transactions``, ``value``.
        places: ``city``, ``country``, ``latitude``, ``longitude`` (degrees), ``transactions``.
        categories: ``category``, ``transactions``, ``value``.
        methods: ``payment_method``, ``transactions``, ``value``.
        week: ``weekday`` (Mon to Sun), ``hour``, ``transactions``.
        amount_bins: ``label``, ``transactions``.
        latest: the last transactions.
        untimed: rows without a timestamp, which no chart over time has.
    """

    at: int
    metrics: list[Metric]
    count: int
    amounts: int
    currency: str | None
    width: timedelta | None
    series: pd.DataFrame
    merchants: pd.DataFrame
    places: pd.DataFrame
    categories: pd.DataFrame
    methods: pd.DataFrame
    week: pd.DataFrame
    amount_bins: pd.DataFrame
    latest: pd.DataFrame
    untimed: int


def load(engine: KpiEngine, view: View, zone: tzinfo, more: Sequence[Custom] = ()) -> Figures:
    """Asks all of it.

    Args:
        engine: answers.
        view: what the page is set to.
        zone: the viewer's time zone.
        more: KPIs beside those of the view.
    """
    status = engine.status
    answer = engine.query(**view.question(), by=GROUPINGS, tz=zone, top=PLACES)
    whole = _whole(answer)
    before = answer.before if _compares(answer, status) else None
    metrics = [_metric(name, MEASURES[name], (answer, before, whole), HELP[name]) for name in HELP]
    for custom in [*more, *view.customs]:
        narrowed = view.question(custom.narrow(view.rows(), engine.values))
        own = engine.query(**narrowed, by={"time": GROUPINGS["time"]}, tz=zone)
        own_before = None if before is None else own.before
        about = f"{MEASURES[custom.measure]} where {custom.where or 'anything'}"
        metrics.append(_metric(custom.measure, custom.name, (own, own_before, _whole(own)), about))
    series = answer["time"]
    times = pd.to_datetime(series["key"], utc=True)
    usual = np.full(len(times), np.nan)
    usual[whole] = kpi.ewma(series["count"][whole].astype(float), USUAL)
    return Figures(
        at=answer.at,
        metrics=metrics,
        count=answer.totals["count"],
        amounts=answer.totals["amounts"],
        currency=answer.currency,
        width=answer.width,
        series=pd.DataFrame(
            {
                "time": times,
                "end": pd.to_datetime(series["end"], utc=True),
                "whole": whole,
                "transactions": series["count"],
                "usual": usual,
                "value": kpi.units(series["sum"]),
            }
        ),
        merchants=_merchants(answer, whole),
        places=_places(answer),
        categories=_bars(answer, "category"),
        methods=_bars(answer, "payment_method"),
        week=_week(answer),
        amount_bins=_amounts(answer),
        latest=_latest(engine.latest(view.latest, **view.rows())),
        untimed=series["other_count"],
    )


Whole: TypeAlias = "np.ndarray[Any, np.dtype[np.bool_]]"


def _whole(answer: KpiAnswer) -> Whole:
    """Which buckets of time are over, and wholly within the range."""
    starts, ends = (answer["time"][name].astype(np.int64) for name in ("key", "end"))
    begin = answer.start if answer.start is not None else np.iinfo(np.int64).min
    end = min(answer.end if answer.end is not None else answer.at, answer.at)
    found: Whole = (starts >= begin) & (ends <= end)
    return found


def _compares(answer: KpiAnswer, status: KpiStatus) -> bool:
    """Whether all of the time before is here."""
    if answer.start is None or answer.end is None or status.first_at is None or status.loaded < 1:
        return False
    before = answer.start - (answer.end - answer.start)
    return status.first_at <= before and (status.dropped_until is None or status.dropped_until < before)


def text(measure: str, value: float | None) -> str:
    """A measure as a person reads it: money in units of its currency, counts with separators."""
    if value is None or math.isnan(value):
        return "-"
    if measure in CENTS:
        units = kpi.units(value)
        return f"{units:,.2f}" if abs(units) < 10**7 else f"{units / 10**6:,.2f} M"
    if measure == "approved_share":
        return f"{value:.1%}"
    return f"{value:,.2f}" if measure == "rate" else f"{value:,.0f}"


def _value(answer: KpiAnswer, totals: Mapping[str, Any], measure: str) -> float | None:
    if measure == "declined" and not totals["decided"]:
        # No status says what became of a transaction: not one that is known was declined.
        return None
    if measure != "rate" or totals["rate"] is not None:
        return None if totals[measure] is None else float(totals[measure])
    # Of all time: between the first event and the last.
    rates = answer["time"]["rate"]
    return float(np.mean(rates)) if len(rates) else None


def _metric(measure: str, label: str, found: tuple[KpiAnswer, Mapping[str, Any] | None, Whole], about: str) -> Metric:
    """One figure of an answer, of the totals before it (None: not all is here), and of its whole buckets."""
    answer, totals_before, whole = found
    value = _value(answer, answer.totals, measure)
    before = _value(answer, totals_before, measure) if totals_before else None
    series = answer["time"]
    # Of the medians and the like of single buckets only p95 is drawn.
    trend = series[measure if measure in series else "count"].astype(float)[whole]
    trend = trend[~np.isnan(trend)]
    is_money = measure in CENTS
    unit = f" ({answer.currency or 'no currency'})" if is_money else ""
    return Metric(
        label=label + unit,
        value=text(measure, value),
        number=kpi.units(value) if is_money else value,
        change=change_text(measure, value, before),
        good=GOOD.get(measure, 0),
        trend=(kpi.units(trend) if is_money else trend).tolist() if len(trend) > 1 else [],
        help=about,
    )


def change_text(measure: str, value: float | None, before: float | None) -> str | None:
    """How a measure changed: a share in percentage points, all else in percent of what it was."""
    if measure == "approved_share":
        points = None if value is None or before is None else (value - before) * 100
        found = None if points is None else f"{points:+.1f} pp"
    else:
        change = kpi.change(value, before)
        found = None if change is None else f"{change:+,.1%}"
    return found.strip("+-") if found and is_zero(found) else found


def is_zero(change: str) -> bool:
    """Whether a change is none that can be seen: it has no sign, and no arrow."""
    return not change.strip("+-0.%p ")


def _bars(answer: KpiAnswer, name: str, top: int = TOP) -> pd.DataFrame:
    table = answer[name]
    # Without any amount in the currency there is no value, which is not a value of nothing.
    values = np.where(table["amounts"] > 0, kpi.units(table["sum"]), np.nan)
    frame = {
        name: [shown(key) for key in table["key"][:top]],
        "transactions": table["count"][:top].tolist(),
        "value": values[:top].tolist(),
    }
    groups = len(values) - len(frame["value"]) + table["other_groups"]
    if groups:
        frame[name].append("1 other" if groups == 1 else f"{groups:,} others")
        frame["transactions"].append(int(table["count"][top:].sum()) + table["other_count"])
        others = int(table["sum"][top:].sum()) + table["other_sum"]
        frame["value"].append(float(kpi.units(others)) if others else math.nan)
    return pd.DataFrame(frame)


def _merchants(answer: KpiAnswer, whole: Whole) -> pd.DataFrame:
    frame = _bars(answer, "merchant", MERCHANTS)
    trend = answer["trend:merchant"]
    counts = trend["counts"][:MERCHANTS, whole]
    courses = dict(zip(map(shown, trend["key"][:MERCHANTS]), counts.tolist(), strict=True))
    frame.insert(1, "trend", [courses.get(name, []) for name in frame["merchant"]])
    return frame


def _places(answer: KpiAnswer) -> pd.DataFrame:
    table = answer["place"]
    return pd.DataFrame(
        {
            "city": [shown(city) for city in table["key"]],
            "country": [shown(country) for country in table["country"]],
            "latitude": table["latitude"],
            "longitude": table["longitude"],
            "transactions": table["count"],
        }
    )


def _week(answer: KpiAnswer) -> pd.DataFrame:
    table = answer["hour_of_week"]
    some = table["count"] > 0
    hours = table["key"][some]
    return pd.DataFrame(
        {
            "weekday": [WEEKDAYS[hour // 24] for hour in hours],
            "hour": hours % 24,
            "transactions": table["count"][some],
        }
    )


def _amounts(answer: KpiAnswer) -> pd.DataFrame:
    table = answer["amount"]
    edges = kpi.units(table["key"])
    starts = [f"{edge:g}" if edge < 1000 else f"{edge / 1000:,g}k" for edge in edges]  # noqa: PLR2004
    names = [f"{start}-{end}" for start, end in pairwise(starts)]
    names += [f"from {start}" for start in starts[-1:]]
    if len(edges) and edges[0] < 0:
        names[0] = "refunds"
    return pd.DataFrame({"label": names, "transactions": table["count"]})


def _latest(rows: Mapping[str, list[Any]]) -> pd.DataFrame:
    texts = ("merchant", "category", "city", "country", "payment_method", "status", "currency")
    known = {name: [UNKNOWN if value is None else value for value in rows[name]] for name in texts}
    return pd.DataFrame(
        {
            "time": pd.to_datetime(pd.Series(rows["time"], dtype="Int64"), unit="us", utc=True, errors="coerce"),
            "merchant": known["merchant"],
            "amount": kpi.units(rows["cents"]),
            **{name: known[name] for name in ("currency", "status", "category", "payment_method", "city", "country")},
        }
    )


def to_csv(figures: Figures) -> str:
    """All that is shown, as one CSV: what it is of, two keys, transactions, value, change; figures unrounded."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["what", "key", "more", "transactions", f"value_{_safe(figures.currency or 'unknown')}", "change"])
    for metric in figures.metrics:
        number = "" if metric.number is None else metric.number
        writer.writerow(["metric", _safe(metric.label), "", "", number, metric.change or ""])
    for what, frame, key, more in (
        ("time", figures.series, "time", None),
        ("merchant", figures.merchants, "merchant", None),
        ("category", figures.categories, "category", None),
        ("payment_method", figures.methods, "payment_method", None),
        ("city", figures.places, "city", "country"),
        ("amount", figures.amount_bins, "label", None),
        ("hour", figures.week, "weekday", "hour"),
        ("latest", figures.latest, "time", "merchant"),
    ):
        for row in frame.to_dict("records"):
            second = _safe(row[more]) if more else ""
            value = row.get("value", row.get("amount", ""))
            writer.writerow([what, _safe(row[key]), second, row.get("transactions", ""), value, ""])
    return out.getvalue()


def _safe(key: object) -> str:
    """A text that a spreadsheet takes for no formula."""
    name = str(key)
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name
