"""Tests that windows and rules of alerts go by the segments of merchants, by the run that was adopted at the time."""

from __future__ import annotations

import signal
import time
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ccstream.segments import Settings, segment
from conftest import at_length
from test_alerts import event
from test_analyze import analyze, kill_one, verified
from test_windows import LATENESS, PARTITIONS, SQL, START, differing, fixed, stream
from waiting import wait_until

if TYPE_CHECKING:
    import random

    from pipeline import Pipeline

FILE = f"""
[[window]]
name = "segment_minute"
size = "1m"
lateness = "{LATENESS}s"
by = ["segment", "currency"]
measures = ["count", "sum", "cards"]

[[window]]
name = "segment_rolling"
size = "5m"
hop = "1m"
lateness = "{LATENESS}s"
by = ["country", "segment"]
measures = ["count", "mean_score"]
"""
WINDOWS = {
    "segment_minute": (60, ["segment", "currency"], "segment, upper(currency)", ["count", "sum", "cards"]),
    "segment_rolling": (300, ["country", "segment"], "country, segment", ["count", "mean_score"]),
}
AS_OF = (START + timedelta(days=1)).replace(tzinfo=None)
FIRST = Settings(as_of=AS_OF, segments=3)

ADOPTED = """USING (order_id)
LEFT JOIN LATERAL (SELECT run FROM segments_adopted WHERE seq <= s.seq ORDER BY seq DESC LIMIT 1) AS a ON true
LEFT JOIN assigned AS g ON g.run = a.run AND g.merchant = o.merchant"""


def assign(pipeline: Pipeline, settings: Settings = FIRST) -> None:
    """Segments the merchants, and notes in a table of the test what the run has assigned."""
    outcome = segment(pipeline.database_url, settings)
    pipeline.execute("CREATE TABLE IF NOT EXISTS assigned (run BIGINT, merchant TEXT, name TEXT)")
    current = "SELECT %s::bigint, merchant, name FROM merchant_segment WHERE valid_to IS NULL"
    with pipeline.connect() as connection:
        connection.execute(f"INSERT INTO assigned {current}", [outcome.run])


def check(pipeline: Pipeline) -> None:
    """Compares the windows with a recount by the runs that were adopted."""
    for name, (size, columns, dimensions, measures) in WINDOWS.items():
        recount, _ = fixed(size, 60, LATENESS, dimensions, [one for one in SQL if one in measures])
        recount = recount.replace("USING (order_id)", ADOPTED).replace("o.*,", "o.*, g.name AS segment,")
        found = differing(pipeline, name, columns + [one for one in SQL if one in measures], recount)
        assert not found, (name, len(found), found[:5])
    assert verified(pipeline)["problems"] == []


def adopted(pipeline: Pipeline) -> list[int | None]:
    """Returns the adopted runs, in order."""
    return [run for (run,) in pipeline.query("SELECT run FROM segments_adopted ORDER BY seq")]


