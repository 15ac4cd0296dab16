"""A soak: half of what the machine can do, for long; nothing grows, nothing leaks, and the accounts agree all along."""

from __future__ import annotations

import statistics
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
"""Events a second."""
MEMORY_LIMIT = 150e6
"""Bytes, at any rate."""
SESSIONS = 2
"""The consumer's."""
FULL = 4.0
"""Seconds without growth after which a process is taken to be full."""
WARM_UP = 0.2
"""Of the time: what the worst has left of queues gets empty."""


@dataclass
class Samples:
    """What one process held, as time went by."""

    process: psutil.Process
    memory: list[int] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)

    def take(self) -> None:
        """One more."""
        self.memory.append(self.process.memory_info().rss)
        self.handles.append(self.process.num_fds())

    def check(self, name: str) -> None:
        """Flat: the last third holds no more than the third after the warm-up, but for a twentieth.

        By the middle of each: what waits in a queue while another program has the machine comes and goes (a producer of
        30 MB holds 78 when Kafka has stood still for 5 s, and 30 again after), what is lost stays.
        """
        memory = self.memory[int(len(self.memory) * WARM_UP) :]
        handles = self.handles[int(len(self.handles) * WARM_UP) :]
        third = len(memory) // 3
        early, late = statistics.median(memory[:third]), statistics.median(memory[-third:])
        print(
            f"{name}: {early / 1e6:.1f} MB in the first third, {late / 1e6:.1f} MB in the last, "
            f"{max(memory) / 1e6:.1f} MB at most; {max(handles[:third])} handles, then {max(handles[-third:])}"
        )
        course = f"{name}: {' '.join(f'{held / 1e6:.0f}' for held in memory)} MB"
        assert max(memory) < MEMORY_LIMIT, course
        assert late < early * 1.05 + 1e6, course
        # A connection more is one that was being made anew.
        assert max(handles[-third:]) <= max(handles[:third]) + 1, name


def most(pipeline: Pipeline, seconds: float) -> tuple[float, int]:
    """Events a second that go through all of it, on a machine that does all of it; how many were sent."""
    earlier = stored(pipeline)
    producer = pipeline.produce("max", 100_000_000)
    wait_until("rows come", lambda: stored(pipeline) > earlier)
    before, began = stored(pipeline), time.monotonic()
    process, memory = psutil.Process(producer.process.pid), 0
    while time.monotonic() < began + seconds:
        memory = max(memory, process.memory_info().rss)
        time.sleep(0.5)
    print(f"producer, flat out: {memory / 1e6:.0f} MB at most")
    assert 0 < memory < MEMORY_LIMIT
    rate = (stored(pipeline) - before) / (time.monotonic() - began)
    assert producer.stop() == 0
    return rate, producer.acknowledged()


def stored(pipeline: Pipeline) -> int:
    """By the counters: counting the rows would be work of its own."""
    [(count,)] = pipeline.query("SELECT coalesce(sum(stored), 0) FROM kafka_offsets")
    return int(count)


def the_worst(pipeline: Pipeline, kafka: ApacheKafka, producer: psutil.Process, consumer: psutil.Process) -> None:
    """Both services are suspended until the producer's queue, then the consumer's with its batches, are full.

    They get as large as they ever will, and the allocator keeps some of that: what grows after this is a leak.
    """
    with pipeline.frozen(kafka):
        fill(producer)
    with pipeline.locked():
        fill(consumer)


def fill(process: psutil.Process) -> None:
    """Waits until a process has taken no more memory for a while."""
    most, since = 0, time.monotonic()
    while time.monotonic() < since + FULL:
        if (held := process.memory_info().rss) > most + 1e6:
            most, since = held, time.monotonic()
        time.sleep(0.1)


@pytest.mark.timeout(7200)
def test_a_soak_at_half_the_rate(apache_pipeline: Pipeline, apache: ApacheKafka) -> None:
    # As many as the median run had in a minute, or in half an hour.
    pipeline, events = apache_pipeline, at_length(2_500_000, 150_000_000)
    # Kept for long enough to be read, not for ever: half an hour at half the rate is ten gigabytes.
    pipeline.create_topic(4, retention_bytes=str(1 << 30), segment_bytes=str(1 << 27))
    backlog = 300_000
    pipeline.run("produce", "--quiet", "--rate", "max", "--count", str(backlog))
    consumer = pipeline.consume("--quiet")
    wait_until("it has caught up", lambda: pipeline.count() == backlog)
    # Not for long: the producer is faster than all the rest, and what is not read in time is gone.
    rate, warm_up = most(pipeline, at_length(4, 30))
    # Half, but on a machine that is busy with other tests not so little that a minute becomes six.
    rate = max(rate / 2, LEAST)
    wait_until("it has caught up", lambda: stored(pipeline) == backlog + warm_up)
    producer = pipeline.produce(int(rate), events)
    watched = {"consumer": consumer, "producer": producer}
    samples = {name: Samples(psutil.Process(running.process.pid)) for name, running in watched.items()}
    sessions: list[int] = []
    began = time.monotonic()
    checks, longest, behind = 0, 0.0, 0
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
            # It takes longer and longer, and the processors from the others.
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
    # Each takes longer than the one before.
    assert checks >= at_length(2, 6)
    for name, sample in samples.items():
        sample.check(name)
    assert set(sessions) == {SESSIONS}, sessions
    assert consumer.stop() == 0
    # Over half an hour's rows, the dashboard's figures too.
    pipeline.verify(limit=1200)


def other_sessions(pipeline: Pipeline) -> int:
    """How many sessions of other programs the database has."""
    [(count,)] = pipeline.query(f"SELECT count(*) FROM pg_stat_activity WHERE {OTHER_SESSIONS}")
    return int(count)
