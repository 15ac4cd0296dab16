"""Converts values of dimensions to and from their names on the page and in conditions."""

from __future__ import annotations

import re

UNKNOWN = "(unknown)"
"""The name of an absent value on the page."""
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def shown(value: str | None) -> str:
    """Returns a value's name on the page."""
    return UNKNOWN if value is None else value


def meant(name: str) -> str | None:
    """Returns the value that a name on the page stands for."""
    return None if name == UNKNOWN else name


def plain(text: str) -> str:
    """Escapes a text for Markdown. A text from the page's address must not become a link or load a remote picture."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])", r"\\\1", text).replace("\n", " ")
