"""Draws the dashboard's page: settings in the side bar, and a live part that refreshes by itself."""

from __future__ import annotations

import atexit
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import streamlit as st

import ccstream
from ccstream import settings
from ccstream.dashboard import (
    alerts,
    changes,
    custom,
    declines,
    drawer,
    fraud,
    panels,
    search,
    sidebar,
    timeline,
    trust,
)
from ccstream.dashboard.band_tables import Band, Series
from ccstream.dashboard.band_watch import BandWatch
from ccstream.dashboard.broker import BrokerWatch
from ccstream.dashboard.choosing import clicked
from ccstream.dashboard.clock import clock, day
from ccstream.dashboard.dimensions import named, plain
from ccstream.dashboard.figures import load
from ccstream.dashboard.fraud_tables import Span
from ccstream.dashboard.fraud_watch import FraudWatch, Newest
from ccstream.dashboard.view import SPANS, View, read, write
from ccstream.dashboard.viewer import zone as viewers_zone
from ccstream.declared import DIMENSIONS

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from streamlit.delta_generator import DeltaGenerator
    from streamlit.navigation.page import Page

    from ccstream.dashboard.broker import BrokerState
    from ccstream.dashboard.figures import Figures
    from ccstream.dashboard.fraud_tables import Now

SHOWN_MESSAGES = 5
SHOWN_BYTES = 2_000
_ICON = Path(__file__).with_name("card.svg")


@st.cache_resource(show_spinner=False)
def _engine(url: str) -> ccstream.KpiEngine:
    """Returns the engine that all pages of this process share. It writes its file when the process ends."""
    engine = ccstream.KpiEngine.from_database(url, file=settings.kpi_file(url))
    atexit.register(engine.close)
    return engine


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


def render() -> None:
    """Draws the page that the address names. Streamlit calls this whenever a setting changes."""
    st.set_page_config(page_title="ccstream", page_icon=str(_ICON), layout="wide")
    st.html(panels.STYLE + timeline.STYLE + changes.STYLE)
    dashboard = st.Page(_dashboard, title="Dashboard", icon=":material/monitoring:", default=True)
    st.navigation([dashboard, _alerts()], position="top").run()


def _alerts() -> Page:
    return st.Page(alerts.draw, title="Alerts", icon=":material/notifications:", url_path="alerts")


def _dashboard() -> None:
    url, zone = settings.database_url(), viewers_zone()
    try:
        engine = _engine(url)
    except ccstream.ConfigError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    state = st.session_state
    if "view" not in state:
        state["view"], state["notes"] = read({name: st.query_params.get_all(name) for name in st.query_params})
        state["notes"] += drawer.notes()
    if "range" not in state:
        # Streamlit forgets the settings of the side bar while another page is shown.
        sidebar.fill(state["view"], zone)
    search.heading("ccstream · card transactions", url, engine.values)
    view, paused = sidebar.draw(engine.values, zone)
    state["view"] = view
    wanted = write(view) | drawer.address()
    if {name: st.query_params.get_all(name) for name in st.query_params} != wanted:
        st.query_params.from_dict(wanted)
    for note in state["notes"]:
        st.caption(f":material/info: {plain(note)}")
    if view.narrows or sidebar.is_zoomed():
        _filtered(view, zone)
    # Only the live part runs again at each interval, so that the rest of the page does not flicker.
    every = None if paused else timedelta(seconds=view.every)
    st.fragment(run_every=every)(_live)(engine, url, view)
    drawer.draw(url, zone, lambda text: search.results(url, text, engine.values, zone))


def _filtered(view: View, zone: tzinfo) -> None:
    """Shows filters and zoom above the figures, because a phone hides the side bar."""
    parts = [f"{DIMENSIONS[name]}: {', '.join(map(named, values))}" for name, values in view.filters.items()]
    parts += [f"amount from {view.min_amount:,.2f}"] if view.min_amount is not None else []
    parts += [f"amount to {view.max_amount:,.2f}"] if view.max_amount is not None else []
    with st.container(horizontal=True, vertical_alignment="center"):
        if parts:
            st.markdown(f":material/filter_alt: {plain(' · '.join(parts))}", width="content")
            st.button("Clear", on_click=sidebar.clear, key="clear", type="tertiary")
        if sidebar.is_zoomed() and view.start and view.end:
            times = [f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}" for moment in (view.start, view.end)]
            st.markdown(f":material/zoom_in: {' to '.join(times)}", width="content")
            st.button("Back", on_click=sidebar.back, key="back", type="tertiary", help="Returns to the range before.")


def _again() -> None:
    """Makes the whole page run again, after a setting within its live part was changed."""
    st.session_state["clicked"] = True


def _live(engine: ccstream.KpiEngine, url: str, view: View) -> None:
    if st.session_state.pop("clicked", False):
        st.rerun()
    zone = viewers_zone()
    status, broker = engine.status, _broker(settings.bootstrap_servers(), settings.topic()).state
    if not _is_ready(status, url):
        return
    if sidebar.is_outdated(engine.values):
        st.rerun()
    line = st.container(horizontal=True, vertical_alignment="center", key="status")
    with line:
        trust.status_line(status, broker, settings.topic(), settings.group())
    trust.troubles(status, broker, zone)
    if status.loaded < 1:
        st.progress(status.loaded, f"Reading the table orders, newest rows first: {status.rows:,} rows so far")
    more, wrong = custom.read_file(Path(os.environ.get("CCSTREAM_KPIS") or "kpis.toml"))
    for one in wrong:
        st.caption(f":material/error: {plain(one)}")
    try:
        figures = load(engine, view, zone, more)
    except ccstream.ConfigError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    if figures.count:
        panels.header(figures.metrics, view.metric)
    newest = Newest(broker.ends if broker.down_since is None else {}, status.last_at)
    scores = _scores(url, settings.topic()).read(Span.of(view), newest)
    if figures.count:
        _charts(engine, view, figures, _about(figures, status, view, zone), _band(url, view, scores.now))
    else:
        _nothing(status, view, zone)
    _open_alerts(line, scores.now)
    fraud.panel(scores, status, view, zone, currency=figures.currency, changed=_again)
    panels.latest(figures, st.context.timezone)
    _trust(status, broker, url)


