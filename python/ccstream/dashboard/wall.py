"""Draws the page for a screen on a wall: large, without controls, and one part after the other."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import streamlit as st

from ccstream.dashboard import changes, declines, fraud, graphs, live, panels, sidebar, situation, viewer
from ccstream.dashboard.alert_detail import times
from ccstream.dashboard.alert_watch import AlertWatch
from ccstream.dashboard.board import board, box, text
from ccstream.dashboard.choosing import clicked
from ccstream.dashboard.dimensions import plain
from ccstream.dashboard.head import head
from ccstream.dashboard.presence import fitting
from ccstream.dashboard.words import bad, bold, doubtful, good

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import timedelta

    import ccstream
    from ccstream.dashboard.fraud_watch import FraudState
    from ccstream.dashboard.live import Moment
    from ccstream.dashboard.view import View
    from ccstream.dashboard.words import Run

MOST_ALERTS, MOST_RISKY = 6, 3
"""The numbers of alerts and of high scores for which a screen has room."""
SEVERITY = {"critical": bad("● critical"), "warning": doubtful("● warning"), "info": "● info"}
"""The severities of alerts as texts."""
STYLE = """<style>
@media (min-width: 1600px) { [data-testid="stMain"] { zoom: 1.25 } }
@media (min-width: 2500px) { [data-testid="stMain"] { zoom: 1.65 } }
@media (min-width: 3800px) { [data-testid="stMain"] { zoom: 2.5 } }
:is([data-testid="stHeader"], [data-testid="stSidebar"]) { display: none }
:is(.ccs-help, .ccs-file, .st-key-compare) { display: none }
[data-testid="stMainBlockContainer"] { max-width: none; padding: .5rem 1.5rem 0 }
[data-testid="stMainBlockContainer"] [data-testid="stVerticalBlock"] { gap: .6rem }
.st-key-wall-part :is(.ccs-column, .ccs-row) { gap: .6rem }
.st-key-wall-part .ccs-items li { margin: 0 }
.ccs-cards .ccs-value { font-size: clamp(1.6rem, 17cqi, 3rem) }
</style>"""
"""The style of a wall: no side bar, no toolbar, and everything larger on a larger screen."""


class _Shown(NamedTuple):
    """Holds what the parts are drawn from."""

    engine: ccstream.KpiEngine
    url: str
    view: View
    moment: Moment
    scored: FraudState


@st.cache_resource(show_spinner=False)
def _open_alerts(url: str) -> AlertWatch:
    return AlertWatch(url)


def link() -> None:
    """Draws the button that shows the page as on a wall."""
    st.button("Wall", key="wall", icon=":material/tv:", type="tertiary", on_click=_set, args=(True,))


def draw(engine: ccstream.KpiEngine, url: str, view: View, known: Collection[str], every: timedelta | None) -> None:
    """Draws the wall.

    Args:
        engine: the engine that computes the figures.
        url: the URL of its database.
        view: the settings of the page.
        known: the dimensions that have a value.
        every: the interval between two refreshes; None while the page pauses.
    """
    st.html(STYLE)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"#### ccstream · {plain(situation.scope(view, viewer.zone()))}", width="stretch")
        st.button("Leave", key="wall-leave", type="tertiary", shortcut="Escape", on_click=_set, args=(False,))
    st.fragment(run_every=every)(_live)(engine, url, fitting(view, known), known)


def _set(is_wall: bool) -> None:
    """Enters or leaves the wall. Streamlit calls this before the page runs again."""
    view = st.session_state["view"] = replace(st.session_state["view"], is_wall=is_wall)
    # A click on a chart of the wall may have changed the settings, which the wall does not show.
    sidebar.fill(view, viewer.zone())


def _live(engine: ccstream.KpiEngine, url: str, view: View, known: Collection[str]) -> None:
    moment = live.begin(engine, url, view, known)
    if moment is None:
        return
    shown = _Shown(engine, url, view, moment, live.scores(url, view, moment))
    if not moment.figures.count:
        with board("wall-part"):
            live.state(moment, shown.scored)
        situation.nothing(moment.status, view, viewer.zone())
        return
    parts: list[Callable[[_Shown], None]] = [_now, _why, _where]
    parts += [_risk] if shown.scored.now is not None else []
    # All screens that show the same page turn at the same time.
    at = int(time.time() / view.turn) % len(parts)
    with board("wall-part"):
        live.state(moment, shown.scored, "".join("●" if one == at else "○" for one in range(len(parts))))
        text("as-of", [situation.about(moment.figures, moment.status, view, viewer.zone())], small=True)
        parts[at](shown)


def _now(shown: _Shown) -> None:
    figures = shown.moment.figures
    panels.header(figures.metrics, shown.view.metric)
    live.over_time(shown.engine, shown.url, shown.view, figures, shown.scored.now, has_volume=False)


def _why(shown: _Shown) -> None:
    with box("row", "why", [2, 3]):
        with box("column", "why-changed"):
            changes.panel(shown.engine, shown.view, viewer.zone())
        with box("column", "why-declined"):
            declines.panel(shown.engine, shown.view, viewer.zone())


def _where(shown: _Shown) -> None:
    graphs.overview(shown.moment.figures, shown.view)


def _risk(shown: _Shown) -> None:
    with box("row", "risk", [3, 2]):
        with box("column", "risk-scores"):
            fraud.panel(
                shown.scored,
                shown.moment.status,
                shown.view,
                viewer.zone(),
                currency=shown.moment.figures.currency,
                changed=clicked,
                riskiest=MOST_RISKY,
            )
        with box("column", "risk-alerts"), box("panel", "wall-alerts"):
            head("Open alerts", "open-alerts")
            _alerts(shown)


def _alerts(shown: _Shown) -> None:
    now = shown.scored.now
    if now is None or not now.alerts:
        text("no-alerts", [good("✓ No alert is open")])
        return
    counts: list[Run] = []
    for severity, count in now.alerts.items():
        counts += [" · " if counts else "", bold(f"{count:,}"), f" {severity}"]
    text("alerts", counts)
    for alert in _open_alerts(shown.url).read(MOST_ALERTS):
        key = "" if alert.key is None else f" · {alert.key}"
        when = f"{key} · {times(alert, viewer.zone())}\n"
        text(f"alert-{alert.id}", [SEVERITY[alert.severity], " ", bold(alert.rule), when, ("small", alert.why_text)])
