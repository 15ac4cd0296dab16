"""Implements ``ccstream demo``, which runs services, producer, consumer and dashboard together until Ctrl-C.

Every part runs in a separate process group. Ctrl-C therefore reaches only this process, which stops the parts in order.
"""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from ccstream import embedded, settings
from ccstream.console import LiveLine, Printer
from ccstream.dashboard import serve
from ccstream.embedded.user import open_log
from ccstream.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import psycopg

START_LIMIT = 60.0
"""The time limit for the first rows and for the page, in seconds."""
STOP_LIMIT = 15.0
"""The time, in seconds, after which a part that has not ended is killed."""


@dataclass
class Part:
    """Holds one process of the demo.

    Attributes:
        title: the part's name for people.
        process: the process.
        log: the file that its output goes to.
    """

    title: str
    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(cls, title: str, arguments: Sequence[str]) -> Part:
        """Starts ``python -m ARGUMENTS``."""
        log = embedded.home() / f"demo-{title}.log"
        log.unlink(missing_ok=True)
        with open_log(log) as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(title, process, log)

    def check(self) -> None:
        """Checks that the process is still running.

        Raises:
            ServiceError: the process has ended.
        """
        if self.process.poll() is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])
            raise ServiceError(f"the {self.title} ended; the end of its log {self.log}:\n{tail or '(empty)'}")

    def stop(self) -> None:
        """Terminates the process, and kills it if it has not ended within the limit."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class _Stopped(BaseException):
    """Ctrl-C or SIGTERM was received. This is not an ``Exception``, so that no handler takes it for an error."""


def run(*, rate: float, dashboard_port: int) -> int:
    """Starts all parts, shows how many rows arrive, and stops what it started.

    Args:
        rate: the number of events a second, or infinity.
        dashboard_port: the port of the page.

    Returns:
        The exit status, which is 0 after Ctrl-C.

    Raises:
        ServiceError: a part is not installed, a port is taken, or a part ended by itself. Everything that was started
            here has been stopped.
    """
    serve.check_installed()
    if embedded.is_taken(dashboard_port):
        raise ServiceError(
            f"port {dashboard_port} is taken by another program, so the dashboard cannot start there; "
            "end that program, or give another port with --dashboard-port"
        )

    def stop(_number: int, _frame: object) -> None:
        raise _Stopped

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    started: list[embedded.Service] = []
    parts: list[Part] = []
    line = LiveLine(Printer("demo", json=False))
    try:
        started = embedded.up(print)
        _start_parts(parts, rate, dashboard_port)
        _watch(parts, line, dashboard_port)
    except _Stopped:
        return 0
    finally:
        # A second Ctrl-C is ignored, because it would leave parts running.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        line.end()
        _stop_all(parts, started)


def _start_parts(parts: list[Part], rate: float, dashboard_port: int) -> None:
    paced = "max" if math.isinf(rate) else str(rate)
    parts.append(Part.start("producer", ["ccstream", "produce", "--rate", paced]))
    parts.append(Part.start("consumer", ["ccstream", "consume"]))
    parts.append(Part.start("dashboard", ["ccstream", "dashboard", "--port", str(dashboard_port)]))


def _watch(parts: list[Part], line: LiveLine, dashboard_port: int) -> NoReturn:
    """Waits for the first rows and the page, prints the page's address, and shows the number of rows until Ctrl-C."""
    import psycopg  # noqa: PLC0415

    address = f"http://localhost:{dashboard_port}"
    print("  Waiting for the first rows...", flush=True)
    with psycopg.connect(settings.database_url(), autocommit=True, prepare_threshold=None) as connection:
        before = _rows(connection)
        until = time.monotonic() + START_LIMIT
        while _rows(connection) == before or not _serves(address):
            if time.monotonic() > until:
                raise ServiceError(f"no rows or no page after {START_LIMIT:.0f} s; see the logs in {embedded.home()}")
            for part in parts:
                part.check()
            time.sleep(0.2)
        print(f"✓ The dashboard is at {address}", flush=True)
        print(f"  Logs: {embedded.home()}/demo-*.log. Ctrl-C stops everything that was started here.", flush=True)
        last, at = _rows(connection), time.monotonic()
        line.show_now(f"{last:,} rows in orders")
        while True:
            time.sleep(1)
            for part in parts:
                part.check()
            rows, now = _rows(connection), time.monotonic()
            line.show(f"{rows:,} rows in orders, {(rows - last) / (now - at):,.0f} new a second")
            last, at = rows, now


def _rows(connection: psycopg.Connection) -> int:
    """Returns the number of stored rows. It sums the counters of ``kafka_offsets`` instead of scanning ``orders``."""
    found = connection.execute("SELECT to_regclass('kafka_offsets') IS NOT NULL").fetchone()
    if not (found and found[0]):
        return 0
    counted = connection.execute("SELECT coalesce(sum(stored), 0)::bigint FROM kafka_offsets").fetchone()
    return int(counted[0]) if counted else 0


def _serves(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1) as answer:  # noqa: S310
            return bool(answer.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, OSError):
        return False


def _stop_all(parts: list[Part], services: list[embedded.Service]) -> None:
    for part in parts:
        part.stop()
    for service in reversed(services):
        service.stop()
    ended = [part.title for part in parts] + [service.title.removeprefix("the ") for service in reversed(services)]
    if ended:
        print(f"Stopped: {', '.join(ended)}", flush=True)
