"""Tests two connections that write at once: what one has committed remains, whatever happens to the other."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer

from pipeline import OTHER_SESSIONS
from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from pipeline import Pipeline
    from running import Running

SESSIONS = (
    f"SELECT pid, state, wait_event FROM pg_stat_activity WHERE {OTHER_SESSIONS} AND query !~ 'person' "
    "AND clock_timestamp() - state_change > interval '0.2 s'"
)
"""The consumer's sessions that have been in the same state for 0.2 s."""
COUNTED = "SELECT sum(consumed), sum(stored), sum(duplicate) FROM kafka_offsets"
OTHERS = "SELECT coalesce(sum(next_offset), 0) FROM kafka_offsets WHERE partition <> 3"
HELD = "INSERT INTO orders (order_id, status, value, timestamp) VALUES (%s, 'person', 1, now())"
BURST = 5_000
"""The number of events for each partition. They keep a consumer busy enough to use both connections."""


@dataclass
class Held:
    """Holds a consumer. One of its connections waits for a row of a person; the other has committed."""

    consumer: Running
    person: psycopg.Connection[tuple[Any, ...]]
    sent: int


def waiting(pipeline: Pipeline) -> list[str]:
    """Returns the states of the consumer's sessions."""
    return sorted(event if event == "transactionid" else state for _, state, event in pipeline.query(SESSIONS))


def send_burst(pipeline: Pipeline, name: str) -> None:
    """Sends events to all partitions. Their ids are the name, the partition and a number."""
    producer = Producer({"bootstrap.servers": pipeline.broker, "queue.buffering.max.messages": 4 * BURST})
    for number in range(BURST):
        for partition in range(4):
            event = f'{{"order_id":"{name}-{partition}-{number}","value":1,"timestamp":"2026-01-01T00:00:00Z"}}'
            producer.produce(pipeline.topic, event, partition=partition)
    assert producer.flush(LIMIT) == 0


@contextlib.contextmanager
def one_waits(pipeline: Pipeline, *flags: str) -> Iterator[Held]:
    """Makes one of a consumer's connections wait inside the ``with`` block."""
    pipeline.create_topic(4)
    consumer = pipeline.consume(*flags)
    consumer.wait_for_event("assigned")
    with pipeline.connect() as person:
        sent = 0
        while True:
            before = pipeline.query(OTHERS)
            person.execute("BEGIN")
            person.execute(HELD, [f"{sent}-3-{BURST // 2}"])
            send_burst(pipeline, str(sent))
            sent += 4 * BURST
            wait_until("one waits", lambda: "transactionid" in waiting(pipeline))
            if waiting(pipeline) == ["idle", "transactionid"] and pipeline.query(OTHERS) > before:
                break
            # All events came in one batch over one connection, because the size of a read depends on the machine.
            person.execute("ROLLBACK")
            wait_until("all is stored", lambda: pipeline.count() == sent)  # noqa: B023
        [(reached,)] = pipeline.query("SELECT next_offset FROM kafka_offsets WHERE partition = 3")
        assert reached <= (sent - 2 * BURST) // 4
        yield Held(consumer, person, sent)


@pytest.mark.parametrize("ending", ["it is let go on", "its session is ended", "the row is there"])
def test_one_goes_on_while_the_other_waits(tabled_pipeline: Pipeline, ending: str) -> None:
    pipeline = tabled_pipeline
    with one_waits(pipeline) as held:
        if ending == "its session is ended":
            [pid] = [pid for pid, _, event in pipeline.query(SESSIONS) if event == "transactionid"]
            pipeline.query("SELECT pg_terminate_backend(%s)", pid)
            wait_until("it waits again", lambda: waiting(pipeline)[-1:] == ["transactionid"])
        held.person.execute("COMMIT" if ending == "the row is there" else "ROLLBACK")
    repeats = int(ending == "the row is there")
    sent, consumer = held.sent, held.consumer
    wait_until("all is stored", lambda: pipeline.count() == sent)
    assert consumer.stop() == 0
    # The summary and the tables agree: each message was counted once, whichever connection wrote it.
    assert consumer.counted() == (sent, sent - repeats, repeats, 0)
    assert pipeline.query(COUNTED) == [(sent, sent - repeats, repeats)]
    if not repeats:
        pipeline.recount()


def test_a_stop_that_cannot_wait_counts_what_the_other_has_committed(tabled_pipeline: Pipeline) -> None:
    pipeline = tabled_pipeline
    with one_waits(pipeline, "--drain-limit", "1") as held:
        assert held.consumer.stop() == 1
        held.person.execute("ROLLBACK")
    [(consumed, _, _)] = pipeline.query(COUNTED)
    assert 0 < held.consumer.summary()["consumed"] == consumed < held.sent
    pipeline.run("consume", "--until-caught-up")
    pipeline.recount()
