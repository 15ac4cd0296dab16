"""Queries the engine and prepares frames for charts and texts for metrics, independently of Streamlit."""

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
"""The number of bars in a chart."""
MERCHANTS = 15
"""The number of rows in the table of merchants."""
PLACES = 300
"""The number of circles on the map."""
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
"""The groupings that a page needs, which one query computes in one pass."""
CENTS = ("sum", "mean", "p50", "p95", "p99")
GOOD = {"declined": -1, "approved_share": 1, "count": 1, "sum": 1, "rate": 1}
"""For each measure with a direction, whether a larger value is better (1) or worse (-1)."""
USUAL = 6
"""The half-life of the line of the usual level, in buckets."""
HELP = {
    "count": "All transactions in every currency, approved or not.",
    "sum": "The sum of all amounts in this currency, including declined transactions. Refunds are negative.",
    "mean": "The mean of all amounts in this currency, including declined transactions.",
    "p95": "95 % of the amounts in this currency are at most this. The figure is exact; its small chart is within 1 %.",
    "approved_share": "The share of approved transactions among those with a status that means approved or declined.",
    "declined": "The number of transactions with a status that means declined.",
    "cards": "The number of distinct card tokens, counted exactly.",
    "rate": "Transactions a second in the time range, by the transactions' own timestamps.",
}


@dataclass(frozen=True)
class Metric:
    """Holds one figure of the header.

    Attributes:
        label: the figure's name.
        value: the value as text.
        number: the exact value, money in units of its currency; None if there is no value.
        change: the change from the preceding period, as text; None if there is nothing to compare with.
        good: whether a larger value is better (1), worse (-1) or neither (0).
        trend: the values over the range, one for each complete bucket that has a value.
        help: the meaning of the figure.
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
    """Holds the figures of one refresh of a page.

    Attributes:
        at: the moment for which all figures are true, in microseconds since 1970 UTC.
        metrics: the figures of the header.
        count: the number of transactions.
        amounts: the number of transactions with an amount in the currency.
        currency: the currency whose amounts are added up.
        width: the width of a bucket of time.
        series: ``time`` (UTC), ``end``, ``whole`` (the bucket is over and lies entirely within the range),
            ``transactions``, ``usual`` (their moving average; NaN if not whole), ``value``, ``approved``, ``declined``,
            ``share`` (the approval rate; NaN if no status means either).
        merchants: ``merchant``, ``trend`` (a list), ``transactions``, ``value``.
        places: ``city``, ``country``, ``latitude``, ``longitude`` (degrees), ``transactions``.
        categories: ``category``, ``transactions``, ``value``.
        methods: ``payment_method``, ``transactions``, ``value``.
        week: ``weekday`` (Mon to Sun), ``hour``, ``transactions``.
        amount_bins: ``label``, ``transactions``.
        latest: the transactions that were stored last.
        untimed: the number of rows without a timestamp, which no chart over time includes.
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
    """Queries all figures of a page.

    Args:
        engine: the engine that answers.
        view: the settings of the page.
        zone: the viewer's time zone.
        more: KPIs in addition to those of the view.
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
                "approved": series["approved"],
                "declined": series["declined"],
                "share": series["approved_share"],
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
    """Returns which buckets of time are over and lie entirely within the range."""
    starts, ends = (answer["time"][name].astype(np.int64) for name in ("key", "end"))
    begin = answer.start if answer.start is not None else np.iinfo(np.int64).min
    end = min(answer.end if answer.end is not None else answer.at, answer.at)
    found: Whole = (starts >= begin) & (ends <= end)
    return found


def _compares(answer: KpiAnswer, status: KpiStatus) -> bool:
    """Returns whether the engine holds all rows of the preceding period."""
    if answer.start is None or answer.end is None or status.first_at is None or status.loaded < 1:
        return False
    before = answer.start - (answer.end - answer.start)
    return status.first_at <= before and (status.dropped_until is None or status.dropped_until < before)


def text(measure: str, value: float | None) -> str:
    """Formats a measure for people: money in units of its currency, counts with thousands separators."""
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
        # Without any known status, the number of declined transactions is unknown, not 0.
        return None
    if measure != "rate" or totals["rate"] is not None:
        return None if totals[measure] is None else float(totals[measure])
    # A query of all time has no rate in its totals. The buckets cover the time from the first event to the last.
    rates = answer["time"]["rate"]
    return float(np.mean(rates)) if len(rates) else None


def _metric(measure: str, label: str, found: tuple[KpiAnswer, Mapping[str, Any] | None, Whole], about: str) -> Metric:
    """Builds a metric from an answer, the totals of the preceding period (None if incomplete) and whole buckets."""
    answer, totals_before, whole = found
    value = _value(answer, answer.totals, measure)
    before = _value(answer, totals_before, measure) if totals_before else None
    series = answer["time"]
    # A measure without values by bucket, such as the median, has the chart of the counts.
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
    """Formats the change of a measure: of a share in percentage points, of other measures in percent."""
    if measure == "approved_share":
        points = None if value is None or before is None else (value - before) * 100
        found = None if points is None else f"{points:+.1f} pp"
    else:
        change = kpi.change(value, before)
        found = None if change is None else f"{change:+,.1%}"
    return found.strip("+-") if found and is_zero(found) else found


def is_zero(change: str) -> bool:
    """Returns whether a change is 0 when rounded. It then has no sign and no arrow."""
    return not change.strip("+-0.%p ")


def _bars(answer: KpiAnswer, name: str, top: int = TOP) -> pd.DataFrame:
    table = answer[name]
    # A group without an amount in the currency has no value, which differs from a value of 0.
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
    """Returns all figures of the page as one CSV, unrounded.

    The columns are the kind of the row, two keys, transactions, value and change.
    """
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
    """Returns a text that a spreadsheet does not take for a formula."""
    name = str(key)
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name
