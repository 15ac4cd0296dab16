"""Tests why transactions were declined: the figures agree with SQL, and the page says it in words."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

import ccstream
from ccstream.dashboard import declines_figures, response_codes
from ccstream.dashboard.dimensions import shown
from ccstream.dashboard.metrics import change_text
from ccstream.dashboard.view import View
from conftest import micros
from drawn import tables, texts
from test_dashboard import app, engines, settled  # noqa: F401

if TYPE_CHECKING:
    import random
    from pathlib import Path

    import pandas as pd

    from pipeline import Pipeline

# Streamlit and Altair cause deprecation warnings, and the threads of cached engines end only with the process.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

START = datetime(2026, 1, 5, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
SPELLINGS = """UPDATE orders SET
    status = (ARRAY[status, status, upper(status), CASE status WHEN 'declined' THEN 'Not Approved' ELSE 'PAID' END,
        'pending', NULL])[1 + abs(hashtext(order_id)) % 6],
    response_code = CASE abs(hashtext(order_id || 'c')) % 9 WHEN 0 THEN NULL WHEN 1 THEN 'N7' ELSE response_code END,
    country = CASE abs(hashtext(order_id || 'd')) % 9 WHEN 0 THEN NULL ELSE country END"""
DECLINED = "lower(status) IN ('declined', 'not approved')"
DECIDED = f"({DECLINED} OR lower(status) IN ('approved', 'paid'))"


def store(pipeline: Pipeline, start: datetime, count: int = 8_000) -> None:
    """Stores transactions of about a day from a time on, with all kinds of statuses and codes."""
    world = ("--rate", "0.1", "--start-time", f"{start:%Y-%m-%dT%H:%M:%SZ}", "--speed", "max", "--seed", "5")
    pipeline.run("produce", *world, "--count", str(count), "--quiet")
    pipeline.run("consume", "--until-caught-up")
    pipeline.execute(SPELLINGS)


def draw(chance: random.Random) -> View:
    """Draws a range and filters."""
    some = {
        "payment_method": ("visa", "mastercard"),
        "category": ("food_dining", "grocery", "travel"),
        "status": ("declined", "DECLINED", "approved", "(unknown)"),
        "response_code": ("51", "(unknown)", "N7", "05"),
        "currency": ("EUR",),
        "country": ("US", "(unknown)"),
    }
    filters = {name: tuple(chance.sample(values, chance.randint(1, len(values)))) for name, values in some.items()}
    start = START + chance.randint(0, 18 * 60) * timedelta(minutes=1)
    return View(
        span=chance.choice(("from-to", "from-to", "all")),
        start=start,
        end=start + chance.randint(10, 600) * timedelta(minutes=1),
        filters={name: filters[name] for name in chance.sample(sorted(filters), chance.choice((0, 0, 1, 2)))},
        min_amount=chance.choice((None, None, Decimal(20))),
    )


def condition(view: View, start: datetime | None, end: datetime | None) -> tuple[str, dict[str, Any]]:
    """Returns the SQL condition of a view's filters within a range."""
    parts: list[str] = ["true"]
    values: dict[str, Any] = {"least": view.min_amount}
    for name, chosen in view.filters.items():
        parts.append(f"coalesce({name}, '(unknown)') = ANY(%({name})s)")
        values[name] = list(chosen)
    if view.min_amount is not None:
        parts.append("value >= %(least)s")
    if start is not None:
        parts.append("timestamp >= %(start)s AND timestamp < %(end)s")
        values |= {"start": start.replace(tzinfo=None), "end": end and end.replace(tzinfo=None)}
    return " AND ".join(parts), values


