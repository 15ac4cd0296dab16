"""Provides what benches of whole programs need: databases, topics, runs of a program until SIGTERM, and a clock.

The clock is PostgreSQL's. With ``track_commit_timestamp``, each row has the time of its commit. The rate is the number
of rows after the first commit, divided by the time from the first commit to the last. It is computed in the same way
for every program, and does not depend on how often the bench checks whether a program is done.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

import psutil
import psycopg
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from services import as_superuser, embedded_services  # noqa: E402
from topics import read_whole  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

QUIET = 4.0
"""A program is considered done after this number of seconds without a new row."""
FIRST_ROW_LIMIT = 120.0
"""The time limit for a program's first row, in seconds."""


@dataclass(frozen=True)
class Program:
    """Describes a program that reads a topic into ``orders`` until it gets SIGTERM.

    Args:
        name: the name in the tables of results.
        command: the command line. Environment variables name the topic and the database.
        copies: the number of parallel processes.
        before: statements that change the tables to what the program can write.
    """

    name: str
    command: tuple[str, ...]
    copies: int = 1
    before: LiteralString = ""


@dataclass(frozen=True)
class Run:
    """Holds the results of one run."""

    rows: int
    rate: float
    """The rows a second; 0 if there were fewer than two commits."""
    memory: float = 0
    """The maximum memory of all its processes together, in MB."""
    processor: float = 0
    """The processor time for each row in microseconds, without that of PostgreSQL and the broker."""
    alive: bool = True
    """Whether it was still running when it was stopped."""
    dead_letters: int = 0
    """The number of messages that it wrote to its dead letters."""


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Runs the embedded services with commit timestamps and the right to checkpoint; yields the database's URL."""
    with embedded_services() as variables:
        url = variables["DATABASE_URL"]
        as_superuser(url, "ALTER SYSTEM SET track_commit_timestamp = on", "GRANT pg_checkpoint TO kafka_user")
        yield url


def embedded_broker() -> str:
    """Returns the address of the embedded broker while the services are running."""
    return os.environ["KAFKA_BOOTSTRAP_SERVERS"]


def topic_name(name: str) -> str:
    """Converts a name in words to the name of a topic."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


class Workbench:
    """Creates databases and runs programs on them.

    Args:
        database_url: the URL of a database on the server.
    """

    def __init__(self, database_url: str) -> None:
        self._base = database_url
        self._made = 0

    def name(self) -> str:
        """Returns a name that was not used before."""
        self._made += 1
        return f"bench_{self._made}"

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Creates an empty database, yields its URL, and drops it at the end."""
        name = self.name()
        with psycopg.connect(self._base, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield self._base.rpartition("/")[0] + f"/{name}"
        with psycopg.connect(self._base, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
            connection.execute("CHECKPOINT")

    def run(self, program: Program, broker: str, topic: str, url: str, limit: float = 600) -> Run:
        """Runs a program until no more rows arrive or the limit in seconds is reached; returns the results."""
        make_tables(broker, topic, url)
        if program.before:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(program.before)
        name, folder = self.name(), ROOT / "target" / "bench"
        dead = folder / f"{name}.dead"
        environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": broker,
            "KAFKA_TOPIC": topic,
            "KAFKA_GROUP_ID": name,
            "DATABASE_URL": url,
            # A program writes its dead letters to this file, or to a topic with the file's name.
            "DEAD_LETTERS": str(dead),
        }
        folder.mkdir(parents=True, exist_ok=True)
        dead.unlink(missing_ok=True)
        log = folder / f"{topic_name(program.name)}.log"
        with log.open("wb") as out:
            children = [
                subprocess.Popen(program.command, cwd=ROOT, env=environment, stdout=out, stderr=out)
                for _ in range(program.copies)
            ]
        memory, processor = _watch(children, url, limit)
        alive = all(child.poll() is None for child in children)
        for child in children:
            _stop(child)
        rows, rate = committed(url)
        letters = len(dead.read_bytes().splitlines()) if dead.exists() else 0
        letters += sum(1 for _ in read_whole(broker, dead.name))
        return Run(rows, rate, memory / 1e6, processor / max(rows, 1) * 1e6, alive, letters)


def make_tables(broker: str, topic: str, url: str) -> None:
    """Creates the empty tables of ccstream, which are the same for every program."""
    place = ["--bootstrap-servers", broker, "--topic", topic, "--group", "makes-tables", "--database-url", url]
    child = subprocess.Popen(
        [sys.executable, "-m", "ccstream", "consume", "--quiet", "--linger", "0", *place], stdout=subprocess.DEVNULL
    )
    until = time.monotonic() + FIRST_ROW_LIMIT
    while not _ask(url, "SELECT to_regclass('orders') IS NOT NULL") and time.monotonic() < until:
        time.sleep(0.05)
    # This kills the consumer before it has joined the group, which takes seconds.
    child.kill()
    child.wait()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE orders, kafka_offsets, kpi_minute, rejected_events, latency_minute")


def _ask(url: str, query: LiteralString) -> Any:  # noqa: ANN401
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
        return row[0] if row else None


def _watch(children: list[subprocess.Popen[bytes]], url: str, limit: float) -> tuple[float, float]:
    """Waits until programs are done; returns their maximum memory in bytes and their processor time in seconds."""
    memory = processor = 0.0
    seen, since, began = 0, time.monotonic(), time.monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        while any(child.poll() is None for child in children):
            time.sleep(0.25)
            with contextlib.suppress(psutil.Error):
                roots = [psutil.Process(child.pid) for child in children]
                family = [one for root in roots for one in (root, *root.children(recursive=True))]
                memory = max(memory, sum(one.memory_info().rss for one in family))
                processor = max(processor, sum(sum(one.cpu_times()[:2]) for one in family))
            # The server's statistics cost nothing. They include the rows of failed attempts.
            found = connection.execute(
                "SELECT coalesce(sum(n_tup_ins + n_tup_upd), 0) FROM pg_stat_user_tables WHERE relname = 'orders'"
            ).fetchone()
            written, now = int(found[0]) if found else 0, time.monotonic()
            if written != seen:
                seen, since = written, now
            elif now - since > (QUIET if seen else FIRST_ROW_LIMIT) or now - began > limit:
                break
    return memory, processor


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    try:
        child.wait(30)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def committed(url: str) -> tuple[int, float]:
    """Returns the number of rows in ``orders`` and their rate."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE at > first), extract(epoch FROM last - first) "
            "FROM (SELECT pg_xact_commit_timestamp(xmin) AS at, min(pg_xact_commit_timestamp(xmin)) OVER () AS first, "
            "max(pg_xact_commit_timestamp(xmin)) OVER () AS last FROM orders) AS rows GROUP BY first, last"
        ).fetchone()
    if found is None:
        return 0, 0.0
    rows, after, seconds = found
    return int(rows), float(after) / float(seconds) if seconds else 0.0


def create_topic(broker: str, topic: str, partitions: int) -> None:
    """Creates an empty topic."""
    admin = AdminClient({"bootstrap.servers": broker})
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result()
