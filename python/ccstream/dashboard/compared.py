"""Queries the same measure in an earlier period, for the line that the large chart compares with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from ccstream.dashboard.clock import micros
from ccstream.dashboard.figures import by_bucket
from ccstream.dashboard.memory import lacks
from ccstream.dashboard.metrics import Answered
from ccstream.dashboard.view import COMPARED, SPANS, WEEK

if TYPE_CHECKING:
    from datetime import tzinfo

    from ccstream import KpiEngine
    from ccstream.dashboard.figures import Figures
    from ccstream.dashboard.view import View

KEPT = 60
"""The time, in seconds, for which the figures of the past are kept."""


@dataclass(frozen=True)
class Compared:
    """Holds a measure in an earlier period.

    Attributes:
        name: what the period is, in words.
        frame: ``time`` (UTC, moved to the page's range), and the measures that
            :attr:`ccstream.dashboard.figures.Figures.series` has; empty if the period is not known.
        missing: why the period is not known; None if it is.
    """

    name: str
    frame: pd.DataFrame
    missing: str | None = None


@st.cache_data(ttl=KEPT, max_entries=50, show_spinner=False, hash_funcs={"ccstream.KpiEngine": id})
def _asked(engine: KpiEngine, question: dict[str, Any]) -> pd.DataFrame:
    """Asks for a time in the past, once a minute for all pages."""
    answer = engine.query(**question, by={"time": ["approved"]})
    times = pd.to_datetime(answer["time"]["key"], utc=True)
    return pd.DataFrame({"time": times, **by_bucket(Answered(answer, None, np.ones(len(times), dtype=bool)))})


def load(engine: KpiEngine, view: View, figures: Figures, zone: tzinfo) -> Compared | None:
    """Queries the period that the view compares with; None if it compares with none.

    Args:
        engine: the engine that answers.
        view: the settings of the page.
        figures: the figures of the page's range.
        zone: the viewer's time zone.
    """
    if not view.compare or figures.width is None or figures.series.empty:
        return None
    # The period begins and ends with a bucket, so that the same query is asked until a bucket is over.
    start, end = (moment.to_pydatetime() for moment in (figures.series["time"].iloc[0], figures.series["end"].iloc[-1]))
    length = SPANS[view.span][1] if view.span in SPANS else None
    # A range that moves is a little shorter than its buckets, of which the first and the last are incomplete.
    back = length if length and not length % figures.width else end - start
    if view.compare == WEEK:
        # A week ago at the same time of the day, also if the clocks were changed since.
        then = start.astimezone(zone).replace(tzinfo=None) - timedelta(weeks=1)
        back = start - then.replace(tzinfo=zone)
    name = COMPARED[view.compare].lower()
    since = micros((start - back).replace(tzinfo=None))
    if missing := lacks(engine.status, since, zone):
        return Compared(name, pd.DataFrame(), missing)
    rows = {name: value for name, value in view.question().items() if name not in {"last", "before"}}
    rows |= {"start": start - back, "end": end - back, "currency": figures.currency, "width": figures.width, "tz": zone}
    frame = _asked(engine, rows)
    return Compared(name, frame.assign(time=frame["time"] + back))