def check(
    pipeline: Pipeline, view: View, found: declines_figures.Declines, span: tuple[datetime, datetime] | None
) -> None:
    """Compares figures with SQL."""
    where, values = condition(view, *(span or (None, None)))
    values["money"] = found.currency
    of = f"FROM orders WHERE {where}"
    money = "FILTER (WHERE currency = %(money)s)"
    [(decided, declined, coded, amounts, value)] = pipeline.query(
        f"SELECT count(*) FILTER (WHERE {DECIDED}), count(*) FILTER (WHERE {DECLINED}), count(response_code) FILTER"
        f" (WHERE {DECLINED}), count(value) {money[:-1]} AND {DECLINED}), sum(value) {money[:-1]} AND {DECLINED}) {of}",
        **values,
    )
    assert (found.decided, found.declined, found.coded) == (decided, declined, coded)
    assert found.value == (pytest.approx(float(value)) if amounts else None)
    codes = pipeline.query(
        f"SELECT response_code, count(*), count(value) {money}, sum(value) {money} {of} AND {DECLINED} GROUP BY 1",
        **values,
    )
    before: dict[str | None, int] | None = None
    if span:
        earlier = {**values, "start": values["start"] - (span[1] - span[0]), "end": values["start"]}
        before = dict(pipeline.query(f"SELECT response_code, count(*) {of} AND {DECLINED} GROUP BY 1", **earlier))
        [(first,)] = pipeline.query("SELECT min(timestamp) FROM orders")
        before = before if first <= earlier["start"] else None
    expected = {
        shown(code): (
            count,
            round(count / declined, 9),
            None if before is None else ("new" if code not in before else change_text("declined", count, before[code])),
            round(float(amount), 2) if some else None,
        )
        for code, count, some, amount in codes
    }
    assert rows(found.codes, "response_code", "declined", "share", "change", "value") == expected
    counts = found.codes["declined"].tolist()
    assert counts == sorted(counts, reverse=True)
    for name, frame in (("payment_method", found.networks), ("country", found.countries)):
        groups = pipeline.query(
            f"SELECT {name}, count(*) FILTER (WHERE {DECLINED}), count(*) FILTER (WHERE {DECIDED}) {of} GROUP BY 1",
            **values,
        )
        known = {shown(key): (some, round(some / all_of, 9)) for key, some, all_of in groups if some}
        there = rows(frame, name, "declined", "rate")
        assert there.items() <= known.items()
        assert len(there) == min(declines_figures.PLACES, len(known)) or {key for key, *_ in groups} == {None}
        most = sorted((some for some, _ in known.values()), reverse=True)
        assert frame["declined"].tolist() == most[: len(there)]


def rows(frame: pd.DataFrame, key: str, *columns: str) -> dict[str, tuple[Any, ...]]:
    """Returns the rows of a frame by their keys. NaN becomes None, and numbers are rounded."""

    def plain(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, float):
            return None if value != value else round(value, 9)  # noqa: PLR0124
        return value

    return {one[key]: tuple(plain(one[name]) for name in columns) for one in frame.to_dict("records")}


def test_figures_agree_with_sql_in_random_slices(embedded_pipeline: Pipeline, chance: random.Random) -> None:
    pipeline = embedded_pipeline
    store(pipeline, START)
    some = 0
    with ccstream.KpiEngine.from_database(pipeline.database_url) as engine:
        assert engine.refresh()
        for _ in range(25):
            view = draw(chance)
            print(view)
            found = declines_figures.load(engine, view, timezone.utc)
            assert view.start is not None
            assert view.end is not None
            check(pipeline, view, found, (view.start, view.end) if view.span == "from-to" else None)
            some += found.declined > 0
    assert some > 5


def test_a_moving_range_has_the_change_from_the_preceding_one(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    store(pipeline, datetime.now(timezone.utc) - timedelta(hours=20))
    with ccstream.KpiEngine.from_database(pipeline.database_url) as engine:
        assert engine.refresh()
        for _ in range(3):
            # The range moves with each snapshot, and the engine continues from the counts of the one before.
            assert engine.refresh()
            found = declines_figures.load(engine, View(span="1h"), timezone.utc)
            assert found.at is not None
            end = micros(found.at).replace(tzinfo=timezone.utc)
            check(pipeline, View(), found, (end - HOUR, end))
            assert found.codes["change"].notna().all()


def test_the_status_of_the_page_is_a_filter_of_declines() -> None:
    statuses: list[str | None] = ["Approved", "Declined", "FAILED", "pending", None]

    def of(**filters: list[str | None]) -> list[str] | None:
        narrowed = declines_figures.narrowed({"filters": filters, "min_amount": None}, statuses)
        return None if narrowed is None else narrowed["filters"]["status"]

    assert of() == ["Declined", "FAILED"]
    assert of(status=["FAILED", "Approved", None]) == ["FAILED"]
    assert of(status=["Approved"]) is None
    assert of(country=["US"]) == ["Declined", "FAILED"]


def test_codes_have_words() -> None:
    assert declines_figures.reason("91") == "Issuer unavailable (91)"
    assert declines_figures.reason("N7") == "Code N7"
    assert declines_figures.reason(None) == "No response code"
    assert {"00", "05", "14", "51", "54", "61", "65", "91"} <= response_codes.RESPONSES.keys()


def test_the_page_says_what_is_missing(filled: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    filled.execute("UPDATE orders SET response_code = NULL")
    page = settled(app(monkeypatch, filled.database_url, tmp_path, range="all"))
    assert "Why declined" in texts(page)
    # A table without a response code is left out.
    by = "Declined transactions by"
    assert {name for name in tables(page) if name.startswith(by)} == {f"{by} payment method", f"{by} country"}
    # All of time has no time before it.
    assert "What changed" not in texts(page)
    page.multiselect(key="only_status").select("approved").run()
    assert "transactions was declined" in texts(page)
    assert not page.exception


def test_without_statuses_there_is_no_panel(filled: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    filled.execute("UPDATE orders SET status = 'pending'")
    page = settled(app(monkeypatch, filled.database_url, tmp_path, range="all"))
    assert "Why declined" not in texts(page)
    assert not page.exception
