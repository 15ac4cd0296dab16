"""What a page shows, asked of the engine: frames for charts, texts for metrics. Knows no Streamlit."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ccstream import kpi
from ccstream.dashboard.custom import MEASURES, Custom
from ccstream.dashboard.dimensions import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from ccstream import KpiAnswer, KpiEngine
    from ccstream.dashboard.view import View

TOP = 12
"""Bars of a chart, rows of the merchants' table."""
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
HELP = {
    "count": "In every currency.",
    "sum": "All amounts in this currency; refunds count negative.",
    "mean": "The mean of the same amounts.",
    "p95": "95 % of the amounts in this currency are at most this: exact. Its small chart is within 1 %.",
    "approved_share": "Approved transactions over those with a status.",
    "declined": "Transactions with the status declined or failed.",
    "cards": "Different card tokens, counted exactly.",
    "rate": "Transactions a second of the range, by their own time.",
}


@dataclass(frozen=True)
class Metric:
    """One figure of the header.

    Attributes:
        label: what it is.
        value: as text.
        change: against the period before, of 1; None where there is nothing to compare with.
        good: whether more is better (1), worse (-1) or neither (0).
        trend: its course over the range, a point a bucket; NaN for none.
        help: what it means.
    """

    label: str
    value: str
    change: float | None
    good: int
    trend: list[float]
    help: str


@dataclass(frozen=True)
class Figures:
    """One refresh of a page.

    Attributes:
        metrics: the header.
        count: transactions.
        currency: whose amounts are added up.
        currencies: those that are there, the most frequent first.
        width: of a bucket of time.
        series: ``time`` (UTC), ``transactions``, ``value``.
        merchants: ``merchant``, ``trend`` (a list), ``transactions``, ``value``.
        places: ``city``, ``country``, ``latitude``, ``longitude`` (degrees), ``transactions``.
        categories: ``category``, ``transactions``, ``value``.
        methods: ``payment_method``, ``transactions``, ``value``.
        week: ``weekday`` (Mon to Sun), ``hour``, ``transactions``.
        amounts: ``from`` (units of the currency; None for refunds), ``label``, ``order``, ``transactions``.
        latest: the last transactions.
        untimed: rows without a timestamp, which no chart over time has.
    """

    metrics: list[Metric]
    count: int
    currency: str | None
    currencies: list[str]
    width: timedelta | None
    series: pd.DataFrame
    merchants: pd.DataFrame
    places: pd.DataFrame
    categories: pd.DataFrame
    methods: pd.DataFrame
    week: pd.DataFrame
    amounts: pd.DataFrame
    latest: pd.DataFrame
    untimed: int


def load(engine: KpiEngine, view: View, utc_offset: int, more: Sequence[Custom] = ()) -> Figures:
    """Asks all of it.

    Args:
        engine: answers.
        view: what the page is set to.
        utc_offset: the viewer's seconds east of UTC.
        more: KPIs beside those of the view.
    """
    asked = view.question()
    answer = engine.query(**asked, by=GROUPINGS, utc_offset=utc_offset, top=PLACES)
    metrics = [_metric(name, MEASURES[name], answer, HELP.get(name, "")) for name in HELP]
    for custom in [*more, *view.customs]:
        narrowed = custom.narrow(view.rows(), engine.values)
        by = {"time": ["p95", "cards", "approved"]}
        own = engine.query(**{**asked, **narrowed}, by=by, utc_offset=utc_offset)
        about = f"{MEASURES[custom.measure]} where {custom.where or 'anything'}"
        metrics.append(_metric(custom.measure, custom.name, own, about))
    series = answer["time"]
    return Figures(
        metrics=metrics,
        count=answer.totals["count"],
        currency=answer.currency,
        currencies=[shown(name) for name in answer["currency"]["key"]],
        width=answer.width,
        series=pd.DataFrame(
            {
                "time": pd.to_datetime(series["key"], utc=True),
                "transactions": series["count"],
                "value": series["sum"] / 100,
            }
        ),
        merchants=_merchants(answer),
        places=_places(answer),
        categories=_bars(answer, "category"),
        methods=_bars(answer, "payment_method"),
        week=_week(answer),
        amounts=_amounts(answer),
        latest=_latest(engine.latest(view.latest, **view.rows())),
        untimed=series["other_count"],
    )


