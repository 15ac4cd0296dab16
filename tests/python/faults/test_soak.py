"""Tests a long run at half of the machine's rate: memory and sessions do not grow, and the counters always agree."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil
import pytest

from conftest import at_length
from pipeline import OTHER_SESSIONS
from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from apache_kafka import ApacheKafka
    from pipeline import Pipeline

LEAST = 20_000.0
"""The minimum rate, in events a second."""
MEMORY_LIMIT = 150e6
"""The memory limit of a process at any rate, in bytes, without what it keeps for later."""
SESSIONS = 2
"""The number of the consumer's sessions in PostgreSQL."""
FULL = 4.0
"""A process is considered full after this number of seconds without growth."""
LATER = 0.042 * 64
"""The bytes that a producer keeps for an event: one of 24 has a refund or a retry, which takes 64 until it is due.

Refunds are due within 30 days of the stream, so at the rates of this test hardly one is.
"""
MOST_LATER = 24_000_000
"""The number of events after which a producer has a million refunds and retries. It keeps no more."""
QUEUED = 600
"""The bytes of a message in a consumer's queue."""
MOST_QUEUED = 16_384 * 1_024
"""The size in bytes up to which a consumer reads ahead. The allocator keeps what its queue once took."""
WARM_UP = 0.2
"""The share of the time that is ignored at the beginning, in which the queues of the worst case drain."""


@dataclass
class Samples:
    """Holds the resources of one process over time."""

    process: psutil.Process
    memory: list[int] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)

    def take(self) -> None:
        """Takes one sample."""
        self.memory.append(self.process.memory_info().rss)
        self.handles.append(self.process.num_fds())

    def check(self, name: str, kept: float) -> None:
        """Checks that memory does not grow: the least of the last third is at most 5 % more than that of the first.

        The bytes of what the process keeps for later, ``kept``, may come to that.

        A leak raises the least as much as the median. Queues that grow and shrink while other programs use the machine
        raise only the median: a consumer went from 113 to 128 MB for a sixth of the time, and back to 111 MB.
        """
        memory = self.memory[int(len(self.memory) * WARM_UP) :]
        handles = self.handles[int(len(self.handles) * WARM_UP) :]
        third = len(memory) // 3
        early, late = min(memory[:third]), min(memory[-third:])
        print(
            f"{name}: {early / 1e6:.1f} MB at least in the first third, {late / 1e6:.1f} MB in the last, "
            f"{max(memory) / 1e6:.1f} MB at most; {max(handles[:third])} handles, then {max(handles[-third:])}"
        )
        course = f"{name}: {' '.join(f'{held / 1e6:.0f}' for held in memory)} MB"
        assert max(memory) < MEMORY_LIMIT + kept, course
        assert late < early * 1.05 + 1e6 + kept, course
        # One additional handle may be a connection that is being opened again.
        assert max(handles[-third:]) <= max(handles[:third]) + 1, name


def most(pipeline: Pipeline, seconds: float) -> tuple[float, int]:
    """Measures the rate of the whole pipeline in events a second; returns it and the number of events sent."""
    earlier = stored(pipeline)
    producer = pipeline.produce("max", 100_000_000)
    wait_until("rows come", lambda: stored(pipeline) > earlier)
    before, began = stored(pipeline), time.monotonic()
    process, memory = psutil.Process(producer.process.pid), 0
    while time.monotonic() < began + seconds:
        memory = max(memory, process.memory_info().rss)
        time.sleep(0.5)
    print(f"producer at its maximum rate: {memory / 1e6:.0f} MB at most")
    assert 0 < memory < MEMORY_LIMIT
    rate = (stored(pipeline) - before) / (time.monotonic() - began)
    assert producer.stop() == 0
    return rate, producer.acknowledged()


def stored(pipeline: Pipeline) -> int:
    """Returns the number of stored rows according to the counters. Counting the rows would load the machine."""
    [(count,)] = pipeline.query("SELECT coalesce(sum(stored), 0) FROM kafka_offsets")
    return int(count)


def the_worst(pipeline: Pipeline, kafka: ApacheKafka, producer: psutil.Process, consumer: psutil.Process) -> None:
    """Suspends each service until first the producer's queue and then the consumer's queue and batches are full.

    Both processes then have their maximum size, some of which the allocator keeps. Growth after this is a leak.
    """
    with pipeline.frozen(kafka):
        fill(producer)
    with pipeline.locked():
        fill(consumer)


