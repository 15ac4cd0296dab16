"""Draws the parts of the page that show figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ccstream.dashboard.board import text
from ccstream.dashboard.choosing import clicked
from ccstream.dashboard.component import cards

if TYPE_CHECKING:
    from ccstream.dashboard.metrics import Metric

NARROW = 150
"""The least width of a card of the header, in pixels."""
STYLE = """<style>
[data-testid="stMainBlockContainer"] { padding-top: 3.5rem }
.st-key-kpis { min-height: 124px }
.st-key-figures { min-height: 50rem }
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p { color: inherit; opacity: .85 }
[data-stale] { opacity: 1 !important; transition: none !important }
</style>"""
"""The page's style. It gives faint texts enough contrast. Boards have about their heights before they are drawn, so
that little below them moves. Elements do not fade while a page runs again, which took a quarter of a refresh."""


def header(metrics: list[Metric], metric: str) -> None:
    """Adds the header: each KPI with its change and its course. A click on one makes charts show its measure.

    Args:
        metrics: the KPIs.
        metric: the measure that the charts show, a key of :data:`ccstream.dashboard.charts.SHOWN`.
    """

    def pick(charted: str) -> None:
        st.session_state["metric"] = charted
        clicked()

    cards(metrics, NARROW, metric, pick, key="header")


def messages(kept: list[tuple[str, str, bytes | None]]) -> None:
    """Adds rejected messages: the place, the error and the payload of each."""
    for place, detail, payload in kept:
        written = "(no payload)" if payload is None else payload.decode(errors="backslashreplace")
        text(f"message-{place}", [("small", place), f"\n{detail}\n", ("code", written)])
