"""Provides real services for every test: always the embedded ones, and Apache Kafka if Java and Maven are installed.

A test whose tools are missing is skipped. ``CCSTREAM_DEMAND`` (a comma-separated list of ``kafka``, ``browser``,
``compose``, ``tls``, ``pooler``, ``root``) makes it fail instead; CI demands all. ``CCSTREAM_FAULTS=long`` (``make
test-faults``) makes the fault tests longer. Each worker of ``pytest -n N`` has separate services.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import psycopg
import pytest

# The threads of XGBoost and scikit-learn (OpenMP) and of numpy (OpenBLAS) spin while they wait for each other. On two
# busy processors, training that takes 5 s took 59 s. Libraries read these variables when they are loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
pytest.register_assert_rewrite("pipeline", "recount", "running", "truth_topic", "waiting")

import ccstream  # noqa: E402
from apache_kafka import SHORT_LIVED, ApacheKafka, missing_tools, running_kafka  # noqa: E402
from ccstream import embedded  # noqa: E402
from pipeline import Pipeline, make_pipeline  # noqa: E402
from scheduler import Scheduler, is_on_apache  # noqa: E402
from services import embedded_services, free_port, set_durable  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xdist.remote import Producer  # type: ignore[import-untyped]

Amount = TypeVar("Amount")
_started: list[ApacheKafka] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that use services, and sorts the tests by their time limits, the longest first."""
    items.sort(key=_time_limit, reverse=True)
    for item in items:
        if "services" in getattr(item, "fixturenames", ()):
            item.add_marker("services")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduler:
    """Makes pytest-xdist use our scheduler."""
    return Scheduler(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Starts Apache Kafka again if it was stopped and another test on it comes after all."""
    for kafka in _started:
        if _uses_apache(item) and not kafka.is_running:
            kafka.start()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stops Apache Kafka after a worker's tests on it, because an idle broker uses 3 % of a processor."""
    # A worker gets many of these tests in a row. Without workers, they come among others.
    if "PYTEST_XDIST_WORKER" in os.environ and _uses_apache(item) and not (nextitem and _uses_apache(nextitem)):
        for kafka in _started:
            kafka.stop()


def _uses_apache(item: pytest.Item) -> bool:
    """Returns whether a test uses the fixture :func:`apache`."""
    return is_on_apache(item.nodeid) and not {"apache", "broker"}.isdisjoint(getattr(item, "fixturenames", ()))


def _time_limit(item: pytest.Item) -> float:
    """Returns a test's time limit in seconds."""
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0] if mark else item.config.getini("timeout"))


def leave_out(part: str, why: str) -> None:
    """Skips a test whose tools are missing, or fails it if ``CCSTREAM_DEMAND`` names its part."""
    if part in os.environ.get("CCSTREAM_DEMAND", "").split(","):
        pytest.fail(f"{part} is demanded, but {why}")
    pytest.skip(f"skipped: {why}")


@pytest.fixture(scope="session")
def services() -> Iterator[dict[str, str]]:
    """Runs the embedded broker and PostgreSQL for the whole session; yields their environment variables."""
    with embedded_services() as variables:
        set_durable(variables["DATABASE_URL"], durable=False)
        yield variables


@pytest.fixture(scope="session")
def apache() -> Iterator[ApacheKafka]:
    """Runs Apache Kafka with the compose file's configuration except for its ports."""
    if missing := missing_tools():
        leave_out("kafka", f"Apache Kafka needs {missing}")
    with running_kafka(free_port(), flags=SHORT_LIVED) as kafka:
        _started.append(kafka)
        yield kafka


@pytest.fixture(params=["embedded", "apache"])
def broker(request: pytest.FixtureRequest, services: dict[str, str]) -> str:
    """Returns the address of each broker in turn."""
    if request.param == "embedded":
        return services["KAFKA_BOOTSTRAP_SERVERS"]
    kafka: ApacheKafka = request.getfixturevalue("apache")
    address: str = kafka.address
    return address


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Returns a random generator. Its seed is printed; to use it again, set ``CCSTREAM_TEST_SEED``."""
    seed = int(os.environ.get("CCSTREAM_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"{request.node.name}: CCSTREAM_TEST_SEED={seed}")
    return random.Random(seed)  # noqa: S311


def at_length(short: Amount, long: Amount) -> Amount:
    """Returns a number of rounds, faults, events or seconds, or what else there may be more of.

    It returns ``long`` under ``make test-faults``, else ``short``.
    """
    return long if os.environ.get("CCSTREAM_FAULTS") == "long" else short


@contextlib.contextmanager
def make_database(services: dict[str, str], template: str = "template1") -> Iterator[str]:
    """Creates a database as a copy of another, yields its URL, and drops it at the end."""
    base = services["DATABASE_URL"]
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield base.rpartition("/")[0] + f"/{name}"
    with psycopg.connect(base, autocommit=True) as connection:
        # Only a superuser may drop WITH (FORCE) while an autovacuum worker is in the database.
        sessions = "FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
        connection.execute(f"SELECT pg_terminate_backend(pid) {sessions}", [name])
        connection.execute(f'DROP DATABASE "{name}"')


@pytest.fixture
def database(services: dict[str, str]) -> Iterator[str]:
    """Yields the URL of an empty database for one test."""
    with make_database(services) as url:
        yield url


@pytest.fixture(scope="session")
def tables(services: dict[str, str]) -> Iterator[str]:
    """Yields the name of a database with ccstream's empty tables. Copying it saves seconds against creating them."""
    with make_database(services) as url, make_pipeline(services["KAFKA_BOOTSTRAP_SERVERS"], url) as pipeline:
        pipeline.create_topic(1)
        pipeline.run("consume", "--until-caught-up")
        pipeline.execute("DELETE FROM kafka_offsets")
        yield url.rpartition("/")[2]


