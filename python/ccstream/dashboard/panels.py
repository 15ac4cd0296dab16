"""Draws the parts of the page that show figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ccstream.dashboard.choosing import clicked
from ccstream.dashboard.component import cards
from ccstream.dashboard.dimensions import plain

if TYPE_CHECKING:
    from ccstream.dashboard.metrics import Metric

NARROW = 150
"""The least width of a card of the header, in pixels."""
STYLE = """<style>
[data-testid="stMainBlockContainer"] { padding-top: 3.5rem }
.st-key-status { row-gap: .25rem }
.st-key-header { min-height: 124px }
.st-key-status [data-testid="stPageLink"] a { padding-left: 0 }
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p { color: inherit; opacity: .85 }
.st-key-timeline { gap: .6rem }
.st-key-timeline-alerts { row-gap: 0 }
</style>"""
"""The page's style. It gives faint texts enough contrast. The header has its height before it is drawn, so that nothing
below it moves."""


def header(metrics: list[Metric], metric: str) -> None:
    """Draws the header: each KPI with its change and its course. A click on one makes charts show its measure.

    Args:
        metrics: the KPIs.
        metric: the measure that the charts show, a key of :data:`ccstream.dashboard.charts.SHOWN`.
    """

    def pick(charted: str) -> None:
        st.session_state["metric"] = charted
        clicked()

    cards(metrics, NARROW, metric, pick, key="header")


def messages(kept: list[tuple[str, str, bytes | None]]) -> None:
    """Draws rejected messages: the place, the error and the payload of each, always as plain text."""
    for place, detail, payload in kept:
        st.caption(plain(place))
        st.text(detail)
        text = b"(no payload)" if payload is None else payload
        st.code(text.decode(errors="backslashreplace"), language=None, wrap_lines=True)