def fill(process: psutil.Process) -> None:
    """Waits until the memory of a process has not grown for a while."""
    most, since = 0, time.monotonic()
    while time.monotonic() < since + FULL:
        if (held := process.memory_info().rss) > most + 1e6:
            most, since = held, time.monotonic()
        time.sleep(0.1)


@pytest.mark.timeout(7200)
def test_a_soak_at_half_the_rate(apache_pipeline: Pipeline, apache: ApacheKafka) -> None:
    # The median run had this number of events in a minute, or in half an hour.
    pipeline, events = apache_pipeline, at_length(2_500_000, 150_000_000)
    # Retention is limited, because half an hour at half the rate makes ten gigabytes.
    pipeline.create_topic(4, retention_bytes=str(1 << 30), segment_bytes=str(1 << 27))
    backlog = 300_000
    pipeline.run("produce", "--quiet", "--rate", "max", "--count", str(backlog))
    consumer = pipeline.consume("--quiet")
    wait_until("it has caught up", lambda: pipeline.count() == backlog)
    # This must be short, because the producer is the fastest part and unread messages are lost to retention.
    rate, warm_up = most(pipeline, at_length(4, 30))
    # Half of the rate is used, with a minimum so that a busy machine does not need six minutes instead of one.
    rate = max(rate / 2, LEAST)
    wait_until("it has caught up", lambda: stored(pipeline) == backlog + warm_up)
    producer = pipeline.produce(int(rate), events)
    watched = {"consumer": consumer, "producer": producer}
    samples = {name: Samples(psutil.Process(running.process.pid)) for name, running in watched.items()}
    sessions: list[int] = []
    began = time.monotonic()
    checks, longest, behind = 0, 0.0, 0
    # A producer that is not connected yet cannot fill its queue.
    wait_until("it sends", lambda: stored(pipeline) > backlog + warm_up)
    the_worst(pipeline, apache, samples["producer"].process, samples["consumer"].process)
    checked = last = stored(pipeline)
    moved = time.monotonic()
    while producer.process.poll() is None:
        for sample in samples.values():
            sample.take()
        time.sleep(at_length(1, 5))
        sessions.append(other_sessions(pipeline))
        if (now := stored(pipeline)) > last:
            last, moved = now, time.monotonic()
        assert time.monotonic() < moved + LIMIT, "nothing is stored any more"
        if now - checked > events / at_length(6, 30):
            check_began = time.monotonic()
            pipeline.run("verify", "--counters-only", limit=600)
            checks, longest = checks + 1, max(longest, time.monotonic() - check_began)
            wait_until("its session has ended", lambda: other_sessions(pipeline) <= SESSIONS)
            # Verifying takes longer each time, and takes processors from the pipeline.
            checked = stored(pipeline)
            late = backlog + warm_up + int(rate * (time.monotonic() - began)) - checked
            behind = max(behind, late)
            print(f"{(time.monotonic() - began) / 60:.0f} min: {late:,} behind", flush=True)
    assert producer.wait() == 0
    sent = backlog + warm_up + producer.acknowledged()
    wait_until(
        "all is stored",
        lambda: stored(pipeline) == sent,
        limit=at_length(240, 600),
        state=lambda: f"{stored(pipeline):,} of {sent:,}\n{consumer.output()[-2000:]}",
    )
    print(
        f"{rate:,.0f} events/s for {time.monotonic() - began:.0f} s, {checks} times verified, "
        f"in {longest:.0f} s at most, with {behind:,} events behind at most"
    )
    # Each verification takes longer than the one before, so only a few are demanded.
    assert checks >= at_length(2, 6)
    kept = {"producer": LATER * min(events, MOST_LATER), "consumer": min(QUEUED * behind, MOST_QUEUED)}
    for name, sample in samples.items():
        sample.check(name, kept.get(name, 0))
    assert set(sessions) == {SESSIONS}, sessions
    assert consumer.stop() == 0
    # This also compares the dashboard's figures, over the rows of half an hour.
    pipeline.verify(limit=1200)


def other_sessions(pipeline: Pipeline) -> int:
    """Returns the number of sessions that other programs have in the database."""
    [(count,)] = pipeline.query(f"SELECT count(*) FROM pg_stat_activity WHERE {OTHER_SESSIONS}")
    return int(count)
