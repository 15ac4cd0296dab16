"""Draws what has changed against the same time yesterday and last week. A row is a click away from its filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from ccstream.dashboard import changes_figures, changes_sides, changes_words
from ccstream.dashboard.changes_figures import AGO, RATE
from ccstream.dashboard.choosing import only
from ccstream.dashboard.panel_csv import head

if TYPE_CHECKING:
    from datetime import tzinfo

    from ccstream import KpiEngine
    from ccstream.dashboard.changes_figures import Mover
    from ccstream.dashboard.changes_sides import Side
    from ccstream.dashboard.view import View

STYLE = """<style>
.st-key-changes-movers button { justify-content: flex-start; text-align: left; padding: .3rem 0; min-height: 0 }
.st-key-changes-movers button > div { justify-content: flex-start; text-align: left }
</style>"""
"""The style of rows, which begin at the left like a text."""
KEPT = 60
"""The time, in seconds, for which figures of the past are kept. Rows that come late are in them afterwards."""
HELP = (
    "The values of payment method, category, country, city, merchant, entry mode, issuer and response code whose "
    "transactions or approval rate have changed most, compared with what chance does to numbers of this size. A change "
    "counts as far as others have not changed in the same way. Values with fewer than "
    f"{changes_figures.LEAST} transactions are left out. Changes in brackets are from the first time that a row names. "
    "Click a row to filter by it."
)


@st.cache_data(ttl=KEPT, max_entries=50, show_spinner=False, hash_funcs={"ccstream.KpiEngine": id})
def _then(engine: KpiEngine, question: dict[str, Any]) -> Side:
    """Asks for a time in the past, once a minute for all pages."""
    return changes_sides.ask(engine, question)


def panel(engine: KpiEngine, view: View, zone: tzinfo) -> None:
    """Draws the panel; nothing if the range is all of time, or has no transaction.

    Args:
        engine: the engine that answers.
        view: the settings of the page.
        zone: the viewer's time zone.
    """
    found = changes_figures.load(engine, view, zone, _then)
    if found is None:
        return
    with st.container(border=True, key="changes"):
        head("What changed", "changes", lambda: changes_figures.table(found), help=HELP, currency=found.currency)
        for column, since in zip(st.columns(len(AGO)), AGO, strict=True):
            column.markdown(f"**{changes_words.title(since, view.span)}**  \n{changes_words.whole(found, since)}")
        if not found.then:
            return
        if not found.movers:
            st.caption("No single value differs clearly.")
        with st.container(key="changes-movers", gap=None):
            for at, one in enumerate(found.movers):
                st.button(
                    changes_words.mover(one, found.currency, view.span),
                    key=f"changes-{at}",
                    type="tertiary",
                    icon=_icon(one),
                    on_click=only,
                    args=(one.dimension, one.name),
                )


def _icon(one: Mover) -> str:
    rises = one.surprise > 0
    if one.what == RATE:
        return ":material/trending_up:" if rises else ":material/trending_down:"
    return ":material/arrow_upward:" if rises else ":material/arrow_downward:"
