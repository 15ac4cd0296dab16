"""Incidents and malformed messages of a simulated world, as they reach ``orders``, the dead letters and the truth."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from running import numbers_in
from topics import read_whole

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline import Pipeline

START = datetime(2026, 3, 2, 8, tzinfo=timezone.utc).replace(tzinfo=None)
"""A Monday morning, UTC, as ``orders`` has it."""
WORLD = ("--seed", "5", "--start-time", f"{START.isoformat()}Z", "--speed", "max", "--cards", "20000")
APPROVED = """
    SELECT date_trunc('hour', timestamp), issuer = 'Alderbank', payment_method = 'amex',
           count(*), count(*) FILTER (WHERE status = 'approved')
    FROM orders WHERE value > 0 GROUP BY 1, 2, 3
"""
MISTAKES = 28
"""The kinds of malformed message."""


def truths(pipeline: Pipeline, kind: str) -> list[dict[str, Any]]:
    """The truth of a kind that was sent."""
    sent = (json.loads(message.value() or b"") for message in read_whole(pipeline.broker, pipeline.truth_topic))
    return [truth for truth in sent if truth["kind"] == kind]


def hour(number: int) -> datetime:
    """The beginning of an hour of the run."""
    return START + timedelta(hours=number)


def incident(kind: str, number: int, subject: str = "") -> tuple[str, str]:
    """The flag of an incident that lasts for an hour of the run."""
    return "--incident", f"{kind}@{hour(number).isoformat()}Z+1h{subject and ':' + subject}"


def test_outages_lower_the_approval_rate_where_they_are_planned(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    outages = (*incident("issuer_out", 1, "Alderbank"), *incident("network_out", 2, "amex"))
    assert pipeline.produce(4, 60_000, *WORLD, *outages).wait() == 0
    pipeline.catch_up()
    seen = set()
    for moment, is_issuer, is_network, count, approved in pipeline.query(APPROVED):
        if moment >= hour(4) or count < 50:
            continue
        is_out = (is_issuer and moment == hour(1)) or (is_network and moment == hour(2))
        seen.add((is_issuer, is_network, is_out))
        assert approved == 0 if is_out else approved / count > 0.85, (moment, is_issuer, is_network)
    assert {(True, False, True), (False, True, True), (False, False, False)} <= seen
    declined = "SELECT DISTINCT response_code FROM orders WHERE value > 0 AND issuer = 'Alderbank' AND timestamp >= %s"
    assert pipeline.query(f"{declined} AND timestamp < %s", hour(1), hour(2)) == [("91",)]
    found = [(truth["scenario"], truth["subject"], truth["timestamp"]) for truth in truths(pipeline, "incident")]
    assert found == [
        ("issuer_out", "Alderbank", "2026-03-02T09:00:00.000000Z"),
        ("network_out", "amex", "2026-03-02T10:00:00.000000Z"),
    ]
    pipeline.verify()


def test_a_merchant_is_silent_while_its_terminals_are_offline(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    usual = "SELECT merchant FROM orders WHERE entry_mode <> 'ecommerce' GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
    assert pipeline.produce(4, 20_000, *WORLD).wait() == 0
    pipeline.catch_up()
    [(merchant,)] = pipeline.query(usual)
    other = ("--start-time", f"{(START + timedelta(days=7)).isoformat()}Z")
    world = (*WORLD[:2], *other, *WORLD[4:])
    offline = ("--incident", f"terminal_offline@1h+1h:{merchant}")
    assert pipeline.produce(4, 50_000, *world, *offline).wait() == 0
    pipeline.catch_up()
    by_hour = "SELECT extract(hour FROM timestamp)::int, count(*) FROM orders WHERE merchant = %s AND timestamp > %s"
    counts = dict(pipeline.query(f"{by_hour} GROUP BY 1", merchant, START + timedelta(days=7)))
    assert 9 not in counts
    assert min(counts[8], counts[10]) > 20
    pipeline.verify()


def test_a_surge_multiplies_a_merchants_rows_while_it_lasts(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    # A merchant that is neither so small that chance decides, nor so large that its category has no room for a sale.
    middling = (
        "SELECT merchant FROM orders WHERE entry_mode = 'ecommerce' GROUP BY 1 ORDER BY abs(count(*) - 100), 1 LIMIT 1"
    )
    assert pipeline.produce(4, 30_000, *WORLD).wait() == 0
    pipeline.catch_up()
    [(merchant,)] = pipeline.query(middling)
    # A week later, the same hours have the same rates.
    later = START + timedelta(days=7)
    world = (*WORLD[:2], "--start-time", f"{later.isoformat()}Z", *WORLD[4:])
    assert pipeline.produce(4, 50_000, *world, "--incident", f"surge@1h+1h:{merchant}").wait() == 0
    pipeline.catch_up()
    by_hour = """
        SELECT extract(hour FROM timestamp)::int, count(*) FILTER (WHERE merchant = %s), count(*)
        FROM orders WHERE timestamp >= %s GROUP BY 1
    """
    counts = {number: (of_merchant, of_all) for number, of_merchant, of_all in pipeline.query(by_hour, merchant, later)}
    before, during, after = (counts[number] for number in (8, 9, 10))
    print(merchant, counts)
    assert min(before[0], after[0]) > 20
    assert 2.5 < during[0] / ((before[0] + after[0]) / 2) < 6
    # What the merchant wins, others lose.
    assert 0.9 < during[1] / ((before[1] + after[1]) / 2) < 1.1
    [truth] = truths(pipeline, "incident")
    assert (truth["scenario"], truth["subject"]) == ("surge", merchant)
    assert (truth["timestamp"], truth["until"]) == ("2026-03-09T09:00:00.000000Z", "2026-03-09T10:00:00.000000Z")
    pipeline.verify()


def test_duplicates_are_counted_and_stored_once(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    producer = pipeline.produce(4, 40_000, *WORLD, *incident("duplicates", 0))
    assert producer.wait() == 0
    consumed, stored, duplicate, rejected = pipeline.catch_up().counted()
    told = {truth["transaction_id"] for truth in truths(pipeline, "duplicate")}
    # A quarter of the messages of an hour.
    assert duplicate == len(told) > 1_000
    assert (consumed, stored + duplicate, rejected) == (producer.acknowledged(), consumed, 0)
    keys: dict[bytes, set[bytes]] = {}
    for message in read_whole(pipeline.broker, pipeline.topic):
        keys.setdefault(message.value() or b"", set()).add(message.key() or b"")
    assert len(keys) == stored
    assert all(len(of_payload) == 1 for of_payload in keys.values())
    pipeline.verify()


def test_late_events_and_a_wrong_clock_are_stored_as_they_were_sent(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    incidents = (*incident("slow_processor", 0, "Alderbank"), *incident("wrong_clock", 1))
    producer = pipeline.produce(4, 40_000, *WORLD, *incidents)
    assert producer.wait() == 0
    assert pipeline.catch_up().counted() == (40_000, 40_000, 0, 0)
    clock = next(truth for truth in truths(pipeline, "incident") if truth["scenario"] == "wrong_clock")
    [hours] = numbers_in(clock["detail"])
    latest, most_late, wrong = START, timedelta(), 0
    for message in read_whole(pipeline.broker, pipeline.topic):
        event = json.loads(message.value() or b"")
        moment = datetime.fromisoformat(event["timestamp"].removesuffix("Z"))
        if event["merchant"] == clock["subject"] and abs(moment - latest) > timedelta(minutes=30):
            wrong += 1
            assert abs(abs(moment - latest) - timedelta(hours=hours)) < timedelta(minutes=1)
        elif event["issuer"] == "Alderbank":
            most_late = max(most_late, latest - moment)
        else:
            assert moment >= latest
            latest = moment
    assert timedelta(minutes=9) < most_late <= timedelta(minutes=10)
    assert wrong > 0
    pipeline.verify()


def test_every_malformed_message_is_a_dead_letter_with_its_reason(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    count, share = 40_000, 0.1
    producer = pipeline.produce(4, count, *WORLD, "--malformed", str(share))
    assert producer.wait() == 0
    consumer = pipeline.catch_up()
    consumed, stored, duplicate, rejected = consumer.counted()
    assert (consumed, stored + rejected, duplicate) == (count, count, 0)
    assert abs(rejected / count / share - 1) < 0.1
    planted = truths(pipeline, "malformed")
    kinds = Counter(truth["scenario"] for truth in planted)
    assert (len(kinds), kinds.total()) == (MISTAKES, rejected)
    assert min(kinds.values()) > rejected / MISTAKES / 2
    assert consumer.summary()["rejected_by_reason"] == Counter(truth["detail"] for truth in planted)
    letters = pipeline.query("SELECT reason, payload FROM rejected_events WHERE payload IS NOT NULL")
    reasons = {truth["transaction_id"].encode(): truth["detail"] for truth in planted}
    identified = 0
    for reason, payload in letters:
        start = payload.find(b"0", payload.find(b"id"))
        planned = reasons.get(payload[start : start + 36])
        identified += planned is not None
        assert planned in {None, reason}
    assert identified > rejected * 0.8
    pipeline.verify()


def test_rows_of_a_file_are_of_no_simulated_world(embedded_pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline = embedded_pipeline
    file = tmp_path / "rows.csv"
    file.write_text("transaction_id,amount,timestamp\na,1.00,2026-01-01\n")
    pipeline.run("produce", "--rate", "max", "--replay", str(file), "--quiet")
    assert [message.headers() for message in read_whole(pipeline.broker, pipeline.topic)] == [None]
    assert "incidents: " in pipeline.run("produce", "--replay", str(file), "--incidents", status=2)


def test_a_seed_gives_the_same_messages_on_all_topics(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    flags = (
        *WORLD,
        "--fraud",
        "0.1",
        "--incidents",
        "--malformed",
        "0.01",
        *incident("duplicates", 0),
        *incident("surge", 0),
    )
    sent = []
    for run in ("one", "two"):
        topics = [f"{pipeline.topic}_{kind}_{run}" for kind in ("orders", "labels", "truth")]
        named = ("--topic", topics[0], "--labels-topic", topics[1], "--truth-topic", topics[2])
        pipeline.run("produce", "--rate", "4", "--count", "5000", "--quiet", *flags, *named)
        messages = [list(read_whole(pipeline.broker, topic)) for topic in topics]
        sent.append([[(message.key(), message.value(), message.headers()) for message in of] for of in messages])
    assert sent[0] == sent[1]
    # Second messages that wait for their time when the last event is sent are sent after it.
    assert 5_000 < len(sent[0][0]) < 5_020
    assert sent[0][1]
    assert sent[0][2]
