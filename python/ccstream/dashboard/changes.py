"""Draws what has changed against the same time yesterday and last week. A row is a click away from its filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from ccstream.dashboard import changes_figures, changes_sides, changes_words
from ccstream.dashboard.board import add, box, text
from ccstream.dashboard.changes_figures import AGO
from ccstream.dashboard.choosing import only
from ccstream.dashboard.head import head
from ccstream.dashboard.words import bold

if TYPE_CHECKING:
    from datetime import tzinfo

    from ccstream import KpiEngine
    from ccstream.dashboard.changes_figures import Changes
    from ccstream.dashboard.changes_sides import Side
    from ccstream.dashboard.view import View

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
    """Adds the panel to the current board; nothing if the range is all of time, or has no transaction.

    Args:
        engine: the engine that answers.
        view: the settings of the page.
        zone: the viewer's time zone.
    """
    found = changes_figures.load(engine, view, zone, _then)
    if found is None:
        return
    with box("panel", "changes"):
        head("What changed", "changes", lambda: changes_figures.table(found), help=HELP, currency=found.currency)
        with box("row", "changes-whole", [1] * len(AGO)):
            for since in AGO:
                title = changes_words.title(since, view.span)
                text(f"changes-{since}", [bold(title), "\n", *changes_words.whole(found, since)])
        if not found.then:
            return
        if not found.movers:
            text("changes-none", ["No single value differs clearly."], small=True)
        _movers(found, view)


def _movers(found: Changes, view: View) -> None:
    choices = [
        {
            "rises": 1 if one.surprise > 0 else -1,
            "runs": changes_words.mover(one, found.currency, view.span),
            "pick": [one.dimension, one.name],
        }
        for one in found.movers
    ]
    add("changes-movers", {"kind": "choices", "choices": choices}, {"picked": lambda pick: only(*pick)})
