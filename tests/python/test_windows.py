"""Tests that windows equal a recount in SQL in every cell, and that late transactions are counted exactly."""

from __future__ import annotations

import json
import signal
import uuid
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer

from conftest import at_length
from test_analyze import analyze, kill_one, verified
from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    import random

    from pipeline import Pipeline

PARTITIONS = 4
LATENESS = 30
"""The transactions of :func:`stream` are out of order by at most this number of seconds, except for a few by hours."""
START = datetime(2026, 1, 5, tzinfo=timezone.utc)

MEASURES = '["count", "sum", "mean", "min", "max", "approved_share", "cards", "mean_score", "high_share"]'
FILE = f"""
[[window]]
name = "issuer_minute"
size = "1m"
lateness = "{LATENESS}s"
by = ["issuer", "currency"]
measures = {MEASURES}
high = 0.01

[[window]]
name = "rolling"
size = "5m"
hop = "1m"
lateness = "{LATENESS}s"
by = ["country"]
measures = ["count", "cards", "approved_share"]

[[window]]
name = "card_session"
gap = "2m"
lateness = "{LATENESS}s"
by = ["card_token"]
measures = ["count", "mean_score"]

[[window]]
name = "strict"
size = "10s"
measures = ["count"]
"""

EVENT = {"transaction_id": "y", "amount": "1.00", "timestamp": "2026-01-05T00:01:00Z", "card_token": "c"}

ORDERED = """
WITH ordered AS MATERIALIZED (
    SELECT s.seq, s.score, o.*,
           max(o.timestamp) OVER (ORDER BY s.seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached
    FROM scores AS s JOIN orders AS o USING (order_id)
), rows AS (SELECT *, coalesce(timestamp < reached, false)::int AS is_late FROM ordered)
"""
"""The scored transactions in their order, each with the greatest time before it."""


def counted(names: dict[str, str], dimensions: str) -> str:
    """Returns the SQL of measures, by the names of their columns."""
    parts = [f"{sql} AS {name}" for name, sql in names.items()]
    return ", ".join([dimensions, *parts]) if dimensions else ", ".join(parts)


SQL = {
    "count": "count(*)",
    "sum": "sum(value)",
    "mean": "round(sum(value) / count(*), 4)",
    "min": "min(value)",
    "max": "max(value)",
    "approved_share": "count(*) FILTER (WHERE status = 'approved')::float8"
    " / nullif(count(*) FILTER (WHERE status IN ('approved', 'declined')), 0)",
    "cards": "count(DISTINCT card_token)",
    "mean_score": "sum(floor(score * 1000000 + 0.5))::bigint::float8 / 1000000 / nullif(count(score), 0)",
    "high_share": "count(*) FILTER (WHERE score >= 0.01)::float8 / nullif(count(score), 0)",
}
"""Each measure, computed from ``orders`` and ``scores``."""


def fixed(size: int, hop: int, lateness: int, dimensions: str, measures: list[str]) -> tuple[str, str]:
    """Returns the recount of windows of a fixed size, and of the windows that late transactions have missed."""
    windows = (
        f"{ORDERED}, windows AS (SELECT *, starts + make_interval(secs => {size}) AS ends FROM"
        " (SELECT rows.*, timestamp '1970-01-01' + make_interval(secs =>"
        f" (floor(extract(epoch FROM timestamp) / {hop}) - number) * {hop}) AS starts"
        f" FROM rows, generate_series(0, {size // hop - 1}) AS number) AS w),"
        f" judged AS (SELECT *, coalesce(ends <= reached - make_interval(secs => {lateness}), false) AS is_closed"
        " FROM windows)"
    )
    what = counted({name: SQL[name] for name in measures}, dimensions)
    group = ", ".join(["starts", "ends", *([dimensions] if dimensions else [])])
    rows = f"{windows} SELECT starts, ends, {what}, sum(is_late) FROM judged WHERE NOT is_closed GROUP BY {group}"
    return rows, f"{windows} SELECT timestamp::date, count(*) FROM judged WHERE is_closed GROUP BY 1 ORDER BY 1"


