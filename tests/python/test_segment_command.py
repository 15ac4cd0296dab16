"""Tests ``ccstream segment`` on a database: its sums, its tables, and how much stays the same from day to day."""

from __future__ import annotations

import json
import math
import uuid
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from functools import partial
from statistics import median_low
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

import ccstream
from ccstream.declared import DECLINED
from ccstream.segments import Settings, segment, store
from ccstream.segments.kinds import KINDS
from conftest import at_length, make_database
from pipeline import make_pipeline
from waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline import Pipeline

BEGIN = datetime(2026, 3, 1, tzinfo=timezone.utc).replace(tzinfo=None)
DAY = timedelta(days=1)
DAYS = 92
"""The days of the world."""
FIRST = BEGIN + 61 * DAY
"""The time of the first run."""
TABLES = ("segment_runs", "segments", "merchant_segment", "card_segment")


@pytest.fixture(scope="module")
def world(services: dict[str, str]) -> Iterator[Pipeline]:
    """Yields a database with the transactions of three months. The tests only add segments, and remove them."""
    with make_database(services) as url, make_pipeline(services["KAFKA_BOOTSTRAP_SERVERS"], url) as made:
        rate = at_length(0.008, 0.02)
        flags = ("--rate", str(rate), "--count", str(round(rate * 86_400 * DAYS)), "--speed", "max", "--seed", "11")
        made.run("produce", *flags, "--start-time", f"{BEGIN.isoformat()}Z", "--quiet")
        made.run("consume", "--until-caught-up", "--quiet")
        yield made


@pytest.fixture
def months(world: Pipeline) -> Iterator[Pipeline]:
    """Yields the world without segments."""
    yield world
    world.execute(f"DROP TABLE IF EXISTS {', '.join(TABLES)} CASCADE")


def current(pipeline: Pipeline, of: str = "merchants") -> dict[str, int]:
    """Returns the segment of each member."""
    kind = KINDS[of]
    return dict(pipeline.query(f"SELECT {kind.key}, segment FROM {kind.table} WHERE valid_to IS NULL"))


def same(before: dict[str, int], after: dict[str, int]) -> float:
    """Returns the share of the members of both runs that are in the same segment."""
    both = before.keys() & after.keys()
    return sum(before[key] == after[key] for key in both) / len(both)


def expected(pipeline: Pipeline, of: str, since: datetime, as_of: datetime) -> dict[str, list[float]]:
    """Sums up the transactions of each member, one by one."""
    kind = KINDS[of]
    labels = pipeline.query(
        "SELECT transaction_id, fraud FROM labels WHERE labelled_at < %s ORDER BY labelled_at, source", as_of
    )
    frauds = {key for key, fraud in dict(labels).items() if fraud}
    rows = pipeline.query(
        f"SELECT {kind.key}, {kind.other}, order_id, timestamp, value, currency, status, longitude FROM orders "
        "WHERE timestamp >= %s AND timestamp < %s AND merchant IS NOT NULL AND card_token IS NOT NULL",
        *(since, as_of),
    )
    amounts = defaultdict(list)
    for *_, value, currency, status, _ in rows:
        if value > 0 and status not in DECLINED:
            amounts[currency].append(float(value))
    usual = {currency: median_low(values) for currency, values in amounts.items()}
    found: dict[str, list[float]] = defaultdict(lambda: [0.0] * 13)
    others, newest = defaultdict(set), defaultdict(list)
    for key, other, order_id, time, value, currency, status, longitude in rows:
        local = time + timedelta(minutes=4 * (longitude or 0))
        is_declined, is_purchase = status in DECLINED, value > 0 and status not in DECLINED
        ratio = float(value) / usual[currency] if is_purchase else 0.0
        log = math.log(ratio) if is_purchase else 0.0
        is_night = local.time() >= datetime(1, 1, 1, 22, 30).time() or local.time() < datetime(1, 1, 1, 6, 30).time()  # noqa: DTZ001
        others[key].add(other)
        newest[key].append(time)
        parts = (is_purchase, ratio, log, log**2, value < 0, local.weekday() > 4, is_night)
        added = [1, 0, *parts, 1, 0, is_declined, order_id in frauds]
        found[key] = [one + more for one, more in zip(found[key], added, strict=True)]
    for key, values in found.items():
        values[1], values[10] = (as_of - max(newest[key])) / DAY, len(others[key])
    return found


