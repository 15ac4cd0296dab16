"""Tests consumers that keep locks while they are suspended (SIGSTOP): a successor ends their sessions, without loss."""

from __future__ import annotations

import signal
import time
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from conftest import at_length
from faults.proxy import Slow
from running import KINDS, numbers_in
from waiting import wait_until

if TYPE_CHECKING:
    import random

    from pipeline import Pipeline
    from running import Running

IN_COPY = """SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND state = 'active' AND query LIKE 'COPY orders %%'"""
OWNERS = "SELECT array_agg(DISTINCT owner_pid) FROM kafka_offsets"


def stop_in_copy(pipeline: Pipeline, consumer: Running) -> set[int]:
    """Suspends the consumer in its COPY; returns its sessions, which then wait for more data."""
    long = IN_COPY + " AND clock_timestamp() - query_start > interval '0.3 s'"
    busy = IN_COPY + " AND wait_event IS DISTINCT FROM 'ClientRead'"
    while True:
        wait_until("it is in the middle of a large one", lambda: bool(pipeline.query(long)))
        consumer.signal(signal.SIGSTOP)
        wait_until("PostgreSQL has all that was sent", lambda: not pipeline.query(busy))
        if sessions := {int(pid) for (pid,) in pipeline.query(IN_COPY)}:
            return sessions
        # The COPY had been sent to its end. Another one follows.
        consumer.signal(signal.SIGCONT)


def seconds_from_assignment(successor: Running) -> float:
    """Returns the time since the group last assigned partitions to the successor, according to its log."""
    lines = [line for line in successor.output().splitlines() if "rebalance=Assigned([" in line]
    at = datetime.strptime(lines[-1].split(" INFO")[0], "%Y-%m-%d %H:%M:%S,%f")  # noqa: DTZ007
    return (datetime.now() - at).total_seconds()  # noqa: DTZ005


@pytest.mark.timeout(1800)
def test_a_consumer_stopped_in_its_copy(pipeline: Pipeline) -> None:
    count = 100_000
    pipeline.run("produce", "--rate", "max", "--count", str(count), "--partitions", "2", "--quiet")
    # A COPY of some megabytes takes seconds at this rate, so most of it has not been sent when the consumer stops.
    with Slow(pipeline.database_url, rate=2_000_000) as slow:
        zombie = pipeline.consume(environment={"DATABASE_URL": slow.url})
        sessions = stop_in_copy(pipeline, zombie)
        check_succession(pipeline, zombie, sessions, count)


def check_succession(pipeline: Pipeline, zombie: Running, sessions: set[int], count: int) -> None:
    before = pipeline.count()
    assert before < count
    successor = pipeline.consume("--verbose")
    successor.wait_for_event("assigned")
    assert seconds_from_assignment(successor) < 10
    [ended] = successor.warned("session_ended")
    assert numbers_in(ended["text"]) >= sessions > set()
    wait_until("all rows are there", lambda: pipeline.count() == count)
    before = len(zombie.events())

    def names() -> list[str]:
        return [one.get("kind", one["event"]) for one in zombie.events()[before:]]

    zombie.signal(signal.SIGCONT)
    # Either the group or PostgreSQL is the first to report the loss.
    lost = {"partitions_lost", "taken_over"}
    wait_until("it drops what it has read", lambda: not lost.isdisjoint(names()), state=zombie.output)
    # It reports the loss once, and then joins the group again.
    wait_until("it reads again", lambda: "assigned" in names(), state=zombie.output)
    wait_until("both read", lambda: len(pipeline.query(OWNERS)[0][0]) == 2)
    troubles = [name for name in names() if name in KINDS]
    assert len(troubles) == 1, troubles
    assert zombie.stop() == successor.stop() == 0
    assert pipeline.query("SELECT sum(consumed), sum(duplicate) FROM kafka_offsets") == [(count, 0)]
    pipeline.recount()


@pytest.mark.timeout(1800)
def test_a_consumer_stopped_at_any_moment(pipeline: Pipeline, chance: random.Random) -> None:
    pipeline.create_topic(4)
    rounds, slowest = at_length(2, 20), 0.0
    consumers = [pipeline.consume("--verbose", "--batch-rows", "5000") for _ in range(2)]
    for consumer in consumers:
        consumer.wait_for_event("listening")
    # The embedded broker is too slow for a million small batches.
    rate = at_length(4000, 1000)
    producer = pipeline.produce(rate, rate * 60 * 25)

    def owners() -> int:
        return len(pipeline.query(OWNERS)[0][0] or [])

    for _ in range(rounds):
        wait_until("both read", lambda: owners() == 2)
        time.sleep(chance.uniform(0, 1.5))
        victim, successor = chance.sample(consumers, 2)
        with pipeline.frozen(victim):
            wait_until("the other has all", lambda: owners() == 1)
            slowest = max(slowest, seconds_from_assignment(successor))
            after = pipeline.count()
            wait_until("it goes on", lambda: pipeline.count() > after)  # noqa: B023
            time.sleep(chance.uniform(0, 1))
    print(f"{rounds} stops; at most {slowest:.1f} s from the assignment to the take-over")
    assert slowest < 10
    wait_until("both read", lambda: owners() == 2)
    assert producer.stop() == 0
    sent = producer.acknowledged()
    wait_until("all rows are there", lambda: pipeline.count() == sent)
    assert [consumer.stop() for consumer in consumers] == [0, 0]
    assert pipeline.query("SELECT sum(consumed), sum(duplicate) FROM kafka_offsets") == [(sent, 0)]
    pipeline.recount()
