"""Queries the engine and prepares frames for charts and texts for metrics, independently of Streamlit."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ccstream import kpi
from ccstream.dashboard.csv_texts import safe
from ccstream.dashboard.custom import MEASURES, Custom, narrow
from ccstream.dashboard.dimensions import WEEKDAYS, shown
from ccstream.dashboard.metrics import HELP, Answered, Metric, divided, of_custom, of_measure, text
from ccstream.dashboard.presence import fitting, headed
from ccstream.dashboard.words import bold
from ccstream.declared import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import timedelta, tzinfo
    from typing import TypeAlias

    from ccstream import KpiAnswer, KpiEngine, KpiStatus
    from ccstream.dashboard.metrics import Whole
    from ccstream.dashboard.view import View
    from ccstream.dashboard.words import Run

    Counts: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

TOP = 12
"""The number of bars in a chart."""
MERCHANTS = 15
"""The number of rows in the table of merchants."""
PLACES = 300
"""The number of circles on the map."""
STACKED = 6
"""The number of parts of the bars over time, if these are divided by a dimension."""
OTHERS = "(others)"
"""The name of all other parts, which is that of names which the engine counts together."""
GROUPINGS: dict[str, list[str]] = {
    "time": ["p95", "cards", "approved"],
    "trend:merchant": [],
    "merchant": ["approved"],
    "category": ["approved"],
    "payment_method": ["approved"],
    "place": ["approved"],
    "hour_of_week": ["approved"],
    "amount": [],
    "currency": [],
}
"""The groupings that a page needs, which one query computes in one pass."""
PICKED = {
    "merchant": ("merchant", "trend:merchant", "time"),
    "city": ("place",),
    "category": ("category",),
    "payment_method": ("payment_method",),
}
"""The dimensions whose values can be clicked, each with its groupings."""
USUAL = 6
"""The half-life of the line of the usual level, in buckets."""


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
            ``transactions``, ``usual`` (their moving average; NaN if not whole), ``value`` and ``average`` (of approved
            purchases), ``refunds``, ``approved``, ``declined``, ``share`` (the approval rate; NaN if no status means
            either).
        stack: for each part of the bars over time, its name and the transactions of each bucket.
        merchants: ``merchant``, ``trend`` (a list), and the measures: ``transactions``, ``value`` and ``average`` (of
            approved purchases), ``refunds``, ``declined``, ``share`` (the approval rate); NaN if there is none.
        places: ``city``, ``country``, ``latitude``, ``longitude`` (degrees), and the measures.
        categories: ``category`` and the measures.
        methods: ``payment_method`` and the measures.
        week: ``weekday`` (Mon to Sun), ``hour``, and the measures.
        amount_bins: ``label``, ``transactions``.
        sizes: the average purchase and percentiles of the amounts, in words.
        untimed: the number of rows without a timestamp, which no chart over time includes.
        known: the dimensions that have a value in the whole table. The page leaves out the others.
    """

    at: int
    metrics: list[Metric]
    count: int
    amounts: int
    currency: str | None
    width: timedelta | None
    series: pd.DataFrame
    stack: Mapping[str, Counts]
    merchants: pd.DataFrame
    places: pd.DataFrame
    categories: pd.DataFrame
    methods: pd.DataFrame
    week: pd.DataFrame
    amount_bins: pd.DataFrame
    sizes: list[Run]
    untimed: int
    known: Collection[str]


