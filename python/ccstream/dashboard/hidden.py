"""Lets a page pause while nobody can see it, because its tab is in the background."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.components.v2 import component

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

KEY = "visibility"
STYLE = f"<style>.st-key-{KEY} {{ display: none }}</style>"
"""The style of the element that watches the tab. It takes no room on the page."""
# A browser runs the timers of a hidden tab, only less often. So Streamlit would refresh the page for ever.
_JS = """export default function ({ data, setStateValue }) {
    const tell = () => setStateValue("hidden", document.hidden)
    document.addEventListener("visibilitychange", tell)
    if (document.hidden !== data.hidden) tell()
    return () => document.removeEventListener("visibilitychange", tell)
}"""


@cache
def _component() -> ComponentRenderer:
    return component("ccstream_visibility", js=_JS)


def is_hidden() -> bool:
    """Returns whether the page's tab is hidden. The whole page runs again when that changes.

    It must be called once in every run of a page, because it also draws the element that watches the tab.
    """
    before = bool(st.session_state.get(KEY, {}).get("hidden", False))
    found = _component()(
        key=KEY, data={"kind": KEY, "hidden": before}, default={"hidden": False}, on_hidden_change=_changed
    )
    return bool(found["hidden"])


def _changed() -> None:
    """Does nothing. Streamlit keeps a component's value only if a function is called when it changes."""
