"""Real services for every test: embedded ones always, Apache Kafka where Java and Maven are.

``CCSTREAM_DEMAND`` (a comma-separated list of ``kafka``, ``browser``) makes a missing part a failure
instead of a line that says what was left out; CI demands both.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from apache_kafka import ApacheKafka, missing_tools  # noqa: E402
from ccstream import embedded  # noqa: E402
from services import embedded_services, free_port  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


def leave_out(part: str, why: str) -> None:
    """Skips a test whose part is not here, or fails it where that part is demanded."""
    if part in os.environ.get("CCSTREAM_DEMAND", "").split(","):
        pytest.fail(f"{part} is demanded, but {why}")
    pytest.skip(f"left out: {why}")


@pytest.fixture(scope="session")
def services() -> Iterator[dict[str, str]]:
    """The embedded broker and PostgreSQL of the whole session."""
    with embedded_services() as variables:
        yield variables


@pytest.fixture(scope="session")
def apache() -> Iterator[ApacheKafka]:
    """Apache Kafka, on the compose file's port where that is free."""
    if missing := missing_tools():
        leave_out("kafka", f"Apache Kafka needs {missing}")
    kafka = ApacheKafka(free_port() if embedded.is_taken(9094) or embedded.is_taken(9093) else None)
    try:
        kafka.format()
        kafka.start()
        yield kafka
    finally:
        kafka.remove()


@pytest.fixture(params=["embedded", "apache"])
def broker(request: pytest.FixtureRequest, services: dict[str, str]) -> str:
    """Each broker's address in turn."""
    if request.param == "embedded":
        return services["KAFKA_BOOTSTRAP_SERVERS"]
    kafka: ApacheKafka = request.getfixturevalue("apache")
    address: str = kafka.address
    return address


@dataclass
class Pipeline:
    """A topic and a database of a test's own, and the commands upon them."""

    broker: str
    topic: str
    database_url: str
    children: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What leads the commands here."""
        return {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": self.broker,
            "KAFKA_TOPIC": self.topic,
            # Its own group too: what one test does to its group is no other's matter.
            "KAFKA_GROUP_ID": self.topic,
            "DATABASE_URL": self.database_url,
            "PYTHONUNBUFFERED": "1",
        }

    def run(self, *arguments: str, status: int | None = 0, limit: float = 120) -> str:
        """Runs ``ccstream ARGUMENTS`` and returns what it printed; ``status`` None takes any."""
        done = subprocess.run(
            [sys.executable, "-m", "ccstream", *arguments],
            capture_output=True,
            check=False,
            env=self.environment,
            text=True,
            timeout=limit,
        )
        output = done.stdout + done.stderr
        assert status is None or done.returncode == status, output
        return output

    def spawn(self, *arguments: str, cwd: Path = ROOT) -> subprocess.Popen[str]:
        """Starts ``python ARGUMENTS``; its output is read with :func:`wait_for_line`."""
        child = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=cwd,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        self.children.append(child)
        return child

    def create_topic(self, partitions: int, **config: str) -> None:
        """Creates the topic, with settings named as Kafka names them but for ``_``."""
        named = {name.replace("_", "."): value for name, value in config.items()}
        admin = AdminClient({"bootstrap.servers": self.broker})
        for future in admin.create_topics([NewTopic(self.topic, partitions, 1, config=named)]).values():
            future.result()

    def send(self, payloads: Sequence[bytes | None], **config: Any) -> None:  # noqa: ANN401
        """Sends payloads to partition 0, in order, by a client that is not ours."""
        producer = Producer({"bootstrap.servers": self.broker, "message.max.bytes": 5_000_000, **config})
        for payload in payloads:
            producer.produce(self.topic, payload, partition=0)
        assert producer.flush(30) == 0

    def query(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Asks the database."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(query, parameters).fetchall()

    def execute(self, statements: str) -> None:
        """Runs statements in the database."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(statements)

    def count(self) -> int:
        """Rows in ``orders``; 0 where there is no such table yet, or no database."""
        try:
            return int(self.query("SELECT count(*) FROM orders")[0][0])
        except (psycopg.errors.UndefinedTable, psycopg.OperationalError):
            return 0

    def verify(self) -> None:
        """``ccstream verify``, and the same recounted here."""
        self.run("verify")
        [(consumed, stored, duplicate, rejected)] = self.query(
            "SELECT sum(consumed), sum(stored), sum(duplicate), sum(rejected) FROM kafka_offsets"
        )
        assert consumed == stored + duplicate + rejected
        assert self.query("SELECT count(*), count(DISTINCT order_id) FROM orders") == [(stored, stored)]
        assert self.query("SELECT count(*) FROM rejected_events") == [(rejected,)]
        assert self.query("SELECT coalesce(sum(count), 0), coalesce(sum(sum), 0) FROM kpi_minute") == self.query(
            "SELECT count(*), coalesce(sum(value), 0) FROM orders"
        )


@pytest.fixture
def database(services: dict[str, str]) -> Iterator[str]:
    """The URL of an empty database of the test's own."""
    base = services["DATABASE_URL"]
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield base.rpartition("/")[0] + f"/{name}"
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextlib.contextmanager
def make_pipeline(broker: str, database: str) -> Iterator[Pipeline]:
    """A pipeline whose children end with it."""
    made = Pipeline(broker, f"orders_{uuid.uuid4().hex[:12]}", database)
    try:
        yield made
    finally:
        for child in made.children:
            if child.poll() is None:
                child.kill()
            child.wait()
            if child.stdout:
                child.stdout.close()


@pytest.fixture
def pipeline(broker: str, database: str) -> Iterator[Pipeline]:
    """A pipeline on each broker in turn."""
    with make_pipeline(broker, database) as made:
        yield made


@pytest.fixture
def embedded_pipeline(services: dict[str, str], database: str) -> Iterator[Pipeline]:
    """A pipeline on the embedded broker, for what no broker has a part in."""
    with make_pipeline(services["KAFKA_BOOTSTRAP_SERVERS"], database) as made:
        yield made


def wait_until(what: str, is_true: Callable[[], bool], limit: float = 60) -> None:
    """Waits until something is true; ``what`` says it in the failure."""
    until = time.monotonic() + limit
    while not is_true():
        assert time.monotonic() < until, f"not within {limit} s: {what}"
        time.sleep(0.05)


def wait_for_line(child: subprocess.Popen[str], part: str) -> list[str]:
    """Reads a child's lines up to one that holds ``part``; fails where it ends before."""
    assert child.stdout is not None
    lines = []
    for line in child.stdout:
        lines.append(line.rstrip("\n"))
        if part in line:
            return lines
    raise AssertionError(f"ended before {part!r}: {lines}")
