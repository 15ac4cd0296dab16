"""Tests rebalances: a message that was read under one assignment is never stored under another."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from conftest import at_length
from waiting import wait_until

if TYPE_CHECKING:
    import random

    from ccstream import embedded
    from pipeline import Pipeline
    from running import Running

SUMS = "SELECT sum(consumed), sum(duplicate) FROM kafka_offsets"


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("assignment", ["eager", "cooperative"])
def test_consumers_come_and_go(apache_pipeline: Pipeline, chance: random.Random, assignment: str) -> None:
    pipeline = apache_pipeline
    pipeline.create_topic(8)
    seconds = at_length(25, 120)
    rate = 3000
    producer = pipeline.produce(rate, rate * seconds * 3)
    running: list[Running] = []
    stops = kills = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not running or (len(running) < 4 and chance.random() < 0.6):
            rows = chance.choice(["500", "5000", "50000"])
            running.append(pipeline.consume("--assignment", assignment, "--batch-rows", rows))
        else:
            gone = running.pop(chance.randrange(len(running)))
            if chance.random() < 0.7:
                stops += 1
                # SIGTERM kills a consumer that has no signal handlers yet.
                assert gone.stop() in {0, -signal.SIGTERM}, gone.output()
            else:
                kills += 1
                gone.signal(signal.SIGKILL)
                gone.wait()
        time.sleep(chance.uniform(0, 3))
    assert producer.stop() == 0
    assert [consumer.stop() for consumer in running] == [0] * len(running)
    print(f"{assignment}: {stops} consumers were stopped, {kills} killed")
    assert stops + kills >= 3
    pipeline.run("consume", "--until-caught-up", "--assignment", assignment)
    [(consumed, duplicate)] = pipeline.query(SUMS)
    assert (consumed > rate * seconds / 2, duplicate) == (True, 0)
    pipeline.recount()


def test_the_embedded_broker_has_both_ways_too(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(4)
    first = pipeline.consume("--assignment", "cooperative")
    first.wait_for_event("assigned")
    producer = pipeline.produce(2000, 40_000)
    second = pipeline.consume("--assignment", "cooperative")
    second.wait_for_event("assigned")
    assert producer.wait() == 0
    wait_until("all rows are there", lambda: pipeline.count() == 40_000)
    # Only the partitions that moved were revoked.
    revoked = [one["partitions"] for one in first.events("revoked")]
    assert revoked
    assert [0, 1, 2, 3] not in revoked
    assert second.stop() == first.stop() == 0
    assert pipeline.query(SUMS) == [(40_000, 0)]
    pipeline.recount()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("assignment", ["eager", "cooperative"])
def test_a_rebalance_during_an_outage_of_postgres(
    apache_pipeline: Pipeline, postgres: embedded.Postgres, assignment: str
) -> None:
    pipeline = apache_pipeline
    pipeline.create_topic(4)
    # PostgreSQL is unavailable for longer than the poll interval. The consumer must go on polling.
    flags = ("--assignment", assignment, "--kafka-option", "max.poll.interval.ms=8000", "--verbose")
    first = pipeline.consume(*flags)
    first.wait_for_event("assigned")
    producer = pipeline.produce(3000, 90_000)
    wait_until("rows arrive", lambda: pipeline.count() > 1000)
    assert postgres.stop()
    try:
        first.wait_for_event("waiting")
        began = time.monotonic()
        second = pipeline.consume(*flags)
        second.wait_for_event("connected_to_kafka")
        time.sleep(1)
        third = pipeline.consume(*flags)
        time.sleep(max(0.0, began + 18 - time.monotonic()))
    finally:
        assert postgres.start()
    assert producer.wait() == 0
    wait_until("all rows are there", lambda: pipeline.count() == 90_000)
    for consumer in (first, second, third):
        assert "maximum poll interval" not in consumer.output()
        assert consumer.stop() == 0
    assert pipeline.query(SUMS) == [(90_000, 0)]
    pipeline.recount()


@pytest.mark.parametrize("assignment", ["eager", "cooperative"])
def test_partitions_that_come_during_an_outage_start_once_it_is_over(
    apache_pipeline: Pipeline, postgres: embedded.Postgres, assignment: str
) -> None:
    pipeline = apache_pipeline
    pipeline.create_topic(4)
    pipeline.run("produce", "--rate", "max", "--count", "20000", "--quiet")
    flags = ("--assignment", assignment, "--verbose")
    first, second = pipeline.consume(*flags), pipeline.consume(*flags)
    for consumer in (first, second):
        consumer.wait_for_event("assigned")
    wait_until("all rows are there", lambda: pipeline.count() == 20_000)
    assert postgres.stop()
    try:
        # The first consumer gets the other's partitions, but cannot read their offsets.
        assert second.stop() == 0
        pipeline.run("produce", "--rate", "max", "--count", "20000", "--quiet")
        first.wait_for_event("waiting")
        time.sleep(5)
    finally:
        assert postgres.start()
    wait_until("all rows are there", lambda: pipeline.count() == 40_000)
    assert first.stop() == 0
    assert pipeline.query(SUMS) == [(40_000, 0)]
    pipeline.recount()
