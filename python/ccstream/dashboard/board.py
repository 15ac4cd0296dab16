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
from uuid import uuid4

import streamlit as st
from streamlit.components.v2 import component

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from streamlit.components.v2.types import ComponentRenderer

    from ccstream.dashboard.words import Run

_FILE = "board-file"
"""The name, among the settings of a page, of a file that was asked for: the board, the file's name and its text."""


@cache
def _component() -> ComponentRenderer:
    # Streamlit knows the component's files only while it serves a page.
    return component("ccstream.component", js="component.js", isolate_styles=False)


class _Board:
    """Holds the parts of a board while they are collected.

    Args:
        key: the name of the board on the page.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.parts: list[dict[str, Any]] = []
        self.place = self.parts
        self.handlers: dict[tuple[str, str], Callable[[Any], None]] = {}

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


_current: ContextVar[_Board | None] = ContextVar("board", default=None)


@contextmanager
def board(key: str) -> Iterator[None]:
    """Collects the parts that are added within the block, and draws them below each other.

    Args:
        key: the name of the board on the page. A board within another one is a part of it.
    """
    if _current.get() is not None:
        with box("column", key):
            yield
        return
    opened = _Board(key)
    token = _current.set(opened)
    try:
        yield
    finally:
        _current.reset(token)
    opened.mount()


@contextmanager
def box(form: Literal["column", "panel", "row", "line"], key: str, weights: Sequence[float] = ()) -> Iterator[None]:
    """Collects the parts that are added within the block in a box of the current board.

    Args:
        form: ``column`` (parts below each other), ``panel`` (the same with a border), ``row`` (parts beside each other,
            on a phone below each other) or ``line`` (parts beside each other, as wide as their texts).
        key: the name of the box.
        weights: the widths of the columns of a row, relative to each other.
    """
    parts: list[dict[str, Any]] = []
    add(key, {"kind": "box", "form": form, "weights": list(weights), "parts": parts})
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


def items(key: str, texts: Sequence[Sequence[Run]]) -> None:
    """Adds a list of texts.

    Args:
        key: the name of the list.
        texts: the texts.
    """
    add(key, {"kind": "items", "items": [list(one) for one in texts]})


def select(key: str, label: str, options: Mapping[Any, str], changed: Callable[[], None]) -> None:
    """Adds a choice of a setting of the page.

    Args:
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
        "kind": "select",
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