@pytest.mark.timeout(900)
def test_windows_equal_a_recount_by_the_adopted_runs_despite_kills(
    embedded_pipeline: Pipeline, chance: random.Random
) -> None:
    pipeline = embedded_pipeline
    count = at_length(40_000, 400_000)
    pipeline.create_topic(PARTITIONS)
    stream(pipeline, count, chance)
    pipeline.catch_up()
    # Without windows by segments, nothing is adopted.
    assign(pipeline)
    kill_one(pipeline, chance, [500, 2_000], lambda before: min(count // 10, count - before) + 1)
    assert adopted(pipeline) == []
    path = pipeline.write("windows.toml", FILE)
    # A run of the same time that replaces the one before, one that only assigns new members, and later ones.
    restarted = replace(FIRST, segments=4, restart=True)
    later = AS_OF + timedelta(hours=1)
    for settings in (
        None,
        restarted,
        replace(restarted, restart=False),
        replace(FIRST, restart=True, as_of=later),
        replace(FIRST, as_of=later + timedelta(hours=1)),
    ):
        if settings:
            assign(pipeline, settings)
        for _ in range(at_length(1, 3)):
            kill_one(pipeline, chance, [500, 2_000], lambda before: min(count // 10, count - before) + 1)
    analyzer = analyze(pipeline)
    assert not analyzer.events("warning"), analyzer.events("warning")
    # A run that was adopted right before a kill may have got no place.
    runs = adopted(pipeline)
    assert (runs[0], runs[-1], len(set(runs)) >= 4) == (1, 5, True), runs
    moved = (
        f"SELECT count(*) > 0 FROM scores AS s JOIN orders AS o {ADOPTED} JOIN assigned AS f ON f.merchant = g.merchant"
    )
    assert pipeline.query(f"{moved} WHERE f.run = 1 AND f.name <> g.name") == [(True,)]
    check(pipeline)
    # What is counted again goes by the same runs.
    path.write_text(
        FILE.replace('"cards"', '"cards", "mean"').replace('hop = "1m"', 'hop = "1m"\ncells = 40000'), "utf-8"
    )
    analyze(pipeline)
    assert pipeline.query("SELECT bool_and(version = 2) FROM windows") == [(True,)]
    check(pipeline)


def rules(name: str) -> str:
    """Returns a rule on the merchants of a segment, and one with the segment as its key."""
    return f"""
[[alert]]
name = "large"
kind = "transaction"
where = 'segment = "{name}" and amount > 900'
by = ["merchant"]

[[alert]]
name = "merchants"
kind = "rate"
where = "amount > 900"
by = ["segment"]
distinct = "merchant"
least = 2
size = "1h"
"""


def test_a_rule_fires_for_merchants_of_a_segment_alone(embedded_pipeline: Pipeline, chance: random.Random) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    stream_count = 3_000
    pipeline.send([
        event(number, f"09:{number // 60 % 60:02}:{number % 60:02}", merchant=f"merchant{chance.randrange(60)}",
              amount=f"{chance.randrange(100, 50_000) / 100:.2f}", currency="EUR")
        for number in range(stream_count)
    ])  # fmt: skip
    pipeline.catch_up()
    pipeline.write("windows.toml", FILE)
    analyzer = pipeline.analyze()
    [warning] = [analyzer.wait_for_event("warning")]
    assert (warning["kind"], "run ccstream segment" in warning["text"]) == ("segments_unavailable", True)
    counted = "SELECT sum(count), count(segment) FROM window_segment_minute"
    wait_until("it is counted", lambda: pipeline.query(counted) == [(stream_count, 0)])
    # The analyzer looks again, and warns once.
    time.sleep(11)
    assert len(analyzer.warned("segments_unavailable")) == 1
    assign(pipeline)
    wait_until("it is adopted", lambda: adopted(pipeline) == [None, 1])
    names = pipeline.query(
        "SELECT name, array_agg(merchant ORDER BY merchant) FROM assigned GROUP BY 1 ORDER BY count(*) DESC, 1"
    )
    (name, members), (_, others) = names[:2]
    pipeline.write("alerts.toml", rules(name))
    wait_until("the rules apply", lambda: pipeline.query("SELECT count(*) FROM alert_rules") == [(2,)])
    large = [members[0], others[0], others[1], "a merchant without a segment"]
    pipeline.send([
        event(90_000 + at, f"10:00:{at:02}", merchant=merchant, amount="1000.00", currency="EUR")
        for at, merchant in enumerate(large)
    ])  # fmt: skip
    opened = "SELECT rule, key, count FROM alerts ORDER BY 1, 2"
    expected = [("large", members[0], 1), ("merchants", names[1][0], 1)]
    wait_until("all is scored", lambda: pipeline.query("SELECT seq FROM analysis") == [(stream_count + 4,)])
    assert pipeline.query(opened) == expected
    assert len(analyzer.warned("segments_unavailable")) == 1
    # What was adopted counts on if the tables cannot be read any more.
    pipeline.execute("ALTER TABLE segment_runs RENAME TO hidden")
    wait_until("it is noticed", lambda: len(analyzer.warned("segments_unavailable")) == 2)
    pipeline.send([event(90_009, "10:00:09", merchant=members[0], amount="1000.00", currency="EUR")])
    wait_until("it counts up", lambda: pipeline.query(opened)[0] == ("large", members[0], 2))
    pipeline.execute("ALTER TABLE hidden RENAME TO segment_runs")
    analyzer.signal(signal.SIGKILL)
    analyzer.wait()
    pipeline.send([event(90_010, "10:00:10", merchant=members[0], amount="1000.00", currency="EUR")])
    pipeline.catch_up()
    assert not analyze(pipeline).events("warning")
    assert pipeline.query(opened) == [("large", members[0], 3), expected[1]]
    assert pipeline.query("SELECT sum(count) FROM window_segment_minute WHERE segment = %s", name) == [(3,)]
    check(pipeline)
    # Without the tables, the analysis goes on.
    pipeline.execute("DROP TABLE merchant_segment")
    pipeline.send([event(90_011, "10:00:11", merchant=members[0], amount="1000.00", currency="EUR")])
    pipeline.catch_up()
    [warning] = analyze(pipeline).events("warning")
    assert (warning["kind"], "merchant_segment does not exist" in warning["text"]) == ("segments_unavailable", True)
    assert adopted(pipeline) == [None, 1, None]
    assert pipeline.query(opened) == [("large", members[0], 3), expected[1]]
    problems = verified(pipeline, status=1)["problems"]
    assert len(problems) == 2, problems
    assert all("merchant_segment does not exist" in problem for problem in problems)


def test_a_role_that_may_not_read_segments_is_told_what_to_run(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    sent = [event(number, f"09:00:{number % 60:02}", merchant=f"merchant{number % 30}") for number in range(300)]
    pipeline.send(sent[:200])
    pipeline.catch_up()
    pipeline.write("windows.toml", FILE)
    analyze(pipeline)
    assert adopted(pipeline) == [None]
    assign(pipeline)
    pipeline.send(sent[200:])
    pipeline.catch_up()
    role = f"analyzer_{uuid.uuid4().hex[:8]}"
    whose = pipeline.database_url
    at, _, place = whose.partition("//")
    with pipeline.connect() as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
        owner.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
        owner.execute(f"REVOKE ALL ON merchant_segment FROM {role}")
        try:
            pipeline.database_url = f"{at}//{role}:p@{place.rpartition('@')[2]}"
            [warning] = analyze(pipeline).warned("segments_unavailable")
            assert pipeline.query("SELECT seq FROM analysis") == [(300,)]
            assert adopted(pipeline) == [None]
            owner.execute(warning["text"].partition("run: ")[2])
            assert not analyze(pipeline).events("warning")
            assert adopted(pipeline) == [None, 1]
        finally:
            pipeline.database_url = whose
            owner.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}; DROP ROLE {role}")
    check(pipeline)
