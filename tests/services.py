"""Runs a separate embedded PostgreSQL and broker for tests, on free ports, and removes their data at the end."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg

from ccstream import embedded
from ccstream.embedded.postgres import run_alone
from keeper import KeptFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PORTS = range(20_000, 32_000)
"""The ports for services. Linux and macOS give clients higher ports, so no connection occupies one of these."""
CRASH_SAFETY = ("fsync", "full_page_writes")
"""The settings of PostgreSQL that matter only if it or the machine crashes."""
_claims: list[socket.socket] = []


def free_port() -> int:
    """Returns a port that nothing listens on, and that no other test process gets while this one runs.

    A process claims a TCP port by holding the UDP port of the same number until it ends.
    """
    while True:
        port = random.SystemRandom().choice(PORTS)
        claim = socket.socket(type=socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):
            claim.bind(("127.0.0.1", port))
            if not embedded.is_taken(port):
                _claims.append(claim)
                return port
        claim.close()


@contextlib.contextmanager
def free_places() -> Iterator[dict[str, str]]:
    """Yields free ports and an empty folder for both services, as environment variables."""
    folder = KeptFolder("ccstream-tests-")
    # Started by root, PostgreSQL runs as another user, who must be able to enter the folder.
    folder.path.chmod(0o755)
    try:
        yield {
            "CCSTREAM_HOME": str(folder.path / "home"),
            "KAFKA_BOOTSTRAP_SERVERS": f"localhost:{free_port()}",
            "DATABASE_URL": f"postgresql://kafka_user:kafka_password@localhost:{free_port()}/kafka_db",
        }
    finally:
        folder.remove()


@contextlib.contextmanager
def embedded_services() -> Iterator[dict[str, str]]:
    """Runs both services and yields the environment variables with their addresses, also set in this process."""
    with free_places() as variables:
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        started = []
        try:
            started = embedded.up(lambda _line: None)
            yield variables
        finally:
            for service in reversed(started):
                service.stop()
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def as_superuser(url: str, *statements: str) -> None:
    """Runs statements in a database as the superuser. As that user cannot log in, the server is stopped meanwhile."""
    server = embedded.Postgres()
    server.stop()
    run_alone(server.binaries(), server.data, urlsplit(url).path[1:], statements)
    server.start()


def set_durable(url: str, *, durable: bool) -> None:
    """Makes a PostgreSQL of the tests safe against crashes, as it is by default, or faster.

    Its user is not a superuser, so this writes the file of settings and makes the server read it.
    """
    data = embedded.home() / f"postgres-{urlsplit(url).port}"
    lines = "" if durable else "".join(f"{setting} = off\n" for setting in CRASH_SAFETY)
    (data / "postgresql.auto.conf").write_text(lines)
    os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGHUP)
    with psycopg.connect(url, autocommit=True) as connection:
        wanted = {"on" if durable else "off"}
        while {row[0] for setting in CRASH_SAFETY for row in connection.execute(f"SHOW {setting}")} != wanted:
            time.sleep(0.01)
