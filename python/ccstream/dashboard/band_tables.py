"""Reads usual bands and the alerts beside them, with the queries of ``band_queries``. Times are in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from ccstream.dashboard import band_queries as queries
from ccstream.dashboard import reading
from ccstream.dashboard.dimensions import UNKNOWN

if TYPE_CHECKING:
    import psycopg

    from ccstream.dashboard.fraud_tables import Span
    from ccstream.dashboard.view import View

CELLS = tuple(timedelta(minutes=one) for one in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440))
"""The possible widths of a cell of a band."""
COLUMNS = {"network": "payment_method", "issuer": "issuer", "country": "country", "category": "category"} | {
    "merchant": "merchant"
}
"""For each dimension of ``kpi_band`` with values, its column of ``orders``."""
EVER = (datetime(1970, 1, 1), datetime(2262, 1, 1))  # noqa: DTZ001
"""The range of all times."""


class Series(NamedTuple):
    """Names what is watched: a dimension of ``kpi_band``, and its value, which is empty for all transactions."""

    dimension: str
    value: str

    @classmethod
    def of(cls, view: View) -> Series | None:
        """Returns the series that a page shows: all transactions or one network. None for other filters.

        Only these have a band at every time.
        """
        if not view.narrows:
            return cls("all", "")
        names = view.filters.get("payment_method", ())
        is_only = view.filters.keys() == {"payment_method"} and view.min_amount is None and view.max_amount is None
        return cls("network", names[0]) if is_only and len(names) == 1 and names[0] != UNKNOWN else None


class Cell(NamedTuple):
    """Holds the usual band of some windows in a row.

    Attributes:
        time: the mean of the middles of the windows.
        low: the mean of the lower ends of their bands.
        high: the mean of the upper ends.
        expected: the mean of what was expected.
        odd_from: the middle of the first window that belongs to an anomaly; None without one.
        odd_to: the middle of the last one.
        observed: what was observed in the anomalous window that deviates most.
    """

    time: datetime
    low: float
    high: float
    expected: float
    odd_from: datetime | None
    odd_to: datetime | None
    observed: float | None


class Window(NamedTuple):
    """Holds a window: its middle, its usual band, what was expected and observed, and whether it is anomalous."""

    time: datetime
    low: float
    high: float
    expected: float
    observed: float
    is_anomalous: bool


class Mark(NamedTuple):
    """Holds an alert that a chart marks."""

    id: int
    rule: str
    key: str | None
    severity: str
    opened_at: datetime


@dataclass(frozen=True)
class Band:
    """Holds the usual band over a range.

    Attributes:
        cells: the band; empty if there is none.
        width: the width of a cell.
        step: the distance of the windows that were read.
        marks: the alerts that were opened in the range, the most urgent first.
    """

    cells: tuple[Cell, ...] = ()
    width: timedelta = CELLS[0]
    step: timedelta = queries.STEP
    marks: tuple[Mark, ...] = ()


def read(url: str, span: Span, series: Series | None, kpi: str = "approval_rate") -> Band:
    """Reads the band of a KPI, and the alerts of the range.

    Args:
        url: the URL of the database.
        span: the range.
        series: the series; None for the alerts alone.
        kpi: the KPI.
    """
    with reading.connect(url) as connection:
        there = reading.begin_with(connection, queries.POSITION, queries.COLUMNS | queries.MARK_COLUMNS) or set()
        start, end = _limits(connection, span)
        band = Band()
        if series is not None and "kpi_band" in there:
            band = _band(connection, {**_named(series, kpi), "start": start, "end": end})
        if "alerts" not in there:
            return band
        marks = connection.execute(queries.MARKS, {"start": start, "end": end}).fetchall()
        return Band(band.cells, band.width, band.step, tuple(Mark(*row) for row in marks))


def windows(url: str, series: Series, kpi: str, start: datetime, end: datetime) -> list[Window]:
    """Reads the windows of a KPI that end in a range, as far as they are stored.

    Args:
        url: the URL of the database.
        series: the series.
        kpi: the KPI.
        start: the start of the range.
        end: its end (inclusive).
    """
    with reading.connect(url) as connection:
        if not reading.begin(connection, queries.COLUMNS):
            return []
        rows = connection.execute(queries.WINDOWS, {**_named(series, kpi), "start": start, "end": end})
        return [Window(*row) for row in rows]


def _named(series: Series, kpi: str) -> dict[str, Any]:
    return {"dimension": series.dimension, "series": series.value, "kpi": kpi}


def _limits(connection: psycopg.Connection[tuple[Any, ...]], span: Span) -> tuple[datetime, datetime]:
    """Returns the limits of a range."""
    if span.length is None:
        return span.start or EVER[0], span.end or EVER[1]
    row = connection.execute("SELECT localtimestamp").fetchone()
    now: datetime = row[0] if row else EVER[1]
    return now - span.length, now


def _band(connection: psycopg.Connection[tuple[Any, ...]], given: dict[str, Any]) -> Band:
    # A window begins within the range, or ends there.
    ends = connection.execute(queries.ENDS, {**given, "end": given["end"] + queries.WINDOW}).fetchone()
    if ends is None or ends[0] is None:
        return Band()
    first, last = ends
    step = queries.STEP if (last - first) / queries.STEP < queries.MOST_WINDOWS else queries.LONG_STEP
    # Windows that do not overlap are those at multiples of their length, so that each reading has the same ones.
    first -= (first - EVER[0]) % step
    width = next((one for one in CELLS if one >= step and (last - first) / one < queries.MOST_CELLS), CELLS[-1])
    given |= {"start": first, "end": last, "step": step, "width": int(width.total_seconds())}
    rows = connection.execute(queries.CELLS, given).fetchall()
    return Band(tuple(Cell(*row) for row in rows), width, step)
