"""Runs a command and prints what it took: the clock's time, and the processor's over all children and services.

``timed.py NAME COMMAND [ARGUMENT ...]``. Services that a test leaves to run by themselves are adopted on Linux, so that
their processor time is counted once they end; elsewhere only what the command itself waited for is.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
"""``prctl(2)``: orphaned descendants become this process's children, not init's."""
PATIENCE = 10.0
"""Seconds that services may take to end after the command did."""


def adopt_orphans() -> None:
    """Makes this process the parent of descendants whose own parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap() -> None:
    """Waits for adopted children, whose processor time then counts as ours."""
    until = time.monotonic() + PATIENCE
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < until:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.05)


def main() -> int:
    """Runs the command and returns its exit status."""
    name, *command = sys.argv[1:]
    adopt_orphans()
    began = time.monotonic()
    child = subprocess.Popen(command)
    # A terminal's Ctrl-C reaches the command too, and its end is waited for.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    # An adopted service that has ended is a zombie, which looks alive, until it is waited for: at once, not at the end.
    pid = status = 0
    while pid != child.pid:
        pid, status = os.wait()
    status = child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    reap()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = used.ru_utime + used.ru_stime
    print(f"{name}: {wall / 60:.1f} min of wall, {processor / 60:.1f} min of processor", flush=True)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
