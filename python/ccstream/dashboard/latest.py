"""Draws the latest transactions. A click on a row opens the transaction in the drawer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from ccstream.dashboard import drawer, export, latest_figures
from ccstream.dashboard.choosing import clicked
from ccstream.dashboard.clock import clock
from ccstream.dashboard.component import Column, table
from ccstream.dashboard.dimensions import plain
from ccstream.dashboard.figures import OTHERS, to_csv
from ccstream.dashboard.latest_watch import LatestWatch
from ccstream.dashboard.orders_where import Slice, uncounted
from ccstream.declared import DIMENSIONS

if TYPE_CHECKING:
    from datetime import tzinfo

    from ccstream import KpiStatus
    from ccstream.dashboard.figures import Figures
    from ccstream.dashboard.latest_watch import LatestState
    from ccstream.dashboard.view import View

HELP = (
    "The transactions at the end of the table `orders`, which are usually those that were stored last. The filters "
    "apply, and the time range does not. Click a row to open the transaction."
)
HEADS = {
    "time": Column("Time"),
    "amount": Column("Amount", "number"),
    "status": Column("Status"),
    "response": Column("Response"),
    "merchant": Column("Merchant"),
    "last4": Column("Card"),
    "score": Column("Score", "share"),
    "entry_mode": Column("Entry mode"),
    "category": Column("Category"),
    "method": Column("Method"),
    "city": Column("City"),
    "country": Column("Country"),
    "id": Column("Transaction"),
}
"""The columns of the table."""
STYLE = """<style>
.st-key-latest-table :is(th, td) { white-space: nowrap; max-width: 20rem; overflow: hidden; text-overflow: ellipsis }
</style>"""
"""The style of the table: each transaction is one line."""


@st.cache_resource(show_spinner=False)
def _watch(url: str) -> LatestWatch:
    return LatestWatch(url)


def panel(url: str, view: View, figures: Figures, status: KpiStatus, zone: tzinfo) -> None:
    """Draws the panel, with the buttons that download the page's figures and transactions.

    Args:
        url: the URL of the database.
        view: the settings of the page.
        figures: the figures of the page.
        status: the state of the engine.
        zone: the viewer's time zone.
    """
    state = _watch(url).read(Slice.of(view), view.latest)
    with st.container(border=True, key="latest-rows"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown("##### Latest transactions", help=HELP, width="content")
            with st.container(horizontal=True, width="content"):
                _figures(figures)
                if figures.count:
                    export.menu(url, view, figures, status)
        for name in uncounted(view, status.folded):
            st.caption(
                f":material/info: `{OTHERS}` stands for rare values of {DIMENSIONS[name].lower()} that the page "
                "counts together. Neither the table nor a file has their transactions."
            )
        _latest(state, zone)


def _latest(state: LatestState, zone: tzinfo) -> None:
    if state.why:
        since = f" The table is as of {clock(int(state.read_at * 1e6), zone)}." if state.latest else ""
        st.caption(f":material/error: Transactions cannot be read now: {plain(state.why)}.{since}")
    if state.latest is None:
        if not state.why:
            missing = "may not be read, or does not exist" if state.read_at else "is being read"
            st.caption(f"The table `orders` {missing}.")
        return
    if said := latest_figures.bound(state.latest):
        st.caption(f":material/manage_search: {said}")
    elif not state.latest.rows:
        st.caption("No transactions match these filters.")
    if state.latest.rows:
        _table(state.latest.rows, zone)


def _table(rows: list[dict[str, Any]], zone: tzinfo) -> None:
    found = latest_figures.columns(rows, zone)

    def opened(number: str, _: bool) -> None:
        drawer.show("transaction", number)
        # The drawer is outside of the page's live part.
        clicked()

    table(
        [HEADS[name] for name in found],
        [list(row) for row in zip(*found.values(), strict=True)],
        key="latest-table",
        alt="The latest transactions",
        picks=[row["id"] for row in rows],
        picked=opened,
    )


def _figures(figures: Figures) -> None:
    """Draws the button that downloads all figures of the page as one file."""
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
