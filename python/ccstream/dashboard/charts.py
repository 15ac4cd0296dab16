"""The dashboard's charts: a frame in, an Altair chart out. Knows neither database nor Streamlit."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair as alt

if TYPE_CHECKING:
    import pandas as pd

HEIGHT = 260
BLUE = "#0072B2"
"""Of Okabe and Ito's palette, which colour-blind people can tell apart."""
ORANGE = "#E69F00"


@cache
def _land() -> dict[str, Any]:
    """Natural Earth's coastlines at 1:110 million, from the npm package world-atlas: the map needs no internet."""
    text = (Path(__file__).parent / "land-110m.json").read_text()
    land: dict[str, Any] = json.loads(text)
    return land


def _time_axis(width: timedelta, series: pd.DataFrame) -> alt.Axis:
    """Labels of a 24-hour clock, with the date where there are several days."""
    if width >= timedelta(days=1):
        form = "%Y-%m-%d"
    elif len(series) * width > timedelta(days=1):
        form = "%b %d %H:%M"
    else:
        form = "%H:%M:%S" if width < timedelta(minutes=1) else "%H:%M"
    return alt.Axis(format=form, labelOverlap=True, tickCount=6)


def volume(series: pd.DataFrame, width: timedelta) -> alt.Chart:
    """Transactions over time.

    Args:
        series: ``bucket`` (UTC), ``transactions`` and ``value``.
        width: of a bucket.
    """
    chart: alt.Chart = (
        alt.Chart(series)
        .mark_area(color=BLUE, opacity=0.25, line={"color": BLUE}, interpolate="step-after")
        .encode(
            x=alt.X("bucket:T", title=None, scale=alt.Scale(type="utc"), axis=_time_axis(width, series)),
            y=alt.Y("transactions:Q", title=None, axis=alt.Axis(format="~s", tickCount=4)),
            tooltip=[
                alt.Tooltip("bucket:T", title="from (UTC)", format="%Y-%m-%d %H:%M:%S"),
                alt.Tooltip("transactions:Q", format=","),
                alt.Tooltip("value:Q", format=",.2f"),
            ],
        )
        .properties(height=HEIGHT)
    )
    return chart


def distribution(frame: pd.DataFrame, column: str) -> alt.Chart:
    """Transactions by the values of a column, the most frequent first.

    Args:
        frame: the column and ``transactions``.
        column: its name.
    """
    chart: alt.Chart = (
        alt.Chart(frame)
        .mark_bar(color=BLUE, cornerRadiusEnd=2)
        .encode(
            x=alt.X("transactions:Q", title=None, axis=alt.Axis(format="~s", tickCount=4)),
            y=alt.Y(f"{column}:N", title=None, sort=None, axis=alt.Axis(labelLimit=160, labelOverlap=False)),
            tooltip=[column, alt.Tooltip("transactions:Q", format=",")],
        )
        .properties(height=alt.Step(20))
    )
    return chart


def world(cities: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """Cities on a map, by their number of transactions.

    Args:
        cities: ``city``, ``country``, ``latitude``, ``longitude`` (degrees) and ``transactions``.
    """
    land = alt.InlineData(values=_land(), format=alt.TopoDataFormat(type="topojson", feature="land"))
    background = alt.Chart(land).mark_geoshape(fill="#8883", stroke="#8888", strokeWidth=0.4)
    points = (
        alt.Chart(cities.dropna(subset=["latitude", "longitude"]))
        .mark_circle(color=ORANGE, opacity=0.75, stroke="white", strokeWidth=0.5)
        .encode(
            longitude="longitude:Q",
            latitude="latitude:Q",
            size=alt.Size("transactions:Q", scale=alt.Scale(range=[15, 500]), legend=None),
            tooltip=["city", "country", alt.Tooltip("transactions:Q", format=",")],
        )
    )
    return alt.layer(background, points).project("naturalEarth1").properties(height=340)
