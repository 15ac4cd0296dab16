"""Tests a COMMIT whose answer is lost: its batch is stored exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conftest import at_length
from faults.proxy import CommitCutter
from waiting import wait_until

if TYPE_CHECKING:
    import random

    from pipeline import Pipeline


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("rows", "count"), [(200, 20_000), (2_500, 200_000)], ids=["one", "two at once"])
def test_a_commit_that_is_cut_is_neither_doubled_nor_lost(
    pipeline: Pipeline, chance: random.Random, rows: int, count: int
) -> None:
    count = at_length(count, 400_000)
    pipeline.run("produce", "--rate", "max", "--count", str(count), "--partitions", "4", "--quiet")
    with CommitCutter(pipeline.database_url, chance) as cutter:
        consumer = pipeline.consume("--batch-rows", str(rows), environment={"DATABASE_URL": cutter.url})
        wait_until("all rows are there", lambda: pipeline.count() == count, limit=at_length(60, 500))
        assert consumer.stop() == 0
    print(f"{cutter.before} COMMITs were cut before PostgreSQL had them, {cutter.after} after")
    assert min(cutter.before, cutter.after) >= 10
    # Every message was written and counted once, without any conflict in the primary key. The run's summary agrees.
    assert pipeline.query("SELECT sum(consumed), sum(stored), sum(duplicate) FROM kafka_offsets") == [(count, count, 0)]
    assert consumer.counted() == (count, count, 0, 0)
    pipeline.recount()
