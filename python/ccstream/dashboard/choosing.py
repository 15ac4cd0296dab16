"""Makes what a viewer has clicked the filter of the page."""

from __future__ import annotations

import streamlit as st


def toggle(dimension: str, name: str, *, adds: bool) -> None:
    """Chooses a value as the filter, or undoes it if it is chosen. Streamlit calls this before the page runs again.

    Args:
        dimension: the dimension.
        name: the value's name on the page.
        adds: whether other chosen values stay.
    """
    chosen: list[str] = list(st.session_state[f"only_{dimension}"])
    if adds:
        chosen = [one for one in chosen if one != name] if name in chosen else [*chosen, name]
    else:
        chosen = [] if chosen == [name] else [name]
    st.session_state[f"only_{dimension}"] = chosen
    clicked()


def only(dimension: str, name: str) -> None:
    """Filters by one value. Streamlit calls this before the page runs again.

    Args:
        dimension: the dimension.
        name: the value's name on the page.
    """
    st.session_state[f"only_{dimension}"] = [name]
    clicked()


def clicked() -> None:
    """Makes the whole page run again, after something within its live part was clicked or changed."""
    st.session_state["clicked"] = True
