"""Implements ``ccstream demo``, which runs services, producer, consumer and dashboard together until Ctrl-C.

Every part runs in a separate process group. Ctrl-C therefore reaches only this process, which stops the parts in order.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from ccstream import embedded, settings
from ccstream.console import LiveLine, Printer
from ccstream.dashboard import serve
from ccstream.demo.plan import length_of_history
from ccstream.demo.show import Show
from ccstream.errors import ServiceError

if TYPE_CHECKING:
    from datetime import timedelta

    from ccstream.demo.parts import Part


class _Stopped(BaseException):
    """Ctrl-C or SIGTERM was received. This is not an ``Exception``, so that no handler takes it for an error."""


def run(*, rate: float, history: timedelta | None, dashboard_port: int) -> int:
    """Starts all parts, shows what happens, and stops what it started.

    Args:
        rate: the number of events a second, or infinity.
        history: the length of the history; None for a week, or less at a high rate.
        dashboard_port: the port of the page.

    Returns:
        The exit status, which is 0 after Ctrl-C.

    Raises:
        ServiceError: a part is not installed, a port is taken, or a part ended by itself. Everything that was started
            here has been stopped.
    """
    import psycopg  # noqa: PLC0415

    serve.check_installed()
    length = length_of_history(rate, history)
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
        with psycopg.connect(settings.database_url(), autocommit=True, prepare_threshold=None) as connection:
            show = Show(connection, parts, line, dashboard_port)
            show.start(rate, length)
            show.watch()
    except _Stopped:
        return 0
    except psycopg.Error as error:
        reason = str(error).strip().splitlines() or ["no reason is known"]
        raise ServiceError(f"PostgreSQL failed: {reason[0]}") from error
    finally:
        # A second Ctrl-C is ignored, because it would leave parts running.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        line.end()
        _stop_all(parts, started)


def _stop_all(parts: list[Part], services: list[embedded.Service]) -> None:
    for part in parts:
        part.stop()
    for service in reversed(services):
        service.stop()
    ended = [part.title for part in parts] + [service.title.removeprefix("the ") for service in reversed(services)]
    if ended:
        print(f"Stopped: {', '.join(ended)}", flush=True)
    if parts:
        print("What was stored stays in PostgreSQL.", flush=True)
