"""Tests that the engine follows every commit, whatever happens to rows, server and file meanwhile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import pytest

import ccstream
from ccstream import embedded
from conftest import micros
from services import as_superuser
from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from pipeline import Pipeline


def totals(pipeline: Pipeline) -> tuple[int, int, int]:
    [row] = pipeline.query(
        "SELECT count(*), coalesce(sum(value) FILTER (WHERE currency = 'USD') * 100, 0)::bigint, "
        "count(DISTINCT card_token) FROM orders"
    )
    return row


def figures(engine: ccstream.KpiEngine) -> tuple[int, int, int]:
    assert engine.refresh(), engine.status.trouble
    found = engine.query(currency="USD", by={"time": ["p95", "cards"]}).totals
    return found["count"], found["sum"], found["cards"]


def test_it_follows_every_commit(embedded_pipeline: Pipeline, engine: ccstream.KpiEngine) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", "--rate", "max", "--count", "1", "--partitions", "4")
    consumers = [pipeline.consume("--batch-rows", "500") for _ in range(2)]
    wait_until("the tables are there", lambda: pipeline.count() == 1)
    sent = 1
    for count in (1, 10, 3000, 70_000):
        pipeline.run("produce", "--rate", "max", "--count", str(count), "--quiet")
        sent += count
        while pipeline.count() < sent:
            # Commits happen meanwhile. The figures must have been true at one moment.
            engine.refresh()
            status = engine.status
            assert engine.query().totals["count"] == sum(one.stored for one in status.partitions) == status.rows
        assert figures(engine) == totals(pipeline)
    assert [consumer.stop() for consumer in consumers] == [0, 0]
    assert engine.status.reloads == 1
    assert engine.status.role == "ccstream_reader"
    assert engine.status.lacking_rows == 0


@pytest.mark.parametrize(
    "change",
    [
        "TRUNCATE orders",
        "DELETE FROM orders WHERE order_id IN (SELECT order_id FROM orders LIMIT 300)",
        "UPDATE orders SET value = value + 1",
        (
            "CREATE TABLE other (LIKE orders INCLUDING ALL); INSERT INTO other SELECT * FROM orders LIMIT 70; "
            "DROP TABLE orders; ALTER TABLE other RENAME TO orders; GRANT SELECT ON orders TO ccstream_reader"
        ),
    ],
    ids=["emptied", "deleted", "changed", "restored"],
)
def test_a_table_changed_behind_its_back(embedded_pipeline: Pipeline, engine: ccstream.KpiEngine, change: str) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", "--rate", "max", "--count", "1000")
    pipeline.run("consume", "--until-caught-up")
    assert figures(engine) == totals(pipeline)
    pipeline.execute(change)
    wait_until("it is noticed", lambda: figures(engine) == totals(pipeline))
    assert engine.status.reloads == 2
    assert engine.status.lacking_rows == 1000 - totals(pipeline)[0]
    pipeline.run("produce", "--rate", "max", "--count", "500")
    pipeline.run("consume", "--until-caught-up", "--start-over")
    assert figures(engine) == totals(pipeline)


def test_a_restart_reads_what_is_new(embedded_pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline, file = embedded_pipeline, tmp_path / "columns"
    pipeline.run("produce", "--rate", "max", "--count", "100000", "--partitions", "3")
    pipeline.run("consume", "--until-caught-up")

    def start() -> ccstream.KpiEngine:
        return ccstream.KpiEngine.from_database(pipeline.database_url, file=file)

    with start() as engine:
        assert figures(engine) == totals(pipeline)
        groups = engine.query(by={"category": ["p95", "cards"], "place": [], "time": []})
    assert file.stat().st_mode & 0o777 == 0o600
    with start() as engine:
        assert engine.refresh()
        assert (engine.status.rows_from_file, engine.status.reloads) == (100_000, 0)
        again = engine.query(by={"category": ["p95", "cards"], "place": [], "time": []})
        for name in ("category", "place", "time"):
            for column in again[name]:
                np.testing.assert_array_equal(again[name][column], groups[name][column])
    pipeline.run("produce", "--rate", "max", "--count", "5000")
    pipeline.run("consume", "--until-caught-up")
    with start() as engine:
        assert figures(engine) == totals(pipeline)
        assert (engine.status.rows_from_file, engine.status.reloads) == (100_000, 0)
    pipeline.execute("TRUNCATE orders")
    with start() as engine:
        assert figures(engine) == (0, 0, 0)
    pipeline.run("produce", "--rate", "max", "--count", "100")
    pipeline.run("consume", "--until-caught-up", "--start-over")
    file.write_bytes(file.read_bytes()[:-9] + b"\0" * 9)
    with start() as engine:
        assert figures(engine) == totals(pipeline)
        assert engine.status.rows_from_file == 0


@pytest.mark.parametrize("limit", [{"max_rows": 70_000}, {"max_days": 10}])
def test_the_oldest_rows_leave(embedded_pipeline: Pipeline, limit: dict[str, Any]) -> None:
    pipeline = embedded_pipeline
    now = datetime.now(timezone.utc)
    for seed, days in enumerate((40, 1)):
        start = (now - timedelta(days=days)).isoformat()
        flags = ("--rate", "max", "--count", "150000", "--seed", str(seed), "--start-time", start)
        pipeline.run("produce", *flags)
        pipeline.run("consume", "--until-caught-up")
    with ccstream.KpiEngine.from_database(pipeline.database_url, **limit) as engine:
        assert engine.refresh()
        status = engine.status
        assert status.rows <= limit.get("max_rows", 240_000)
        assert status.dropped_until is not None
        since = status.dropped_until + 1
        [(expected,)] = pipeline.query("SELECT count(*) FROM orders WHERE timestamp >= %s", micros(since))
        assert engine.query(start=since, end=2**61).totals["count"] == expected > 0
        assert engine.status.lacking_rows == 0


def test_more_names_than_there_is_room_for(embedded_pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    pipeline.run("consume", "--until-caught-up")
    # Every tenth row has a frequent merchant. Each of the others has a merchant and a card that occur only once.
    pipeline.execute(
        "INSERT INTO orders (order_id, timestamp, value, merchant, card_token) SELECT 'o' || n, '2026-01-01', 1, "
        "CASE WHEN n % 10 = 0 THEN 'known' ELSE lpad(n::text, 96, 'm') END, lpad(n::text, 56, 'c') "
        "FROM generate_series(1, 150000) n"
    )
    limit, file = 24 << 20, tmp_path / "columns"

    def check(engine: ccstream.KpiEngine) -> None:
        status = engine.status
        assert status.bytes <= limit
        assert status.folded == ["merchant", "card"]
        assert status.rows == 150_000
        answer = engine.query(by={"merchant": []}, top=10)
        merchants = dict(zip(answer["merchant"]["key"], answer["merchant"]["count"], strict=True))
        assert merchants["known"] == 15_000
        assert merchants["(others)"] > 50_000
        assert answer["merchant"]["count"].sum() + answer["merchant"]["other_count"] == 150_000
        assert engine.query(filters={"merchant": "known"}).totals["count"] == 15_000

    with ccstream.KpiEngine.from_database(pipeline.database_url, max_bytes=limit, file=file) as engine:
        assert engine.refresh()
        check(engine)
    with ccstream.KpiEngine.from_database(pipeline.database_url, max_bytes=limit, file=file) as engine:
        assert engine.refresh()
        assert engine.status.rows_from_file == 150_000
        check(engine)
    with ccstream.KpiEngine.from_database(pipeline.database_url) as engine:
        assert engine.refresh()
        assert engine.status.folded == []
        assert engine.query().totals["cards"] == 150_000


def test_commits_are_seen_whole_whatever_their_order(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", "--rate", "max", "--count", "1000", "--partitions", "1")
    pipeline.run("consume", "--until-caught-up")
    copy = (
        "INSERT INTO orders (order_id, timestamp, value, kafka_partition, kafka_offset) "
        "SELECT %s || n, now() AT TIME ZONE 'UTC', 1, 0, 0 FROM generate_series(1, 30000) AS s (n)"
    )
    note = "UPDATE kafka_offsets SET stored = stored + 30000, consumed = consumed + 30000"
    with (
        ccstream.KpiEngine.from_database(pipeline.database_url, interval=timedelta(milliseconds=10)) as engine,
        psycopg.connect(pipeline.database_url) as early,
        psycopg.connect(pipeline.database_url) as late,
    ):
        assert engine.refresh()
        counts = []

        def watch(seconds: float) -> None:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                counts.append(engine.query().totals["count"])

        # Two sessions write. The one whose rows are on earlier pages commits last.
        early.execute(copy, ["early"])
        late.execute(copy, ["late"])
        watch(0.3)
        late.execute(note)
        late.commit()
        watch(0.5)
        early.execute(note)
        early.commit()
        watch(0.5)
        assert engine.refresh()
        watch(0.01)
        assert sorted(set(counts)) == [1000, 31_000, 61_000]
        assert counts == sorted(counts)
        assert (engine.status.reloads, engine.status.lacking_rows) == (1, 0)


def test_rows_that_come_to_lie_in_old_pages(embedded_pipeline: Pipeline) -> None:
    pipeline, many = embedded_pipeline, 500_000
    pipeline.run("produce", "--rate", "max", "--count", "1", "--partitions", "1")
    pipeline.run("consume", "--until-caught-up")

    def store(name: str, count: int) -> None:
        # Rows and counters must be of one transaction, as the consumer's are. A refresh between two transactions would
        # see rows that nobody has counted, and would not find them later.
        pipeline.execute(
            "INSERT INTO orders (order_id, timestamp, value, kafka_partition, kafka_offset) "
            f"SELECT '{name}' || n, now() AT TIME ZONE 'UTC', 1, 0, n FROM generate_series(1, {count}) AS s (n); "
            f"UPDATE kafka_offsets SET stored = stored + {count}, consumed = consumed + {count}"
        )

    def read() -> int:
        with psycopg.connect(pipeline.database_url) as connection:
            sql = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'orders'"
            return int(connection.execute(sql).fetchall()[0][0])

    store("many", many)
    pipeline.execute("DELETE FROM orders WHERE ctid >= '(200,0)' AND ctid < '(240,0)'")
    with psycopg.connect(pipeline.database_url, autocommit=True) as connection:
        connection.execute("VACUUM (INDEX_CLEANUP ON) orders")
    with ccstream.KpiEngine.from_database(pipeline.database_url) as engine:
        assert engine.refresh()
        there = engine.query().totals["count"]
        # PostgreSQL's statistics are updated with a delay.
        wait_until("the first reading is counted", lambda: engine.refresh() and read() >= there)
        began = read()
        store("first", 1)
        assert engine.refresh()
        assert engine.query().totals["count"] == there + 1
        # The engine does not know which pages have changed, so it has searched the whole table.
        wait_until("it is counted", lambda: engine.refresh() and read() - began > there)
        began = read()
        for number in range(100):
            store(f"then{number}-", 3)
            assert engine.refresh()
            assert engine.query().totals["count"] == there + 1 + (number + 1) * 3
        store("end", 10_000)
        assert engine.refresh()
        assert engine.query().totals["count"] == there + 10_301
        [(old,)] = pipeline.query("SELECT count(*) FROM orders WHERE order_id ~ '^then' AND ctid < '(240,0)'")
        assert old > 100
        time.sleep(2)
        assert engine.refresh()
        assert there < read() - began < there * 10, "a hundred searches around the spot"
        assert engine.status.reloads == 1


def test_a_server_that_lost_its_last_commits(
    embedded_pipeline: Pipeline, postgres: embedded.Postgres, tmp_path: Path
) -> None:
    pipeline, file = embedded_pipeline, tmp_path / "columns"
    pipeline.run("produce", "--rate", "max", "--count", "5000", "--partitions", "1")
    pipeline.run("consume", "--until-caught-up")
    postgres.stop()
    data, kept = Path(os.environ["CCSTREAM_HOME"]) / f"postgres-{postgres.address.port}", tmp_path / "kept"
    subprocess.run(["cp", "-a", str(data), str(kept)], check=True)
    postgres.start()

    def store(name: str) -> None:
        pipeline.execute(
            "INSERT INTO orders (order_id, timestamp, value, kafka_partition, kafka_offset) SELECT "
            f"'{name}' || n, now() AT TIME ZONE 'UTC', length('{name}'), 0, n FROM generate_series(1, 500) AS s (n)"
        )
        pipeline.execute("UPDATE kafka_offsets SET stored = stored + 500, consumed = consumed + 500")

    store("lost")
    with ccstream.KpiEngine.from_database(pipeline.database_url, file=file) as engine:
        assert figures(engine) == totals(pipeline)
    postgres.stop()
    shutil.rmtree(data)
    subprocess.run(["cp", "-a", str(kept), str(data)], check=True)
    postgres.start()
    store("another")
    with ccstream.KpiEngine.from_database(pipeline.database_url, file=file) as engine:
        assert figures(engine) == totals(pipeline)
        assert "commits" in (engine.status.reload or "")


def test_statistics_that_are_reset(embedded_pipeline: Pipeline, engine: ccstream.KpiEngine) -> None:
    pipeline = embedded_pipeline
    as_superuser(pipeline.database_url, "GRANT EXECUTE ON FUNCTION pg_stat_reset() TO PUBLIC")
    pipeline.run("produce", "--rate", "max", "--count", "1000")
    pipeline.run("consume", "--until-caught-up")
    pipeline.execute("UPDATE orders SET city = city")
    wait_until("it is noticed", lambda: figures(engine) == totals(pipeline) and engine.status.reloads > 1)
    with psycopg.connect(pipeline.database_url) as connection:
        connection.execute("DELETE FROM orders WHERE order_id IN (SELECT order_id FROM orders LIMIT 7)")
        connection.commit()
        connection.execute("SELECT pg_stat_force_next_flush()")
        connection.execute("SELECT pg_stat_reset()")
    wait_until("it is noticed", lambda: figures(engine) == totals(pipeline))
    assert totals(pipeline)[0] == 993


def test_rights_and_rows_of_its_own(embedded_pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline, file = embedded_pipeline, tmp_path / "columns"
    pipeline.run("produce", "--rate", "max", "--count", "100")
    pipeline.run("consume", "--until-caught-up")
    with ccstream.KpiEngine.from_database(pipeline.database_url, file=file) as engine:
        assert engine.refresh()
        assert engine.status.role == "ccstream_reader"
    # The engine ignores a file that others may write. It reads a table that the role may not read as the user.
    file.chmod(0o622)
    pipeline.execute("REVOKE SELECT ON orders FROM ccstream_reader")
    with ccstream.KpiEngine.from_database(pipeline.database_url, file=file) as engine:
        assert figures(engine) == totals(pipeline)
        assert (engine.status.role, engine.status.rows_from_file) == (None, 0)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["columns"]
    # The figures are still updated without the other tables, and the status names the trouble.
    with ccstream.KpiEngine.from_database(pipeline.database_url) as engine:
        assert engine.refresh()
        pipeline.execute("DROP TABLE latency_minute; INSERT INTO orders (order_id) VALUES ('another')")
        pipeline.execute("UPDATE orders SET value = 1 WHERE order_id = 'another'")
        wait_until("it follows", lambda: engine.query().totals["count"] == 101, state=lambda: repr(engine.status))
        wait_until("it is reported", lambda: "latency_minute" in (engine.status.trouble or ""))
    # An engine that starts without the table shows the same.
    with ccstream.KpiEngine.from_database(pipeline.database_url) as engine:
        wait_until("it reads", lambda: engine.query().totals["count"] == 101, state=lambda: repr(engine.status))
        wait_until("it is reported", lambda: "latency_minute" in (engine.status.trouble or ""))


def test_a_refresh_that_cannot_reach_the_database_raises() -> None:
    with ccstream.KpiEngine.from_database("postgresql://me:secret@localhost:1/none") as engine:
        with pytest.raises(ccstream.PostgresError, match="localhost:1") as caught:
            engine.refresh()
        assert engine.status.trouble == str(caught.value)
        assert "secret" not in str(caught.value)
        assert engine.query().totals["count"] == 0


def test_an_engine_that_is_dropped_ends(filled: Pipeline) -> None:
    code = (
        "import logging, sys, ccstream; logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)\n"
        f"for n in range(20):\n    engine = ccstream.KpiEngine.from_database({filled.database_url!r})\n"
        "    if n % 2: engine.refresh()\n    del engine\nprint('done')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=LIMIT)
    assert done.stdout.endswith("done\n")


def test_the_database_goes_and_comes_back(
    embedded_pipeline: Pipeline, postgres: embedded.Postgres, engine: ccstream.KpiEngine
) -> None:
    pipeline = embedded_pipeline
    with pytest.raises(ccstream.SchemaError):
        engine.refresh()
    assert engine.status.no_tables
    pipeline.run("produce", "--rate", "max", "--count", "500")
    pipeline.run("consume", "--until-caught-up")
    before = figures(engine)
    assert before == totals(pipeline)
    postgres.stop()
    wait_until("it says so", lambda: engine.status.trouble is not None)
    with pytest.raises(ccstream.PostgresError):
        engine.refresh()
    assert engine.query(currency="USD").totals["count"] == before[0]
    assert engine.status.trouble_for is not None
    postgres.start()
    wait_until("it is back", lambda: engine.status.trouble is None)
    pipeline.run("produce", "--rate", "max", "--count", "500")
    pipeline.run("consume", "--until-caught-up")
    assert figures(engine) == totals(pipeline)
    assert engine.status.reloads == 1


def test_latest_rows_and_trust(embedded_pipeline: Pipeline, engine: ccstream.KpiEngine) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", "--rate", "max", "--count", "300")
    pipeline.send([b"{", b"[]"])
    pipeline.run("consume", "--until-caught-up")
    assert engine.refresh()
    latest = engine.latest(7, filters={"status": ["approved"]})
    expected = pipeline.query(
        "SELECT timestamp, (value * 100)::bigint, merchant FROM orders WHERE status = 'approved' "
        "ORDER BY ctid DESC LIMIT 7"
    )
    assert [
        (micros(t), c, m) for t, c, m in zip(latest["time"], latest["cents"], latest["merchant"], strict=True)
    ] == expected
    status = engine.status
    assert dict(status.rejected) == dict(pipeline.query("SELECT reason, count(*) FROM rejected_events GROUP BY 1"))
    [one] = status.partitions
    assert (one.consumed, one.stored, one.rejected) == (302, 300, 2)
    assert status.latency_events == 300
    assert status.latency_ms
    assert sorted(status.latency_ms) == status.latency_ms
    assert status.consumers == 0
    assert status.no_consumer_since == one.updated_at
    consumer = pipeline.consume()
    wait_until("it is seen", lambda: engine.refresh() and engine.status.consumers == 1)
    assert engine.status.no_consumer_since is None
    consumer.stop()
