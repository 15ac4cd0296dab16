"""Two connections that write at the same time: what becomes of one is nothing to the other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from conftest import OTHER_SESSIONS, wait_until
from recount import read_topic

if TYPE_CHECKING:
    from conftest import Pipeline

SESSIONS = f"SELECT pid, state, wait_event FROM pg_stat_activity WHERE {OTHER_SESSIONS} AND query !~ 'person'"
COUNT = 20_000


@pytest.mark.timeout(300)
@pytest.mark.parametrize("ending", ["it is let go on", "its session is ended", "the row is there"])
def test_one_goes_on_while_the_other_waits(pipeline: Pipeline, ending: str) -> None:
    pipeline.create_topic(4)
    # Makes the tables.
    pipeline.run("consume", "--until-caught-up")
    pipeline.run("produce", "--rate", "max", "--count", str(COUNT), "--quiet")
    [event] = [
        json.loads(payload or b"")
        for partition, offset, payload in read_topic(pipeline.broker, pipeline.topic)
        if (partition, offset) == (3, 2000)
    ]
    row = "INSERT INTO orders (order_id, status, value, timestamp) VALUES (%s, 'person', 1, now())"
    with pipeline.connect() as person:
        person.execute("BEGIN")
        person.execute(row, [event["transaction_id"]])
        consumer = pipeline.consume()
        # One waits for what becomes of the person's row, the other has committed and waits for us.
        wait_until("one waits alone", lambda: waiting(pipeline) == ["idle", "transactionid"], limit=60)
        [(stuck, others)] = pipeline.query(
            "SELECT max(next_offset) FILTER (WHERE partition = 3), max(next_offset) FILTER (WHERE partition <> 3) "
            "FROM kafka_offsets"
        )
        assert stuck <= 2000
        assert others > 0
        if ending == "its session is ended":
            [(pid,)] = [(pid,) for pid, _, event in pipeline.query(SESSIONS) if event == "transactionid"]
            pipeline.query("SELECT pg_terminate_backend(%s)", pid)
            wait_until("it waits again", lambda: waiting(pipeline)[-1:] == ["transactionid"], limit=60)
        person.execute("COMMIT" if ending == "the row is there" else "ROLLBACK")
    repeats = int(ending == "the row is there")
    wait_until("all is stored", lambda: pipeline.count() == COUNT, limit=60)
    assert consumer.stop() == 0
    # In its own words, and in the tables: each message once, whichever connection had it.
    assert f"Consumed {COUNT:,} = {COUNT - repeats:,} stored + {repeats} duplicate + 0 rejected" in consumer.output()
    counted = "SELECT sum(consumed), sum(stored), sum(duplicate) FROM kafka_offsets"
    assert pipeline.query(counted) == [(COUNT, COUNT - repeats, repeats)]
    if not repeats:
        pipeline.recount()


def waiting(pipeline: Pipeline) -> list[str]:
    """What the consumer's sessions do."""
    return sorted(event if event == "transactionid" else state for _, state, event in pipeline.query(SESSIONS))
