"""Builds the dashboard's charts as Vega-Lite specifications without data, independently of the engine and Streamlit.

Altair builds each specification once, from an empty frame. A refresh then sends only data.
"""

from __future__ import annotations

import json
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import pandas as pd

from ccstream.dashboard.dimensions import CODE, NAMES, WEEKDAYS
from ccstream.dashboard.view import CHARTED

Spec = dict[str, Any]

LAND = Path(__file__).parent / "land" / "land-110m.json"
"""Natural Earth's coastlines at 1:110 million, from the npm package world-atlas."""
HEIGHT = 235
"""The height of the charts beside the table of merchants, with their axes."""
# Colour-blind people can distinguish these colours of Okabe and Ito's palette. Each measure has one colour.
TRANSACTIONS = "#0072B2"
VALUE = "#009E73"
PLACES = "#D55E00"
USUAL = "#CC79A7"


class Shown(NamedTuple):
    """Describes how charts show a measure: its column, name, formats of exact and of rounded numbers, and colour."""

    column: str
    title: str
    exact: str
    rounded: str
    colour: str

    @property
    def is_sum(self) -> bool:
        """Whether the measure adds up, so that it is drawn as a bar from zero."""
        return self.column in {"transactions", "value"}


SHOWN = {
    measure: Shown(column, CHARTED[measure], exact, rounded, colour)
    for measure, (column, exact, rounded, colour) in {
        "approved_share": ("share", ".1%", ".1~%", TRANSACTIONS),
        "count": ("transactions", ",", "~s", TRANSACTIONS),
        "value": ("value", ",.2f", "~s", VALUE),
        "average": ("average", ",.2f", "~s", VALUE),
    }.items()
}
"""How charts show each measure of :data:`ccstream.dashboard.view.CHARTED`."""
MEASURES = tuple(one.column for one in SHOWN.values())
"""The columns of measures in the data of charts."""
MONEY = ("value", "average")
"""The columns of amounts of money."""
HEAT = ["#cfe3f1", TRANSACTIONS]
"""The colours of the least and the greatest value of a heat map."""
PICK = "pick"
"""The name of the selection in a chart."""
ORDER = "order"
"""A column that numbers a frame's rows. Without it, a chart loses the order of its rows when its data is updated."""


def in_order() -> alt.EncodingSortField:
    """Returns the sort order of an axis by the column :data:`ORDER`."""
    return alt.EncodingSortField(ORDER, op="min")


def as_spec(chart: alt.Chart | alt.LayerChart | alt.FacetChart) -> Spec:
    """Returns a chart's specification without its (empty) data."""
    spec: Spec = chart.to_dict()
    for part in ("data", "datasets", "$schema"):
        spec.pop(part, None)
    return spec


def empty(*columns: str) -> pd.DataFrame:
    """Returns a frame with these columns and no rows."""
    return pd.DataFrame({column: [] for column in columns})


def time_form(width: timedelta, buckets: int) -> str:
    """Returns the format of times: a 24-hour clock, with the date if the range has several days."""
    if width >= timedelta(days=1):
        return "%Y-%m-%d"
    if buckets * width > timedelta(days=1):
        return "%b %d %H:%M"
    return "%H:%M:%S" if width < timedelta(minutes=1) else "%H:%M"


def names(value: str) -> str:
    """Returns an expression that does in a browser what :func:`ccstream.dashboard.dimensions.named` does.

    Args:
        value: the expression of the code.
    """
    spaced = f"replace({value}, /_/g, ' ')"
    capital = f"upper(slice({spaced}, 0, 1)) + slice({spaced}, 1)"
    return f"({json.dumps(NAMES)})[{value}] || (test(/^{CODE.pattern}$/, {value}) ? {capital} : {value})"


@cache
def bars(column: str, measure: str) -> Spec:
    """Returns a chart of a measure by a column's values, in their :data:`ORDER`. A click selects a value.

    Sums are bars. Other measures are points on a scale that need not begin at zero.

    Args:
        column: the column of the values.
        measure: a key of :data:`SHOWN`.
    """
    shown = SHOWN[measure]
    pick = alt.selection_point(name=PICK, fields=[column])
    base = alt.Chart(empty(column, *MEASURES, ORDER)).transform_calculate(name=names(f"datum.{column}"))
    mark = (
        base.mark_bar(color=shown.colour, cornerRadiusEnd=2, cursor="pointer")
        if shown.is_sum
        else base.mark_point(color=shown.colour, filled=True, size=110, opacity=1, cursor="pointer")
    )
    chart = (
        mark.encode(
            x=alt.X(
                f"{shown.column}:Q",
                title=shown.title.lower(),
                scale=alt.Scale(zero=shown.is_sum),
                axis=alt.Axis(format=shown.rounded, tickCount=4),
            ),
            y=alt.Y(
                f"{column}:N",
                title=None,
                sort=in_order(),
                axis=alt.Axis(
                    labelLimit=150,
                    labelOverlap=False,
                    labelFlush=False,
                    labelExpr=names("datum.label"),
                    grid=not shown.is_sum,
                ),
            ),
            tooltip=[alt.Tooltip("name:N", title=column.replace("_", " ")), *_tooltips()],
        )
        .add_params(pick)
        .properties(height=alt.Step(20))
    )
    return as_spec(chart)


