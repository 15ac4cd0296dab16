"""What a terminal needs and a file does not: colours, and lines that are no longer than it is wide."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

COLOURS: Mapping[str, str] = {"✓": "32", "✗": "31", "!": "33"}
"""The codes of green, red and yellow, for the marks at the beginning of a line."""


def is_coloured(stream: TextIO) -> bool:
    """Whether a stream is a terminal that takes colours, and nobody has asked for none (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(line: str, stream: TextIO | None = None) -> str:
    """A line with its mark in colour, on a terminal; elsewhere the line as it is.

    Args:
        line: begins with the mark, or with a name in brackets and the mark.
        stream: where it will be printed. Default: ``sys.stdout``.
    """
    name, bracket, rest = line.partition("] ") if line.startswith("[") else ("", "", line)
    mark = rest[:1]
    if mark not in COLOURS or not is_coloured(stream or sys.stdout):
        return line
    return f"{name}{bracket}\033[{COLOURS[mark]}m{mark}\033[0m{rest[1:]}"


def fitted(line: str) -> str:
    """A line cut to the terminal's width: a longer one would wrap, and could not be overwritten."""
    width = shutil.get_terminal_size().columns - 1
    return line if len(line) <= width else line[: max(width - 1, 0)] + "…"
