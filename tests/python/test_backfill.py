"""Simulated time: a history before events of now, its speed, and what a stall leaves of it."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from topics import read_whole
from waiting import wait_until

if TYPE_CHECKING:
    from pipeline import Pipeline

GAPS = "SELECT max(gap) FROM (SELECT timestamp - lag(timestamp) OVER (ORDER BY timestamp) AS gap FROM orders) AS gaps"
SPAN = "SELECT extract(epoch FROM max(timestamp) - min(timestamp))::float8 FROM orders"


def test_a_history_goes_over_into_events_of_now(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    began = datetime.now(timezone.utc)
    producer = pipeline.produce(4, 1_000_000, "--backfill", "3h", "--seed", "2")
    first = producer.wait_for_event("sending")
    history = first["number"]
    # A week's mean is four a second; an hour has between half of it and twice as many.
    assert 3 * 3600 * 2 < history < 3 * 3600 * 8
    wait_until("events of now are sent", lambda: len(producer.events("sent")) >= 20)
    assert producer.stop() == 0
    ended = datetime.now(timezone.utc)
    consumer = pipeline.catch_up()
    assert consumer.counted()[:2] == (producer.acknowledged(),) * 2
    [(oldest, newest)] = pipeline.query("SELECT min(timestamp), max(timestamp) FROM orders")
    assert timedelta() <= oldest.replace(tzinfo=timezone.utc) - (began - timedelta(hours=3)) < timedelta(minutes=2)
    assert newest.replace(tzinfo=timezone.utc) <= ended, "nothing is of the future"
    # At two or more a second, a gap of 15 s does not occur in 10,000 histories.
    assert pipeline.query(GAPS)[0][0] < timedelta(seconds=15)
    # What was sent last is reported event by event, from the first one of now.
    sending = producer.events("sending")
    assert [one["number"] for one in sending] == list(range(history, history + len(sending)))
    pipeline.verify()


def test_a_speed_plays_a_history(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", "--rate", "20", "--count", "1000", "--backfill", "1h", "--speed", "20", "--quiet")
    producer = pipeline.produce(20, 1000, "--start-time", "2026-01-05T12:00:00Z", "--speed", "20")
    assert producer.wait() == 0
    pipeline.run("consume", "--until-caught-up")
    for condition in ("timestamp < '2026-02-01'", "timestamp > '2026-02-01'"):
        [(span,)] = pipeline.query(f"{SPAN} WHERE {condition}")
        assert 20 < span < 200, "a thousand at about 20 a second"
    [(span,)] = pipeline.query(f"{SPAN} WHERE timestamp < '2026-02-01'")
    took = producer.summary()["elapsed"]
    assert span / 20 - 0.5 < took < span, f"{took} s for {span} simulated ones"


def test_as_fast_as_possible_the_same_bytes_are_sent(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    flags = ("--rate", "2", "--count", "3000", "--seed", "9", "--start-time", "2026-03-01T00:00:00Z", "--cards", "5000")
    began = time.monotonic()
    for topic in (pipeline.topic, pipeline.topic + "_again"):
        pipeline.run("produce", *flags, "--speed", "max", "--quiet", "--topic", topic)
    # 3,000 events at 2 a second are 25 minutes.
    assert time.monotonic() - began < 120
    one, other = (
        [(message.key(), message.value()) for message in read_whole(pipeline.broker, topic)]
        for topic in (pipeline.topic, pipeline.topic + "_again")
    )
    assert len(one) == 3000
    assert one == other


def test_after_a_stall_events_are_late_and_none_is_dropped(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    producer = pipeline.produce(200, 1_000_000)
    producer.wait_for_event("progress")
    with pipeline.frozen(producer):
        time.sleep(4)
    since = time.time()
    wait_until("it has caught up", lambda: time.time() - since > 1 and len(producer.events("progress")) > 8)
    assert producer.stop() == 0
    consumer = pipeline.catch_up()
    assert consumer.counted()[:2] == (producer.acknowledged(),) * 2
    assert pipeline.query(GAPS)[0][0] < timedelta(seconds=1), "the four seconds have their events"


def test_overused_cards_are_warned_of(embedded_pipeline: Pipeline) -> None:
    usual = embedded_pipeline.produce(5, 5)
    overused = embedded_pipeline.produce(5, 5, "--cards", "1000")
    assert (usual.wait(), overused.wait()) == (0, 0)
    assert not usual.events("warning")
    assert len(overused.events("warning", kind="cards_overused")) == 1
    # These runs are quiet, and warnings are shown nevertheless.
    assert "1000 cards make 432 payments a day each" in overused.output()
    assert "!" not in usual.output()