@pytest.mark.parametrize("of", ["merchants", "cards"])
def test_the_sums_equal_a_recount_of_each_transaction(scored: Pipeline, of: str) -> None:
    [(newest,)] = scored.query("SELECT max(timestamp) FROM orders")
    as_of, since = newest - timedelta(hours=6), newest - timedelta(hours=54)
    with scored.connect() as connection:
        found = store.sums(connection, KINDS[of], since, as_of)
    assert found is not None
    wanted = expected(scored, of, since, as_of)
    assert found.keys == sorted(wanted)
    columns = [values for name, values in vars(found).items() if name not in {"keys", "days"}]
    for at, column in enumerate(columns):
        assert column.tolist() == pytest.approx([wanted[key][at] for key in found.keys], rel=1e-5, abs=1e-4), at
    for part in (found.refunds, found.weekend, found.night, found.declined, found.frauds):
        assert part.sum() > 0


@pytest.mark.parametrize("of", ["merchants", "cards"])
def test_the_same_data_give_the_same_segments(months: Pipeline, of: str) -> None:
    settings = Settings(of, FIRST)
    outcome = segment(months.database_url, settings)
    first = current(months, of)
    figures = "SELECT segment, name, members, centre, usual FROM segments ORDER BY run DESC, segment LIMIT %s"
    described = months.query(figures, len(outcome.segments))
    assert sum(one.members for one in outcome.segments) == len(first) == outcome.figures.members > 500
    # Again with the kept centres.
    again = segment(months.database_url, settings)
    assert current(months, of) == first
    assert (again.figures.moved, again.figures.appeared, again.figures.founded) == (0, 0, outcome.run)
    # And from the beginning, in another physical order of the rows and by several processes.
    months.execute("CREATE TABLE others AS SELECT * FROM orders ORDER BY value, order_id")
    months.execute("ALTER TABLE orders RENAME TO orders_before; ALTER TABLE others RENAME TO orders")
    try:
        months.execute(f"TRUNCATE {', '.join(TABLES)}")
        segment(months.database_url, settings)
    finally:
        months.execute("DROP TABLE orders; ALTER TABLE orders_before RENAME TO orders")
    assert current(months, of) == first
    assert months.query(figures, len(outcome.segments)) == described


@pytest.mark.parametrize("of", ["merchants", "cards"])
def test_most_members_stay_where_they_are(months: Pipeline, of: str) -> None:
    segment(months.database_url, Settings(of, FIRST))
    first = current(months, of)
    moved = 0
    for day in (1, *at_length((4, 8, 12, 16, 20, 24, 27, 30), tuple(range(2, 31)))):
        outcome = segment(months.database_url, Settings(of, FIRST + day * DAY))
        moved += outcome.figures.moved
        assert same(first, current(months, of)) >= (0.95 if day == 1 else 0.85), day
    # Otherwise, the segments would be those of the first run for ever.
    assert moved > 0
    kind = KINDS[of]
    # The periods of each member follow one another, and only the last one is open.
    gaps = months.query(
        f"SELECT count(*) FROM (SELECT valid_to, lead(valid_from) OVER (PARTITION BY {kind.key} ORDER BY valid_from) "
        f"AS next FROM {kind.table}) AS t WHERE next IS NOT NULL AND valid_to IS DISTINCT FROM next"
    )
    assert gaps == [(0,)]
    [(ended, still)] = months.query(
        f"SELECT count(valid_to), count(*) FILTER (WHERE valid_to IS NULL) FROM {kind.table}"
    )
    [(left,)] = months.query("SELECT sum(ended) FROM segment_runs")
    assert (ended, still) == (moved + left, outcome.figures.members)
    # The name in the table is that of the segment in the last run.
    wrong = months.query(
        f"SELECT count(*) FROM {kind.table} AS m JOIN segments AS s USING (segment) "
        "WHERE m.valid_to IS NULL AND s.run = (SELECT max(run) FROM segment_runs) AND m.name <> s.name"
    )
    assert wrong == [(0,)]


