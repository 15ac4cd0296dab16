"""Adds charts, tables and the cards of KPIs to a board, which updates them in place.

Streamlit's own charts draw everything again at each refresh.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import pandas as pd

from ccstream.dashboard import viewer
from ccstream.dashboard.board import add
from ccstream.dashboard.utc_charts import in_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ccstream.dashboard.charts import Spec
    from ccstream.dashboard.metrics import Metric

Rows: TypeAlias = "pd.DataFrame | Sequence[Mapping[str, Any]]"
"""The rows of a chart: a frame, or a mapping for each row."""
ROWS = "rows"
"""The name of a chart's data that has one part."""


def plot(
    data: Rows | Mapping[str, Rows],
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
    tables = data if isinstance(data, Mapping) else {ROWS: data}
    events: dict[str, Callable[[Any], None]] = {}
    if picked is not None:
        events["picked"] = picked
    if zoomed is not None:
        events["zoomed"] = lambda times: zoomed(*times)
    if back is not None:
        events["back"] = lambda _: back()
    has_choice = any(one.get("name") == "chosen" for one in spec.get("params", ()))
    part = {
        "kind": "plot",
        "spec": in_utc(spec) if viewer.shows_utc() else spec,
        "tables": {name: columns(frame) for name, frame in tables.items()},
        "signals": {"chosen": list(chosen)} if has_choice else {},
        "description": alt,
        "pick": list(pick),
        "zooms": zoomed is not None,
    }
    add(key, part, events)


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
    part = {
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
    }
    add(key, part, {"picked": pick})


Form: TypeAlias = Literal["text", "number", "share", "trend"]
"""The form of the cells of a table's column."""


class Column(NamedTuple):
    """Holds the title of a table's column and the form of its cells.

    Attributes:
        title: the title.
        form: ``text``; ``number`` (a text at the right); ``share`` (a share from 0 to 1 and its text, drawn as a bar);
            ``trend`` (numbers, drawn as a line).
    """

    title: str
    form: Form = "text"


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
    part = {
        "kind": "table",
        "description": alt,
        "columns": [{"title": one.title, "form": one.form} for one in heads],
        "rows": [list(row) for row in cells],
        "picks": list(picks) or [None] * len(cells),
        "chosen": list(chosen),
    }
    add(key, part, {} if picked is None else {"picked": lambda sent: picked(sent["name"], sent["adds"])})


def columns(rows: Rows) -> dict[str, list[Any]]:
    """Returns the columns of a table in the form that JSON has.

    Times of a frame become milliseconds since 1970, and NaN and NaT become None. Other rows have such values already.
    """
    if not isinstance(rows, pd.DataFrame):
        return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
    frame = rows
    return {str(name): _values(frame[name]) for name in frame.columns}


def _values(column: pd.Series[Any]) -> list[Any]:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        # Nanoseconds would not be exact as floating-point numbers.
        microseconds = column.astype("datetime64[us, UTC]").astype("int64").tolist()
        return [None if one == pd.NaT.value else one / 1e3 for one in microseconds]
    values: list[Any] = column.tolist()
    return [None if math.isnan(one) else one for one in values] if column.dtype.kind == "f" else values
