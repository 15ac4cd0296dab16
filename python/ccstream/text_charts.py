"""Formats tables and charts as text for a terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHADES = " ░▒▓█"
"""The shades from zero to the maximum."""
CELL = 2
"""The width of a heat map's cell, in characters."""


def shade(value: float, most: float) -> str:
    """Returns the shade of a value: blank only for 0, and the darkest for the upper quarter up to ``most``.

    Example:
        >>> "".join(shade(value, 8) for value in (0, 1, 2, 3, 6, 8))
        ' ░░▒▓█'
    """
    if value <= 0:
        return SHADES[0]
    return SHADES[min(math.ceil(value / most * 4), 4)]


def heat_map(rows: Mapping[str, Sequence[int]], ticks: Sequence[int]) -> list[str]:
    r"""Formats a heat map, with a line of numbers above its columns.

    Args:
        rows: the numbers of each row, by its label.
        ticks: the columns whose number is written above them.

    Example:
        >>> print("\n".join(heat_map({"a": [0, 1], "b": [4, 2]}, [0, 1])))
          0 1
        a   ░░
        b ██▒▒
    """
    margin = max(map(len, rows)) + 1
    most = max((number for numbers in rows.values() for number in numbers), default=0)
    head = ""
    for tick in ticks:
        head = head.ljust(margin + tick * CELL) + str(tick)
    lines = [
        f"{label:<{margin}}{''.join(shade(number, most) * CELL for number in numbers)}"
        for label, numbers in rows.items()
    ]
    return [head, *lines]


def log_bars(rows: Sequence[tuple[str, int]], width: int) -> list[str]:
    r"""Formats bars of at most ``width`` characters. Their length grows with the logarithm of the number.

    Example:
        >>> print("\n".join(log_bars([("1", 99), ("10", 9), ("100", 0)], 8)))
          1 99 ████████
         10  9 ████
        100  0
    """
    most = math.log1p(max((number for _, number in rows), default=0))
    labels = max((len(label) for label, _ in rows), default=0)
    numbers = max((len(f"{number:,}") for _, number in rows), default=0)
    return [
        f"{label:>{labels}} {number:>{numbers},} {'█' * round(math.log1p(number) / (most or 1) * width)}".rstrip()
        for label, number in rows
    ]


def table(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    r"""Formats a table. The first column is left-aligned, and cut to the width that the others leave.

    Example:
        >>> print("\n".join(table(["name", "n"], [["abcdef", "10"], ["b", "9"]], 8)))
        name   n
        abcd… 10
        b      9
    """
    sizes = [max(len(row[at]) for row in [header, *rows]) for at in range(len(header))]
    sizes[0] = max(min(sizes[0], width - sum(sizes[1:]) - len(sizes) + 1), 1)

    def line(row: Sequence[str]) -> str:
        first = row[0] if len(row[0]) <= sizes[0] else row[0][: sizes[0] - 1] + "…"
        cells = [f"{cell:>{size}}" for cell, size in zip(row[1:], sizes[1:], strict=True)]
        return " ".join([f"{first:<{sizes[0]}}", *cells])

    return [line(row) for row in [header, *rows]]
