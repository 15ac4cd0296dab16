"""A Kafka-compatible broker and a PostgreSQL from Python wheels: no root, no JVM, no Docker.

Both listen where ``KAFKA_BOOTSTRAP_SERVERS`` and ``DATABASE_URL`` say, on this machine only. The
broker keeps its topics in memory, and starts each time as a new cluster, so that a consumer knows
that they are gone. PostgreSQL keeps its data in ``CCSTREAM_HOME`` (default: ``/var/lib/ccstream`` as
root, else ``~/.local/share/ccstream``), beside the logs.
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
    """Both, in the order in which they start."""
    return [Postgres(), Broker()]


def up(say: Callable[[str], object]) -> list[Service]:
    """Starts what does not answer yet; on an error nothing that it started is left running.

    Args:
        say: takes a line for each service.

    Returns:
        The services that this call started.

    Raises:
        ServiceError: a port is taken by another program, or a service did not start.
    """
    if sys.platform == "win32":
        raise ServiceError("the embedded services have no build for Windows; use docker-compose up -d", 2)
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
    """Stops what was started here and still runs.

    Args:
        say: takes a line for each service.
    """
    for service in reversed(services()):
        ended = service.stop()
        say(f"✓ {service.title} is stopped" if ended else f"- {service.title} was not started here, or had ended")


@dataclass(frozen=True)
class State:
    """How a service is.

    Attributes:
        service: its name.
        answers: whether something answers where it listens.
        port: where that is.
        process: its process, where it was started here.
        log: its log, where it was started here.
    """

    service: str
    answers: bool
    port: int
    process: int | None
    log: str | None

    def __str__(self) -> str:
        whose = f"process {self.process}, log {self.log}" if self.process else "not started here"
        state = f"answers on port {self.port} ({whose})" if self.answers else "does not run"
        return f"{'✓' if self.answers else '✗'} {self.service} {state}"


def states() -> list[State]:
    """How both are."""
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
