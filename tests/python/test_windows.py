"""Tests that windows equal a recount in SQL in every cell, and that late transactions are counted exactly, despite kills."""

from __future__ import annotations

import json
import signal
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer

from conftest import at_length
from test_analyze import analyze
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
        f"{judged}, begun AS (SELECT *, coalesce(timestamp - lag(timestamp) OVER w > make_interval(secs => {gap}), true)"
        f" AS begins FROM judged WHERE NOT is_closed WINDOW w AS (PARTITION BY {dimension} ORDER BY timestamp, seq)),"
        f" numbered AS (SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY {dimension} ORDER BY timestamp, seq)"
        f" AS number FROM begun)"
        f" SELECT min(timestamp), max(timestamp) + make_interval(secs => {gap}), {what}, sum(is_late)"
        f" FROM numbered GROUP BY {dimension}, number"
    )
    return rows, f"{judged} SELECT timestamp::date, count(*) FROM judged WHERE is_closed GROUP BY 1 ORDER BY 1"


RECOUNTS = {
    "issuer_minute": fixed(60, 60, LATENESS, "issuer, currency", list(SQL)),
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
            "currency": chance.choice(["EUR", "USD"]),
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


def write(pipeline: Pipeline, text: str) -> Path:
    """Writes the file of windows to the folder in which analyzers are started."""
    path = Path(pipeline.folder.name) / "windows.toml"
    path.write_text(text, encoding="utf-8")
    return path


def differences(pipeline: Pipeline, name: str) -> list[tuple[object, ...]]:
    """Returns the cells in which a window differs from its recount: those of the table, and those of the recount."""
    columns = ", ".join(f'"{column}"' for column in ["window_start", "window_end", *COLUMNS[name], "late"])
    table = f"SELECT {columns} FROM window_{name}"
    recount = RECOUNTS[name][0]
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
    write(pipeline, FILE)
    for _ in range(at_length(4, 12)):
        analyzer = pipeline.analyze("--batch-rows", str(chance.choice([500, 2_000, 10_000])))
        analyzer.wait_for_event("leased")
        [(before,)] = pipeline.query("SELECT seq FROM analysis")
        goal = before + chance.randrange(count // 10)
        wait_until("more is scored", lambda: pipeline.query("SELECT seq >= %s FROM analysis", goal) == [(True,)])  # noqa: B023
        analyzer.signal(signal.SIGKILL)
        analyzer.wait()
    analyzer = analyze(pipeline)
    assert not analyzer.events("warning"), analyzer.events("warning")
    assert pipeline.query("SELECT count(*) FROM scores") == [(count,)]
    check(pipeline)
