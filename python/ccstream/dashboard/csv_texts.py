"""Writes tables as CSV in which a spreadsheet finds no formula, independently of Streamlit."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""With these, a text begins that a spreadsheet takes for a formula."""


def safe(value: object) -> str:
    """Returns a text that a spreadsheet does not take for a formula."""
    text = str(value)
    return f"'{text}" if text.startswith(FORMULAS) else text


def tidy(frame: pd.DataFrame, currency: str | None = None) -> str:
    """Returns a frame as CSV, unrounded: a row for each row, a column for each column, and one header.

    Columns of lists are left out, and what is absent is empty.

    Args:
        frame: the frame.
        currency: the currency of its amounts, which becomes a column. Default: no such column.
    """
    if currency is not None:
        frame = frame.assign(currency=currency)
    names = [name for name in frame.columns if not frame[name].map(lambda value: isinstance(value, list)).any()]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([safe(name) for name in names])
    for row in frame[names].itertuples(index=False, name=None):
        writer.writerow([_cell(value) for value in row])
    return out.getvalue()


def stacked(frames: Mapping[str, pd.DataFrame], kind: str) -> pd.DataFrame:
    """Returns frames below each other, with the name of each in a first column.

    Args:
        frames: the frames by their names.
        kind: the name of the first column.
    """
    named = [frame.assign(**{kind: name}) for name, frame in frames.items()]
    joined = pd.concat(named, ignore_index=True) if named else pd.DataFrame({kind: []})
    return joined[[kind, *(name for name in joined.columns if name != kind)]]


def _cell(value: object) -> object:
    if isinstance(value, str):
        return safe(value)
    return "" if pd.isna(value) else value  # type: ignore[call-overload]
