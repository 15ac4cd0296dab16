"""Provides a separate topic and database for each test, and runs ccstream's commands on them."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

import calls
from recount import Recount
from running import Running
from services import ROOT
from waiting import LIMIT

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from apache_kafka import ApacheKafka

OTHER_SESSIONS = "backend_type = 'client backend' AND datname = current_database() AND pid <> pg_backend_pid()"
"""The condition in ``pg_stat_activity`` for sessions of other programs in the same database."""

CLIENTS = 3
"""The number of clients that try to create a topic, one after the other."""
ASK_LIMIT = 20.0
"""The time limit for each of these clients, in seconds."""


@dataclass
class Pipeline:
    """Holds a test's topic and database, and runs commands on them."""

    broker: str
    topic: str
    database_url: str
    labels: str | None = None
    children: list[subprocess.Popen[Any]] = field(default_factory=list)
    folder: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix="ccstream-tests-")
    )
    _session: psycopg.Connection[tuple[Any, ...]] | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def labels_topic(self) -> str:
        """The topic of labels."""
        return self.labels or f"{self.topic}_labels"

    @property
    def truth_topic(self) -> str:
        """The topic of the truth."""
        return f"{self.topic}_truth"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that point the commands to this pipeline."""
        return {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": self.broker,
            "KAFKA_TOPIC": self.topic,
            "KAFKA_LABELS_TOPIC": self.labels_topic,
            "KAFKA_TRUTH_TOPIC": self.truth_topic,
            # Each test has its own group, so that tests do not disturb each other.
            "KAFKA_GROUP_ID": self.topic,
            "DATABASE_URL": self.database_url,
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
        }

    def run(self, *arguments: str, status: int | None = 0, limit: float = LIMIT) -> str:
        """Runs ``ccstream ARGUMENTS``, checks its exit status unless ``status`` is None, and returns its output."""
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
        """Starts ``python ARGUMENTS``. Read its output with :func:`wait_for_line`."""
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

    def write(self, name: str, text: str) -> Path:
        """Writes a file to the folder in which the commands are started, and returns its path."""
        path = Path(self.folder.name) / name
        path.write_text(text, encoding="utf-8")
        return path

    def consume(self, *arguments: str, environment: dict[str, str] | None = None) -> Running:
        """Starts ``ccstream consume ARGUMENTS``, which writes its output and its events to files."""
        return self._start("consume", *arguments, environment=environment)

    def analyze(self, *arguments: str, environment: dict[str, str] | None = None) -> Running:
        """Starts ``ccstream analyze ARGUMENTS``."""
        return self._start("analyze", *arguments, environment=environment)

    def catch_up(self, *arguments: str, environment: dict[str, str] | None = None) -> Running:
        """Runs ``ccstream consume --until-caught-up ARGUMENTS`` and checks that it ends with status 0."""
        consumer = self.consume("--until-caught-up", *arguments, environment=environment)
        assert consumer.wait() == 0, consumer.output()
        return consumer

    def produce(self, rate: float | str, count: int, *arguments: str) -> Running:
        """Starts ``ccstream produce`` with a rate and a number of events."""
        return self._start("produce", "--quiet", "--rate", str(rate), "--count", str(count), *arguments)

    def _start(self, command: str, *arguments: str, environment: dict[str, str] | None = None) -> Running:
        # The output goes to a file, because a pipe would fill up while nobody reads it.
        name = f"{command}-{next(self._numbers)}"
        log, events = (Path(self.folder.name) / f"{name}.{kind}" for kind in ("log", "events"))
        with log.open("wb") as out:
            child = subprocess.Popen(
                [sys.executable, "-m", "ccstream", command, "--events", str(events), *arguments],
                cwd=self.folder.name,
                env={**self.environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        calls.keep_core(child)
        self.children.append(child)
        return Running(child, log, events)

    @contextlib.contextmanager
    def frozen(self, running: Running | ApacheKafka) -> Iterator[None]:
        """Suspends a command or a broker (SIGSTOP) inside the ``with`` block."""
        running.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            running.signal(signal.SIGCONT)

    @contextlib.contextmanager
    def locked(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """Locks ``orders`` exclusively in another session inside the ``with`` block, as a person may."""
        with self.connect() as person, person.transaction():
            person.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            yield person

    def create_topic(self, partitions: int, **config: str) -> None:
        """Creates the topic. The names of its settings are Kafka's, with ``_`` for a dot."""
        named = {name.replace("_", "."): value for name, value in config.items()}
        topic = NewTopic(self.topic, partitions, 1, config=named)
        # On a busy machine, a client of librdkafka 2.12 has waited for a controller until its limit, although other
        # clients could use the broker. Another client is tried then.
        for attempt in range(CLIENTS):
            admin = AdminClient({"bootstrap.servers": self.broker})
            try:
                admin.create_topics([topic], request_timeout=ASK_LIMIT)[self.topic].result()
            except KafkaException as raised:
                code = raised.args[0].code()
                if attempt > 0 and code == KafkaError.TOPIC_ALREADY_EXISTS:
                    # The previous client created the topic but did not receive the answer.
                    return
                if attempt + 1 == CLIENTS or code != KafkaError._TIMED_OUT:
                    raise
            else:
                return

    def send(self, payloads: Sequence[bytes | None], **config: Any) -> None:  # noqa: ANN401
        """Sends payloads to partition 0, in order, with an independent client."""
        producer = Producer({"bootstrap.servers": self.broker, "message.max.bytes": 5_000_000, **config})
        for payload in payloads:
            producer.produce(self.topic, payload, partition=0)
        assert producer.flush(LIMIT) == 0

    def query(self, query: str, *parameters: object, **named: object) -> list[tuple[Any, ...]]:
        """Queries the database in a session that is reused. A new session costs four times as much as most queries.

        The parameters fill ``%s``, or ``%(name)s`` if they are named.
        """
        session = self._session
        if session is not None and not session.closed:
            try:
                return session.execute(query, named or parameters).fetchall()
            except psycopg.OperationalError:
                # The server may have ended the session long ago. Any other error is for the caller.
                if not session.closed:
                    raise
        session = self._session = self.connect()
        return session.execute(query, named or parameters).fetchall()

    def close(self) -> None:
        """Ends the session of :meth:`query`."""
        if self._session is not None:
            self._session.close()

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Opens another session, as a person would."""
        return psycopg.connect(self.database_url, autocommit=True, prepare_threshold=None)

    def execute(self, statements: str) -> None:
        """Runs statements in the database."""
        with self.connect() as connection:
            connection.execute(statements)

    def end_sessions(self) -> int:
        """Ends every other session of the database, as an operator may, and returns their number."""
        return len(self.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OTHER_SESSIONS}"))

    def count(self) -> int:
        """Returns the number of rows in ``orders``; 0 if the table or the database does not exist."""
        try:
            return int(self.query("SELECT count(*) FROM orders")[0][0])
        except (psycopg.errors.UndefinedTable, psycopg.OperationalError):
            return 0

    def members(self) -> int:
        """Returns the number of members that the consumer group has, according to Kafka."""
        admin = AdminClient({"bootstrap.servers": self.broker})
        return len(admin.describe_consumer_groups([self.topic])[self.topic].result().members)

    def verify(self, limit: float = LIMIT) -> None:
        """Runs ``ccstream verify`` and compares the tables by independent queries."""
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
        """Runs ``ccstream verify`` and compares the topic with the tables, message by message."""
        self.verify()
        Recount(self, bad).check()


@contextlib.contextmanager
def make_pipeline(broker: str, database: str) -> Iterator[Pipeline]:
    """Yields a pipeline. At the end, this kills its children and checks that none has crashed."""
    made = Pipeline(broker, f"orders_{uuid.uuid4().hex[:12]}", database)
    try:
        yield made
    finally:
        crashes = []
        for child in made.children:
            if child.poll() is None:
                # SIGKILL ends suspended processes, too.
                child.kill()
            child.wait()
            if child.stdout:
                child.stdout.close()
            if crash := calls.of_crash(child, Path(made.folder.name)):
                crashes.append(crash)
        made.close()
        made.folder.cleanup()
        assert not crashes, "\n".join(crashes)
