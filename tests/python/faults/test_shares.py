"""Two connections that write at the same time: what one has committed stays, whatever becomes of the other."""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from pipeline import OTHER_SESSIONS
from recount import read_topic
from waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from pipeline import Pipeline
    from running import Running

SESSIONS = (
    f"SELECT pid, state, wait_event FROM pg_stat_activity WHERE {OTHER_SESSIONS} AND query !~ 'person' "
    "AND clock_timestamp() - state_change > interval '0.2 s'"
)
"""The consumer's, as they have been for a moment."""
COUNTED = "SELECT sum(consumed), sum(stored), sum(duplicate) FROM kafka_offsets"
OTHERS = "SELECT coalesce(max(next_offset), 0) FROM kafka_offsets WHERE partition <> 3"
COUNT = 60_000
HELD = 6_000
"""The offset in partition 3 of the row that a person holds: what came before made the consumer busy, and it shares."""


def waiting(pipeline: Pipeline) -> list[str]:
    """What the consumer's sessions do."""
    return sorted(event if event == "transactionid" else state for _, state, event in pipeline.query(SESSIONS))


@contextlib.contextmanager
def one_waits(pipeline: Pipeline, *flags: str) -> Iterator[tuple[Running, psycopg.Connection[tuple[Any, ...]]]]:
    """A consumer of which one connection waits for a person's row, and the other has committed; and the person."""
    pipeline.create_topic(4)
    # Makes the tables.
    pipeline.run("consume", "--until-caught-up")
    pipeline.run("produce", "--rate", "max", "--count", str(COUNT), "--quiet")
    [event] = [
        json.loads(payload or b"")
        for partition, offset, payload in read_topic(pipeline.broker, pipeline.topic)
        if (partition, offset) == (3, HELD)
    ]
    row = "INSERT INTO orders (order_id, status, value, timestamp) VALUES (%s, 'person', 1, now())"
    with pipeline.connect() as person:
        person.execute("BEGIN")
        person.execute(row, [event["transaction_id"]])
        consumer = pipeline.consume(*flags)
        wait_until("one has committed", lambda: pipeline.query(OTHERS)[0][0] > 0)
        wait_until("one waits alone", lambda: waiting(pipeline) == ["idle", "transactionid"])
        assert pipeline.query("SELECT next_offset FROM kafka_offsets WHERE partition = 3")[0][0] <= HELD
        yield consumer, person


@pytest.mark.timeout(300)
@pytest.mark.parametrize("ending", ["it is let go on", "its session is ended", "the row is there"])
def test_one_goes_on_while_the_other_waits(pipeline: Pipeline, ending: str) -> None:
    with one_waits(pipeline) as (consumer, person):
        if ending == "its session is ended":
            [pid] = [pid for pid, _, event in pipeline.query(SESSIONS) if event == "transactionid"]
            pipeline.query("SELECT pg_terminate_backend(%s)", pid)
            wait_until("it waits again", lambda: waiting(pipeline)[-1:] == ["transactionid"], limit=60)
        person.execute("COMMIT" if ending == "the row is there" else "ROLLBACK")
    repeats = int(ending == "the row is there")
    wait_until("all is stored", lambda: pipeline.count() == COUNT, limit=60)
    assert consumer.stop() == 0
    # In its own words, and in the tables: each message once, whichever connection had it.
    assert f"Consumed {COUNT:,} = {COUNT - repeats:,} stored + {repeats} duplicate + 0 rejected" in consumer.output()
    assert pipeline.query(COUNTED) == [(COUNT, COUNT - repeats, repeats)]
    if not repeats:
        pipeline.recount()


@pytest.mark.timeout(300)
def test_a_stop_that_cannot_wait_counts_what_the_other_has_committed(pipeline: Pipeline) -> None:
    with one_waits(pipeline, "--drain-limit", "1") as (consumer, person):
        assert consumer.stop() == 1
        person.execute("ROLLBACK")
    [told] = re.findall(r"Consumed ([\d,]+) =", consumer.output())
    [(consumed, _, _)] = pipeline.query(COUNTED)
    assert 0 < int(told.replace(",", "")) == consumed < COUNT
    pipeline.run("consume", "--until-caught-up")
    pipeline.recount()
