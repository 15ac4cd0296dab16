"""Draws the head of a panel with a button that downloads the figures of the panel as CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ccstream.dashboard.csv_texts import tidy

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

STYLE = """<style>
[class*="st-key-csv-"] button { min-height: 1.5rem; padding: 0 .25rem }
</style>"""
"""The style of the buttons, which are as high as a line."""


def head(
    title: str,
    name: str,
    frame: Callable[[], pd.DataFrame],
    *,
    help: str | None = None,
    currency: str | None = None,
) -> None:
    """Draws a panel's title, and the button at its right.

    Args:
        title: the title, in Markdown.
        name: the name of the panel, which names the file.
        frame: a function that returns the figures. It is called when the button is clicked.
        help: what the title means.
        currency: the currency of the amounts.
    """
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"##### {title}", help=help, width="content")
        button(name, frame, currency=currency)


def button(name: str, frame: Callable[[], pd.DataFrame], *, currency: str | None = None) -> None:
    """Draws the button alone, with the arguments of :func:`head`."""
    st.download_button(
        ":material/download:",
        lambda: tidy(frame(), currency),
        file_name=f"ccstream-{name}.csv",
        mime="text/csv",
        on_click="ignore",
        type="tertiary",
        key=f"csv-{name}",
        help="Download these figures as CSV",
        width="content",
    )