def test_a_member_ends_and_comes_back(months: Pipeline) -> None:
    url = months.database_url
    segment(url, Settings("merchants", FIRST, days=20))
    first = current(months)
    later = segment(url, Settings("merchants", FIRST + 15 * DAY))
    second = current(months)
    assert later.figures.days == 20
    assert later.figures.ended == len(first.keys() - second.keys()) > 0
    assert later.figures.appeared == len(second.keys() - first.keys()) > 0
    segment(url, Settings("merchants", FIRST + 30 * DAY))
    third = current(months)
    back = (first.keys() & third.keys()) - second.keys()
    assert back
    rows = months.query("SELECT merchant, array_agg(valid_to ORDER BY valid_from) FROM merchant_segment GROUP BY 1")
    assert all(ends == [FIRST + 15 * DAY, None] for merchant, ends in rows if merchant in back)


def test_new_segments_replace_the_old_ones(months: Pipeline) -> None:
    url = months.database_url
    first = segment(url, Settings("merchants", FIRST, segments=5))
    assert len(first.segments) == 5
    again = segment(url, Settings("merchants", FIRST, segments=3, restart=True))
    # The rows of the first run were valid for no time, and still say what it assigned.
    counts = "SELECT founded, run, ended_run, valid_to - valid_from, count(*) FROM merchant_segment GROUP BY 1, 2, 3, 4"
    assert months.query(f"{counts} ORDER BY 1") == [
        (1, 1, 2, timedelta(0), first.figures.members),
        (2, 2, None, None, again.figures.members),
    ]
    later = segment(url, Settings("merchants", FIRST + DAY, segments=4, days=30, restart=True))
    counts = "SELECT founded, valid_to, count(*) FROM merchant_segment GROUP BY 1, 2 ORDER BY 1"
    assert months.query(counts) == [
        (1, FIRST, first.figures.members),
        (2, FIRST + DAY, again.figures.members),
        (3, None, later.figures.members),
    ]
    assert months.query("SELECT DISTINCT members FROM segment_runs WHERE run = 3") == [(later.figures.members,)]


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (["--as-of", "2026-04-30"], 2, "as_of: the last run is as of 2026-05-01 00:00:00 UTC"),
        (["--as-of", "2026-05-02", "--days", "30"], 2, "days: the segments use 90 days; use --restart"),
        (["--as-of", "2026-05-02", "--segments", "3"], 2, "segments: there are 5 segments; use --restart"),
        (["--as-of", "tomorrow"], 2, "as_of: 'tomorrow' is not a time"),
        (["--as-of", "2036-05-02"], 2, "as_of: orders has no transaction with a merchant in the 90 days"),
        (
            ["--restart", "--segments", "5000", "--as-of", "2026-05-02"],
            2,
            "segments: 5000 segments need 25000 merchants",
        ),
        (["--segments", "1"], 2, "'1' is not a whole number of at least 2"),
    ],
)
def test_runs_that_do_not_fit_are_refused(months: Pipeline, flags: list[str], status: int, message: str) -> None:
    segment(months.database_url, Settings("merchants", FIRST, segments=5))
    before = current(months)
    output = months.run("segment", *flags, status=status)
    assert message in output
    assert "Traceback" not in output
    assert current(months) == before
    assert months.query("SELECT count(*) FROM segment_runs") == [(1,)]


def test_the_command_prints_a_table_or_a_document(months: Pipeline) -> None:
    text = months.run("segment", "--of", "cards", "--as-of", "2026-05-01T00:00:00Z")
    assert "transactions of" in text
    assert "✓ Run 1: " in text
    document: dict[str, Any] = json.loads(
        months.run("segment", "--json", "--of", "cards", "--as-of", "2026-05-01T02:00+02:00")
    )
    assert (document["run"], document["founded"], document["as_of"]) == (2, 1, "2026-05-01T00:00:00")
    assert sum(one["members"] for one in document["segments"]) == document["members"]
    assert all(one["name"] in text for one in document["segments"])
    # Without a time, everything up to the newest transaction is used.
    [(newest,)] = months.query("SELECT max(timestamp) FROM orders")
    document = json.loads(months.run("segment", "--json"))
    assert datetime.fromisoformat(document["as_of"]) == newest + timedelta(microseconds=1)


