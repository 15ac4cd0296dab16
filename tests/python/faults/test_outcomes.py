"""Tests the documented outcome of PostgreSQL's errors: wait and continue, stop and say how to fix it, reject a row."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest

import ccstream
from conftest import leave_out, make_database
from pipeline import OTHER_SESSIONS, make_pipeline
from recount import read_topic
from running import numbers_in
from services import as_superuser
from waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline import Pipeline

TABLES = "orders, kafka_offsets, ccstream_version, rejected_events, rejected_counts, kpi_minute, latency_minute"


def role_of(pipeline: Pipeline) -> tuple[str, str]:
    """Creates a role that may only write to the tables; returns it and the database's URL for it."""
    role = f"app_{pipeline.topic}"
    database = urlsplit(pipeline.database_url).path.lstrip("/")
    pipeline.execute(
        # As a member of the role, our user may end its sessions and drop its objects.
        f"CREATE ROLE {role} LOGIN PASSWORD 'app'; GRANT {role} TO CURRENT_USER;"
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {TABLES} TO {role};"
        f'GRANT TEMPORARY ON DATABASE "{database}" TO {role}'
    )
    url = urlsplit(pipeline.database_url)
    return role, url._replace(netloc=f"{role}:app@{url.hostname}:{url.port}").geturl()


@pytest.fixture
def ready(services: dict[str, str], tables: str, request: pytest.FixtureRequest) -> Iterator[Pipeline]:
    """Yields a pipeline with empty tables. Its topic has one partition, or the number in the parameter."""
    with (
        make_database(services, tables) as url,
        make_pipeline(services["KAFKA_BOOTSTRAP_SERVERS"], url) as pipeline,
    ):
        pipeline.create_topic(getattr(request, "param", 1))
        yield pipeline
        role = f"app_{pipeline.topic}"
        with pipeline.connect() as connection, contextlib.suppress(psycopg.errors.UndefinedObject):
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")


def send(pipeline: Pipeline, count: int = 1000) -> None:
    pipeline.run("produce", "--rate", "max", "--count", str(count), "--quiet")


def database_of(pipeline: Pipeline) -> str:
    return urlsplit(pipeline.database_url).path.lstrip("/")


def test_a_read_only_database_is_waited_for(ready: Pipeline) -> None:
    consumer = ready.consume()
    consumer.wait_for_event("assigned")
    name = database_of(ready)
    ready.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    ready.end_sessions()
    send(ready)
    consumer.wait_for_event("waiting", sqlstate="25006")
    with ready.connect() as person:
        person.execute("SET default_transaction_read_only = off")
        person.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    wait_until("all rows are there", lambda: ready.count() == 1000)
    consumer.wait_for_event("recovered", service="postgres")
    assert consumer.stop() == 0
    ready.recount()


def test_a_lock_on_orders_is_waited_for(ready: Pipeline) -> None:
    consumer = ready.consume()
    consumer.wait_for_event("assigned")
    with ready.locked() as person:
        send(ready)
        consumer.wait_for_event("waiting", sqlstate="55P03")
        # The consumer must not end the person's session.
        assert person.execute("SELECT 1").fetchone() == (1,)
    wait_until("all rows are there", lambda: ready.count() == 1000)
    assert consumer.stop() == 0
    ready.recount()


def test_connections_that_are_used_up_are_waited_for(ready: Pipeline) -> None:
    role, url = role_of(ready)
    consumer = ready.consume(environment={"DATABASE_URL": url})
    consumer.wait_for_event("assigned")
    ready.execute(f"ALTER ROLE {role} CONNECTION LIMIT 0")
    ready.end_sessions()
    send(ready)
    consumer.wait_for_event("waiting", sqlstate="53300")
    ready.execute(f"ALTER ROLE {role} CONNECTION LIMIT -1")
    wait_until("all rows are there", lambda: ready.count() == 1000)
    assert consumer.stop() == 0
    ready.recount()