def sessions(gap: int, lateness: int, dimension: str, measures: list[str]) -> tuple[str, str]:
    """Returns the same for sessions. Transactions that are late by less than all of it must not be there."""
    judged = (
        f"{ORDERED}, judged AS (SELECT *, coalesce(timestamp + make_interval(secs => {gap})"
        f" < reached - make_interval(secs => {lateness}), false) AS is_closed FROM rows)"
    )
    what = counted({name: SQL[name] for name in measures}, dimension)
    rows = (
        f"{judged}, begun AS (SELECT *,"
        f" coalesce(timestamp - lag(timestamp) OVER w > make_interval(secs => {gap}), true)"
        f" AS begins FROM judged WHERE NOT is_closed WINDOW w AS (PARTITION BY {dimension} ORDER BY timestamp, seq)),"
        f" numbered AS (SELECT *, count(*) FILTER (WHERE begins) OVER w AS number"
        f" FROM begun WINDOW w AS (PARTITION BY {dimension} ORDER BY timestamp, seq))"
        f" SELECT min(timestamp), max(timestamp) + make_interval(secs => {gap}), {what}, sum(is_late)"
        f" FROM numbered GROUP BY {dimension}, number"
    )
    return rows, f"{judged} SELECT timestamp::date, count(*) FROM judged WHERE is_closed GROUP BY 1 ORDER BY 1"


RECOUNTS = {
    "issuer_minute": fixed(60, 60, LATENESS, "issuer, upper(currency)", list(SQL)),
    "rolling": fixed(300, 60, LATENESS, "country", ["count", "approved_share", "cards"]),
    "card_session": sessions(120, LATENESS, "card_token", ["count", "mean_score"]),
    "strict": fixed(10, 10, 0, "", ["count"]),
}
COLUMNS = {
    "issuer_minute": ["issuer", "currency", *SQL],
    "rolling": ["country", "count", "approved_share", "cards"],
    "card_session": ["card_token", "count", "mean_score"],
    "strict": ["count"],
}


def stream(pipeline: Pipeline, count: int, chance: random.Random) -> None:
    """Sends transactions out of order by at most the lateness, and one in a thousand late by hours."""
    events = []
    for number in range(count):
        seconds = number * 0.05
        sent_at = seconds + chance.random() * LATENESS
        if chance.random() < 0.001 and seconds > 20_000 * 0.05:
            seconds -= 800
        event = {
            "transaction_id": f"{number:08}",
            "amount": f"{chance.randrange(-5_000, 50_000) / 100:.2f}",
            "timestamp": (START + timedelta(seconds=seconds)).isoformat(),
            "card_token": f"card{chance.randrange(3_000)}",
            "currency": chance.choice(["EUR", "eur", "USD"]),
            "status": chance.choice(["approved", "approved", "approved", "declined", "pending"]),
            "merchant": f"merchant{chance.randrange(200)}",
        }
        if chance.random() < 0.9:
            event["issuer"] = f"issuer{chance.randrange(7)}"
        if chance.random() < 0.95:
            event["country"] = chance.choice(["DE", "FR", "US", "Côte d'Ivoire"])
        events.append((sent_at, event))
    producer = Producer({"bootstrap.servers": pipeline.broker, "queue.buffering.max.messages": 2_000_000})
    for _, event in sorted(events, key=lambda one: one[0]):
        partition = sum(event["card_token"].encode()) % PARTITIONS
        producer.produce(pipeline.topic, json.dumps(event).encode(), partition=partition)
        producer.poll(0)
    assert producer.flush(LIMIT) == 0


def differences(pipeline: Pipeline, name: str) -> list[tuple[object, ...]]:
    """Returns the rows in which a window of :data:`FILE` differs from its recount."""
    return differing(pipeline, name, COLUMNS[name], RECOUNTS[name][0])


def differing(pipeline: Pipeline, name: str, names: list[str], recount: str) -> list[tuple[object, ...]]:
    """Returns the rows in which a window differs from a recount: those of the table, and those of the recount."""
    columns = ", ".join(f'"{column}"' for column in ["window_start", "window_end", *names, "late"])
    table = f"SELECT {columns} FROM window_{name}"
    return pipeline.query(
        f"SELECT * FROM (({table}) EXCEPT ALL (SELECT * FROM ({recount}) AS r)) AS a"
        f" UNION ALL SELECT * FROM ((SELECT * FROM ({recount}) AS r) EXCEPT ALL ({table})) AS b"
    )


