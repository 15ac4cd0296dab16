"""Waiting for what must come, however busy the machine is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

LIMIT = 240.0
"""Seconds within which everything comes that has to come at all, also on a machine that is busy with other things."""


def wait_until(
    what: str, is_true: Callable[[], bool], limit: float = LIMIT, state: Callable[[], str] = lambda: ""
) -> None:
    """Waits until something is true; ``what`` says it in the failure, and ``state`` how far it was."""
    began = time.monotonic()
    while not is_true():
        assert time.monotonic() < began + limit, f"not within {limit} s: {what} {state()}"
        pause(began)


def pause(began: float) -> None:
    """Sleeps between two looks: the longer, the longer one has looked, so that looking costs a test little."""
    time.sleep(min(max((time.monotonic() - began) / 20, 0.02), 0.3))


def wait_for_line(child: subprocess.Popen[str], part: str) -> list[str]:
    """Reads a child's lines up to one that holds ``part``; fails where it ends before."""
    assert child.stdout is not None
    lines = []
    for line in child.stdout:
        lines.append(line.rstrip("\n"))
        if part in line:
            return lines
    raise AssertionError(f"ended before {part!r}: {lines}")
