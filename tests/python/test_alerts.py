"""Tests that each alert is opened exactly once, whatever is killed, and what becomes of it."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from conftest import at_length
from test_analyze import analyze, kill_one
from test_windows import EVENT, PARTITIONS, stream
from waiting import wait_until

if TYPE_CHECKING:
    import random

    from pipeline import Pipeline

FILE = """
[[alert]]
name = "declined_high"
kind = "transaction"
where = "status = declined and amount > 480"
by = ["merchant"]
cooldown = "5m"

[[alert]]
name = "scored"
kind = "score"
threshold = 0.01
by = ["merchant"]
severity = "critical"

[[alert]]
name = "declines"
kind = "rate"
where = "status = declined"
by = ["merchant"]
least = 12
share = 0.4
size = "5m"

[[alert]]
name = "issuer_declines"
kind = "rate"
where = "status = declined"
by = ["issuer"]
least = 20
size = "1m"
window = "tumbling"
for = "10s"
cooldown = "2m"

[[alert]]
name = "country"
kind = "new_value"
of = "country"
keys = 2000

[[alert]]
name = "unusual"
kind = "amount"
ratio = 2.5
cooldown = "10s"
"""
TABLES = (
    "scores, labels, analysis, analysis_offsets, analysis_state, score_minute, score_day, feature_day, top_cards,"
    " fraud_cards, alerts, alert_rules, alert_state, alert_journal"
)
COLUMNS = "rule, version, key, severity, opened_at, last_at, count, state, why, why_text, seq"


def alerts(pipeline: Pipeline) -> list[tuple[Any, ...]]:
    """Returns all alerts, without what depends on when they were written."""
    return pipeline.query(f"SELECT {COLUMNS} FROM alerts ORDER BY rule, seq, key")


@pytest.mark.timeout(1_800)
def test_each_alert_is_opened_once_despite_kills(embedded_pipeline: Pipeline, chance: random.Random) -> None:
    pipeline = embedded_pipeline
    count = at_length(60_000, 600_000)
    pipeline.create_topic(PARTITIONS)
    stream(pipeline, count, chance)
    pipeline.write("alerts.toml", FILE)
    analyze(pipeline)
    expected = alerts(pipeline)
    opened = dict(pipeline.query("SELECT rule, count(*) FROM alerts GROUP BY 1"))
    assert set(opened) >= {"declined_high", "declines", "issuer_declines", "country", "unusual"}, opened
    assert pipeline.query("SELECT bool_or(count > 1), bool_or(why->>'kind' = 'suspended') FROM alerts") == [
        (True, True)
    ]
    pipeline.execute(f"DROP TABLE {TABLES}")
    kills = at_length(6, 100)
    for number in range(kills):
        kill_one(pipeline, chance, [200, 1_000, 5_000], lambda before: 2 * (count - before) // (kills - number + 1) + 1)  # noqa: B023
    analyzer = analyze(pipeline)
    assert not analyzer.events("warning"), analyzer.events("warning")
    assert pipeline.query("SELECT count(*) FROM scores") == [(count,)]
    found = alerts(pipeline)
    assert len(found) == len(expected)
    assert found == expected


def event(number: int, time: str, **fields: str) -> bytes:
    """Returns a transaction of five euros, unless the fields say otherwise."""
    at = f"2026-01-05T{time}Z"
    return json.dumps({**EVENT, "transaction_id": f"{number:08}", "amount": "5.00", "timestamp": at, **fields}).encode()


RULE = """
[[alert]]
name = "large"
kind = "transaction"
where = "amount > 100 and country != US"
severity = "critical"
cooldown = "10m"
runbook = "https://example.com/large"
"""


def test_an_alert_is_announced_and_repeats_count_across_a_restart(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    pipeline.write("alerts.toml", RULE)
    analyzer = pipeline.analyze()
    analyzer.wait_for_event("reading")
    with pipeline.connect() as listener:
        listener.execute("LISTEN ccstream_alerts")
        pipeline.send([event(1, "10:00:00", amount="100.00"), event(2, "10:00:01", amount="100.01")])
        [note] = listener.notifies(timeout=30, stop_after=1)
    told = json.loads(note.payload)
    assert told == {"id": 1, "rule": "large", "key": "c", "severity": "critical", "state": "open"}
    [(why, text)] = pipeline.query("SELECT why, why_text FROM alerts")
    assert text == "100.01 (card_token c): amount > 100 and country != US"
    assert (why["kind"], why["transaction"], why["amount"], why["key"]) == ("transaction", "00000002", 100.01, "c")
    shown = analyzer.wait_for_event("alert")
    assert (shown["rule"], shown["key"], shown["text"]) == ("large", "c", text)
    line = f"! Alert large (critical): {text} (see https://example.com/large)"
    wait_until("it is printed", lambda: line in analyzer.output())
    analyzer.signal(signal.SIGKILL)
    analyzer.wait()
    # The cooldown goes on, and ends, by the time of the stream.
    pipeline.send([event(3, "10:10:00", amount="200"), event(4, "10:09:00", amount="200")])
    analyze(pipeline)
    pipeline.send([event(5, "10:10:01", amount="200")])
    analyze(pipeline)
    assert pipeline.query("SELECT count, last_at::time::text, state FROM alerts ORDER BY id") == [
        (3, "10:10:00", "open"),
        (1, "10:10:01", "open"),
    ]


def test_the_file_is_read_again_and_what_is_wrong_is_explained(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    wrong = RULE.replace("large", "wrong").replace("country", "land")
    path = pipeline.write("alerts.toml", RULE + wrong)
    analyzer = pipeline.analyze()
    analyzer.wait_for_event("reading")
    [warning] = analyzer.warned("alert_refused")
    assert warning["text"].startswith('alerts.toml, line 13, column 9: wrong: there is no field "land"')
    checks = json.loads(pipeline.run("doctor", "--json", "--alerts", str(path), status=1))["checks"]
    [found] = [check for check in checks if check["name"] == "alerts"]
    assert not found["ok"]
    assert "line 13, column 9" in found["found"]
    pipeline.send([event(1, "10:00:00", amount="50")])
    wait_until("it is scored", lambda: pipeline.query("SELECT seq FROM analysis") == [(1,)])
    path.write_text(RULE.replace("100", "40"), encoding="utf-8")
    version = "SELECT version, is_active FROM alert_rules ORDER BY version"
    wait_until("it is read", lambda: pipeline.query(version) == [(1, False), (2, True)])
    # The rule is not applied to what came before.
    pipeline.send([event(2, "10:00:01", amount="50", card_token="d")])
    wait_until("it fires", lambda: pipeline.query("SELECT version, key FROM alerts") == [(2, "d")])
    # A file that is not TOML changes nothing.
    path.write_text(RULE + "[[alert", encoding="utf-8")
    wait_until("it is read", lambda: len(analyzer.warned("alert_refused")) == 2)
    pipeline.send([event(3, "10:00:02", amount="50", card_token="e")])
    wait_until("it fires", lambda: pipeline.query("SELECT count(*) FROM alerts") == [(2,)])
    path.unlink()
    wait_until("it ends", lambda: pipeline.query(version) == [(1, False), (2, False)])
    pipeline.send([event(4, "10:00:03", amount="50", card_token="f")])
    wait_until("it is scored", lambda: pipeline.query("SELECT seq FROM analysis") == [(4,)])
    assert pipeline.query("SELECT count(*) FROM alerts") == [(2,)]
    # Nothing is read from a pipe, for which a reader would wait for ever.
    os.mkfifo(path)
    wait_until("it is refused", lambda: len(analyzer.warned("alert_refused")) == 3)
    assert analyzer.warned("alert_refused")[-1]["text"] == "alerts.toml cannot be read: it is not a file"
    assert analyzer.stop() == 0
    assert f"{path}: it is not a file" in pipeline.run("analyze", "--alerts", str(path), status=2)
    assert "alerts: " in pipeline.run("analyze", "--alerts", "missing.toml", status=2)


def test_an_absence_is_noticed_by_the_clock_and_closed(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(2)
    pipeline.write("alerts.toml", '[[alert]]\nname = "silent"\nkind = "absence"\nafter = "3s"\nby = ["issuer"]\n')
    analyzer = pipeline.analyze()
    analyzer.wait_for_event("reading")
    pipeline.send([event(1, "10:00:00", issuer="a"), event(2, "10:00:00", issuer="b")])
    states = "SELECT key, state, count FROM alerts ORDER BY key"
    wait_until("both are absent", lambda: pipeline.query(states) == [("a", "open", 1), ("b", "open", 1)])
    analyzer.signal(signal.SIGKILL)
    analyzer.wait()
    pipeline.send([event(3, "10:00:01", issuer="a")])
    analyzer = pipeline.analyze()
    wait_until("one is back", lambda: ("a", "closed", 1) in pipeline.query(states))
    # It is absent again within the cooldown, so the same alert is open again.
    wait_until("it is absent", lambda: pipeline.query(states) == [("a", "open", 2), ("b", "open", 1)])
    assert analyzer.stop() == 0


def test_a_silenced_alert_is_heard_when_the_silence_is_over(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    pipeline.write("alerts.toml", RULE.replace('"10m"', '"1h"'))
    analyze(pipeline)
    pipeline.execute(
        "INSERT INTO alert_silences (rule, key, ends_at) VALUES ('large', 'c', '2026-01-05 10:10'),"
        " ('other', NULL, '2027-01-01'), (NULL, 'x', '2027-01-01')"
    )
    with pipeline.connect() as listener:
        listener.execute("LISTEN ccstream_alerts")
        pipeline.send([event(1, "10:00:00", amount="200"), event(2, "10:00:01", amount="200", card_token="d")])
        analyze(pipeline)
        pipeline.send([event(3, "10:09:59", amount="200")])
        analyze(pipeline)
        assert [json.loads(note.payload)["key"] for note in listener.notifies(timeout=1)] == ["d"]
        state = "SELECT key, count, silenced FROM alerts ORDER BY key"
        assert pipeline.query(state) == [("c", 2, True), ("d", 1, False)]
        # It fires on after the end of the silence, within its cooldown.
        pipeline.send([event(4, "10:10:00", amount="200"), event(5, "10:10:01", amount="200")])
        analyze(pipeline)
        pipeline.send([event(6, "10:10:02", amount="200")])
        analyze(pipeline)
        assert [json.loads(note.payload)["key"] for note in listener.notifies(timeout=1)] == ["c"]
        assert pipeline.query(state) == [("c", 5, False), ("d", 1, False)]


def test_an_analyst_says_that_a_transaction_is_a_fraud(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    pipeline.write("alerts.toml", RULE)
    analyzer = pipeline.analyze("--no-default-model")
    analyzer.wait_for_event("reading")
    pipeline.send(
        [
            event(1, "10:00:00", amount="200", merchant="Shop"),
            *(event(n, f"10:00:{n}", card_token="d", merchant="Shop") for n in range(10, 20)),
        ]
    )
    wait_until("all is scored", lambda: pipeline.query("SELECT count(*) FROM scores") == [(11,)])
    verdict = (
        "SET ROLE ccstream_analyst;"
        " UPDATE alerts SET state = 'closed', outcome = 'fraud', note = 'called' WHERE rule = 'large';"
        " INSERT INTO labels (transaction_id, source, labelled_at, fraud, kafka_partition, kafka_offset)"
        " VALUES ('00000001', 'analyst', '2026-01-05 10:00:19', true, -1, 0)"
    )
    pipeline.execute(verdict)
    for statement in ("DELETE FROM alerts", "UPDATE alerts SET why_text = ''", "UPDATE labels SET fraud = false"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            pipeline.execute(f"SET ROLE ccstream_analyst; {statement}")
    again = verdict.replace("10:00:19", "10:01:21").replace("true, -1", "false, -1")
    for numbers, statements in (((20, 21), again), ((22, 23), "")):
        # One batch notices the label, and the next one counts it.
        for number in numbers:
            pipeline.send([event(number, f"10:01:{number}", card_token="e", merchant="Shop")])
            scored = f"SELECT count(*) FROM scores WHERE order_id = '{number:08}'"
            wait_until("it is scored", lambda: pipeline.query(scored) == [(1,)])  # noqa: B023
        pipeline.execute(statements or "SELECT")
    expected = [(13, True), (16, False)]
    assert pipeline.query("SELECT seq, fraud FROM labels ORDER BY seq") == expected
    # The state is stored at the end, and the check compares it with a recount that takes each label from the table.
    analyzer.signal(signal.SIGTERM)
    assert analyzer.wait() == 0
    pipeline.catch_up()
    pipeline.run("verify")


SYSTEM = """
[[alert]]
name = "gone"
kind = "system"
of = "consumer"
after = "3s"

