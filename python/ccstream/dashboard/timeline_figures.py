"""Prepares the frames of the charts of the approval rate, and what the page says of it, independently of Streamlit."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ccstream.dashboard.band_queries import STEP
from ccstream.dashboard.band_tables import Cell
from ccstream.dashboard.clock import clock, micros
from ccstream.dashboard.words import bad, doubtful, good

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta, tzinfo

    import numpy.typing as npt

    from ccstream.dashboard.band_tables import Band, Mark, Window
    from ccstream.dashboard.words import Run

NAMED = 3
"""The number of anomalies and of alerts that the page names, those that come first."""
BUCKETS, BAND, ODD, SPANS, MARKS, PARTS, LEVEL = "buckets", "band", "odd", "spans", "marks", "parts", "level"
"""The names of the parts of the data."""


class Span(NamedTuple):
    """Holds from when to when a KPI was anomalous."""

    start: datetime
    end: datetime


def within(band: Band, series: pd.DataFrame) -> tuple[list[Cell], list[Mark]]:
    """Returns the cells and the alerts of a band that lie within the buckets of a series."""
    start, end = (moment.tz_localize(None) for moment in (series["time"].iloc[0], series["end"].iloc[-1]))
    cells = [cell for cell in band.cells if start <= cell.time < end]
    return cells, [mark for mark in band.marks if start <= mark.opened_at < end]


def anomalies(cells: Sequence[Cell], step: timedelta) -> list[Span]:
    """Returns when a KPI was anomalous, the oldest first.

    Args:
        cells: the cells of the band, in order.
        step: the distance of their windows.
    """
    found: list[Span] = []
    for cell in cells:
        if cell.odd_from is None or cell.odd_to is None:
            continue
        span = Span(cell.odd_from - step / 2, cell.odd_to + step / 2)
        if found and span.start <= found[-1].end:
            found[-1] = Span(found[-1].start, span.end)
        else:
            found.append(span)
    return found


def with_earlier(frame: pd.DataFrame, earlier: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Returns buckets with the column ``then``: a measure in an earlier period, at the same time; NaN if it is unknown.

    Args:
        frame: the buckets of a series.
        earlier: the buckets of the earlier period, whose ``time`` was moved to that of the series; maybe empty.
        measure: the column of the measure.
    """
    if earlier.empty:
        return frame.assign(then=np.nan)
    half = (frame["end"] - frame["time"]).min() / 2
    place = pd.Index(earlier["time"]).get_indexer(pd.Index(frame["time"]), method="nearest", tolerance=half)
    return frame.assign(then=np.where(place < 0, np.nan, earlier[measure].to_numpy(dtype=float)[place]))


def buckets(series: pd.DataFrame, cells: Sequence[Cell], width: timedelta) -> pd.DataFrame:
    """Returns the buckets of the page's series with the usual band at their middle, as text.

    Args:
        series: the series of the page's figures.
        cells: the cells of the band.
        width: the width of a cell.
    """
    columns = ["time", "end", "whole", "share", "approved", "declined", "transactions", "value", "average", "refunds"]
    frame = series[columns].copy()
    frame["middle"] = frame["time"] + (frame["end"] - frame["time"]) / 2
    if cells:
        times = pd.to_datetime([cell.time for cell in cells], utc=True)
        nearest = times.get_indexer(pd.Index(frame["middle"]), method="nearest", tolerance=pd.Timedelta(2 * width))
        # A bucket may be wider than a cell, and a cell wider than a bucket: what counts is the band in its middle.
        frame["usual"] = ["-" if at < 0 else f"{cells[at].low:.1%} to {cells[at].high:.1%}" for at in nearest.tolist()]
    return frame


def stacked(series: pd.DataFrame, stack: Mapping[str, npt.NDArray[np.int64]]) -> pd.DataFrame:
    """Returns the transactions of each bucket by part, each with where its bar begins and ends.

    Args:
        series: the series of the page's figures.
        stack: for each part, the transactions of each bucket.
    """
    bottom = np.zeros(len(series), dtype=np.int64)
    parts = []
    for name_, counts in stack.items():
        part = series[["time", "end", "whole"]].assign(
            part=name_, transactions=counts, bottom=bottom, top=bottom + counts
        )
        parts.append(part[part["transactions"] > 0])
        bottom = bottom + counts
    return pd.concat(parts, ignore_index=True)


