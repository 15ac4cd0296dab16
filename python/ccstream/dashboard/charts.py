"""Builds the dashboard's charts as Vega-Lite specifications without data, independently of the engine and Streamlit.

Altair builds each specification once, from an empty frame. A refresh then sends only data.
"""

from __future__ import annotations

import json
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple

import altair as alt
import pandas as pd

from ccstream.dashboard.dimensions import CODE, NAMES, WEEKDAYS
from ccstream.dashboard.view import CHARTED

Spec = dict[str, Any]

LAND = "land-110m.json"
"""The file of Natural Earth's coastlines at 1:110 million, from the npm package world-atlas, beside the component."""
BOUNDS = (-2.7025, 2.6924, -0.9731, 1.3787)
"""The west, east, south and north ends of the coastlines in the projection ``naturalEarth1`` of a sphere of radius 1.

Without a scale, Vega would fit the map to the cities and the coastlines, and draw all of it again, at each refresh.
"""
SOUTH = -55.6
"""The latitude of the map's south end, in degrees. Antarctica is not on it."""
HEIGHT, MAP = 300, 300
"""The heights of the chart of amounts, with its axes, and of the map."""
# Colour-blind people can distinguish these colours of Okabe and Ito's palette. Each measure has one colour.
TRANSACTIONS = "#0072B2"
VALUE = "#009E73"
PLACES = "#D55E00"
USUAL = "#CC79A7"
REFUNDS = "#E69F00"


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
        return self.column in {"transactions", "value", "refunds", "declined"}


SHOWN = {
    measure: Shown(column, CHARTED[measure], exact, rounded, colour)
    for measure, (column, exact, rounded, colour) in {
        "approved_share": ("share", ".1%", ".1~%", TRANSACTIONS),
        "count": ("transactions", ",", "~s", TRANSACTIONS),
        "value": ("value", ",.2f", "~s", VALUE),
        "average": ("average", ",.2f", "~s", VALUE),
        "refunds": ("refunds", ",.2f", "~s", REFUNDS),
        "declined": ("declined", ",", "~s", PLACES),
    }.items()
}
"""How charts show each measure of :data:`ccstream.dashboard.view.CHARTED`."""
MEASURES = tuple(one.column for one in SHOWN.values())
"""The columns of measures in the data of charts."""
MONEY = ("value", "average", "refunds")
"""The columns of amounts of money."""
HEAT = ["#cfe3f1", TRANSACTIONS]
"""The colours of the least and the greatest value of a heat map."""
CHOSEN, PALE = "chosen", 0.3
"""The parameter of a chart that has the chosen values, and the opacity of all other marks."""
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
    """Returns a chart of a measure by a column's values, in their :data:`ORDER`. Its parameter is :data:`CHOSEN`.

    Sums are bars. Other measures are points on a scale that need not begin at zero.

    Args:
        column: the column of the values.
        measure: a key of :data:`SHOWN`.
    """
    shown = SHOWN[measure]
    base = alt.Chart(empty(column, *MEASURES, ORDER)).transform_calculate(name=names(f"datum.{column}"))
    mark = (
        base.mark_bar(color=shown.colour, cornerRadiusEnd=2, cursor="pointer")
        if shown.is_sum
        else base.mark_point(color=shown.colour, filled=True, size=110, cursor="pointer")
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
            opacity=_chosen(column),
            tooltip=[alt.Tooltip("name:N", title=column.replace("_", " ")), *_tooltips()],
        )
        .add_params(alt.param(name=CHOSEN, value=[]))
        .properties(height=alt.Step(20))
    )
    return as_spec(chart)


def _chosen(column: str) -> Any:  # noqa: ANN401
    """Returns the opacity of a mark: if values are chosen, all other marks are pale."""
    return alt.condition(f"!length({CHOSEN}) || indexof({CHOSEN}, datum.{column}) >= 0", alt.value(1), alt.value(PALE))


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
def world(measure: str) -> Spec:
    """Returns a map of cities with circles in proportion to a sum; other measures are their colours.

    Its data has the columns ``city``, ``country``, ``latitude`` and ``longitude``, and the measures. Its parameter is
    :data:`CHOSEN`.

    Args:
        measure: a key of :data:`SHOWN`.
    """
    shown = SHOWN[measure]
    sized = shown.column if shown.is_sum else SHOWN["count"].column
    background = alt.Chart(empty()).mark_geoshape(fill="#8884", stroke="#8888", strokeWidth=0.4, aria=False)
    points = (
        alt.Chart(empty("city", "country", "latitude", "longitude", *MEASURES))
        .mark_circle(color=PLACES, fillOpacity=0.7, stroke="white", strokeWidth=0.6, cursor="pointer")
        .encode(
            longitude="longitude:Q",
            latitude="latitude:Q",
            size=alt.Size(f"{sized}:Q", scale=alt.Scale(range=[15, 500]), legend=None),
            opacity=_chosen("city"),
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
    west, east, south, north = BOUNDS
    scale = f"min(width / {east - west:.4f}, height / {north - south:.4f})"
    across, down = f"width / 2 - {scale} * {(west + east) / 2:.4f}", f"height / 2 + {scale} * {(south + north) / 2:.4f}"
    spec = as_spec(
        alt.layer(background, points)
        .add_params(alt.param(name=CHOSEN, value=[]))
        .project("naturalEarth1", scale=alt.expr(scale), translate=alt.expr(f"[{across}, {down}]"))
        .properties(height=MAP)
    )
    # The circles use the page's data; the land has separate data.
    spec["layer"][1].pop("data", None)
    spec["layer"][0]["data"] = {"url": LAND, "format": {"type": "topojson", "feature": "land"}}
    return spec


def describe(width: timedelta) -> str:
    """Returns a bucket's width in words, such as ``5 minutes``."""
    for unit, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        number, rest = divmod(int(width.total_seconds()), seconds)
        if number and not rest:
            return unit if number == 1 else f"{number} {unit}s"
    return str(width)