def check(pipeline: Pipeline) -> None:
    """Compares all windows, and what they have missed, with recounts."""
    for name in RECOUNTS:
        assert pipeline.query(f"SELECT count(*) > 50 FROM window_{name}") == [(True,)]
        found = differences(pipeline, name)
        assert not found, (name, len(found), found[:5])
        missed = pipeline.query("SELECT day, late, no_room FROM windows_late WHERE name = %s ORDER BY day", name)
        assert missed == [(day, late, 0) for day, late in pipeline.query(RECOUNTS[name][1])], name
        # A version is counted once, and is the only one in the table.
        assert pipeline.query(
            f"SELECT DISTINCT t.version = w.version FROM window_{name} AS t, windows AS w WHERE name = %s", name
        ) == [(True,)]
    assert pipeline.query("SELECT bool_and(cards_exact) FROM window_issuer_minute") == [(True,)]


@pytest.mark.timeout(900)
def test_windows_equal_a_recount_despite_kills(embedded_pipeline: Pipeline, chance: random.Random) -> None:
    pipeline = embedded_pipeline
    count = at_length(100_000, 1_000_000)
    pipeline.create_topic(PARTITIONS)
    stream(pipeline, count, chance)
    pipeline.catch_up()
    pipeline.write("windows.toml", FILE)
    for _ in range(at_length(4, 12)):
        kill_one(pipeline, chance, [500, 2_000, 10_000], lambda before: min(count // 10, count - before) + 1)
    analyzer = analyze(pipeline)
    assert not analyzer.events("warning"), analyzer.events("warning")
    assert pipeline.query("SELECT count(*) FROM scores") == [(count,)]
    check(pipeline)


def versions(pipeline: Pipeline) -> dict[str, int]:
    """Returns the version of each window that has come as far as the analysis."""
    rows = pipeline.query(
        "SELECT name, version FROM windows AS w, analysis AS a WHERE counted IS NULL AND NOT replaces AND w.seq = a.seq"
    )
    return dict(rows)


def test_a_changed_definition_is_counted_again(embedded_pipeline: Pipeline, chance: random.Random) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(PARTITIONS)
    stream(pipeline, 20_000, chance)
    pipeline.catch_up()
    before = FILE.replace(f'lateness = "{LATENESS}s"', 'lateness = "0s"').replace(MEASURES, '["count", "cards"]')
    before = before.replace("high = 0.01\n", "").replace('by = ["country"]', 'by = ["city"]')
    path = pipeline.write("windows.toml", before)
    analyzer = pipeline.analyze()
    analyzer.wait_for_event("leased")
    wait_until("all is scored", lambda: pipeline.query("SELECT seq FROM analysis") == [(20_000,)])
    wait_until("all is counted", lambda: versions(pipeline) == dict.fromkeys(RECOUNTS, 1))
    path.write_text(FILE, encoding="utf-8")
    wait_until("all is counted again", lambda: versions(pipeline) == {**dict.fromkeys(RECOUNTS, 2), "strict": 1})
    check(pipeline)
    # The columns of the earlier definition are gone.
    columns = "SELECT string_agg(attname, ' ') FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'city'"
    assert pipeline.query(columns, "window_rolling") == [(None,)]
    # More comes while a window is counted again, and a kill interrupts it.
    path.write_text(FILE.replace('gap = "2m"', 'gap = "3m"'), encoding="utf-8")
    wait_until("it begins", lambda: pipeline.query("SELECT version FROM windows WHERE name = 'card_session'") == [(3,)])
    analyzer.signal(signal.SIGKILL)
    analyzer.wait()
    path.write_text(FILE, encoding="utf-8")
    analyze(pipeline)
    assert versions(pipeline) == {"issuer_minute": 2, "rolling": 2, "card_session": 4, "strict": 1}
    check(pipeline)
    report = json.loads(pipeline.run("verify", "--json"))
    assert report["window_rows"] == sum(
        pipeline.query(f"SELECT count(*) FROM window_{name}")[0][0] for name in RECOUNTS
    )


def test_verify_finds_rows_of_windows_that_differ(embedded_pipeline: Pipeline, chance: random.Random) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(PARTITIONS)
    stream(pipeline, 5_000, chance)
    pipeline.catch_up()
    pipeline.write("windows.toml", FILE)
    analyze(pipeline)
    assert verified(pipeline)["window_rows"] > 100
    for change, problem in (
        ("UPDATE window_rolling SET count = count + 1 WHERE country = 'DE'", "window_rolling differ from a recount"),
        ("DELETE FROM window_card_session WHERE count > 1", "window_card_session has"),
        ("UPDATE window_issuer_minute SET closed = NOT closed", "window_issuer_minute differ"),
        ("DELETE FROM windows_late WHERE name = 'strict'", "windows_late of strict differ"),
        ("DROP TABLE window_strict", "window_strict does not exist"),
    ):
        pipeline.execute(change)
        problems = verified(pipeline, status=1)["problems"]
        assert any(problem in one for one in problems), (problem, problems)
    # A table that was dropped is counted again.
    analyze(pipeline)
    assert differences(pipeline, "strict") == []


def test_what_is_wrong_is_explained_and_not_counted(embedded_pipeline: Pipeline, chance: random.Random) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(PARTITIONS)
    stream(pipeline, 1_000, chance)
    pipeline.execute("CREATE TABLE window_taken (id INT)")
    text = '[[window]]\nname = "right"\nsize = "1m"\nmeasures = ["count"]\n'
    wrong = text.replace("right", "other").replace("1m", "1 minute")
    path = pipeline.write("windows.toml", text + wrong + text.replace("right", "taken"))
    analyzer = pipeline.analyze()
    analyzer.wait_for_event("scored")
    warnings = [one["text"] for one in analyzer.warned("window_refused")]
    assert len(warnings) == 2, warnings
    assert warnings[0].startswith("windows.toml, line 7, column 8: other: ")
    assert "there is a table window_taken" in warnings[1]
    wait_until("it is counted", lambda: pipeline.query("SELECT sum(count) FROM window_right") == [(1_000,)])
    # A file that is not TOML changes nothing.
    path.write_text(text + "[[window", encoding="utf-8")
    # The table that is taken is then warned of again.
    wait_until("it is read", lambda: len(analyzer.warned("window_refused")) >= 3)
    assert "line 5, column" in analyzer.warned("window_refused")[2]["text"]
    pipeline.send([json.dumps(EVENT).encode()])
    wait_until("it is counted", lambda: pipeline.query("SELECT sum(count) FROM window_right") == [(1_001,)])
    checks = json.loads(pipeline.run("doctor", "--json", "--windows", str(path), status=1))["checks"]
    [found] = [check for check in checks if check["name"] == "windows"]
    assert not found["ok"]
    assert "line 5, column" in found["found"]
    path.write_text(text, encoding="utf-8")
    checks = json.loads(pipeline.run("doctor", "--json", "--windows", str(path), status=None))["checks"]
    assert [check["ok"] for check in checks if check["name"] == "windows"] == [True]
    # Without the file, nothing is counted.
    path.unlink()
    wait_until("it ends", lambda: pipeline.query("SELECT counted FROM windows") == [(1_001,)])
    pipeline.send([json.dumps({**EVENT, "transaction_id": "z"}).encode()])
    wait_until("it is scored", lambda: pipeline.query("SELECT seq FROM analysis") == [(1_002,)])
    path.write_text(text, encoding="utf-8")
    # What was scored meanwhile comes from orders, and the consumer was not running.
    analyzer.wait_for_event("warning", kind="orders_behind")
    assert pipeline.query("SELECT sum(count) FROM window_right") == [(1_001,)]
    pipeline.catch_up()
    wait_until("it is counted", lambda: pipeline.query("SELECT sum(count) FROM window_right") == [(1_002,)])
    assert analyzer.stop() == 0
    assert "windows: " in pipeline.run("analyze", "--windows", "missing.toml", status=2)


def test_a_role_that_may_not_create_tables_is_told_what_to_run(
    embedded_pipeline: Pipeline, chance: random.Random
) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(PARTITIONS)
    stream(pipeline, 1_000, chance)
    pipeline.catch_up()
    analyze(pipeline)
    pipeline.write("windows.toml", '[[window]]\nname = "right"\nsize = "1m"\nby = ["issuer"]\nmeasures = ["count"]\n')
    role = f"analyzer_{uuid.uuid4().hex[:8]}"
    whose = pipeline.database_url
    at, _, place = whose.partition("//")
    with pipeline.connect() as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        owner.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
        try:
            pipeline.database_url = f"{at}//{role}:p@{place.rpartition('@')[2]}"
            [warning] = analyze(pipeline).warned("window_refused")
            owner.execute(warning["text"].partition(":\n")[2])
            owner.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON window_right TO {role}")
            assert not analyze(pipeline).events("warning")
            assert owner.execute("SELECT sum(count) FROM window_right").fetchall() == [(1_000,)]
        finally:
            pipeline.database_url = whose
            owner.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}; DROP ROLE {role}")