def test_a_transaction_of_the_future_is_not_the_newest(months: Pipeline) -> None:
    [(newest,)] = months.query("SELECT max(timestamp) FROM orders")
    months.execute("INSERT INTO orders (order_id, value, timestamp, merchant) VALUES ('future', 1, '2099-01-01', 'x')")
    try:
        outcome = segment(months.database_url, Settings())
    finally:
        months.execute("DELETE FROM orders WHERE order_id = 'future'")
    assert outcome.figures.as_of == newest + timedelta(microseconds=1)


def test_the_reading_role_may_read_and_the_tables_have_comments(months: Pipeline) -> None:
    segment(months.database_url, Settings("merchants", FIRST))
    with months.connect() as connection:
        connection.execute("SET ROLE ccstream_reader")
        for table in TABLES:
            connection.execute(f"SELECT count(*) FROM {table}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM merchant_segment")
    comments = "SELECT obj_description(to_regclass(name)) FROM unnest(%s::text[]) AS name"
    assert all(comment.startswith("ccstream: ") for (comment,) in months.query(comments, list(TABLES)))
    for command in (["verify", "--no-analysis"], ["doctor"], ["consume", "--until-caught-up", "--quiet"]):
        months.run(*command)


def test_a_role_without_privileges_gets_the_statements(months: Pipeline) -> None:
    role = f"segments_{uuid.uuid4().hex[:8]}"
    place = months.database_url.rpartition("@")[2]
    with months.connect() as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'; GRANT {role} TO CURRENT_USER")
        try:
            owner.execute(f"GRANT SELECT ON orders TO {role}; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
            refused = months.run("segment", "--database-url", f"postgresql://{role}:p@{place}", status=5)
            statements = refused[refused.index("CREATE TABLE") :]
            owner.execute(statements)
            owner.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(TABLES)} TO {role}")
            months.run("segment", "--database-url", f"postgresql://{role}:p@{place}")
        finally:
            owner.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}; DROP ROLE {role}")
    assert len(current(months)) > 500


def test_the_engine_counts_by_segment(months: Pipeline) -> None:
    url = months.database_url
    with ccstream.KpiEngine.from_database(url) as engine:
        assert engine.refresh()
        assert engine.values("segment") == [None]
        for day in range(2):
            segment(url, Settings("merchants", FIRST + day * 30 * DAY, restart=True, segments=4 + day))
            expected = dict(
                months.query(
                    "SELECT m.name, count(*) FROM orders AS o LEFT JOIN merchant_segment AS m "
                    "ON m.merchant = o.merchant AND m.valid_to IS NULL GROUP BY 1"
                )
            )
            assert len(expected) == 5 + day, "some merchant has no segment"
            wait_until("the run is known", partial(is_counted, engine, list(expected)))
            assert look(engine) == expected
            name = engine.values("segment")[0]
            assert engine.query(filters={"segment": name}).totals["count"] == expected[name]
    assert "✓" in months.run("verify")


def is_counted(engine: ccstream.KpiEngine, names: list[str | None]) -> bool:
    """Returns whether the engine counts by these segments."""
    return set(look(engine)) == set(names)


def look(engine: ccstream.KpiEngine) -> dict[str | None, int]:
    """Returns the number of transactions by segment."""
    assert engine.refresh()
    found = engine.query(by={"segment": []})["segment"]
    return dict(zip(found["key"], found["count"].tolist(), strict=True))


def test_without_transactions_the_command_says_so(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    assert "the table orders does not exist" in pipeline.run("segment", status=5)
    pipeline.create_topic(1)
    pipeline.run("consume", "--until-caught-up", "--quiet")
    assert "orders has no transaction from before now" in pipeline.run("segment", status=2)
    row = "('{0}', 5, '2026-01-0{0}', 'm{0}')"
    rows = ", ".join(row.format(number) for number in range(1, 10))
    pipeline.execute(f"INSERT INTO orders (order_id, value, timestamp, merchant) VALUES {rows}")
    assert "segments: 2 segments need 10 merchants, not all alike; there are 9" in pipeline.run("segment", status=2)
    assert "orders has no transaction with a card_token" in pipeline.run("segment", "--of", "cards", status=2)


def test_a_database_that_does_not_answer_is_an_error(lone_pipeline: Pipeline) -> None:
    assert "Traceback" not in lone_pipeline.run("segment", status=4)
