"""Draws the search: a box above the figures, and in the drawer what was found."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg
import streamlit as st

from ccstream.dashboard import drawer, drawer_figures, search_tables
from ccstream.dashboard.alert_detail import READ_EVERY
from ccstream.dashboard.dimensions import plain
from ccstream.dashboard.search_tables import LONGEST, clean

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo
    from typing import TypeAlias

    from ccstream.dashboard.search_tables import Found, Match

    Choices: TypeAlias = Callable[[str], list[str | None]]

WANTED = "Transaction, card, last four, merchant, terminal"

STYLE = """<style>
.st-key-heading { padding-top: .5rem; row-gap: .5rem }
</style>"""


def heading(title: str, url: str, choices: Choices) -> None:
    """Draws the title of the page, and beside it the box. On a phone, the box is below.

    Args:
        title: the title, in Markdown.
        url: the URL of the database.
        choices: a function that returns all values of a dimension.
    """
    st.html(STYLE)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", key="heading"):
        st.markdown(f"#### {title}", width="content")
        with st.container(width=440):
            _box(url, choices)


def _box(url: str, choices: Choices) -> None:
    """Draws the box, with a button for a phone. What is typed is searched once it is submitted."""
    with st.form("search", border=False, clear_on_submit=True), st.container(horizontal=True, gap="small"):
        st.text_input("Search", key="searched", placeholder=WANTED, max_chars=LONGEST, label_visibility="collapsed")
        st.form_submit_button(
            "Search", icon=":material/search:", key="search-now", on_click=_submit, args=(url, choices)
        )


def _submit(url: str, choices: Choices) -> None:
    """Opens what was found if it is one thing, or else a list."""
    wanted = clean(st.session_state["searched"])
    if not wanted:
        return
    matches: list[Match] = []
    # The drawer says why nothing can be read.
    with contextlib.suppress(psycopg.Error):
        matches = _search(url, wanted, choices).matches
    if len(matches) == 1:
        drawer.show(matches[0].kind, matches[0].value)
    else:
        drawer.show(drawer.FIND, wanted)


def results(url: str, text: str, choices: Choices, zone: tzinfo) -> None:
    """Draws what a text has found.

    Args:
        url: the URL of the database.
        text: the text.
        choices: a function that returns all values of a dimension.
        zone: the viewer's time zone.

    Raises:
        psycopg.Error: the database is unavailable, or a query has reached its time limit.
    """
    found = _search(url, text, choices)
    if not found.is_readable:
        st.info("There is no table `orders` yet, or it may not be read.", icon=":material/inbox:")
        return
    if not found.matches:
        why = f" A search has at most {LONGEST} characters." if len(clean(text)) > LONGEST else ""
        st.info(
            f"Nothing was found.{why} A transaction, a card and a terminal are found by the whole id; a card also by "
            "the last four digits; a merchant by a part of the name.",
            icon=":material/search_off:",
        )
    with st.container(gap=None, key="matches"):
        for at, match in enumerate(found.matches):
            st.button(
                _name(match, zone),
                key=f"match-{at}",
                icon=drawer.ICON[match.kind],
                type="tertiary",
                on_click=drawer.show,
                args=(match.kind, match.value),
                wrap=True,
            )
    if found.left_out:
        st.caption(f"{found.left_out:,} more merchants have a name with this text; type more of it.")
    if said := drawer_figures.reach(found.reach):
        st.caption(f":material/manage_search: {said}")


@st.cache_data(ttl=READ_EVERY, max_entries=100, show_spinner=False)
def _search(url: str, text: str, _choices: Choices) -> Found:
    return search_tables.search(url, text, _choices("merchant"))


def _name(match: Match, zone: tzinfo) -> str:
    last = drawer_figures.last(match.last, zone)
    parts = [f"**{plain(match.value)}**"]
    parts += [f"••{match.last4}"] if match.last4 else []
    parts += [match.kind]
    parts += [f"last at {last}"] if last else []
    return " · ".join(parts)