@pytest.fixture
def postgres(services: dict[str, str]) -> Iterator[embedded.Postgres]:
    """Yields PostgreSQL for tests that stop or kill it. It is safe against crashes, and runs again at the end."""
    set_durable(services["DATABASE_URL"], durable=True)
    server = embedded.Postgres()
    yield server
    server.start()
    set_durable(services["DATABASE_URL"], durable=False)


@pytest.fixture
def pipeline(broker: str, database: str) -> Iterator[Pipeline]:
    """Yields a pipeline on each broker in turn."""
    with make_pipeline(broker, database) as made:
        yield made


@pytest.fixture
def tabled_pipeline(broker: str, services: dict[str, str], tables: str) -> Iterator[Pipeline]:
    """Yields a pipeline on each broker in turn, whose database has empty tables."""
    with make_database(services, tables) as url, make_pipeline(broker, url) as made:
        yield made


@pytest.fixture(params=["apache"])
def apache_pipeline(apache: ApacheKafka, database: str) -> Iterator[Pipeline]:
    """Yields a pipeline on Apache Kafka, for tests of what the embedded broker cannot do."""
    with make_pipeline(apache.address, database) as made:
        yield made


@pytest.fixture
def embedded_pipeline(services: dict[str, str], database: str) -> Iterator[Pipeline]:
    """Yields a pipeline on the embedded broker, for tests that do not depend on the broker."""
    with make_pipeline(services["KAFKA_BOOTSTRAP_SERVERS"], database) as made:
        yield made


@pytest.fixture
def lone_pipeline() -> Iterator[Pipeline]:
    """Yields a pipeline without services, for commands that end before they connect to one."""
    with make_pipeline(f"localhost:{free_port()}", f"postgresql://a:b@localhost:{free_port()}/c") as made:
        yield made


def fill(pipeline: Pipeline) -> Pipeline:
    """Stores 2,000 transactions from 2026-01-01, at an hour when most are in US dollars."""
    flags = ("--seed", "5", "--start-time", "2026-01-01T18:00:00Z", "--rate", "max", "--count", "2000")
    pipeline.run("produce", *flags)
    pipeline.run("consume", "--until-caught-up")
    return pipeline


def score(pipeline: Pipeline) -> Pipeline:
    """Stores 20,000 transactions of two and a half days with labels and truth, and scores them by the rules."""
    world = ("--rate", "0.1", "--start-time", "2026-01-05", "--speed", "max", "--seed", "5", "--fraud", "0.02")
    pipeline.run("produce", *world, "--count", "20000", "--label-delay", "lognormal:2h", "--quiet")
    pipeline.run("consume", "--truth", "--until-caught-up")
    pipeline.run("analyze", "--no-default-model", "--until-caught-up")
    return pipeline


@pytest.fixture
def filled(embedded_pipeline: Pipeline) -> Pipeline:
    """Returns a pipeline with the transactions of :func:`fill`."""
    return fill(embedded_pipeline)


@pytest.fixture
def scored(embedded_pipeline: Pipeline) -> Pipeline:
    """Returns a pipeline with the transactions of :func:`score`."""
    return score(embedded_pipeline)


@pytest.fixture
def engine(embedded_pipeline: Pipeline) -> Iterator[ccstream.KpiEngine]:
    """Yields an engine that follows the pipeline's database."""
    with ccstream.KpiEngine.from_database(embedded_pipeline.database_url) as engine:
        yield engine


def micros(moment: int) -> datetime:
    """Converts a moment of the engine to PostgreSQL's form: a naive datetime in UTC."""
    return datetime(1970, 1, 1, tzinfo=timezone.utc).replace(tzinfo=None) + timedelta(microseconds=moment)