[[alert]]
name = "behind"
kind = "system"
of = "lag"
least = 50
for = "2s"

[[alert]]
name = "rejects"
kind = "system"
of = "rejected"
share = 0.2
size = "10s"
"""


def test_a_consumer_that_is_gone_behind_or_rejects_raises_alerts(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(2)
    pipeline.write("alerts.toml", SYSTEM)
    states = "SELECT rule, state FROM alerts ORDER BY rule"
    pipeline.send([event(0, "10:00:00")])
    consumer = pipeline.consume()
    analyzer = pipeline.analyze()
    analyzer.wait_for_event("reading")
    wait_until("it is stored", lambda: pipeline.query("SELECT count(*) FROM orders") == [(1,)])
    # Nothing comes, and a few messages wait for a moment: neither is an alert.
    time.sleep(5)
    pipeline.send([event(number, "10:00:01") for number in range(1, 100)])
    wait_until("they are stored", lambda: pipeline.query("SELECT count(*) FROM orders") == [(100,)])
    time.sleep(4)
    assert pipeline.query(states) == []
    assert consumer.stop() == 0
    pipeline.send([event(number, "10:00:02") for number in range(100, 200)])
    wait_until("it is missed", lambda: pipeline.query(states) == [("behind", "open"), ("gone", "open")])
    [(behind,), _] = pipeline.query("SELECT why_text FROM alerts ORDER BY rule")
    assert behind == "the consumer has been behind for 2s: 100 messages wait"
    consumer = pipeline.consume()
    wait_until("it is back", lambda: pipeline.query(states) == [("behind", "closed"), ("gone", "closed")])
    pipeline.send([b"{"] * 60)
    wait_until("it rejects", lambda: pipeline.query(states)[2:] == [("rejects", "open")])
    [(text,)] = pipeline.query("SELECT why_text FROM alerts WHERE rule = 'rejects'")
    assert text.startswith("the consumer has rejected ")
    # The alert is still open after a restart, and is closed once more good messages have come.
    assert analyzer.stop() == 0
    analyzer = pipeline.analyze()
    analyzer.wait_for_event("reading")
    time.sleep(4)
    assert pipeline.query(states)[2:] == [("rejects", "open")]
    pipeline.send([event(number, "10:00:03") for number in range(200, 1_000)])
    wait_until("it is over", lambda: pipeline.query(states)[2:] == [("rejects", "closed")])
    assert pipeline.query("SELECT count(*) FROM alerts") == [(3,)]
    assert consumer.stop() == 0
    assert analyzer.stop() == 0
