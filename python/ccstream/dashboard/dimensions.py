"""What transactions can be filtered by, and how values are shown: on the page and in conditions."""

from __future__ import annotations

import re

UNKNOWN = "(unknown)"
"""The name of an absent value."""
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def shown(value: str | None) -> str:
    """A value's name on the page."""
    return UNKNOWN if value is None else value


def meant(name: str) -> str | None:
    """The value that a name stands for."""
    return None if name == UNKNOWN else name


def plain(text: str) -> str:
    """A text that Markdown shows as it is: whoever sent an address must not make it a link, or a picture from afar."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])", r"\\\1", text).replace("\n", " ")
