"""Draws the live part of the dashboard: all figures of one moment, with what is known of their state."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import streamlit as st

import ccstream
from ccstream import settings
from ccstream.dashboard import (
    alerts,
    changes,
    compared,
    custom,
    declines,
    fraud,
    graphs,
    latest,
    panels,
    sidebar,
    situation,
    timeline,
    trust,
    viewer,
)
from ccstream.dashboard.band_tables import Band, Series
from ccstream.dashboard.band_watch import BandWatch
from ccstream.dashboard.board import Board, box, choice, follow, link, text
from ccstream.dashboard.broker import BrokerWatch
from ccstream.dashboard.choosing import clicked
from ccstream.dashboard.dimensions import plain
from ccstream.dashboard.figures import load
from ccstream.dashboard.fraud_tables import Span
from ccstream.dashboard.fraud_watch import FraudState, FraudWatch, Newest
from ccstream.dashboard.head import head
from ccstream.dashboard.presence import charted, fitting
from ccstream.dashboard.words import bad

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from ccstream.dashboard.broker import BrokerState
    from ccstream.dashboard.figures import Figures
    from ccstream.dashboard.fraud_tables import Now
    from ccstream.dashboard.view import View

SHOWN_MESSAGES = 5
SHOWN_BYTES = 2_000


@st.cache_resource(show_spinner=False)
def _broker(servers: str, topic: str) -> BrokerWatch:
    return BrokerWatch(servers, topic)


@st.cache_resource(show_spinner=False)
def _scores(url: str, topic: str) -> FraudWatch:
    return FraudWatch(url, topic)


@st.cache_resource(show_spinner=False)
def _bands(url: str) -> BandWatch:
    return BandWatch(url)


@st.cache_data(ttl=5, max_entries=50, show_spinner=False)
def _rejected(url: str, reason: str) -> list[tuple[str, str, bytes | None]]:
    """Returns the place, the error and the payload of rejected messages."""
    kept = ccstream.select_rejected(database_url=url, reason=reason, limit=SHOWN_MESSAGES, max_bytes=SHOWN_BYTES)

    def place(one: ccstream.KeptMessage) -> str:
        size = "" if one.payload_bytes is None else f", {one.payload_bytes:,} bytes"
        return f"{one.topic}, partition {one.partition}, offset {one.offset:,}, {one.rejected_at}{size}"

    return [(place(one), one.detail, one.payload) for one in kept]


class Moment(NamedTuple):
    """Holds what a refresh has read.

    Attributes:
        status: the state of the engine.
        broker: the state of the broker.
        figures: the figures of the page.
    """

    status: ccstream.KpiStatus
    broker: BrokerState
    figures: Figures


def begin(engine: ccstream.KpiEngine, url: str, view: View, known: Collection[str]) -> Moment | None:
    """Reads the figures, and draws what is wrong with them; returns None if there are none yet.

    Args:
        engine: the engine that computes the figures.
        url: the URL of its database.
        view: the settings of the page.
        known: the dimensions that have a value.
    """
    follow()
    if st.session_state.pop("clicked", False):
        st.rerun()
    zone = viewer.zone()
    status, broker = engine.status, _broker(settings.bootstrap_servers(), settings.topic()).state
    if not situation.is_ready(status, url):
        return None
    if sidebar.is_outdated(engine.values):
        st.rerun()
    more, wrong = custom.read_file(Path(os.environ.get("CCSTREAM_KPIS") or "kpis.toml"))
    # What comes and goes has a separate place. Otherwise, Streamlit would draw all that is below a second time.
    with st.container():
        trust.troubles(status, broker, zone)
        if status.loaded < 1:
            st.progress(status.loaded, f"Reading the table orders, newest rows first: {status.rows:,} rows so far")
        for one in wrong:
            st.caption(f":material/error: {plain(one)}")
    try:
        figures = load(engine, view, zone, more, known)
    except ccstream.ConfigError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return None
    return Moment(status, broker, figures)


def draw(engine: ccstream.KpiEngine, url: str, view: View, known: Collection[str]) -> None:
    """Draws the live part. For the arguments, see :func:`begin`."""
    view, zone = fitting(view, known), viewer.zone()
    moment = begin(engine, url, view, known)
    if moment is None:
        return
    status, broker, figures = moment
    scored = scores(url, view, moment)
    line, kpis, about, shown, risk, counted = map(Board, ("state", "kpis", "about", "figures", "scores", "counted"))
    with line:
        state(moment, scored)
    if figures.count:
        with kpis:
            panels.header(figures.metrics, view.metric)
        with about, box("line", "as-of"):
            text("moment", [situation.about(figures, status, view, zone)], small=True)
            timeline.switch(charted(known), clicked)
        with shown:
            over_time(engine, url, view, figures, scored.now)
            changes.panel(engine, view, zone)
            declines.panel(engine, view, zone)
            graphs.draw(figures, view)
    with risk:
        fraud.panel(scored, status, view, zone, currency=figures.currency, changed=clicked)
    with counted:
        _trust(status, broker, url)
    line.mount()
    if figures.count:
        for one in (kpis, about, shown):
            one.mount()
    else:
        situation.nothing(status, view, zone)
    risk.mount()
    latest.panel(url, view, figures, status, zone)
    counted.mount()


def scores(url: str, view: View, moment: Moment) -> FraudState:
    """Returns what is known of scores and alerts."""
    broker = moment.broker
    newest = Newest(broker.ends if broker.down_since is None else {}, moment.status.last_at)
    return _scores(url, settings.topic()).read(Span.of(view), newest)


def state(moment: Moment, scored: FraudState, turn: str = "") -> None:
    """Adds the line that says whether the figures can be trusted, with the number of open alerts.

    Args:
        moment: what a refresh has read.
        scored: what is known of scores and alerts.
        turn: which part of a wall is shown.
    """
    with box("line", "status"):
        text("state", trust.status_line(moment.status, moment.broker, settings.topic(), settings.group()))
        if scored.now is not None and scored.now.alerts:
            counts = ", ".join(f"{count:,} {severity}" for severity, count in scored.now.alerts.items())
            link("open-alerts", f"Open alerts: {counts}", alerts.page())
        if turn:
            text("turn", [turn])


def over_time(
    engine: ccstream.KpiEngine, url: str, view: View, figures: Figures, now: Now | None, *, has_volume: bool = True
) -> None:
    """Adds the charts over time to the current board.

    Args:
        engine: the engine that computes the figures.
        url: the URL of the database, which has the usual band.
        view: the settings of the page.
        figures: the figures of the page.
        now: what is known of scores.
        has_volume: whether the chart of the volume is drawn, too.
    """
    zone = viewer.zone()

    def zoom(start: datetime, end: datetime) -> None:
        sidebar.zoom(start, end, zone)
        clicked()

    def back() -> None:
        sidebar.back()
        clicked()

    actions = timeline.Actions(alerts.page(), clicked, zoom, back)
    band, earlier = _band(url, view, now), compared.load(engine, view, figures, zone)
    timeline.panel(figures, view, band, zone, actions, earlier=earlier, has_volume=has_volume)


def _trust(status: ccstream.KpiStatus, broker: BrokerState, url: str) -> None:
    with box("panel", "trust"):
        head("Can these figures be trusted?", "trust")
        trust.panel(status, broker, settings.topic(), settings.group())
        if not status.rejected:
            return
        reasons = {"": "Read rejected messages", **{name: name for name, _ in status.rejected}}
        if st.session_state.get("reason") not in reasons:
            st.session_state["reason"] = ""
        choice("select", "reason", "Read rejected messages", reasons)
        if reason := st.session_state["reason"]:
            try:
                panels.messages(_rejected(url, reason))
            except ccstream.CcstreamError as error:
                text("unread", [bad(f"Rejected messages cannot be read now: {error}")], small=True)


def _band(url: str, view: View, now: Now | None) -> Band:
    """Returns the usual band and the alerts of the range. Without their tables, nothing is asked."""
    if now is None or not now.others:
        return Band()
    return _bands(url).read(Span.of(view), Series.of(view) if "kpi_band" in now.others else None)
