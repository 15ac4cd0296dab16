"""Runs Debian's build of PostgreSQL with TLS, which the embedded build lacks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg

from keeper import KeptFolder
from services import free_port

BINARIES = Path("/usr/lib/postgresql")
START_LIMIT = 60.0
ACCESS = """\
local all all trust
hostssl all certified localhost cert
host all certified localhost reject
host all all localhost trust
"""
"""The rules for connections. The user ``certified`` needs a certificate of that name."""


def missing_postgres() -> str:
    """Returns the missing package; empty if it is installed."""
    return "" if _binaries() else "Debian's postgresql"


def _binaries() -> Path | None:
    found = sorted(BINARIES.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


class DebianPostgres:
    """Runs a separate server on localhost, whose data is removed at the end.

    Args:
        authority: the certificate of the authority that must have signed clients' certificates.
    """

    def __init__(self, authority: Path) -> None:
        binaries = _binaries()
        assert binaries
        self._binaries = binaries
        self._kept = KeptFolder("ccstream-tls-")
        self._folder = self._kept.path
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        self._folder.chmod(0o755)
        self._data = self._folder / "data"
        self._data.mkdir()
        if self._user:
            shutil.chown(self._data, self._user)
        self.port = free_port()
        self.log = self._folder / "log"
        self._run("initdb", "-D", str(self._data), "--no-sync", "-U", "owner", "--auth", "trust")
        (self._data / "pg_hba.conf").write_text(ACCESS)
        self._own("authority.crt", authority)
        settings = {
            "port": self.port,
            "listen_addresses": "localhost",
            "unix_socket_directories": self._folder,
            "log_connections": "on",
            "fsync": "off",
            "ssl_ca_file": "authority.crt",
        }
        lines = "".join(f"{name} = '{value}'\n" for name, value in settings.items())
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(lines)
        if self._user:
            shutil.chown(self._folder, self._user)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self._data],
                user=self._user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + START_LIMIT
        while True:
            try:
                self.execute("CREATE ROLE certified LOGIN")
                break
            except psycopg.OperationalError:
                assert self._process.poll() is None, self.log.read_text()
                assert time.monotonic() < until, self.log.read_text()
                time.sleep(0.05)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run([self._binaries / program, *arguments], user=self._user, check=True, capture_output=True)

    def _own(self, name: str, source: Path) -> None:
        target = self._data / name
        shutil.copy(source, target)
        target.chmod(0o600)
        if self._user:
            shutil.chown(target, self._user)

    def execute(self, statement: str) -> None:
        """Runs a statement as the superuser ``owner``, over the socket."""
        with psycopg.connect(host=str(self._folder), port=self.port, user="owner", dbname="postgres") as connection:
            connection.execute(statement)

    @property
    def socket_url(self) -> str:
        """The URL of the database over the socket."""
        return f"postgresql:///postgres?host={self._folder}&port={self.port}&user=owner"

    def url(self, user: str = "owner") -> str:
        """Returns the URL of the database over TCP, without parameters."""
        return f"postgresql://{user}@localhost:{self.port}/postgres"

    def present(self, certificate: Path | None, key: Path | None) -> None:
        """Makes the server use another certificate for new connections; None turns TLS off."""
        if certificate and key:
            self._own("server.crt", certificate)
            self._own("server.key", key)
        state = "on" if certificate else "off"
        (self._data / "postgresql.auto.conf").write_text(f"ssl = {state}\n")
        before = self._loaded()
        self._process.send_signal(signal.SIGHUP)
        until = time.monotonic() + START_LIMIT
        while self._loaded() == before or self._setting("ssl") != state:
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.02)

    def _loaded(self) -> str:
        return self._ask("SELECT pg_conf_load_time()::text")

    def _setting(self, name: str) -> str:
        return self._ask(f"SHOW {name}")

    def _ask(self, query: str) -> str:
        with psycopg.connect(host=str(self._folder), port=self.port, user="owner", dbname="postgres") as connection:
            [[answer]] = connection.execute(query.encode()).fetchall()
        return str(answer)

    def has_seen(self, name: str) -> str:
        """Returns how an application connected: ``tls``, ``plain``, or empty if it did not connect."""
        for line in self.log.read_text().splitlines():
            if "connection authorized:" in line and f"application_name={name}" in line.split():
                return "tls" if "SSL enabled" in line else "plain"
        return ""

    def remove(self) -> None:
        """Stops the server and removes its data."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(START_LIMIT)
        self._kept.remove()