@pytest.mark.parametrize("ready", [4], indirect=True)
def test_the_consumer_does_without_an_additional_connection_that_is_refused(ready: Pipeline) -> None:
    role, url = role_of(ready)
    ready.execute(f"ALTER ROLE {role} CONNECTION LIMIT 1")
    send(ready, 20_000)
    consumer = ready.consume(environment={"DATABASE_URL": url})
    consumer.wait_for_event("warning", kind="connection_refused")
    session = ready.query(f"SELECT pid FROM pg_stat_activity WHERE {OTHER_SESSIONS}")
    wait_until("all rows are there", lambda: ready.count() == 20_000)
    # The consumer keeps its first connection, and warns once.
    assert ready.query(f"SELECT pid FROM pg_stat_activity WHERE {OTHER_SESSIONS}") == session
    assert consumer.stop() == 0
    assert [warning["kind"] for warning in consumer.events("warning")] == ["connection_refused"]
    assert not consumer.events("waiting")
    ready.recount()


def test_an_operators_cancel_is_tried_again(ready: Pipeline) -> None:
    consumer = ready.consume()
    consumer.wait_for_event("assigned")
    with ready.locked():
        send(ready)
        waits = "SELECT pg_cancel_backend(pid) FROM pg_locks WHERE relation = 'orders'::regclass AND NOT granted"
        wait_until("it is cancelled", lambda: bool(ready.query(waits)))
    wait_until("all rows are there", lambda: ready.count() == 1000)
    assert consumer.stop() == 0
    ready.recount()


def test_timeouts_of_the_database_do_not_end_a_batch(ready: Pipeline) -> None:
    name = database_of(ready)
    # All are set in one session, which began without these timeouts.
    with ready.connect() as person:
        for setting in ("statement_timeout", "transaction_timeout", "idle_session_timeout", "lock_timeout"):
            person.execute(f"ALTER DATABASE \"{name}\" SET {setting} = '5ms'")
    consumer = ready.consume()
    consumer.wait_for_event("assigned")
    time.sleep(0.5)
    ready.run("produce", "--rate", "max", "--count", "60000", "--quiet")
    query = "SET statement_timeout = 0; SET transaction_timeout = 0; SELECT count(*) FROM orders"

    def count() -> int:
        # The sessions of the test have the same timeouts, so they may need a second attempt.
        with contextlib.suppress(psycopg.Error), ready.connect() as person:
            cursor = person.execute(query)
            while cursor.nextset():
                pass
            row = cursor.fetchone()
            return int(row[0]) if row else 0
        return 0

    wait_until("all rows are there", lambda: count() == 60_000)
    assert consumer.stop() == 0
    assert not consumer.events("waiting")
    base = ready.database_url.rpartition("/")[0] + "/kafka_db"
    with psycopg.connect(base, autocommit=True) as person:
        person.execute(f'ALTER DATABASE "{name}" RESET ALL')
    ready.recount()


@pytest.mark.parametrize("table", ["orders", "kafka_offsets"])
def test_a_revoked_privilege_ends_it_and_says_what_to_grant(ready: Pipeline, table: str) -> None:
    role, url = role_of(ready)
    consumer = ready.consume(environment={"DATABASE_URL": url})
    consumer.wait_for_event("assigned")
    ready.execute(f"REVOKE INSERT, UPDATE ON {table} FROM {role}")
    send(ready)
    assert consumer.wait() == 4
    error = consumer.failure()["error"]
    assert f"{table} (SQLSTATE 42501)" in error
    assert "GRANT SELECT, INSERT, UPDATE ON orders" in error
    assert ready.count() == 0
    ready.execute(f"GRANT INSERT, UPDATE ON {table} TO {role}")
    again = ready.consume("--until-caught-up", environment={"DATABASE_URL": url})
    assert again.wait() == 0
    ready.recount()


def test_a_table_that_is_dropped_ends_it_and_a_start_over_makes_it(ready: Pipeline) -> None:
    consumer = ready.consume()
    send(ready)
    wait_until("rows arrive", lambda: ready.count() == 1000)
    ready.execute("DROP TABLE orders")
    send(ready)
    assert consumer.wait() == 4
    assert "SQLSTATE 42P01" in consumer.failure()["error"]
    refused = ready.consume("--until-caught-up")
    assert refused.wait() == 5
    assert "--start-over" in refused.output()
    assert not refused.events("listening")
    [connected] = ready.catch_up("--start-over").events("connected_to_postgres")
    assert (connected["created_orders"], connected["started_over"]) == (True, True)
    assert ready.count() == 2000
    ready.recount()