def _charts(engine: ccstream.KpiEngine, view: View, figures: Figures, about: str, band: Band) -> None:
    zone = viewers_zone()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(about, width="stretch")
        timeline.switch(_again)

    def zoom(start: datetime, end: datetime) -> None:
        sidebar.zoom(start, end, zone)
        clicked()

    def back() -> None:
        sidebar.back()
        clicked()

    timeline.panel(figures, view, band, zone, timeline.Actions(_alerts(), _again, zoom, back))
    changes.panel(engine, view, zone)
    declines.panel(engine, view, zone)
    panels.graphs(figures, view)


def _trust(status: ccstream.KpiStatus, broker: BrokerState, url: str) -> None:
    with st.container(border=True):
        st.markdown("##### Can these figures be trusted?")
        trust.panel(status, broker, settings.topic(), settings.group())
        if status.rejected and (
            reason := st.selectbox(
                "Read rejected messages", [None, *[name for name, _ in status.rejected]], key="reason", format_func=str
            )
        ):
            try:
                panels.messages(_rejected(url, reason))
            except ccstream.CcstreamError as error:
                st.caption(f":material/error: Rejected messages cannot be read now: {plain(str(error))}")


def _band(url: str, view: View, now: Now | None) -> Band:
    """Returns the usual band and the alerts of the range. Without their tables, nothing is asked."""
    if now is None or not now.others:
        return Band()
    return _bands(url).read(Span.of(view), Series.of(view) if "kpi_band" in now.others else None)


def _open_alerts(line: DeltaGenerator, now: Now | None) -> None:
    """Adds the number of open alerts by severity, if there are any, to the line about the state of the page."""
    if now is not None and now.alerts:
        named = ", ".join(f"{count:,} {severity}" for severity, count in now.alerts.items())
        line.page_link(_alerts(), label=f"Open alerts: {named}")


def _about(figures: Figures, status: ccstream.KpiStatus, view: View, zone: tzinfo) -> str:
    """Returns a sentence that says for which moment, currency and preceding period the figures are true."""
    moment = clock(figures.at, zone)
    state = "exact" if status.loaded >= 1 and not status.outdated else "for the rows that were read so far"
    about = f"As of {moment} ({zone}), {state}."
    if figures.amounts < figures.count:
        share = figures.amounts / figures.count
        currency = plain(figures.currency or "no currency")
        about += f" Amounts are in {currency}: {figures.amounts:,} of {figures.count:,} transactions ({share:.0%})."
    if any(metric.change for metric in figures.metrics):
        label, length = SPANS.get(view.span, ("", None))
        about += (
            f" Changes are from the preceding {label}."
            if length
            else " Changes are from the preceding period of equal length."
        )
    return about


def _is_ready(status: ccstream.KpiStatus, url: str) -> bool:
    """Returns whether there is anything to show. If there is not, it shows what to do."""
    if status.no_tables:
        st.info(f"{_sentence(status.trouble)}: `python consumer.py`", icon=":material/inbox:")
        return False
    if status.snapshot_at is not None:
        return True
    if status.unusable:
        st.error("The tables cannot be used; the consumer cannot write to them either.", icon=":material/error:")
        st.code(status.trouble, language=None, wrap_lines=True)
    elif status.trouble:
        st.warning(
            f"No answer from PostgreSQL at **{plain(_place(url))}**. Start it with `docker-compose up -d` or "
            "`ccstream up`. This page then refreshes by itself.",
            icon=":material/power_off:",
        )
        with st.expander("The error"):
            st.code(status.trouble, language=None, wrap_lines=True)
    else:
        st.progress(0.0, "Reading the table orders")
    return False


def _sentence(text: str | None) -> str:
    return plain(text[0].upper() + text[1:]) if text else ""


def _place(url: str) -> str:
    """Returns the host and port of a database URL. Its other parts may contain a password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 5432
    except ValueError:
        host = None
    return f"{host}:{port}" if host else "the database"


def _nothing(status: ccstream.KpiStatus, view: View, zone: tzinfo) -> None:
    """Shows why there are no figures."""
    if not status.rows:
        st.info("No transactions yet. Start the producer: `python producer.py`", icon=":material/inbox:")
    elif view.narrows:
        st.info("No transactions match these filters in this time range.", icon=":material/search_off:")
    else:
        label = SPANS[view.span][0] if view.span in SPANS else "the chosen days"
        newest = "" if status.last_at is None else f"; the newest are from {day(status.last_at, zone)}"
        st.info(f"No transactions in this time range ({label}){newest}.", icon=":material/search_off:")
        if st.button("Show all", on_click=lambda: st.session_state.update(range="all", clicked=True)):
            st.rerun()


if __name__ == "__main__":
    render()