def load(
    engine: KpiEngine,
    view: View,
    zone: tzinfo,
    more: Sequence[Custom] = (),
    known: Collection[str] = frozenset(DIMENSIONS),
) -> Figures:
    """Queries all figures of a page.

    Args:
        engine: the engine that answers.
        view: the settings of the page.
        zone: the viewer's time zone.
        more: KPIs in addition to those of the view.
        known: the dimensions that have a value.
    """
    view = fitting(view, known)
    status = engine.status
    by = GROUPINGS if view.stack == "outcome" else {**GROUPINGS, f"trend:{view.stack}": []}
    answer = engine.query(**view.question(), by=by, tz=zone, top=PLACES)
    whole = _whole(answer)
    before = answer.before if _compares(answer, status) else None
    answered = Answered(answer, before, whole)
    every = {name: _of_all(engine, view, zone, name, answer) for name in PICKED}

    def ask(where: str) -> Answered:
        own = engine.query(
            **view.question(narrow(where, view.rows(), engine.values)), by={"time": GROUPINGS["time"]}, tz=zone
        )
        return Answered(own, None if before is None else own.before, _whole(own))

    there = headed(HELP, known, answer.totals["cards"])
    metrics = [of_measure(name, MEASURES[name], answered, HELP[name]) for name in there]
    metrics += [of_custom(custom, ask) for custom in [*more, *view.customs]]
    series = answer["time"]
    times = pd.to_datetime(series["key"], utc=True)
    usual = np.full(len(times), np.nan)
    usual[whole] = kpi.ewma(series["count"][whole].astype(float), USUAL)
    buckets = {"time": times, "end": pd.to_datetime(series["end"], utc=True), "whole": whole, **by_bucket(answered)}
    over_time = pd.DataFrame(buckets)
    over_time.insert(list(buckets).index("value"), "usual", usual)
    return Figures(
        at=answer.at,
        metrics=metrics,
        count=answer.totals["count"],
        amounts=answer.totals["amounts"],
        currency=answer.currency,
        width=answer.width,
        series=over_time,
        stack=_outcomes(series) if view.stack == "outcome" else _stack(answer[f"trend:{view.stack}"]),
        merchants=_merchants(every["merchant"]),
        places=_places(every["city"]),
        categories=_bars(every["category"], "category"),
        methods=_bars(every["payment_method"], "payment_method"),
        week=_week(answer),
        amount_bins=_amounts(answer),
        sizes=_sizes(answered),
        untimed=series["other_count"],
        known=known,
    )


def by_bucket(answered: Answered) -> dict[str, Any]:
    """Returns the measures of each bucket of time, with the names of the columns of :attr:`Figures.series`."""
    series = answered.answer["time"]
    return {
        "transactions": series["count"],
        "value": kpi.units(series["value"]),
        "refunds": kpi.units(series["refunds"]),
        "average": kpi.units(answered.by_time("average")),
        "approved": series["approved"],
        "declined": series["declined"],
        "share": series["approved_share"],
    }


def _of_all(engine: KpiEngine, view: View, zone: tzinfo, name: str, answer: KpiAnswer) -> KpiAnswer:
    """Returns the groups of a dimension without the filter by it, so that its chart shows what was not chosen, too.

    Args:
        engine: the engine.
        view: the settings of the page.
        zone: the viewer's time zone.
        name: the dimension, a key of :data:`PICKED`.
        answer: the answer with all filters, which is returned if the dimension is not filtered.
    """
    if name not in view.filters:
        return answer
    others = {one: values for one, values in view.filters.items() if one != name}
    asked = replace(view, filters=others, money=answer.currency or view.money).question()
    return engine.query(
        **asked, by={one: [] if one == "time" else GROUPINGS[one] for one in PICKED[name]}, tz=zone, top=PLACES
    )


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