def text(measure: str, value: float | None) -> str:
    """A measure as a person reads it: money in units of its currency, counts with separators."""
    if value is None or math.isnan(value):
        return "-"
    if measure in CENTS:
        units = value / 100
        return f"{units:,.2f}" if abs(units) < 10**7 else f"{units / 10**6:,.2f} M"
    if measure == "approved_share":
        return f"{value:.1%}"
    return f"{value:,.2f}" if measure == "rate" else f"{value:,.0f}"


def _value(answer: KpiAnswer, totals: Mapping[str, Any], measure: str) -> float | None:
    if measure != "rate" or totals["rate"] is not None:
        return None if totals[measure] is None else float(totals[measure])
    # Of all time: between the first event and the last.
    rates = answer["time"]["rate"]
    return float(np.mean(rates)) if len(rates) else None


def _metric(measure: str, label: str, answer: KpiAnswer, about: str) -> Metric:
    value = _value(answer, answer.totals, measure)
    before = _value(answer, answer.before, measure) if answer.before else None
    series = answer["time"]
    # Of the medians and the like of single buckets only p95 is drawn.
    trend = series[measure if measure in series else "count"].astype(float)
    unit = f" ({answer.currency or 'no currency'})" if measure in CENTS else ""
    return Metric(
        label=label + unit,
        value=text(measure, value),
        change=kpi.change(value, before),
        good={"declined": -1, "approved_share": 1, "count": 1, "sum": 1}.get(measure, 0),
        trend=[] if len(trend) < 2 else np.nan_to_num(trend / (100 if measure in CENTS else 1)).tolist(),  # noqa: PLR2004
        help=about,
    )


def _bars(answer: KpiAnswer, name: str) -> pd.DataFrame:
    table = answer[name]
    frame = pd.DataFrame(
        {name: [shown(key) for key in table["key"]], "transactions": table["count"], "value": table["sum"] / 100}
    )
    rest = frame.iloc[TOP:]
    frame = frame.iloc[:TOP]
    count = int(rest["transactions"].sum()) + table["other_count"]
    if count:
        other = {name: f"{len(rest) + table['other_groups']:,} others", "transactions": count}
        other["value"] = rest["value"].sum() + table["other_sum"] / 100
        frame = pd.concat([frame, pd.DataFrame([other])], ignore_index=True)
    return frame


def _merchants(answer: KpiAnswer) -> pd.DataFrame:
    frame = _bars(answer, "merchant")
    trend = answer["trend:merchant"]
    courses = dict(zip(map(shown, trend["key"]), trend["counts"].tolist(), strict=True))
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


WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _week(answer: KpiAnswer) -> pd.DataFrame:
    hours = answer["hour_of_week"]["key"]
    return pd.DataFrame(
        {
            "weekday": [WEEKDAYS[hour // 24] for hour in hours],
            "hour": hours % 24,
            "transactions": answer["hour_of_week"]["count"],
        }
    )


def _amounts(answer: KpiAnswer) -> pd.DataFrame:
    table = answer["amount"]
    edges = table["key"] / 100
    names = ["refund" if edge < 0 else f"{edge:,.0f}+" for edge in edges]
    return pd.DataFrame({"label": names, "order": np.arange(len(names)), "transactions": table["count"]})


def _latest(rows: Mapping[str, list[Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "time": pd.to_datetime(pd.Series(rows["time"], dtype="Int64"), unit="us", utc=True, errors="coerce"),
            "merchant": rows["merchant"],
            "category": rows["category"],
            "city": rows["city"],
            "country": rows["country"],
            "amount": [None if cents is None else cents / 100 for cents in rows["cents"]],
            "currency": rows["currency"],
            "payment_method": rows["payment_method"],
            "status": rows["status"],
        }
    )


def to_csv(figures: Figures) -> str:
    """All that is shown, as one CSV: what, key, transactions, value."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["what", "key", "transactions", f"value_{figures.currency or 'unknown'}"])
    for metric in figures.metrics:
        writer.writerow(["metric", metric.label, metric.value, ""])
    for what, frame, key in (
        ("time", figures.series, "time"),
        ("merchant", figures.merchants, "merchant"),
        ("category", figures.categories, "category"),
        ("payment_method", figures.methods, "payment_method"),
        ("city", figures.places, "city"),
        ("amount", figures.amounts, "label"),
    ):
        values = frame["value"] if "value" in frame else [""] * len(frame)
        writer.writerows(zip([what] * len(frame), map(_safe, frame[key]), frame["transactions"], values, strict=True))
    return out.getvalue()


def _safe(key: object) -> str:
    """A text that a spreadsheet takes for no formula."""
    name = str(key)
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name
