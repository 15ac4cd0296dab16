"""Adapts output to a terminal: adds colours, cuts lines to its width, and escapes what is not text."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

COLOURS: Mapping[str, str] = {"✓": "32", "✗": "31", "!": "33"}
"""For each mark at the beginning of a line, the code of its colour: green, red or yellow."""


def is_coloured(stream: TextIO) -> bool:
    """Returns whether a stream is a terminal with colours, and ``NO_COLOR`` is not set (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(line: str, stream: TextIO | None = None) -> str:
    """Colours the mark of a line if it is printed on a terminal; returns other lines unchanged.

    Args:
        line: the line, which begins with the mark, or with a name in brackets and the mark.
        stream: the stream on which the line will be printed. Default: ``sys.stdout``.
    """
    name, bracket, rest = line.partition("] ") if line.startswith("[") else ("", "", line)
    mark = rest[:1]
    if mark not in COLOURS or not is_coloured(stream or sys.stdout):
        return line
    return f"{name}{bracket}\033[{COLOURS[mark]}m{mark}\033[0m{rest[1:]}"


def harmless(text: str) -> str:
    """Escapes characters that cannot be printed, such as ESC, which begins a command to the terminal.

    Others choose the merchant's name in an alert, so it must not clear the screen, reverse the line or add one.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def fitted(line: str) -> str:
    """Cuts a line to the terminal's width. A longer line would wrap and could not be overwritten."""
    width = shutil.get_terminal_size().columns - 1
    return line if len(line) <= width else line[: max(width - 1, 0)] + "…"