def _measures(table: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the measures of a grouping's groups, each an array with one element for each of them."""
    value = kpi.units(table["value"])
    return {
        "transactions": table["count"],
        # A group without an amount in the currency has no value, which differs from a value of 0.
        "value": np.where(table["amounts"] > 0, value, np.nan),
        "average": divided(value, table["purchases"].astype(float)),
        "refunds": np.where(table["amounts"] > 0, kpi.units(table["refunds"]), np.nan),
        "declined": table["declined"],
        "share": table["approved_share"],
    }


def _outcomes(series: Mapping[str, Any]) -> dict[str, Counts]:
    """Returns the transactions of each bucket by what became of them. ``neither`` is any other status."""
    neither = series["count"] - series["approved"] - series["declined"]
    return {"approved": series["approved"], "declined": series["declined"]} | (
        {"neither": neither} if neither.any() else {}
    )


def _stack(trend: Mapping[str, Any]) -> dict[str, Counts]:
    """Returns the transactions of each bucket for the largest groups of a dimension, and for all others together."""
    counts = trend["counts"].astype(np.int64)
    found = dict(zip(map(shown, trend["key"][:STACKED]), counts, strict=False))
    others = counts[STACKED:].sum(axis=0)
    if others.any():
        # A group may have this name, too.
        found[OTHERS] = found.get(OTHERS, 0) + others
    return found


def _bars(answer: KpiAnswer, name: str, top: int = TOP) -> pd.DataFrame:
    table = answer[name]
    frame = pd.DataFrame({name: [shown(key) for key in table["key"]], **_measures(table)})
    first, rest = frame.iloc[:top], frame.iloc[top:]
    groups = len(rest) + table["other_groups"]
    if not groups:
        return first
    others = int(table["value"][top:].sum()) + table["other_value"]
    last = {
        name: "1 other" if groups == 1 else f"{groups:,} others",
        "transactions": int(rest["transactions"].sum()) + table["other_count"],
        "value": float(kpi.units(others)) if others else math.nan,
    }
    return pd.concat([first, pd.DataFrame([last], columns=frame.columns)], ignore_index=True)


def _merchants(answer: KpiAnswer) -> pd.DataFrame:
    frame = _bars(answer, "merchant", MERCHANTS)
    trend = answer["trend:merchant"]
    counts = trend["counts"][:MERCHANTS, _whole(answer)]
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
            **_measures(table),
        }
    )


def _week(answer: KpiAnswer) -> pd.DataFrame:
    table = answer["hour_of_week"]
    hours = table["key"]
    frame = pd.DataFrame({"weekday": [WEEKDAYS[hour // 24] for hour in hours], "hour": hours % 24, **_measures(table)})
    return frame[frame["transactions"] > 0].reset_index(drop=True)


def _amounts(answer: KpiAnswer) -> pd.DataFrame:
    table = answer["amount"]
    edges = kpi.units(table["key"])
    starts = [f"{edge:g}" if edge < 1000 else f"{edge / 1000:,g}k" for edge in edges]  # noqa: PLR2004
    names = [f"{start}-{end}" for start, end in pairwise(starts)]
    names += [f"from {start}" for start in starts[-1:]]
    if len(edges) and edges[0] < 0:
        names[0] = "refunds"
    return pd.DataFrame({"label": names, "transactions": table["count"]})


def _sizes(answered: Answered) -> list[Run]:
    average, median, p95 = (bold(text(name, answered.value(name))) for name in ("average", "p50", "p95"))
    return ["Average purchase ", average, "; half are at most ", median, ", 95 % at most ", p95, "."]


def to_csv(figures: Figures) -> str:
    """Returns all figures of the page as one CSV, unrounded.

    The columns are the kind of the row, two keys, transactions, value and change.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["what", "key", "more", "transactions", f"value_{safe(figures.currency or 'unknown')}", "change"])
    for metric in figures.metrics:
        number = "" if metric.number is None else metric.number
        writer.writerow(["metric", safe(metric.label), "", "", number, metric.change or ""])
    for what, frame, key, more in (
        ("time", figures.series, "time", None),
        ("merchant", figures.merchants, "merchant", None),
        ("category", figures.categories, "category", None),
        ("payment_method", figures.methods, "payment_method", None),
        ("city", figures.places, "city", "country"),
        ("amount", figures.amount_bins, "label", None),
        ("hour", figures.week, "weekday", "hour"),
    ):
        for row in frame.to_dict("records"):
            second = safe(row[more]) if more else ""
            value = row.get("value", "")
            writer.writerow([what, safe(row[key]), second, row.get("transactions", ""), value, ""])
    return out.getvalue()
