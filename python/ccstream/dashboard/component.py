"""Draws charts, tables and the cards of KPIs with the page's own component, which updates them in place.

Streamlit's own charts draw everything again at each refresh. The component's source is in ``page/``; ``make page``
bundles it.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pandas as pd
import streamlit as st
from streamlit.components.v2 import component

from ccstream.dashboard import viewer
from ccstream.dashboard.utc_charts import in_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streamlit.components.v2.types import ComponentRenderer

    from ccstream.dashboard.charts import Spec
    from ccstream.dashboard.metrics import Metric

ROWS = "rows"
"""The name of a chart's data that has one part."""


@cache
def _component() -> ComponentRenderer:
    # Streamlit knows the component's files only while it serves a page.
    return component("ccstream.component", js="component.js", isolate_styles=False)


def plot(
    data: pd.DataFrame | Mapping[str, pd.DataFrame],
    spec: Spec,
    *,
    key: str,
    alt: str,
    chosen: Sequence[str] = (),
    picked: Callable[[dict[str, Any]], None] | None = None,
    pick: Sequence[str] = (),
    zoomed: Callable[[float, float], None] | None = None,
    back: Callable[[], None] | None = None,
) -> None:
    """Draws a chart.

    Args:
        data: the rows, or those of each part of the chart's data by its name.
        spec: the Vega-Lite specification.
        key: the name of the chart on the page. A chart of the same name is updated in place.
        alt: what the chart shows, for screen readers.
        chosen: the value of the specification's parameter ``chosen``, if it has one.
        picked: a function that is called after a click on a mark, with the mark's values of ``pick``, and whether the
            click adds to what is chosen (``adds``).
        pick: the columns that a click on a mark passes on.
        zoomed: a function that is called with the start and the end, in milliseconds since 1970, of a range that was
            dragged over or of a bucket that was clicked.
        back: a function that is called after a double click.
    """
    tables = {ROWS: data} if isinstance(data, pd.DataFrame) else data
    events: dict[str, Any] = {}
    if picked is not None:
        events["on_picked_change"] = lambda: picked(_sent(key, "picked"))
    if zoomed is not None:
        events["on_zoomed_change"] = lambda: zoomed(*_sent(key, "zoomed"))
    if back is not None:
        events["on_back_change"] = back
    has_choice = any(one.get("name") == "chosen" for one in spec.get("params", ()))
    _component()(
        key=key,
        data={
            "kind": "plot",
            "spec": in_utc(spec) if viewer.shows_utc() else spec,
            "tables": {name: columns(frame) for name, frame in tables.items()},
            "signals": {"chosen": list(chosen)} if has_choice else {},
            "description": alt,
            "pick": list(pick),
            "zooms": zoomed is not None,
        },
        height=_height(spec),
        **events,
    )


def cards(
    metrics: Sequence[Metric], narrow: int, chosen: str, pick: Callable[[str], None], *, key: str = "header"
) -> None:
    """Draws the cards of KPIs. A click on one whose measure the charts can show chooses that measure.

    Args:
        metrics: the KPIs.
        narrow: the least width of a card, in pixels.
        chosen: the measure that the charts show.
        pick: a function that is called with the measure of a clicked card.
        key: the name of the cards on the page.
    """
    _component()(
        key=key,
        data={
            "kind": "cards",
            "narrow": narrow,
            "cards": [
                {
                    "label": one.label,
                    "value": one.value,
                    "change": one.change,
                    "good": one.good * one.direction,
                    "up": one.direction,
                    "trend": one.trend,
                    "help": one.help,
                    "pick": one.charted,
                    "chosen": one.charted == chosen,
                }
                for one in metrics
            ],
        },
        on_picked_change=lambda: pick(_sent(key, "picked")),
    )


class Column(NamedTuple):
    """Holds the title of a table's column and the form of its cells.

    Attributes:
        title: the title.
        form: ``text``; ``number`` (a text at the right); ``share`` (a share from 0 to 1 and its text, drawn as a bar);
            ``trend`` (numbers, drawn as a line).
    """

    title: str
    form: Literal["text", "number", "share", "trend"] = "text"


def table(
    heads: Sequence[Column],
    cells: Sequence[Sequence[Any]],
    *,
    key: str,
    alt: str,
    picks: Sequence[str | None] = (),
    chosen: Sequence[str] = (),
    picked: Callable[[str, bool], None] | None = None,
) -> None:
    """Draws a table.

    Args:
        heads: the columns.
        cells: the cells of each row, in the forms of the columns.
        key: the name of the table on the page.
        alt: what the table has, for screen readers.
        picks: what a click on each row passes on; None for a row that cannot be clicked. Without any, no row can.
        chosen: what is chosen of ``picks``; all other rows are pale then.
        picked: a function that is called after a click on a row, with what it passes on, and whether it adds to what
            is chosen.
    """

    def sent() -> None:
        if picked is not None:
            found = _sent(key, "picked")
            picked(found["name"], found["adds"])

    _component()(
        key=key,
        data={
            "kind": "table",
            "description": alt,
            "columns": [{"title": one.title, "form": one.form} for one in heads],
            "rows": [list(row) for row in cells],
            "picks": list(picks) or [None] * len(cells),
            "chosen": list(chosen),
        },
        on_picked_change=sent,
    )


def columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Returns the columns of a frame in the form that JSON has: times are milliseconds, and NaN and NaT are None."""
    return {str(name): _values(frame[name]) for name in frame.columns}


def _values(column: pd.Series[Any]) -> list[Any]:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        # Nanoseconds would not be exact as floating-point numbers.
        microseconds = column.astype("datetime64[us, UTC]").astype("int64").tolist()
        return [None if one == pd.NaT.value else one / 1e3 for one in microseconds]
    values: list[Any] = column.tolist()
    return [None if math.isnan(one) else one for one in values] if column.dtype.kind == "f" else values


def _sent(key: str, event: str) -> Any:  # noqa: ANN401
    """Returns what the component has sent with an event."""
    return st.session_state[key][event]


def _height(spec: Spec) -> int | Literal["content"]:
    height = spec.get("height")
    return height if isinstance(height, int) else "content"
