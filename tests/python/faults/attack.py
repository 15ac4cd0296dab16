"""Defines the faults of the attack, which affect real processes and real connections.

A fault is a function of the scene and of a random generator. It returns when it is over: the suspended process
continues, the killed service answers again, the connection works. The time to catch up is measured from there. Two
faults of the same target never happen at once.
"""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil
import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition

from ccstream.errors import ServiceError
from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from apache_kafka import ApacheKafka
    from ccstream import embedded
    from faults.proxy import Link
    from pipeline import Pipeline
    from running import Running

PARTITIONS = 4
MOST_CONSUMERS = 4
HELPERS = f"""
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
AND (classid::bigint << 32 | objid::bigint) = {int.from_bytes(b"cchelper")}
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
"""Counts all sessions of consumers except the first one of each, by the advisory lock that they share."""


@dataclass
class Scene:
    """Holds the services, the commands and the proxies between them.

    Args:
        pipeline: the pipeline. Its broker is behind ``to_kafka`` for all clients. The tests use its database directly.
        kafka: the broker behind ``to_kafka``.
        to_kafka: the proxy in front of the broker.
        to_postgres: the proxy in front of the database, which only the consumers use.
        postgres: the server behind ``to_postgres``.
        flags: the flags of every consumer.
    """

    pipeline: Pipeline
    kafka: ApacheKafka
    to_kafka: Link
    to_postgres: Link
    postgres: embedded.Postgres
    flags: tuple[str, ...]
    consumers: list[Running] = field(default_factory=list)
    producer: Running | None = None

    def join(self, chance: random.Random) -> None:
        """Starts one more consumer."""
        rows, connections = chance.choice(["200", "5000", "50000"]), chance.choice(["1", "2", "3"])
        place = {"DATABASE_URL": self.to_postgres.url}
        flags = ("--batch-rows", rows, "--connections", connections, *self.flags)
        self.consumers.append(self.pipeline.consume(*flags, environment=place))

    def leave(self, chance: random.Random) -> None:
        """Stops one consumer with SIGTERM."""
        gone = self.consumers.pop(chance.randrange(len(self.consumers)))
        status = gone.stop()
        # SIGTERM kills a consumer that has no signal handlers yet. One that could not commit in time exits with 1 and a
        # warning.
        assert status in {0, -signal.SIGTERM} or (status == 1 and gone.warned("drain_limit")), gone.output()

    def check(self) -> None:
        """Checks that none of the commands has ended by itself."""
        for running in (*self.consumers, *filter(None, [self.producer])):
            assert running.process.poll() is None, f"it ended by itself: {running.output()}"

    def is_in_transaction(self, consumer: Running) -> bool:
        """Returns whether a session of a suspended consumer is in the middle of a transaction and makes no progress."""
        query = "SELECT pid, xact_start, query FROM pg_stat_activity WHERE state <> 'idle' AND client_port = ANY(%s)"
        # The connection may be cut and the server may end meanwhile.
        with contextlib.suppress(psycopg.OperationalError, OSError), self.pipeline.connect() as connection:
            ports = self.to_postgres.ports_of(psutil.Process(consumer.process.pid))
            before = connection.execute(query, [ports]).fetchall()
            time.sleep(0.05)
            return not set(before).isdisjoint(connection.execute(query, [ports]).fetchall())
        return False

    def start_postgres(self) -> None:
        """Starts PostgreSQL. It retries, because processes of a killed server may still hold its shared memory."""
        until = time.monotonic() + LIMIT
        while True:
            try:
                self.postgres.start()
            except ServiceError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
            else:
                return

    def end_postgres(self, number: signal.Signals) -> None:
        """Sends the postmaster a signal that ends it, and waits for the end."""
        process = self.postgres.process()
        assert process is not None
        process.send_signal(number)
        process.wait(LIMIT)


class MetNothingError(Exception):
    """The situation that a fault waits for did not occur, so the fault does not count."""


def must(happened: object) -> None:
    """Checks that a fault has met the situation that it waits for.

    Raises:
        MetNothingError: the situation did not occur.
    """
    if not happened:
        raise MetNothingError


def kill_consumer(scene: Scene, chance: random.Random) -> None:
    gone = scene.consumers.pop(chance.randrange(len(scene.consumers)))
    gone.signal(signal.SIGKILL)
    gone.wait()
    scene.join(chance)


def stop_consumer(scene: Scene, chance: random.Random) -> None:
    victim = chance.choice(scene.consumers)
    # About half of the stops exceed the session timeout of 6 s. Another consumer then takes over the partitions.
    with scene.pipeline.frozen(victim):
        time.sleep(chance.uniform(0.2, 12))


def stop_in_transaction(scene: Scene, chance: random.Random) -> None:
    victim = chance.choice(scene.consumers)
    for _ in range(100):
        with scene.pipeline.frozen(victim):
            if scene.is_in_transaction(victim):
                time.sleep(chance.uniform(0.2, 12))
                return
        time.sleep(chance.uniform(0, 0.02))
    raise MetNothingError


def consumer_joins(scene: Scene, chance: random.Random) -> None:
    if len(scene.consumers) == MOST_CONSUMERS:
        scene.leave(chance)
    scene.join(chance)


def consumer_leaves(scene: Scene, chance: random.Random) -> None:
    if len(scene.consumers) == 1:
        scene.join(chance)
    scene.leave(chance)


def _ends_postgres(number: signal.Signals) -> Callable[[Scene, random.Random], None]:
    def do(scene: Scene, chance: random.Random) -> None:
        scene.end_postgres(number)
        time.sleep(chance.uniform(0, 2))
        scene.start_postgres()

    return do


def kill_session(scene: Scene, chance: random.Random) -> None:
    # PostgreSQL assumes that a killed session has damaged shared memory: it ends every session and recovers.
    process = scene.postgres.process()
    assert process is not None

    def is_session(one: psutil.Process) -> bool:
        return one.info["ppid"] == process.pid and "kafka_user" in " ".join(one.info["cmdline"] or ())

    # `children()` would fail if a child ended before it is inspected.
    sessions = [one for one in psutil.process_iter(["ppid", "cmdline"]) if is_session(one)]
    must(sessions)
    try:
        chance.choice(sessions).kill()
    except psutil.NoSuchProcess as gone:
        raise MetNothingError from gone
    wait_until("PostgreSQL recovers", scene.postgres.answers)


def end_sessions(scene: Scene, _chance: random.Random) -> None:
    try:
        must(scene.pipeline.end_sessions())
    except psycopg.OperationalError as error:
        raise MetNothingError from error


def kill_kafka(scene: Scene, chance: random.Random) -> None:
    scene.kafka.kill()
    time.sleep(chance.uniform(0, 2))
    scene.kafka.start()


def stop_kafka(scene: Scene, chance: random.Random) -> None:
    with scene.pipeline.frozen(scene.kafka):
        time.sleep(chance.uniform(0.2, 8))


Fault = Callable[[Scene, random.Random], None]


def of_line(name: str, line: Callable[[Scene], Link]) -> dict[str, Fault]:
    """Returns the faults of a connection through a proxy."""
    return {
        f"{name} stalls for 0.2 to 10 s": lambda scene, chance: line(scene).stall(chance.uniform(0.2, 10)),
        f"{name} is slow": lambda scene, chance: line(scene).slow(chance.uniform(1, 5), chance.uniform(0.005, 0.2)),
        f"{name} is cut": lambda scene, _: line(scene).cut(),
        f"{name} is cut in the middle of a message": lambda scene, _: must(line(scene).halve()),
    }


FAULTS: dict[str, dict[str, Fault]] = {
    "consumers": {
        "a consumer is killed (SIGKILL), another started": kill_consumer,
        "a consumer is stopped (SIGSTOP) for 0.2 to 12 s": stop_consumer,
        "a consumer is stopped in the middle of a transaction": stop_in_transaction,
        "a consumer joins": consumer_joins,
        "a consumer leaves (SIGTERM)": consumer_leaves,
    },
    "PostgreSQL": {
        "PostgreSQL's postmaster is killed (SIGKILL), then started": _ends_postgres(signal.SIGKILL),
        "PostgreSQL is shut down at once (immediate), then started": _ends_postgres(signal.SIGQUIT),
        "PostgreSQL is shut down (fast), then started": _ends_postgres(signal.SIGINT),
        "one of PostgreSQL's sessions is killed (SIGKILL): it recovers": kill_session,
        "all sessions are ended by an operator": end_sessions,
    },
    "Kafka": {
        "Kafka is killed (SIGKILL), then started": kill_kafka,
        "Kafka is stopped (SIGSTOP) for 0.2 to 8 s": stop_kafka,
    },
    "the line to PostgreSQL": {
        **of_line("the line to PostgreSQL", lambda scene: scene.to_postgres),
        "the line to PostgreSQL is cut between a COMMIT and its answer": lambda scene, _: must(
            scene.to_postgres.silence()
        ),
    },
    "the line to Kafka": of_line("the line to Kafka", lambda scene: scene.to_kafka),
}
"""The faults by target and by name. Each target gets the same share of the faults."""


class Progress:
    """Compares how far the tables are with how far the topic is.

    Args:
        scene: the scene, whose connections may be down.

    Attributes:
        helpers: the maximum of the consumers' additional sessions that was seen after catching up.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.helpers = 0

    def catch_up(self) -> float:
        """Waits until everything that the topic holds now is committed.

        Returns:
            The duration in seconds.
        """
        began = time.monotonic()
        until = began + LIMIT
        ends: dict[int, int] = {}
        reached: dict[int, int] = {}
        failed: Exception | None = None
        while True:
            try:
                ends = ends or self._ends()
                reached = dict(self._scene.pipeline.query("SELECT partition, next_offset FROM kafka_offsets"))
                if all(reached.get(partition, 0) >= end for partition, end in ends.items()):
                    took = time.monotonic() - began
                    # Additional sessions stay open, so it is enough to count them here.
                    [(helpers,)] = self._scene.pipeline.query(HELPERS)
                    self.helpers = max(self.helpers, helpers)
                    return took
            except (KafkaException, psycopg.OperationalError) as error:
                failed = error
            self._scene.check()
            where = f"at {reached} of {ends}, last error {failed!r}"
            assert time.monotonic() < until, f"not caught up within {LIMIT} s: {where}; {self._outputs()}"
            time.sleep(0.02)

    def _ends(self) -> dict[int, int]:
        # Each call uses a new client, because one that asks a starting broker may continue to see no partitions.
        pipeline = self._scene.pipeline
        reader = Consumer({"bootstrap.servers": pipeline.broker, "group.id": "asks", "log_level": 0})
        try:
            places = [TopicPartition(pipeline.topic, number) for number in range(PARTITIONS)]
            found = [reader.get_watermark_offsets(place, timeout=2) for place in places]
        finally:
            reader.close()
        # The offsets are None if no answer came in time.
        if any(marks is None for marks in found):
            raise KafkaException("no answer")
        return {number: marks[1] for number, marks in enumerate(found)}

    def _outputs(self) -> str:
        return "\n---\n".join(consumer.output()[-3000:] for consumer in self._scene.consumers)
