"""Draws the parts of the page that show figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ccstream.dashboard.choosing import clicked
from ccstream.dashboard.component import cards
from ccstream.dashboard.dimensions import plain
from ccstream.dashboard.figures import to_csv
from ccstream.declared import DIMENSIONS

if TYPE_CHECKING:
    from ccstream.dashboard.figures import Figures
    from ccstream.dashboard.metrics import Metric

NARROW = 150
"""The least width of a card of the header, in pixels."""
STYLE = """<style>
[data-testid="stMainBlockContainer"] { padding-top: 3.5rem }
.st-key-status { row-gap: .25rem }
.st-key-status [data-testid="stPageLink"] a { padding-left: 0 }
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p { color: inherit; opacity: .85 }
</style>"""
"""The page's style. It gives faint texts enough contrast."""


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


def latest(figures: Figures, zone: str | None) -> None:
    """Draws the table of the transactions that were stored last, and the button that downloads all figures."""
    frame = figures.latest
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(
                "##### Latest transactions",
                help="In the order in which they were stored. The time range does not apply.",
                width="content",
            )
            _download(figures)
        if frame.empty:
            st.caption("No transactions match these filters.")
            return
        st.dataframe(
            frame,
            hide_index=True,
            key="latest_rows",
            height="content",
            alt="The latest transactions",
            column_order=[name for name in map(str, frame) if name not in DIMENSIONS or name in figures.known],
            column_config={
                "time": st.column_config.DatetimeColumn("Time", format="YYYY-MM-DD HH:mm:ss", timezone=zone),
                "merchant": st.column_config.TextColumn("Merchant", width="medium"),
                "amount": st.column_config.NumberColumn("Amount", format="accounting"),
                "currency": "Currency",
                "status": "Status",
                "category": "Category",
                "payment_method": "Method",
                "city": st.column_config.TextColumn("City", width=110),
                "country": "Country",
            },
        )


def _download(figures: Figures) -> None:
    """Draws the button that downloads all figures as a file."""
    st.download_button(
        "Figures as CSV",
        lambda: to_csv(figures),
        file_name="ccstream.csv",
        mime="text/csv",
        on_click="ignore",
        icon=":material/download:",
        key="csv",
        width="content",
    )


def messages(kept: list[tuple[str, str, bytes | None]]) -> None:
    """Draws rejected messages: the place, the error and the payload of each, always as plain text."""
    for place, detail, payload in kept:
        st.caption(plain(place))
        st.text(detail)
        text = b"(no payload)" if payload is None else payload
        st.code(text.decode(errors="backslashreplace"), language=None, wrap_lines=True)
