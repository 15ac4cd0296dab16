"""Tests the chart of the approval rate with its usual band, and what the page of alerts shows of an anomaly."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from analyst import open_alert, riskiest
from ccstream.dashboard import alert_kpi, band_queries, band_tables, timeline_figures
from ccstream.dashboard.alert_tables import Filters
from ccstream.dashboard.alert_tables import read as read_alerts
from ccstream.dashboard.band_tables import Band, Cell, Series
from ccstream.dashboard.fraud_tables import Span
from ccstream.dashboard.timeline_figures import Span as Odd
from ccstream.dashboard.view import View
from ccstream.dashboard.words import said
from drawn import plots, texts
from test_alerts_page import page
from test_dashboard import app, engines, settled  # noqa: F401
from waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline import Pipeline

# Streamlit and Altair cause deprecation warnings, and the threads of cached engines end only with the process.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

MINUTE = timedelta(minutes=1)
HALF = MINUTE / 2
MIDDLE = timedelta(seconds=150)
START = datetime(2026, 1, 7)  # noqa: DTZ001
ODD = (START + timedelta(hours=3), START + timedelta(hours=3, minutes=20))


def fill_band(
    pipeline: Pipeline, minutes: int, *, dimension: str = "all", series: str = "", kpi: str = "approval_rate"
) -> None:
    """Stores a window each minute from :data:`START` on. Those in :data:`ODD` deviate more and more."""
    values = [dimension, series, kpi, START, START, *ODD, minutes]
    with pipeline.connect() as connection:
        connection.execute(
            "INSERT INTO kpi_band SELECT %s, %s, %s, at, 0.92, 0.85, 0.98,"
            " CASE WHEN is_odd THEN 0.5 - n * 0.0001 ELSE 0.91 END, CASE WHEN is_odd THEN -n ELSE 0 END, 'days', 300,"
            " is_odd FROM (SELECT n, %s::timestamp + n * interval '1 min' AS at,"
            " %s::timestamp + n * interval '1 min' BETWEEN %s AND %s AS is_odd FROM generate_series(1, %s) AS n) AS w",
            values,
        )


def cell(minute: int, *, is_odd: bool = False) -> Cell:
    at = START + minute * MINUTE
    return Cell(at, 0.85, 0.98, 0.92, at if is_odd else None, at if is_odd else None, 0.5 if is_odd else None)


def test_only_all_transactions_and_one_network_have_a_band() -> None:
    def of(**settings: Any) -> Series | None:  # noqa: ANN401
        return Series.of(View(**settings))

    assert of() == Series("all", "")
    assert of(span="7d", money="EUR") == Series("all", "")
    assert of(filters={"payment_method": ("visa",)}) == Series("network", "visa")
    assert of(filters={"payment_method": ("visa", "amex")}) is None
    assert of(filters={"payment_method": ("(unknown)",)}) is None
    assert of(filters={"payment_method": ("visa",), "country": ("US",)}) is None
    assert of(filters={"payment_method": ("visa",)}, min_amount=Decimal(1)) is None
    assert of(filters={"merchant": ("visa",)}) is None


def test_anomalies_are_merged_and_named() -> None:
    cells = [cell(minute, is_odd=minute in {3, 4, 5, 9}) for minute in range(12)]
    found = timeline_figures.anomalies(cells, MINUTE)
    assert found == [
        Odd(START + 3 * MINUTE - HALF, START + 5 * MINUTE + HALF),
        Odd(START + 9 * MINUTE - HALF, START + 9 * MINUTE + HALF),
    ]

    def words(cells: list[Cell]) -> str:
        return said(*timeline_figures.words(cells, timeline_figures.anomalies(cells, MINUTE), timezone.utc))

    assert words(cells) == "! 2 anomalies: 2026-01-07 00:08 to 2026-01-07 00:09, 2026-01-07 00:02 to 2026-01-07 00:05"
    assert "no anomaly from 2026-01-07 00:00 to 2026-01-07 00:02" in words(cells[:3])
    assert "anomaly since 2026-01-07 00:02: 50.0% approved; 85.0% to 98.0% is usual" in words(cells[:5])
    assert words([]) == ""
    # Where nothing is known, the band has a gap.
    assert timeline_figures.lines([*cells[:3], *cells[8:]], MINUTE)["run"].tolist() == [0] * 3 + [1] * 4


def test_the_band_agrees_with_sql(scored: Pipeline) -> None:
    url, everything = scored.database_url, Series("all", "")
    assert band_tables.read(url, Span(), everything) == Band()
    fill_band(scored, 8 * 60)
    fill_band(scored, 60, dimension="network", series="visa")
    day = Span(start=START, end=START + timedelta(hours=4) - HALF)
    band = band_tables.read(url, day, everything)
    assert (band.step, band.width) == (MINUTE, timedelta(minutes=2))
    assert [(one.odd_from, one.odd_to) for one in band.cells if one.odd_from][::10] == [
        (ODD[0] - MIDDLE, ODD[0] + MINUTE - MIDDLE),
        (ODD[1] - MIDDLE, ODD[1] - MIDDLE),
    ]
    [found] = timeline_figures.anomalies(band.cells, band.step)
    assert (found.start, found.end) == (ODD[0] - MIDDLE - HALF, ODD[1] - MIDDLE + HALF)
    # Of several windows, the one that deviates most is shown.
    lowest = "SELECT min(observed) FROM kpi_band WHERE window_end IN (%s, %s) AND dimension = 'all'"
    [first] = [one for one in band.cells if one.odd_from == ODD[0] - MIDDLE]
    assert [(first.observed,)] == scored.query(lowest, ODD[0], ODD[0] + MINUTE)
    assert {(round(one.low, 9), round(one.high, 9), round(one.expected, 9)) for one in band.cells} == {
        (0.85, 0.98, 0.92)
    }
    # A window begins or ends within the range.
    hour = band_tables.read(url, Span(start=START, end=START + timedelta(minutes=30)), Series("network", "visa"))
    assert [one.time for one in hour.cells] == [START + n * MINUTE - MIDDLE for n in range(1, 36)]
    assert band_tables.read(url, Span(), Series("network", "amex")) == Band()
    # Beyond a day, windows that do not overlap are read, and an anomaly is still found.
    fill_band(scored, 3 * 1440, dimension="network", series="mc")
    long = band_tables.read(url, Span(), Series("network", "mc"))
    assert (long.step, long.width) == (timedelta(minutes=5), timedelta(minutes=30))
    assert len(timeline_figures.anomalies(long.cells, long.step)) == 1
    shown = band_tables.windows(url, everything, "approval_rate", START, START + 10 * MINUTE)
    assert [one.time for one in shown] == [START + n * MINUTE - MIDDLE for n in range(1, 11)]


def test_alerts_of_the_range_are_marked(scored: Pipeline) -> None:
    times = {"opened_at": ODD[0], "last_at": ODD[0]}
    first = open_alert(scored, "a", 1, **times)
    urgent = open_alert(scored, "b", 2, severity="critical", key="visa", **times)
    open_alert(scored, "c", 3, silenced=True, **times)
    open_alert(scored, "d", 4, opened_at=ODD[1], last_at=ODD[1])
    band = band_tables.read(scored.database_url, Span(start=START, end=ODD[1]), None)
    assert [one.id for one in band.marks] == [urgent, first]
    assert timeline_figures.marks(band.marks)["url"].tolist() == [f"alerts?alert={urgent}", f"alerts?alert={first}"]
    assert [timeline_figures.name(one) for one in band.marks] == ["b · visa", "a"]


def test_every_query_uses_indexes(scored: Pipeline) -> None:
    fill_band(scored, 3 * 1440)
    scored.execute("VACUUM ANALYZE")
    given = {"dimension": "all", "series": "", "kpi": "approval_rate", "start": START, "end": START + timedelta(days=3)}
    cells = {**given, "step": timedelta(minutes=5), "width": 1800}
    with psycopg.connect(scored.database_url) as connection:
        connection.execute("SET enable_seqscan = off")
        for query, values, index in (
            (band_queries.ENDS, given, "using kpi_band_"),
            (band_queries.CELLS, cells, "using kpi_band_"),
            (band_queries.WINDOWS, given, "using kpi_band_"),
            (band_queries.MARKS, given, "using alerts_opened_at"),
        ):
            plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {query}".encode(), values))
            assert "Seq Scan" not in plan, plan
            assert index in plan, plan


def test_the_page_shows_the_band_where_there_is_one(
    scored: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[object] = []
    original = band_tables.read

    def read(*more: Any) -> Band:  # noqa: ANN401
        asked.append(more)
        return original(*more)

    monkeypatch.setattr(band_tables, "read", read)
    address = {"range": "from-to", "from": START.isoformat(), "to": (START + timedelta(hours=5)).isoformat()}
    scored.execute("ALTER TABLE kpi_band RENAME TO elsewhere; ALTER TABLE alerts RENAME TO elsewhere_too")
    main = settled(app(monkeypatch, scored.database_url, tmp_path, **address))

    wait_until("the panel of frauds is there", lambda: "\nFraud\n" in texts(main.run()))
    assert "\napproval rate\n" in texts(main.run())
    assert "usual, by windows" not in texts(main.run())
    # Without the tables, nothing is asked.
    assert asked == []
    scored.execute("ALTER TABLE elsewhere RENAME TO kpi_band; ALTER TABLE elsewhere_too RENAME TO alerts")
    fill_band(scored, 8 * 60)
    open_alert(scored, "kpi", 1, opened_at=ODD[0], last_at=ODD[0], key="visa")
    wait_until("the band is there", lambda: "usual, by windows of five minutes" in texts(main.run()))
    assert "! 1 anomaly" in texts(main)
    assert "kpi · visa" in texts(main)
    # A filter by anything else has no band.
    main.multiselect(key="only_category").select("food_dining").run()
    assert "usual, by windows" not in texts(main.run())
    assert not main.exception


def test_an_anomaly_is_told_in_words_and_as_a_chart(scored: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    url, case = scored.database_url, riskiest(scored)
    why = {"kind": "anomaly", "kpi": "approval_rate", "dimension": "network", "series": "visa", "observed": 0.48}
    why |= {"expected": 0.92, "low": 0.85, "high": 0.98, "basis": "days"}
    times = {"opened_at": ODD[0], "last_at": ODD[0]}
    network = open_alert(scored, "kpi", 1, key="approval_rate of network visa", why=why, **times)
    made = page(url, monkeypatch, alert=str(network))
    assert "Approval rate of network visa" in texts(made)
    assert "**48.0%**. Expected 92.0% from the same minutes of the last days; usual is 85.0% to 98.0%." in texts(made)
    assert "Its windows are not stored any more" in texts(made)
    assert "Last transactions" not in texts(made)
    assert "about no single card" not in texts(made)
    fill_band(scored, 8 * 60, dimension="network", series="visa")
    made = page(url, monkeypatch, alert=str(network))
    alert_kpi._windows.clear()
    made.run()
    assert len(plots(made)) == 1
    # An anomaly of a merchant has its last transactions.
    why |= {"kpi": "rate", "dimension": "merchant", "series": case.merchant, "observed": 3.0, "expected": 60.0}
    merchant = open_alert(scored, "kpi", 2, key=f"rate of merchant {case.merchant}", why=why, **times)
    found = read_alerts(url, Filters(), merchant, 5)
    assert found is not None
    assert found.selected is not None
    assert found.selected.place == {"merchant": case.merchant}
    made = page(url, monkeypatch, alert=str(merchant))
    assert "**3 transactions**" in texts(made)
    assert "Last transactions" in texts(made)
    assert len(made.dataframe) == 1
    assert not made.exception
