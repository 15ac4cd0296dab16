"""Tests a pooler in front of PostgreSQL: reading commands leave its sessions unchanged, writing ones refuse it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

import ccstream
from conftest import leave_out
from pgbouncer import missing_pgbouncer, pooled
from waiting import wait_until

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from pipeline import Pipeline

READERS = (
    ("doctor",),
    ("verify",),
    ("rejected",),
    ("rejected", "--show"),
    ("page",),
)
PAGE = """\
import ccstream
with ccstream.KpiEngine.from_database() as engine:
    engine.refresh()
    print("rows", engine.status.rows, flush=True)
    import time
    time.sleep({seconds})
"""
"""A script that queries the database as the page does, without a browser."""


@pytest.fixture
def filled(embedded_pipeline: Pipeline) -> Pipeline:
    """Returns a pipeline with rows and a rejected message."""
    if missing := missing_pgbouncer():
        leave_out("pooler", f"a pooler needs {missing}")
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    pipeline.run("produce", "--rate", "max", "--count", "2000", "--quiet")
    pipeline.send([b"no JSON"])
    pipeline.catch_up()
    return pipeline


def start(pipeline: Pipeline, url: str, arguments: tuple[str, ...], seconds: float = 0) -> subprocess.Popen[str]:
    code = ["-c", PAGE.format(seconds=seconds)] if arguments == ("page",) else ["-m", "ccstream", *arguments]
    child = subprocess.Popen(
        [sys.executable, *code],
        env={**pipeline.environment, "DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    pipeline.children.append(child)
    return child


def state(url: str) -> dict[str, Any]:
    """Returns the state that a session keeps from one transaction to the next."""
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as session:
        own = "pid = pg_backend_pid() AND locktype <> 'virtualxid' AND relation IS DISTINCT FROM 'pg_locks'::regclass"
        return {
            "settings": session.execute(
                "SELECT name, setting FROM pg_settings WHERE name <> 'application_name' ORDER BY 1"
            ).fetchall(),
            "user": session.execute("SELECT current_user, session_user").fetchall(),
            "statements": session.execute("SELECT name FROM pg_prepared_statements").fetchall(),
            "cursors": session.execute("SELECT name FROM pg_cursors WHERE name <> ''").fetchall(),
            "locks": session.execute(f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND {own}").fetchall(),
            "temporary": session.execute("SELECT count(*) FROM pg_class WHERE relpersistence = 't'").fetchall(),
            "backend": session.execute("SELECT pg_backend_pid()").fetchall(),
        }


@contextlib.contextmanager
def traffic(url: str) -> Iterator[None]:
    """Runs other clients of the pool inside the ``with`` block, which send a query now and then."""
    ended = threading.Event()

    def ask(number: int) -> None:
        while not ended.is_set():
            with psycopg.connect(url, autocommit=True, prepare_threshold=None) as session:
                for _ in range(20):
                    session.execute("SELECT pg_sleep(0.001 * %s)", (number,))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_whatever_reads_leaves_a_pooled_session_as_it_was(filled: Pipeline, chance: random.Random) -> None:
    # The pool has one session, so that all clients share it.
    with pooled(filled.database_url, "transaction", 1) as url:
        before = state(url)
        for arguments in READERS:
            reader = start(filled, url, arguments)
            output = reader.communicate(timeout=60)[0]
            # The doctor and the consumer both refuse a session that they share.
            assert reader.returncode == (1 if arguments == ("doctor",) else 0), output
            assert arguments != ("page",) or "rows 2000" in output
            after = state(url)
            # The page may be killed within a transaction; the pooler then ends the session.
            before["backend"] = after["backend"] if arguments == ("page",) else before["backend"]
            assert after == before, arguments
            for _ in range(3):
                killed = start(filled, url, arguments, seconds=5)
                time.sleep(chance.uniform(0.1, 1.0))
                killed.kill()
                killed.communicate()
                # If the command was killed within a transaction, the pooler has ended the session and opened another.
                now = state(url)
                assert {**now, "backend": None} == {**before, "backend": None}, arguments
                before = now


def test_dead_letters_are_replayed_through_a_pooler(filled: Pipeline) -> None:
    with pooled(filled.database_url, "transaction", 1) as url:
        before = state(url)
        replayed = start(filled, url, ("rejected", "--replay"))
        output = replayed.communicate(timeout=60)[0]
        assert (replayed.returncode, filled.query("SELECT replayed FROM rejected_counts")) == (0, [(1,)]), output
        assert state(url) == before


@pytest.mark.parametrize(
    ("mode", "size", "is_busy"),
    [
        ("transaction", 1, False),
        ("transaction", 2, False),
        ("transaction", 20, False),
        ("transaction", 2, True),
        ("transaction", 20, True),
        ("statement", 2, False),
    ],
)
def test_a_consumer_refuses_a_session_that_is_not_its_own(
    filled: Pipeline, mode: str, size: int, is_busy: bool
) -> None:
    with pooled(filled.database_url, mode, size) as url:
        before = state(url)
        with traffic(url) if is_busy else contextlib.nullcontext():
            for _ in range(3):
                consumer = filled.consume("--until-caught-up", environment={"DATABASE_URL": url})
                assert consumer.wait() == 2, consumer.output()
                assert "session mode" in consumer.output()
        assert {**state(url), "backend": None} == {**before, "backend": None}


def test_a_pooler_in_session_mode_is_accepted(filled: Pipeline) -> None:
    with pooled(filled.database_url, "session", 5) as url:
        filled.run("produce", "--rate", "max", "--count", "500", "--quiet")
        filled.catch_up(environment={"DATABASE_URL": url})
        assert filled.count() == 2500
        doctor = start(filled, url, ("doctor",))
        assert "✓ session" in doctor.communicate(timeout=60)[0]
    filled.recount([b"no JSON"])


def test_an_engine_follows_through_a_pooler(filled: Pipeline) -> None:
    with pooled(filled.database_url, "transaction", 2) as url, ccstream.KpiEngine.from_database(url) as engine:
        engine.refresh()
        filled.run("produce", "--rate", "max", "--count", "500", "--quiet")
        filled.catch_up()
        wait_until("the engine has the rows", lambda: engine.status.rows == 2500)
        assert engine.status.role == "ccstream_reader"
