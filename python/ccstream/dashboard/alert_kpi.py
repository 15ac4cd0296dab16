"""Draws what an alert of an anomaly is about: a KPI of a series, with its usual band, in words and as a chart."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import psycopg
import streamlit as st

from ccstream.dashboard import band_tables, charts, timeline, timeline_charts, timeline_figures
from ccstream.dashboard.band_queries import STEP, WINDOW
from ccstream.dashboard.band_tables import Series, Window
from ccstream.dashboard.board import board
from ccstream.dashboard.charts import USUAL
from ccstream.dashboard.component import plot
from ccstream.dashboard.dimensions import plain
from ccstream.dashboard.timeline import AREA, BAND_NAME, DASHES, DIAMOND, LINE
from ccstream.dashboard.timeline_charts import BAD, RATE

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from ccstream.dashboard.alert_tables import Alert

READ_EVERY = 10
"""The interval, in seconds, at which the windows are read."""
BEFORE, AFTER = timedelta(hours=2), timedelta(minutes=30)
"""How long before an anomaly, and after it, windows are shown."""
MOST = timedelta(hours=20)
"""The greatest time that windows after the beginning of an anomaly are shown for."""
BASES = {
    "hour": "the last hour",
    "days": "the same minutes of the last days",
    "weeks": "the same minutes of past weeks",
}
"""What the expected value follows from, in words."""


class Measure(NamedTuple):
    """Says how a KPI is shown: its name, the title of its axis, the format of a number, and what comes after it."""

    name: str
    axis: str
    form: str
    unit: str = ""


MEASURES = {
    "approval_rate": Measure("Approval rate", "approval rate", ".1%"),
    "rate": Measure("Number of transactions", "transactions in 5 min", ",.0f", " transactions"),
    "value": Measure("Approved value", "usual payments in 5 min", ",.0f", " usual payments"),
}


@st.cache_data(ttl=READ_EVERY, max_entries=100, show_spinner=False)
def _windows(url: str, series: Series, kpi: str, start: datetime, end: datetime) -> list[Window]:
    return band_tables.windows(url, series, kpi, start, end)


def draw(url: str, alert: Alert, zone: tzinfo) -> None:
    """Draws what an anomaly is about; nothing for another alert.

    Args:
        url: the URL of the database.
        alert: the alert.
        zone: the viewer's time zone.
    """
    measure = MEASURES.get(str(alert.why.get("kpi")))
    if alert.why.get("kind") != "anomaly" or measure is None:
        return
    with st.container(border=True, key="alert-kpi"):
        st.markdown(f"**{measure.name} of {_subject(alert)}**")
        st.markdown(words(alert, zone))
        _chart(url, alert, measure)


def words(alert: Alert, zone: tzinfo) -> str:
    """Says what was observed when the alert was opened, what was expected, and what is usual."""
    why, measure = alert.why, MEASURES[alert.why["kpi"]]
    number = {name: format(float(why[name]), measure.form) for name in ("observed", "expected", "low", "high")}
    basis = BASES.get(why.get("basis", ""))
    return (
        f"In the five minutes to {timeline_figures.moment(alert.opened_at, zone)}: "
        f"**{number['observed']}{measure.unit}**. Expected {number['expected']}{f' from {basis}' if basis else ''}; "
        f"usual is {number['low']} to {number['high']}."
    )


def _subject(alert: Alert) -> str:
    dimension, series = str(alert.why.get("dimension")), str(alert.why.get("series", ""))
    return "all transactions" if dimension == "all" else f"{dimension} {plain(series)}"


def _chart(url: str, alert: Alert, measure: Measure) -> None:
    series = Series(str(alert.why.get("dimension")), str(alert.why.get("series", "")))
    last = alert.opened_at + MOST
    end = last if alert.closed_at is None else min(alert.closed_at + AFTER, last)
    try:
        windows = _windows(url, series, alert.why["kpi"], alert.opened_at - BEFORE, end)
    except psycopg.Error as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        st.caption(f":material/error: Its windows cannot be read now: {plain(lines[0])}")
        return
    if len(windows) < 2:  # noqa: PLR2004
        st.caption("Its windows are not stored any more.")
        return
    keys = [(LINE, RATE, "observed"), (AREA, USUAL, BAND_NAME), (DASHES, USUAL, "expected")]
    length = windows[-1].time - windows[0].time
    form = charts.time_form(STEP, round(length / STEP))
    frames = timeline_figures.windows(windows, measure.form.removesuffix("f"))
    title = f"{measure.name} of the series over time"
    spec = timeline_charts.windows(measure.axis, measure.form.removesuffix("f"), form)
    with board(f"board-alert-{alert.id}"):
        timeline.legend("alert-legend", [*keys, (DIAMOND, BAD, "anomaly")])
        plot(frames, spec, key=f"alert-chart-{alert.id}", alt=title)
    if series.dimension not in {"all", "network"}:
        minutes = round(WINDOW.total_seconds() / 60)
        st.caption(f"Windows of {minutes} minutes. Those of this series are stored only while it is anomalous.")