def lines(cells: Sequence[Cell] | Sequence[Window], width: timedelta) -> pd.DataFrame:
    """Returns a band. The column ``run`` numbers the parts between which it is unknown.

    Args:
        cells: the cells or windows, in order.
        width: the usual distance of two of them.
    """
    frame = pd.DataFrame(
        {
            "time": _utc([cell.time for cell in cells]),
            "low": _numbers([cell.low for cell in cells]),
            "high": _numbers([cell.high for cell in cells]),
            "expected": _numbers([cell.expected for cell in cells]),
        }
    )
    return frame.assign(run=(frame["time"].diff() > 2 * width).cumsum())


def odd(cells: Sequence[Cell]) -> pd.DataFrame:
    """Returns what was observed in anomalous windows, at the middle of those of each cell."""
    some = [cell for cell in cells if cell.odd_from is not None and cell.odd_to is not None]
    # The conditions are those of the line above, which the type checker does not know.
    middles = [cell.odd_from + (cell.odd_to - cell.odd_from) / 2 for cell in some if cell.odd_from and cell.odd_to]
    return pd.DataFrame({"time": _utc(middles), "observed": _numbers([cell.observed for cell in some])})


def spans(found: Sequence[Span]) -> pd.DataFrame:
    """Returns when a KPI was anomalous."""
    return pd.DataFrame({"start": _utc([one.start for one in found]), "end": _utc([one.end for one in found])})


def marks(some: Sequence[Mark]) -> pd.DataFrame:
    """Returns the alerts that a chart marks, with the page's address of each."""
    return pd.DataFrame(
        {
            "time": _utc([one.opened_at for one in some]),
            "alert": pd.Series([name(one) for one in some], dtype=object),
            "severity": pd.Series([one.severity for one in some], dtype=object),
            "url": pd.Series([f"alerts?alert={one.id}" for one in some], dtype=object),
        }
    )


def windows(some: Sequence[Window], numbers: str) -> dict[str, pd.DataFrame]:
    """Returns the data of the chart of an alert: what was observed, the band, and what was anomalous.

    Args:
        some: the windows, in order.
        numbers: the format of numbers in texts.
    """
    middles = _utc([one.time for one in some])
    half = STEP / 2
    observed = pd.DataFrame(
        {
            "time": middles - half,
            "end": middles + half,
            "middle": middles,
            "observed": _numbers([one.observed for one in some]),
            "expected": _numbers([one.expected for one in some]),
            "usual": [f"{one.low:{numbers}} to {one.high:{numbers}}" for one in some],
        }
    )
    bad = [one for one in some if one.is_anomalous]
    cells = [Cell(one.time, one.low, one.high, one.expected, one.time, one.time, one.observed) for one in bad]
    return {
        BUCKETS: observed,
        BAND: lines(some, STEP),
        ODD: odd(cells),
        SPANS: spans(anomalies(cells, STEP)),
    }


def name(one: Mark) -> str:
    """Names an alert by its rule and its key."""
    return one.rule if one.key is None else f"{one.rule} · {one.key}"


def words(cells: Sequence[Cell], found: Sequence[Span], zone: tzinfo) -> list[Run]:
    """Says whether the approval rate is or was anomalous; nothing without a band.

    Args:
        cells: the cells of the band.
        found: when it was anomalous.
        zone: the viewer's time zone.
    """
    if not cells:
        return []
    newest = cells[-1]
    if newest.odd_to is not None and newest.odd_to >= newest.time and newest.observed is not None:
        usual = f"{newest.low:.1%} to {newest.high:.1%} is usual"
        since = f"! anomaly since {moment(found[-1].start, zone)}"
        return [bad(since), f": {newest.observed:.1%} approved; {usual}"]
    if found:
        times = [f"{moment(one.start, zone)} to {moment(one.end, zone)}" for one in reversed(found[-NAMED:])]
        more = f" and {len(found) - NAMED} before" if len(found) > NAMED else ""
        count = "1 anomaly" if len(found) == 1 else f"{len(found):,} anomalies"
        return [doubtful(f"! {count}"), f": {', '.join(times)}{more}"]
    return [good("✓ no anomaly"), f" from {moment(cells[0].time, zone)} to {moment(newest.time, zone)}"]


def moment(at: datetime, zone: tzinfo) -> str:
    """Formats a time of the tables to the minute."""
    return clock(micros(at), zone)[:-3]


def _utc(times: Sequence[datetime]) -> pd.Series[pd.Timestamp]:
    return pd.to_datetime(pd.Series(list(times), dtype="datetime64[us]"), utc=True)


def _numbers(values: Sequence[float | None]) -> pd.Series[float]:
    return pd.Series(list(values), dtype=float)
