"""Builds the dashboard's charts as Vega-Lite specifications without data, independently of the engine and Streamlit.

Altair builds each specification once, from an empty frame. A refresh then sends only data.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from ccstream.dashboard.dimensions import WEEKDAYS

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


@cache
def value_over_time(width: timedelta, form: str) -> Spec:
    """Returns a chart of the value over time, in the viewer's time zone.

    Its data has the columns ``time``, ``end``, ``whole`` and ``value``. Incomplete buckets (``whole`` is false), such
    as the current one, are paler.

    Args:
        width: the width of a bucket.
        form: the format of the axis's labels, as :func:`time_form` returns it.
    """
    chart = (
        alt.Chart(empty("time", "end", "whole", "value"))
        .mark_rect(color=VALUE)
        .encode(
            x=alt.X("time:T", title=None, axis=alt.Axis(format=form, labelOverlap=True, tickCount=6, grid=False)),
            x2="end:T",
            y=alt.Y("value:Q", title=None, axis=alt.Axis(format="~s", tickCount=3)),
            y2=alt.datum(0),
            opacity=alt.condition("datum.whole", alt.value(0.75), alt.value(0.3)),
            tooltip=[
                alt.Tooltip("time:T", title=f"{describe(width)} from", format="%Y-%m-%d %H:%M:%S"),
                alt.Tooltip("value:Q", format=",.2f"),
            ],
        )
        .properties(height=HEIGHT)
    )
    return as_spec(chart)


def time_form(width: timedelta, buckets: int) -> str:
    """Returns the format of times: a 24-hour clock, with the date if the range has several days."""
    if width >= timedelta(days=1):
        return "%Y-%m-%d"
    if buckets * width > timedelta(days=1):
        return "%b %d %H:%M"
    return "%H:%M:%S" if width < timedelta(minutes=1) else "%H:%M"


@cache
def bars(column: str) -> Spec:
    """Returns a bar chart of transactions by a column's values, in their :data:`ORDER`. A click selects a value."""
    pick = alt.selection_point(name=PICK, fields=[column])
    chart = (
        alt.Chart(empty(column, "transactions", "value", ORDER))
        .mark_bar(color=TRANSACTIONS, cornerRadiusEnd=2, cursor="pointer")
        .encode(
            x=alt.X("transactions:Q", title=None, axis=alt.Axis(format="~s", tickCount=4)),
            y=alt.Y(
                f"{column}:N",
                title=None,
                sort=in_order(),
                axis=alt.Axis(labelLimit=150, labelOverlap=False, labelFlush=False),
            ),
            tooltip=[
                f"{column}:N",
                alt.Tooltip("transactions:Q", format=","),
                alt.Tooltip("value:Q", format=",.2f"),
            ],
        )
        .add_params(pick)
        .properties(height=alt.Step(20))
    )
    return as_spec(chart)


@cache
def week() -> Spec:
    """Returns a heat map of transactions. Its data has the columns ``weekday``, ``hour`` and ``transactions``."""
    hours = alt.Axis(values=[0, 6, 12, 18], labelAngle=0, labelExpr="datum.value + ':00'", labelAlign="left")
    # Flush labels would move Monday away from the middle of its row.
    days = alt.Axis(labelOverlap=False, labelFlush=False)
    chart = (
        alt.Chart(empty("weekday", "hour", "transactions"))
        .mark_rect()
        .encode(
            x=alt.X("hour:O", title=None, scale=alt.Scale(domain=[*range(24)]), axis=hours),
            y=alt.Y("weekday:O", title=None, scale=alt.Scale(domain=WEEKDAYS), axis=days),
            color=alt.Color(
                "transactions:Q",
                scale=alt.Scale(range=["#cfe3f1", TRANSACTIONS], domainMin=0),
                legend=alt.Legend(title=None, format="~s", gradientLength=100, gradientThickness=8),
            ),
            tooltip=["weekday:O", "hour:O", alt.Tooltip("transactions:Q", format=",")],
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
def world(land: str) -> Spec:
    """Returns a map of cities with circles in proportion to their transactions.

    Its data has the columns ``city``, ``country``, ``latitude``, ``longitude`` and ``transactions``.

    Args:
        land: the URL from which a browser loads the coastlines of :data:`LAND`. The page serves it itself.
    """
    background = alt.Chart(empty()).mark_geoshape(fill="#8884", stroke="#8888", strokeWidth=0.4, aria=False)
    points = (
        alt.Chart(empty("city", "country", "latitude", "longitude", "transactions"))
        .mark_circle(color=PLACES, opacity=0.7, stroke="white", strokeWidth=0.6)
        .encode(
            longitude="longitude:Q",
            latitude="latitude:Q",
            size=alt.Size("transactions:Q", scale=alt.Scale(range=[15, 500]), legend=None),
            tooltip=["city:N", "country:N", alt.Tooltip("transactions:Q", format=",")],
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
