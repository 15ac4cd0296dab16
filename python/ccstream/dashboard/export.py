"""Draws the button that downloads the transactions of the page's time range and filters as a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ccstream.dashboard import export_files
from ccstream.dashboard.clock import micros
from ccstream.dashboard.export_files import ExportError
from ccstream.dashboard.export_queries import MOST, TIME_LIMIT
from ccstream.dashboard.orders_where import Slice

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccstream import KpiStatus
    from ccstream.dashboard.figures import Figures
    from ccstream.dashboard.view import View

KINDS: dict[str, tuple[str, str, Callable[[str, Slice], bytes]]] = {
    "csv": ("CSV", "text/csv", export_files.csv),
    "parquet": ("Parquet", "application/vnd.apache.parquet", export_files.parquet),
}
"""For each ending of a file, its name on the page, its type, and the function that makes it."""


def menu(url: str, view: View, figures: Figures, status: KpiStatus) -> None:
    """Draws the button, which opens the choice of files. A file is made when it is chosen.

    Args:
        url: the URL of the database.
        view: the settings of the page.
        figures: the figures of the page, whose range a file has.
        status: the state of the engine.
    """
    asked = Slice.of(view, figures.at)
    why: list[str] = st.session_state.setdefault("export-why", [])
    with st.popover("Transactions", icon=":material/download:", width="content", key="export"):
        st.markdown(about(figures.count, is_whole=_is_whole(status, asked)))
        with st.container(horizontal=True):
            for ending, (name, kind, make) in KINDS.items():
                st.download_button(
                    name,
                    _maker(make, url, asked, why),
                    file_name=f"transactions.{ending}",
                    mime=kind,
                    on_click="ignore",
                    key=f"export-{ending}",
                )
        st.caption(
            "Every column of `orders`, with the scores if there are any, read from PostgreSQL when you click, for at "
            f"most {TIME_LIMIT // 1000} s. Times are in UTC. In CSV, an apostrophe precedes a text that a spreadsheet "
            "would take for a formula; Parquet has types and exact amounts."
        )
    if why:
        st.warning(f"There is no file of transactions. {why[0]}", icon=":material/error:")


def about(count: int, *, is_whole: bool) -> str:
    """Says in Markdown which transactions a file has.

    Args:
        count: the number of transactions that the page counts in its range.
        is_whole: whether the page counts all that PostgreSQL has.
    """
    of = f"{count:,}" if is_whole else f"at least {count:,}"
    if count <= MOST and is_whole:
        return f"The file has the transactions of the time range and the filters: **{of}**."
    return f"The file has the newest **{MOST:,}** of **{of}** transactions of the time range and the filters."


def _is_whole(status: KpiStatus, asked: Slice) -> bool:
    """Returns whether the engine holds all transactions of a slice."""
    if status.dropped_until is None:
        return status.loaded >= 1
    return status.loaded >= 1 and asked.start is not None and micros(asked.start) > status.dropped_until


def _maker(make: Callable[[str, Slice], bytes], url: str, asked: Slice, why: list[str]) -> Callable[[], bytes]:
    """Returns a function that makes a file, and leaves in ``why`` why it could not. The next refresh shows that.

    Streamlit calls it in a thread without a session, and says of an error only that there was one.
    """

    def made() -> bytes:
        why.clear()
        try:
            return make(url, asked)
        except ExportError as error:
            why.append(str(error))
            raise

    return made
