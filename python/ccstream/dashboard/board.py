"""Collects parts of the page, and passes them to the page's component together.

Streamlit takes about as long for a small part of a page as for a large one, both on the server and in the browser.
Parts within :func:`board` are therefore one element for Streamlit. The component's source is in ``page/``, which
``make page`` bundles.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode
from uuid import uuid4

import streamlit as st
from streamlit.components.v2 import component

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from streamlit.components.v2.types import ComponentRenderer
    from streamlit.navigation.page import Page

    from ccstream.dashboard.words import Run

_OPENED = "board-opened"
"""The name, among the settings of a page, of the link that was clicked: the page and the parameters of its address."""
_FILE = "board-file"
"""The name, among the settings of a page, of a file that was asked for: the board, the file's name and its text."""


@cache
def _component() -> ComponentRenderer:
    # Streamlit knows the component's files only while it serves a page.
    return component("ccstream.component", js="component.js", isolate_styles=False)


class Board:
    """Collects the parts that are added within a ``with`` block, which are drawn below each other.

    They are drawn where and when the board is mounted. What Streamlit gets at once, a browser draws at once, so a page
    with several boards mounts them after all of them are complete.

    Args:
        key: the name of the board on the page.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.parts: list[dict[str, Any]] = []
        self.place = self.parts
        self.handlers: dict[tuple[str, str], Callable[[Any], None]] = {}

    def __enter__(self) -> None:
        self._token = _current.set(self)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)

    def mount(self) -> None:
        """Passes the parts to the component."""
        state = st.session_state
        file = state.pop(_FILE)[1] if state.get(_FILE, [None])[0] == self.key else None
        # As bytes, the data is passed on as it is. Streamlit would convert a mapping three times.
        data = json.dumps({"parts": self.parts, "file": file}, ensure_ascii=False, separators=(",", ":")).encode()
        _component()(key=self.key, data=data, on_event_change=self._sent)

    def _sent(self) -> None:
        """Calls the function for what a viewer has done. Streamlit calls this before the page runs again."""
        sent = st.session_state[self.key]["event"]
        # Without a function, the part has disappeared since.
        if handler := self.handlers.get((sent["part"], sent["event"])):
            handler(sent["value"])


_current: ContextVar[Board | None] = ContextVar("board", default=None)


@contextmanager
def board(key: str) -> Iterator[None]:
    """Draws the parts that are added within the block, right after it.

    Args:
        key: the name of the board on the page.
    """
    opened = Board(key)
    with opened:
        yield
    opened.mount()


@contextmanager
def box(
    form: Literal["column", "panel", "row", "line", "fold"], key: str, weights: Sequence[float] = (), *, title: str = ""
) -> Iterator[None]:
    """Collects the parts that are added within the block in a box of the current board.

    Args:
        form: ``column`` (parts below each other), ``panel`` (the same with a border), ``row`` (parts beside each other,
            on a phone below each other), ``line`` (parts beside each other, as wide as their texts) or ``fold`` (parts
            below a title, which shows and hides them).
        key: the name of the box.
        weights: the widths of the columns of a row, relative to each other.
        title: the title of a fold.
    """
    parts: list[dict[str, Any]] = []
    add(key, {"kind": "box", "form": form, "title": title, "weights": list(weights), "parts": parts})
    opened = _current.get()
    if opened is None:
        raise RuntimeError("a box is outside of every board")
    outer, opened.place = opened.place, parts
    try:
        yield
    finally:
        opened.place = outer


def add(key: str, part: dict[str, Any], events: Mapping[str, Callable[[Any], None]] | None = None) -> None:
    """Adds a part to the current board; without one, the part is a board.

    Args:
        key: the name of the part, of which its board has one.
        part: what the component draws, which depends on its ``kind``.
        events: for each event that the part may send, the function that is called with the value that was sent.
    """
    opened = _current.get()
    if opened is None:
        with board(f"board-{key}"):
            add(key, part, events)
        return
    opened.place.append({"key": key, **part})
    opened.handlers |= {(key, event): handler for event, handler in (events or {}).items()}


def text(key: str, runs: Sequence[Run], *, small: bool = False) -> None:
    """Adds a text.

    Args:
        key: the name of the text.
        runs: the text, in parts that may have a style.
        small: whether it is smaller than the page's text.
    """
    add(key, {"kind": "text", "runs": list(runs), "small": small})


def items(key: str, texts: Sequence[Sequence[Run]], columns: int = 1) -> None:
    """Adds a list of texts.

    Args:
        key: the name of the list.
        texts: the texts.
        columns: the number of columns of the list, which has one on a phone.
    """
    add(key, {"kind": "items", "items": [list(one) for one in texts], "columns": columns})


def link(key: str, text: str, page: Page, **parameters: str) -> None:
    """Adds a link to another page.

    Args:
        key: the name of the link.
        text: the text of the link.
        page: the page.
        parameters: the parameters of the page's address.
    """
    address = f"{page.url_path}?{urlencode(parameters)}" if parameters else page.url_path

    def opened(_: object) -> None:
        st.session_state[_OPENED] = (page, parameters)

    add(key, {"kind": "link", "text": text, "address": address}, {"opened": opened})


def follow() -> None:
    """Opens the page of the link that was clicked, if one was. It must be called before boards are drawn."""
    if opened := st.session_state.pop(_OPENED, None):
        page, parameters = opened
        st.switch_page(page, query_params=parameters)


def choice(
    kind: Literal["select", "radio"],
    key: str,
    label: str,
    options: Mapping[Any, str],
    changed: Callable[[], None] = lambda: None,
) -> None:
    """Adds a choice of a setting of the page.

    Args:
        kind: ``select`` (only the chosen value is visible) or ``radio`` (all values are).
        key: the name of the setting in Streamlit's state.
        label: what is chosen, for screen readers.
        options: the values with their names on the page.
        changed: a function that is called after the setting was changed.
    """
    values = {str(value): value for value in options}

    def chosen(value: str) -> None:
        if value in values:
            st.session_state[key] = values[value]
            changed()

    part = {
        "kind": kind,
        "label": label,
        "options": [(str(value), name) for value, name in options.items()],
        "value": str(st.session_state[key]),
    }
    add(key, part, {"changed": chosen})


def offer(name: str, content: Callable[[], str]) -> Callable[[Any], None]:
    """Returns the function for an event that asks for a file, which the next run of the page passes on.

    Args:
        name: the file's name.
        content: a function that returns the file's text. It is called when the file is asked for.
    """
    opened = _current.get()

    def asked(_: object) -> None:
        file = {"id": uuid4().hex, "name": name, "text": content()}
        st.session_state[_FILE] = (opened.key if opened else None, file)

    return asked