def test_a_full_disk_is_waited_for(ready: Pipeline) -> None:
    if os.geteuid() != 0:
        leave_out("root", "a small file system is mounted by root")
    folder = Path(tempfile.mkdtemp(prefix="ccstream-disk-"))
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
        shutil.chown(folder, "nobody", "nogroup")
        try:
            space = f"small_{ready.topic}"
            as_superuser(ready.database_url, f"CREATE TABLESPACE {space} OWNER kafka_user LOCATION '{folder}'")
            ready.execute(f"ALTER TABLE orders SET TABLESPACE {space}")
            consumer = ready.consume()
            send(ready, 40_000)
            consumer.wait_for_event("waiting", sqlstate="53100")
            subprocess.run(["mount", "-o", "remount,size=100m", str(folder)], check=True)
            wait_until("all rows are there", lambda: ready.count() == 40_000)
            assert consumer.stop() == 0
            ready.recount()
            ready.execute("ALTER TABLE orders SET TABLESPACE pg_default")
            ready.execute(f"DROP TABLESPACE {space}")
        finally:
            subprocess.run(["umount", str(folder)], check=True)
    finally:
        folder.rmdir()


def test_a_row_that_a_constraint_refuses_is_kept_with_the_reason(ready: Pipeline) -> None:
    send(ready, 2000)
    events = [json.loads(payload or b"") for _, _, payload in read_topic(ready.broker, ready.topic)]
    limit = sorted(event["amount"] for event in events)[-50]
    ready.execute(f"ALTER TABLE orders ADD CONSTRAINT not_large CHECK (value < {limit})")
    ready.run("consume", "--until-caught-up")
    large = [event for event in events if event["amount"] >= limit]
    assert 50 <= len(large) <= 100
    kept = ready.query("SELECT payload FROM rejected_events WHERE reason = 'refused_by_postgres'")
    assert len(kept) == len(large)
    assert {re.search(rb'"transaction_id":"([^"]+)', row[0])[1].decode() for row in kept} == {  # type: ignore[index]
        event["transaction_id"] for event in large
    }
    shown = ready.run("rejected", "--show")
    assert '"not_large" (SQLSTATE 23514)' in shown
    assert ready.count() == 2000 - len(large)
    # Once the table is fixed, the messages are replayed and stored.
    ready.execute("ALTER TABLE orders DROP CONSTRAINT not_large")
    resent = ccstream.replay_rejected(database_url=ready.database_url, bootstrap_servers=ready.broker)
    assert resent.sent == len(large)
    ready.run("consume", "--until-caught-up")
    assert ready.count() == 2000
    ready.verify()


def test_a_table_that_takes_no_row_ends_it(ready: Pipeline) -> None:
    ready.execute("ALTER TABLE orders ADD CONSTRAINT nothing CHECK (false)")
    send(ready, 20_000)
    consumer = ready.consume("--until-caught-up", "--batch-rows", "2000")
    assert consumer.wait() == 5
    assert "23514" in consumer.failure()["error"]
    summary = consumer.failure()["summary"]
    assert summary["consumed"] == summary["rejected"] < 20_000
    ready.execute("ALTER TABLE orders DROP CONSTRAINT nothing")
    ready.run("consume", "--until-caught-up")
    assert ready.count() == 20_000 - summary["rejected"]
    resent = ccstream.replay_rejected(database_url=ready.database_url, bootstrap_servers=ready.broker)
    assert resent.sent == summary["rejected"]
    ready.run("consume", "--until-caught-up")
    assert ready.count() == 20_000
    ready.verify()


def test_a_suspended_session_is_reported(ready: Pipeline) -> None:
    consumer = ready.consume()
    consumer.wait_for_event("assigned")
    [(session,)] = ready.query(f"SELECT pid FROM pg_stat_activity WHERE {OTHER_SESSIONS}")
    backend = psutil.Process(session)
    backend.suspend()
    try:
        send(ready)
        waiting = consumer.wait_for_event("waiting", kind="postgres_silent")
        assert 20 in numbers_in(waiting["reason"])
    finally:
        backend.resume()
    consumer.wait_for_event("recovered", service="postgres")
    wait_until("all is stored", lambda: ready.count() == 1000)
    assert consumer.stop() == 0
    ready.recount()
