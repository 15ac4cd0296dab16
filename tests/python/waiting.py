"""Waits for events that must come, however busy the machine is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

LIMIT = 240.0
"""The time limit for everything that must happen, in seconds. It suffices on a busy machine, too."""


def wait_until(
    what: str, is_true: Callable[[], bool], limit: float = LIMIT, state: Callable[[], str] = lambda: ""
) -> None:
    """Waits until a condition is true. After the limit it fails with ``what`` was awaited and the ``state`` reached."""
    began = time.monotonic()
    while not is_true():
        assert time.monotonic() < began + limit, f"not within {limit} s: {what} {state()}"
        pause(began)


def pause(began: float) -> None:
    """Sleeps between two checks. The pause grows with the time since ``began``, so that checks cost little."""
    time.sleep(min(max((time.monotonic() - began) / 20, 0.02), 0.3))


def wait_for_line(child: subprocess.Popen[str], part: str) -> list[str]:
    """Reads a child's lines up to one that contains ``part``. Fails if the child ends before."""
    assert child.stdout is not None
    lines = []
    for line in child.stdout:
        lines.append(line.rstrip("\n"))
        if part in line:
            return lines
    raise AssertionError(f"ended before {part!r}: {lines}")
