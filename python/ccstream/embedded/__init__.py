"""Runs a Kafka-compatible broker and a PostgreSQL from Python wheels, without root, a JVM or Docker.

Both listen at the addresses in ``KAFKA_BOOTSTRAP_SERVERS`` and ``DATABASE_URL``, on this machine only. The broker holds
its topics in memory. It starts as a new cluster each time, which tells a consumer that the old topics are gone.
PostgreSQL's data and the logs are in ``CCSTREAM_HOME`` (default: ``/var/lib/ccstream`` for root, else
``~/.local/share/ccstream``).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ccstream.embedded.broker import Broker
from ccstream.embedded.postgres import Postgres
from ccstream.embedded.service import Service, home, is_taken
from ccstream.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Broker", "Postgres", "Service", "State", "down", "home", "is_taken", "services", "states", "up"]


def services() -> list[Service]:
    """Returns both services, in the order in which they start."""
    return [Postgres(), Broker()]


def up(say: Callable[[str], object]) -> list[Service]:
    """Starts the services that do not answer yet. After an error, it stops those that it has started.

    Args:
        say: a function that prints one line.

    Returns:
        The services that this call started.

    Raises:
        ServiceError: a port is taken by another program, or a service did not start.
    """
    if sys.platform == "win32":
        raise ServiceError("the embedded services do not run on Windows; use docker-compose up -d", 2)
    started: list[Service] = []
    try:
        for service in services():
            port = service.address.port
            if service.start():
                started.append(service)
                say(f"✓ {service.title} runs on port {port} (log: {service.log})")
            else:
                say(f"✓ {service.title} answers on port {port} already")
            for line in service.warnings():
                say(f"  {line}")
    except BaseException:
        for service in reversed(started):
            service.stop()
        raise
    return started


def down(say: Callable[[str], object]) -> None:
    """Stops the services that were started with :func:`up` and are still running.

    Args:
        say: a function that prints one line.
    """
    for service in reversed(services()):
        ended = service.stop()
        say(
            f"✓ {service.title} is stopped"
            if ended
            else f"- {service.title} was not running, or was started by another program"
        )


@dataclass(frozen=True)
class State:
    """Holds the state of a service.

    Attributes:
        service: the service's name.
        answers: whether a service of this kind answers at its address.
        port: the port of its address.
        process: the id of its process; None if it was not started by ccstream.
        log: the path of its log; None if it was not started by ccstream.
    """

    service: str
    answers: bool
    port: int
    process: int | None
    log: str | None

    def __str__(self) -> str:
        whose = f"process {self.process}, log {self.log}" if self.process else "not started by ccstream"
        state = f"answers on port {self.port} ({whose})" if self.answers else "is not running"
        return f"{'✓' if self.answers else '✗'} {self.service} {state}"


def states() -> list[State]:
    """Returns the state of both services."""
    found = []
    for service in services():
        process = service.process()
        found.append(
            State(
                service.title,
                service.answers(),
                service.address.port,
                process.pid if process else None,
                str(service.log) if process else None,
            )
        )
    return found
