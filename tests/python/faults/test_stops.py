"""Tests stops at bad moments: they obey the drain limit, and the exit status shows whether everything was committed."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from conftest import at_length
from running import numbers_in
from waiting import wait_until

if TYPE_CHECKING:
    import random

    from apache_kafka import ApacheKafka
    from ccstream import embedded
    from pipeline import Pipeline
    from running import Running


def test_a_stop_under_load_at_any_moment(apache_pipeline: Pipeline, chance: random.Random) -> None:
    # Only Apache Kafka is tested: a member that leaves while it joins can block the embedded broker's group.
    pipeline = apache_pipeline
    pipeline.create_topic(4)
    producer = pipeline.produce(5000, 5000 * 300)
    for _ in range(at_length(3, 20)):
        consumer = pipeline.consume("--batch-rows", "2000")
        consumer.wait_for_event("connected_to_kafka")
        # The stop may come before the consumer listens, or while it joins the group.
        time.sleep(chance.uniform(0, 6))
        began = time.monotonic()
        assert consumer.stop() == 0, consumer.output()
        assert time.monotonic() - began < 10, consumer.output()
    assert producer.stop() == 0
    print(pipeline.run("consume", "--until-caught-up"))
    assert pipeline.query("SELECT sum(duplicate) FROM kafka_offsets") == [(0,)]
    pipeline.recount()


def test_a_second_signal_ends_it_at_once(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", "--rate", "max", "--count", "50000", "--partitions", "2", "--quiet")
    consumer = pipeline.consume()
    consumer.wait_for_event("listening")
    # A lock on the table keeps the batch from being written.
    with pipeline.locked():
        consumer.wait_for_event("waiting")
        consumer.signal(signal.SIGTERM)
        time.sleep(0.5)
        assert consumer.process.poll() is None
        began = time.monotonic()
        consumer.signal(signal.SIGTERM)
        assert consumer.wait() == -signal.SIGTERM
        assert time.monotonic() - began < 2
    pipeline.run("consume", "--until-caught-up")
    pipeline.recount()


@pytest.mark.parametrize("has_rows", [True, False])
def test_a_stop_during_an_outage(embedded_pipeline: Pipeline, postgres: embedded.Postgres, has_rows: bool) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(2)
    consumer = pipeline.consume("--drain-limit", "3")
    consumer.wait_for_event("assigned")
    if has_rows:
        pipeline.run("produce", "--rate", "max", "--count", "5000", "--quiet")
        wait_until("rows arrive", lambda: pipeline.count() == 5000)
    assert postgres.stop()
    try:
        if has_rows:
            pipeline.run("produce", "--rate", "max", "--count", "5000", "--quiet")
            consumer.wait_for_event("waiting")
        began = time.monotonic()
        status = consumer.stop()
        took = time.monotonic() - began
    finally:
        assert postgres.start()
    # A consumer that has read nothing has nothing to commit, so it does not wait.
    assert (status, took < (6 if has_rows else 2)) == (1 if has_rows else 0, True), consumer.output()
    assert bool(consumer.warned("drain_limit")) == has_rows
    pipeline.run("consume", "--until-caught-up")
    assert pipeline.count() == (10_000 if has_rows else 0)
    pipeline.recount()


def test_a_stop_in_an_outage_that_ends_in_time_commits(
    embedded_pipeline: Pipeline, postgres: embedded.Postgres
) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(2)
    consumer = pipeline.consume()
    consumer.wait_for_event("assigned")
    assert postgres.stop()
    try:
        pipeline.run("produce", "--rate", "max", "--count", "5000", "--quiet")
        consumer.wait_for_event("waiting")
        consumer.signal(signal.SIGTERM)
        time.sleep(2)
    finally:
        assert postgres.start()
    assert consumer.wait() == 0
    committed = pipeline.count()
    assert consumer.counted()[:2] == (committed, committed)
    assert committed > 0
    pipeline.run("consume", "--until-caught-up")
    assert pipeline.count() == 5000
    pipeline.recount()


@pytest.mark.parametrize("assignment", ["eager", "cooperative"])
def test_a_stop_during_a_rebalance(apache_pipeline: Pipeline, chance: random.Random, assignment: str) -> None:
    pipeline = apache_pipeline
    pipeline.create_topic(4)
    producer = pipeline.produce(5000, 5000 * 200)
    # The session timeout is longer than every wait here, so a consumer can only leave the group by its own request.
    options = ("--assignment", assignment, "--session-timeout", "120")
    stays = pipeline.consume(*options)
    stays.wait_for_event("assigned")
    for _ in range(at_length(3, 15)):
        comes = pipeline.consume(*options)
        comes.wait_for_event("listening")
        time.sleep(chance.uniform(0, 1))
        began = time.monotonic()
        # The stopped consumer is either the one that joins, or the one that gives partitions to it.
        stopped, stays = (comes, stays) if chance.random() < 0.5 else (stays, comes)
        assert stopped.stop() == 0, stopped.output()
        assert time.monotonic() - began < 10
        wait_until("it is no member any more", lambda: pipeline.members() <= 1, limit=60)
    assert producer.stop() == 0
    assert stays.stop() == 0
    pipeline.run("consume", "--until-caught-up", "--assignment", assignment)
    assert pipeline.query("SELECT sum(duplicate) FROM kafka_offsets") == [(0,)]
    pipeline.recount()


@pytest.mark.parametrize(("least", "most"), [(0, 2), (10, 20)], ids=["just now", "abandoned by librdkafka"])
def test_a_stop_while_kafka_is_suspended(
    apache: ApacheKafka, apache_pipeline: Pipeline, chance: random.Random, least: float, most: float
) -> None:
    pipeline = apache_pipeline
    pipeline.create_topic(2)
    producer = pipeline.produce(500, 500 * 300)
    consumer = pipeline.consume()
    wait_until("rows come", lambda: pipeline.count() > 0)
    with pipeline.frozen(apache):
        time.sleep(chance.uniform(least, most))
        began = time.monotonic()
        status = consumer.stop()
        took = time.monotonic() - began
    assert (status, took < 10) == (0, True), f"{took:.1f} s: {consumer.output()}"
    [warning] = consumer.warned("leave_unanswered")
    assert 5 in numbers_in(warning["text"])
    assert producer.stop() == 0, producer.output()
    pipeline.run("consume", "--until-caught-up")
    pipeline.recount()


def test_a_producer_with_a_full_queue_stops(apache: ApacheKafka, apache_pipeline: Pipeline) -> None:
    pipeline = apache_pipeline
    pipeline.create_topic(4)
    producer = pipeline.produce("max", 100_000_000)
    pipeline.consume("--quiet")
    wait_until("rows come", lambda: pipeline.count() > 0)
    with pipeline.frozen(apache):
        # The producer's queue of 32 MiB fills up meanwhile.
        time.sleep(5)
        status = producer.stop()
    sent, acknowledged, failed = producer.accounts()
    # The events in flight fail after the drain limit, and the summary counts them.
    assert (status, failed > 0, sent) == (1, True, acknowledged + failed), producer.output()


def test_a_consumer_that_was_killed_twice_at_one_offset_says_so_at_its_third_start(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(2)

    def start() -> Running:
        consumer = pipeline.consume()
        consumer.wait_for_event("assigned")
        return consumer

    # The topic is empty, so that no consumer can make progress before it is killed.
    for _ in range(2):
        consumer = start()
        assert consumer.warned("owners_killed") == []
        consumer.signal(signal.SIGKILL)
        consumer.wait()
    consumer = start()
    # The two partitions may be assigned one after the other.
    wait_until(
        "both are reported",
        lambda: sorted(warning["partitions"] for warning in consumer.warned("owners_killed")) == [[0], [1]],
        limit=60,
        state=consumer.output,
    )
    pipeline.run("produce", "--rate", "max", "--count", "10", "--quiet")
    wait_until("they are stored", lambda: pipeline.count() == 10)
    assert consumer.stop() == 0
    pipeline.verify()
    # Deaths before progress do not count, nor do consumers that end in order.
    for _ in range(2):
        consumer = start()
        assert consumer.stop() == 0
    consumer = start()
    assert consumer.warned("owners_killed") == []
    consumer.signal(signal.SIGKILL)
    consumer.wait()
    # After progress, the next death is the first one at its offset.
    pipeline.run("produce", "--rate", "max", "--count", "10", "--quiet", "--seed", "7")
    consumer = pipeline.consume("--until-caught-up")
    assert consumer.wait() == 0
    assert consumer.warned("owners_killed") == []
