"""Draws the dashboard's page: settings in the side bar, and a live part that refreshes by itself."""

from __future__ import annotations

import atexit
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

import ccstream
from ccstream import settings
from ccstream.dashboard import (
    alerts,
    drawer,
    hidden,
    latest,
    live,
    panels,
    search,
    sidebar,
    situation,
    wall,
)
from ccstream.dashboard.dimensions import plain
from ccstream.dashboard.presence import with_values
from ccstream.dashboard.view import View, read, write
from ccstream.dashboard.viewer import zone as viewers_zone
from ccstream.declared import DIMENSIONS

if TYPE_CHECKING:
    from datetime import tzinfo

_ICON = Path(__file__).with_name("card.svg")


@st.cache_resource(show_spinner=False)
def _engine(url: str) -> ccstream.KpiEngine:
    """Returns the engine that all pages of this process share. It writes its file when the process ends."""
    engine = ccstream.KpiEngine.from_database(url, file=settings.kpi_file(url))
    atexit.register(engine.close)
    return engine


def render() -> None:
    """Draws the page that the address names. Streamlit calls this whenever a setting changes."""
    st.set_page_config(page_title="ccstream", page_icon=str(_ICON), layout="wide")
    st.html(panels.STYLE + latest.STYLE + hidden.STYLE)
    dashboard = st.Page(_dashboard, title="Dashboard", icon=":material/monitoring:", default=True)
    st.navigation([dashboard, alerts.page()], position="top").run()


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
    values = {name: engine.values(name) for name in DIMENSIONS}
    sidebar.offer(values)
    known = with_values(values)
    is_hidden = hidden.is_hidden()
    if state["view"].is_wall:
        view = state["view"]
        _show_address(write(view))
        _notes()
        every = None if is_hidden else timedelta(seconds=min(view.every, view.turn))
        wall.draw(engine, url, view, known, every)
        return
    search.heading("ccstream · card transactions", url, engine.values)
    view, paused = sidebar.draw(values, known, zone, wall.link)
    state["view"] = view
    _show_address(write(view) | drawer.address())
    # What comes and goes has a separate place. Otherwise, Streamlit would draw all that is below a second time.
    with st.container():
        _notes()
        if view.narrows or sidebar.is_zoomed():
            _filtered(view, zone)
    # Only the live part runs again at each interval, so that the rest of the page does not flicker.
    every = None if paused or is_hidden else timedelta(seconds=view.every)
    st.fragment(run_every=every)(live.draw)(engine, url, view, known)
    drawer.draw(url, zone, lambda text: search.results(url, text, engine.values, zone))


def _show_address(wanted: dict[str, list[str]]) -> None:
    if {name: st.query_params.get_all(name) for name in st.query_params} != wanted:
        st.query_params.from_dict(wanted)


def _notes() -> None:
    """Shows which parts of the address are not valid."""
    for note in st.session_state["notes"]:
        st.caption(f":material/info: {plain(note)}")


def _filtered(view: View, zone: tzinfo) -> None:
    """Shows filters and zoom above the figures, because a phone hides the side bar."""
    parts = situation.narrowed(view)
    with st.container(horizontal=True, vertical_alignment="center"):
        if parts:
            st.markdown(f":material/filter_alt: {plain(' · '.join(parts))}", width="content")
            st.button("Clear", on_click=sidebar.clear, key="clear", type="tertiary")
        if sidebar.is_zoomed() and view.start and view.end:
            times = [f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}" for moment in (view.start, view.end)]
            st.markdown(f":material/zoom_in: {' to '.join(times)}", width="content")
            st.button("Back", on_click=sidebar.back, key="back", type="tertiary", help="Returns to the range before.")


if __name__ == "__main__":
    render()
