"""Tests the panel "Fraud": its figures agree with SQL, its queries use indexes, and without scores it is absent."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from ccstream.dashboard import fraud_figures, fraud_queries, fraud_watch, quality
from ccstream.dashboard.fraud_charts import BY_TRUTH, LABELS
from ccstream.dashboard.fraud_tables import Span, Tables
from ccstream.dashboard.fraud_watch import FraudWatch, Newest
from drawn import of_kind, tables, texts
from test_dashboard import app, settled
from waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from ccstream.dashboard.fraud_tables import Days, Now
    from pipeline import Pipeline

# Streamlit and Altair cause deprecation warnings, and the threads of cached engines end only with the process.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def read(pipeline: Pipeline, span: Span) -> tuple[Now, Days]:
    tables = Tables(pipeline.database_url, pipeline.topic)
    with tables.connect() as connection:
        now = tables.read_now(connection, span)
        [(user,)] = connection.execute("SELECT current_user").fetchall()
    with tables.connect() as connection:
        days = tables.read_days(connection)
    assert user == "ccstream_reader"
    assert now is not None
    assert days is not None
    return now, days


def test_the_figures_are_those_of_sql(scored: Pipeline) -> None:
    now, days = read(scored, Span())
    [(count, high, newest)] = scored.query("SELECT count(score), count(reasons), max(event_time) FROM scores")
    assert (now.scored, now.high, now.event_time, now.is_held) == (count, high, newest, False)
    assert count == 20_000
    assert high > 0
    stake = scored.query(
        "SELECT currency, count(*), sum(abs(value)) FROM orders JOIN scores USING (order_id)"
        " WHERE reasons IS NOT NULL GROUP BY 1"
    )
    assert {currency: of for currency, (of, _) in now.stake.items()} == {row[0]: row[1] for row in stake}
    assert {currency: amount for currency, (_, amount) in now.stake.items()} == pytest.approx(
        {row[0]: float(row[2]) for row in stake}
    )
    best = scored.query("SELECT score FROM scores ORDER BY score DESC LIMIT 8")
    assert [row.score for row in now.riskiest] == [score for (score,) in best]
    assert all(row.reasons and row.merchant and row.card and row.card.startswith("••") for row in now.riskiest)
    assert now.next_offsets == dict(
        scored.query("SELECT partition, next_offset FROM analysis_offsets WHERE topic = %s", scored.topic)
    )
    start = newest - timedelta(hours=5)
    some, _ = read(scored, Span(start=start, end=newest - timedelta(hours=1)))
    [expected] = scored.query(
        "SELECT count(score), count(reasons) FROM scores"
        " WHERE event_time >= date_trunc('minute', %s::timestamp) AND event_time < date_trunc('minute', %s::timestamp)"
        " + interval '1 minute'",
        start,
        newest - timedelta(hours=1),
    )
    assert (some.scored, some.high) == expected
    assert sum(one.scored.sum() for one in days.cells.values()) == count
    merchants = scored.query(
        "SELECT merchant, count(*), count(DISTINCT s.card) FROM orders JOIN scores s USING (order_id)"
        " WHERE reasons IS NOT NULL AND event_time >= %s::timestamp - interval '1 day' GROUP BY 1",
        newest,
    )
    found = {merchant: (of, cards) for merchant, of, cards in merchants}
    assert days.merchants
    assert all(found[row[0]] == (row[1], row[3]) for row in days.merchants)


def test_the_quality_is_that_of_the_scores(scored: Pipeline) -> None:
    now, days = read(scored, Span())
    found = fraud_figures.qualities(days, now.event_time, 0.5, None)
    frauds = "SELECT DISTINCT transaction_id FROM labels WHERE fraud AND seq IS NOT NULL"
    planted = "SELECT transaction_id FROM truth WHERE kind = 'fraud'"
    assert {one.who for one in found} == {LABELS, BY_TRUTH}
    for one in found:
        of = frauds if one.who == LABELS else planted
        [(total, right, chosen, cards, top)] = scored.query(
            f"SELECT count(*) FILTER (WHERE is_fraud), count(*) FILTER (WHERE is_fraud AND score >= 0.5),"
            " count(*) FILTER (WHERE score >= 0.5), count(DISTINCT card) FILTER (WHERE is_fraud),"
            " count(DISTINCT card) FILTER (WHERE is_fraud AND is_top)"
            f" FROM (SELECT score, s.card, order_id IN ({of}) AS is_fraud, EXISTS (SELECT FROM top_cards t"
            " WHERE t.day = event_time::date AND t.card = s.card) AS is_top"
            " FROM scores s WHERE event_time::date = %s) AS rows",
            one.day,
        )
        assert one.quality.frauds == total, one
        assert one.quality.recall == pytest.approx(right / total), one
        assert one.quality.precision == pytest.approx(right / chosen), one
        assert one.cards == quality.card_precision(top, cards), one
    assert sum(one.quality.frauds for one in found) > 100
    # Labels come within hours, and the newest day is not over.
    assert days.maturity == timedelta(days=1)
    assert not found[-1].is_mature
    assert found[0].is_mature
    drift = fraud_figures.drift(days)
    # Features are counted for one transaction in 16, which are too few on the newest day.
    assert [day.day for day in drift.score] == [6, 7]
    assert [(day.day, len(some)) for day, some in drift.features.items()] == [(6, 3)]


def test_every_query_uses_indexes(scored: Pipeline) -> None:
    """Checks that no query reads a large table completely, however PostgreSQL estimates its size."""
    scored.execute("VACUUM ANALYZE")
    day = datetime(2026, 1, 6)  # noqa: DTZ001
    limits: dict[str, Any] = {"start": day, "end": day + timedelta(days=1), "width": 60, "day": day.date()}
    limits["next"] = limits["end"].date()
    queries = {name: query for name, query in vars(fraud_queries).items() if isinstance(query, str) and name.isupper()}
    large = ("scores", "orders", "truth", "labels")
    plans = {}
    with psycopg.connect(scored.database_url) as connection:
        connection.execute("SET enable_seqscan = off")
        for name, query in queries.items():
            if "SELECT" in query and name not in ("ROLE", "THERE", "HIGH", "ROW"):
                given = limits if "%(" in query else [[day] if "%s::date[]" in query else day] * query.count("%s")
                plans[name] = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {query}", given))
    assert len(plans) >= 11
    for name, plan in plans.items():
        assert not [table for table in large if f"Seq Scan on {table} " in plan], f"{name}:\n{plan}"


def test_the_panel_needs_scores(filled: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = settled(app(monkeypatch, filled.database_url, tmp_path, range="all"))

    wait_until("there are charts", lambda: "Amounts in " in texts(page.run()))
    assert "\nFraud\n" not in texts(page)
    # An analyzer of an earlier version has no small tables, and one that has not scored anything has empty ones.
    filled.execute("CREATE TABLE analysis (); CREATE TABLE scores (seq BIGINT)")
    tables = Tables(filled.database_url, filled.topic)
    with tables.connect() as connection:
        assert tables.read_now(connection, Span()) is None
    with tables.connect() as connection:
        assert tables.read_days(connection) is None
    filled.execute("DROP TABLE analysis, scores")
    # The page searches for the tables less often while they do not exist.
    monkeypatch.setattr(fraud_watch, "NONE_EVERY", 1.0)
    filled.run("analyze", "--until-caught-up")
    filled.execute("TRUNCATE score_minute")
    with tables.connect() as connection:
        assert tables.read_now(connection, Span()) is None


def test_the_panel_says_what_it_shows(scored: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    [(count, high)] = scored.query("SELECT count(score), count(reasons) FROM scores")
    page = settled(app(monkeypatch, scored.database_url, tmp_path, range="all", threshold="0.9"))

    def chosen(key: str) -> str:
        [value] = [one["value"] for one in of_kind(page, "select") if one["key"] == key]
        return str(value)

    def recall() -> set[float]:
        return {float(row[3]) for row in tables(page)["Quality by day"]}

    wait_until("the panel shows the days", lambda: "How good" in texts(page.run()))
    assert f"{high:,} of {count:,} transactions scored high" in texts(page)
    assert "no analyzer is running" in texts(page)
    assert chosen("threshold") == "0.9"
    at_most = max(recall())
    page.session_state["threshold"] = 0.05
    page.run()
    assert (chosen("threshold"), chosen("fraud-who")) == ("0.05", LABELS)
    assert max(recall()) > at_most
    by_labels = tables(page)["Quality by day"]
    page.session_state["fraud-who"] = BY_TRUTH
    page.run()
    assert tables(page)["Quality by day"] != by_labels
    assert not page.exception
    # A filter does not apply to the panel.
    page.multiselect(key="only_category").select("food_dining").run()
    assert f"{high:,} of {count:,} transactions scored high" in texts(page)


def test_a_failure_keeps_the_figures(scored: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fraud_watch, "EVERY", 0.05)
    watch = FraudWatch(scored.database_url, scored.topic)
    first = watch.read(Span(), Newest())
    assert first.now is not None
    assert first.why == ""
    read_now = Tables.read_now

    def fail(_tables: Tables, _connection: object, _span: Span) -> None:
        raise psycopg.errors.QueryCanceled("too slow\nand more")

    monkeypatch.setattr(Tables, "read_now", fail)
    wait_until("the failure is known", lambda: watch.read(Span(), Newest()).why == "too slow")
    assert watch.read(Span(), Newest()) == replace(first, why="too slow", read_at=watch.read(Span(), Newest()).read_at)
    monkeypatch.setattr(Tables, "read_now", read_now)
    wait_until("it reads again", lambda: watch.read(Span(), Newest()).why == "")


def test_many_pages_cost_as_much_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    readings: list[Span] = []

    class Connection:
        def __enter__(self) -> None:
            time.sleep(0.02)

        def __exit__(self, *_: object) -> None:
            pass

    def record(_tables: Tables, _connection: object, span: Span) -> None:
        readings.append(span)

    monkeypatch.setattr(Tables, "connect", lambda _: Connection())
    monkeypatch.setattr(Tables, "read_now", record)
    monkeypatch.setattr(fraud_watch, "NONE_EVERY", 0.0)
    monkeypatch.setattr("ccstream.dashboard.watch.WANTED", 1.0)
    watch = FraudWatch("", "")
    until = time.monotonic() + 3
    hour, day = Span(timedelta(hours=1)), Span(timedelta(days=1))

    def refresh(span: Span) -> None:
        while time.monotonic() < until:
            watch.read(span, Newest())
            time.sleep(0.05)

    pages = [threading.Thread(target=refresh, args=(span,)) for span in [hour] * 10 + [day] * 10]
    for page in pages:
        page.start()
    for page in pages:
        page.join()
    # A reading takes 20 ms or more, so the pause after it is 400 ms or more.
    assert min(readings.count(hour), readings.count(day)) >= 2
    assert len(readings) <= 10
    # Without pages, nothing is read.
    time.sleep(1.5)
    before = len(readings)
    time.sleep(1.0)
    assert len(readings) == before
    assert watch.read(hour, Newest()).now is None


def test_a_range_of_the_page() -> None:
    from ccstream.dashboard.view import View  # noqa: PLC0415

    assert Span.of(View(span="all")) == Span()
    assert Span.of(View(span="1h")) == Span(timedelta(hours=1))
    start, end = (datetime(2026, 1, day, tzinfo=timezone.utc) for day in (1, 2))
    assert Span.of(View(span="from-to", start=start, end=end)) == Span(
        start=start.replace(tzinfo=None), end=end.replace(tzinfo=None)
    )
    east = timezone(timedelta(hours=2))
    other = Span.of(View(span="from-to", start=start.astimezone(east), end=end.astimezone(east)))
    assert other == Span.of(View(span="from-to", start=start, end=end))
