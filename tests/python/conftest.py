"""Real services for every test: embedded ones always, Apache Kafka where Java and Maven are.

``CCSTREAM_DEMAND`` (a comma-separated list of ``kafka``, ``browser``, ``compose``, ``root``) makes a missing part a
failure instead of a line that says what was left out; CI demands all. ``CCSTREAM_FAULTS=long`` (``make test-faults``)
makes the faults' tests long.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import calls  # noqa: E402
import ccstream  # noqa: E402
from apache_kafka import ApacheKafka, missing_tools, running_kafka  # noqa: E402
from ccstream import embedded  # noqa: E402
from recount import Recount  # noqa: E402
from services import embedded_services, free_port  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence

OTHER_SESSIONS = "backend_type = 'client backend' AND datname = current_database() AND pid <> pg_backend_pid()"
"""What tells other programs' sessions of the same database in ``pg_stat_activity``."""


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
    with running_kafka(free_port() if embedded.is_taken(9094) or embedded.is_taken(9093) else None) as kafka:
        yield kafka


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
    children: list[subprocess.Popen[Any]] = field(default_factory=list)
    folder: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix="ccstream-tests-")
    )

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
            "PYTHONFAULTHANDLER": "1",
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

    def consume(self, *arguments: str, environment: dict[str, str] | None = None) -> Running:
        """Starts ``ccstream consume ARGUMENTS``, its output in a file."""
        return self._start("consume", *arguments, environment=environment)

    def produce(self, rate: float | str, count: int, *arguments: str) -> Running:
        """Starts ``ccstream produce`` at a rate, for so many events."""
        return self._start("produce", "--quiet", "--rate", str(rate), "--count", str(count), *arguments)

    def _start(self, *arguments: str, environment: dict[str, str] | None = None) -> Running:
        # In the pipeline's own folder, and no pipe, which would fill while nobody reads it.
        log = Path(self.folder.name) / f"{arguments[0]}-{len(self.children)}.log"
        with log.open("wb") as out:
            child = subprocess.Popen(
                [sys.executable, "-m", "ccstream", *arguments],
                cwd=self.folder.name,
                env={**self.environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        calls.keep_core(child)
        self.children.append(child)
        return Running(child, log)

    @contextlib.contextmanager
    def frozen(self, running: Running | ApacheKafka) -> Iterator[None]:
        """The command, or the broker, stands still in here."""
        running.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            running.signal(signal.SIGCONT)

    @contextlib.contextmanager
    def locked(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A person's session has ``orders`` for itself in here."""
        with self.connect() as person, person.transaction():
            person.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            yield person

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
        with self.connect() as connection:
            return connection.execute(query, parameters).fetchall()

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A session of a person's."""
        return psycopg.connect(self.database_url, autocommit=True)

    def execute(self, statements: str) -> None:
        """Runs statements in the database."""
        with self.connect() as connection:
            connection.execute(statements)

    def end_sessions(self) -> int:
        """Ends every other session of the database, as an operator may: how many that were."""
        return len(self.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OTHER_SESSIONS}"))

    def count(self) -> int:
        """Rows in ``orders``; 0 where there is no such table yet, or no database."""
        try:
            return int(self.query("SELECT count(*) FROM orders")[0][0])
        except (psycopg.errors.UndefinedTable, psycopg.OperationalError):
            return 0

    def members(self) -> int:
        """How many the consumers' group has, as Kafka says."""
        admin = AdminClient({"bootstrap.servers": self.broker})
        return len(admin.describe_consumer_groups([self.topic])[self.topic].result().members)

    def verify(self, limit: float = 120) -> None:
        """``ccstream verify``, and the same recounted here."""
        self.run("verify", limit=limit)
        [(consumed, stored, duplicate, rejected)] = self.query(
            "SELECT sum(consumed), sum(stored), sum(duplicate), sum(rejected) FROM kafka_offsets"
        )
        assert consumed == stored + duplicate + rejected
        assert self.query("SELECT count(*), count(DISTINCT order_id) FROM orders") == [(stored, stored)]
        assert self.query("SELECT count(*) FROM rejected_events") == [(rejected,)]
        assert self.query("SELECT coalesce(sum(count), 0), coalesce(sum(sum), 0) FROM kpi_minute") == self.query(
            "SELECT count(*), coalesce(sum(value), 0) FROM orders"
        )

    def recount(self, bad: Container[bytes | None] = ()) -> None:
        """``ccstream verify``, and the topic compared with the tables, message by message."""
        self.verify()
        Recount(self, bad).check()


@dataclass
class Running:
    """A command that runs, and what it has printed so far."""

    process: subprocess.Popen[Any]
    log: Path

    def output(self) -> str:
        """All of it."""
        return self.log.read_text(errors="replace")

    def wait_for(self, part: str, limit: float = 60) -> None:
        """Waits until it has printed a part of a line."""
        until = time.monotonic() + limit
        while part not in self.output():
            assert self.process.poll() is None, f"ended before {part!r}: {self.output()}"
            assert time.monotonic() < until, f"not within {limit} s: {part!r} in {self.output()}"
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self.process.send_signal(number)

    def stop(self, limit: float = 40) -> int:
        """Sends it SIGTERM and returns its exit status."""
        self.signal(signal.SIGTERM)
        return self.process.wait(limit)

    def accounts(self) -> tuple[int, int, int]:
        """What a producer that has ended says that it sent, that Kafka has, and that failed."""
        found = re.search(r"Sent ([\d,]+), acknowledged ([\d,]+), failed ([\d,]+) in", self.output())
        assert found is not None, self.output()
        sent, acknowledged, failed = (int(number.replace(",", "")) for number in found.groups())
        return sent, acknowledged, failed

    def sent_again(self) -> int:
        """What a producer that has ended says that it sent again, and may be in the topic more than once."""
        found = re.search(r"\] ! ([\d,]+) were sent again", self.output())
        return int(found.group(1).replace(",", "")) if found else 0

    def acknowledged(self) -> int:
        """What a producer that has ended says that Kafka has of it; all that it sent."""
        sent, acknowledged, failed = self.accounts()
        assert (acknowledged, failed) == (sent, 0), self.output()
        return acknowledged


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Random choices that can be repeated: the seed is printed, and read from ``CCSTREAM_TEST_SEED``."""
    seed = int(os.environ.get("CCSTREAM_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"{request.node.name}: CCSTREAM_TEST_SEED={seed}")
    return random.Random(seed)  # noqa: S311


def at_length(short: int, long: int) -> int:
    """A number of rounds or seconds: the long one under ``make test-faults``."""
    return long if os.environ.get("CCSTREAM_FAULTS") == "long" else short


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
    """A pipeline whose children end with it, and not by a crash."""
    made = Pipeline(broker, f"orders_{uuid.uuid4().hex[:12]}", database)
    try:
        yield made
    finally:
        crashes = []
        for child in made.children:
            if child.poll() is None:
                # A stopped one too.
                child.kill()
            child.wait()
            if child.stdout:
                child.stdout.close()
            if crash := calls.of_crash(child, Path(made.folder.name)):
                crashes.append(crash)
        made.folder.cleanup()
        assert not crashes, "\n".join(crashes)


@pytest.fixture
def pipeline(broker: str, database: str) -> Iterator[Pipeline]:
    """A pipeline on each broker in turn."""
    with make_pipeline(broker, database) as made:
        yield made


@pytest.fixture
def apache_pipeline(apache: ApacheKafka, database: str) -> Iterator[Pipeline]:
    """A pipeline on Apache Kafka, for what the embedded broker cannot do."""
    with make_pipeline(apache.address, database) as made:
        yield made


@pytest.fixture
def embedded_pipeline(services: dict[str, str], database: str) -> Iterator[Pipeline]:
    """A pipeline on the embedded broker, for what no broker has a part in."""
    with make_pipeline(services["KAFKA_BOOTSTRAP_SERVERS"], database) as made:
        yield made


@pytest.fixture
def filled(embedded_pipeline: Pipeline) -> Pipeline:
    """2,000 transactions of 2026-01-01."""
    flags = ("--seed", "5", "--start-time", "2026-01-01T10:00:00Z", "--rate", "max", "--count", "2000")
    embedded_pipeline.run("produce", *flags)
    embedded_pipeline.run("consume", "--until-caught-up")
    return embedded_pipeline


def wait_until(
    what: str, is_true: Callable[[], bool], limit: float = 60, state: Callable[[], str] = lambda: ""
) -> None:
    """Waits until something is true; ``what`` says it in the failure, and ``state`` how far it was."""
    until = time.monotonic() + limit
    while not is_true():
        assert time.monotonic() < until, f"not within {limit} s: {what} {state()}"
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


@pytest.fixture
def engine(embedded_pipeline: Pipeline) -> Iterator[ccstream.KpiEngine]:
    """An engine that follows the pipeline's database."""
    with ccstream.KpiEngine.from_database(embedded_pipeline.database_url) as engine:
        yield engine


def micros(moment: int) -> datetime:
    """A moment of the engine's as PostgreSQL has it: UTC, without saying so."""
    return datetime(1970, 1, 1, tzinfo=timezone.utc).replace(tzinfo=None) + timedelta(microseconds=moment)