def _tooltips() -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{one.column}:Q", title=one.title.lower(), format=one.exact) for one in SHOWN.values()]


@cache
def week(measure: str) -> Spec:
    """Returns a heat map of a measure. Its data has the columns ``weekday`` and ``hour``, and the measures."""
    shown = SHOWN[measure]
    hours = alt.Axis(values=[0, 6, 12, 18], labelAngle=0, labelExpr="datum.value + ':00'", labelAlign="left")
    # Flush labels would move Monday away from the middle of its row.
    days = alt.Axis(labelOverlap=False, labelFlush=False)
    chart = (
        alt.Chart(empty("weekday", "hour", *MEASURES))
        .mark_rect()
        .encode(
            x=alt.X("hour:O", title=None, scale=alt.Scale(domain=[*range(24)]), axis=hours),
            y=alt.Y("weekday:O", title=None, scale=alt.Scale(domain=WEEKDAYS), axis=days),
            color=alt.Color(
                f"{shown.column}:Q",
                # A root keeps one hot cell from flattening all others.
                scale=alt.Scale(type="sqrt" if shown.is_sum else "linear", zero=shown.is_sum, range=HEAT),
                legend=alt.Legend(title=None, format=shown.rounded, gradientLength=100, gradientThickness=8),
            ),
            tooltip=["weekday:O", "hour:O", *_tooltips()],
        )
        .properties(height=alt.Step(22))
    )
    return as_spec(chart)


@cache
def amounts() -> Spec:
    """Returns a bar chart of transactions by amount. Its data has ``label``, ``transactions`` and :data:`ORDER`."""
    chart = (
        alt.Chart(empty("label", "transactions", ORDER))
        .mark_bar(color=TRANSACTIONS, cornerRadiusEnd=2)
        .encode(
            x=alt.X("label:O", title=None, sort=in_order(), axis=alt.Axis(labelAngle=-45, labelOverlap=False)),
            y=alt.Y("transactions:Q", title=None, axis=alt.Axis(format="~s", tickCount=4)),
            tooltip=[alt.Tooltip("label:O", title="amount"), alt.Tooltip("transactions:Q", format=",")],
        )
        .properties(height=HEIGHT)
    )
    return as_spec(chart)


@cache
def world(land: str, measure: str) -> Spec:
    """Returns a map of cities with circles in proportion to a sum; other measures are their colours.

    Its data has the columns ``city``, ``country``, ``latitude`` and ``longitude``, and the measures.

    Args:
        land: the URL from which a browser loads the coastlines of :data:`LAND`. The page serves it itself.
        measure: a key of :data:`SHOWN`.
    """
    shown = SHOWN[measure]
    sized = shown.column if shown.is_sum else SHOWN["count"].column
    background = alt.Chart(empty()).mark_geoshape(fill="#8884", stroke="#8888", strokeWidth=0.4, aria=False)
    points = (
        alt.Chart(empty("city", "country", "latitude", "longitude", *MEASURES))
        .mark_circle(color=PLACES, opacity=0.7, stroke="white", strokeWidth=0.6)
        .encode(
            longitude="longitude:Q",
            latitude="latitude:Q",
            size=alt.Size(f"{sized}:Q", scale=alt.Scale(range=[15, 500]), legend=None),
            tooltip=["city:N", "country:N", *_tooltips()],
        )
    )
    if not shown.is_sum:
        points = points.encode(
            color=alt.Color(
                f"{shown.column}:Q",
                scale=alt.Scale(zero=False, range=[PLACES, "#f0e442", TRANSACTIONS]),
                legend=alt.Legend(
                    title=shown.title.lower(),
                    format=shown.rounded,
                    orient="bottom-left",
                    gradientLength=90,
                    gradientThickness=8,
                ),
            )
        )
    spec = as_spec(alt.layer(background, points).project("naturalEarth1"))
    # The circles use the page's data; the land has separate data.
    spec["layer"][1].pop("data", None)
    spec["layer"][0]["data"] = {"url": land, "format": {"type": "topojson", "feature": "land"}}
    return spec


def describe(width: timedelta) -> str:
    """Returns a bucket's width in words, such as ``5 minutes``."""
    for unit, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        number, rest = divmod(int(width.total_seconds()), seconds)
        if number and not rest:
            return unit if number == 1 else f"{number} {unit}s"
    return str(width)
