"""Tests the line of an earlier period in the large chart: its figures agree with SQL."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

import ccstream
from ccstream.dashboard import compared, timeline_figures
from ccstream.dashboard.figures import load
from ccstream.dashboard.view import BEFORE, WEEK, View
from drawn import plots, texts
from test_dashboard import app, engines, settled  # noqa: F401
from test_declines import DECIDED, START, condition, draw, store

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from pipeline import Pipeline

# Streamlit and Altair cause deprecation warnings, and the threads of cached engines end only with the process.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

UTC = timezone.utc


def expected(pipeline: Pipeline, view: View, start: datetime, end: datetime) -> tuple[int, float | None]:
    """Returns the number of transactions of a bucket and their approval rate."""
    where, values = condition(view, start, end)
    approved = "lower(status) IN ('approved', 'paid')"
    [(count, yes, decided)] = pipeline.query(
        f"SELECT count(*), count(*) FILTER (WHERE {approved}), count(*) FILTER (WHERE {DECIDED}) "
        f"FROM orders WHERE {where}",
        **values,
    )
    return count, yes / decided if decided else None


def test_the_earlier_period_agrees_with_sql(embedded_pipeline: Pipeline, chance: random.Random) -> None:
    pipeline = embedded_pipeline
    store(pipeline, START)
    cells = 0
    with ccstream.KpiEngine.from_database(pipeline.database_url) as engine:
        assert engine.refresh()
        for _ in range(12):
            length = timedelta(minutes=chance.choice((10, 60, 180)))
            start = START + length + timedelta(minutes=chance.randint(20, 6 * 60))
            view = replace(draw(chance), span="from-to", start=start, end=start + length, compare=BEFORE)
            print(view)
            figures = load(engine, view, UTC)
            found = compared.load(engine, view, figures, UTC)
            if figures.series.empty:
                assert found is None
                continue
            assert found is not None
            assert found.missing is None
            assert figures.width is not None
            back = (figures.series["end"].iloc[-1] - figures.series["time"].iloc[0]).to_pytimedelta()
            for row in found.frame.to_dict("records"):
                then = row["time"].to_pydatetime() - back
                count, share = expected(pipeline, view, then, then + figures.width)
                assert row["transactions"] == count
                assert row["share"] == pytest.approx(math.nan if share is None else share, nan_ok=True)
                cells += 1
            together = timeline_figures.with_earlier(figures.series, found.frame, "transactions")
            assert together["then"].sum() == found.frame["transactions"].sum()
    assert cells > 100


def test_a_week_before_is_the_same_time_of_the_day(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    zone = ZoneInfo("Europe/Berlin")
    # Clocks went forward on 29 March 2026, so that a week before is 167 hours before.
    first = datetime(2026, 3, 25, tzinfo=zone)
    store(pipeline, first.astimezone(UTC), 2_000)
    store(pipeline, (first + timedelta(weeks=1)).astimezone(UTC), 2_000)
    start = datetime(2026, 4, 1, 1, tzinfo=zone).astimezone(UTC)
    view = View(span="from-to", start=start, end=start + timedelta(hours=1), compare=WEEK, metric="count")
    with ccstream.KpiEngine.from_database(pipeline.database_url) as engine:
        assert engine.refresh()
        found = compared.load(engine, view, load(engine, view, zone), zone)
    assert found is not None
    assert found.missing is None
    hour = datetime(2026, 3, 25, 1, tzinfo=zone).astimezone(UTC)
    assert found.frame["transactions"].sum() == expected(pipeline, View(), hour, hour + timedelta(hours=1))[0] > 100
    assert found.frame["time"].iloc[0] == pd.Timestamp(start)


def test_the_page_says_why_there_is_no_line(filled: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = settled(app(monkeypatch, filled.database_url, tmp_path, range="all", compare=BEFORE, metric="count"))
    assert "There is no line of the period before: the first transaction is from" in texts(page)
    page.session_state["compare"] = ""
    page.run()
    assert "There is no line" not in texts(page)
    assert all("then" not in str(one["spec"]) for one in plots(page))
    assert not page.exception
