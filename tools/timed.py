"""Runs a command and prints its wall time, and the processor time of all its children and services.

The usage is ``timed.py NAME COMMAND [ARGUMENT ...]``. On Linux, this process adopts services that outlive the process
that started them, and counts their processor time when they end. Other systems count only children that were waited
for.
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
"""The option of ``prctl(2)`` with which orphaned descendants become children of this process instead of init."""
PATIENCE = 10.0
"""The time limit for services to end after the command, in seconds."""


def adopt_orphans() -> None:
    """Makes this process the parent of descendants whose parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap() -> None:
    """Waits for adopted children, whose processor time is then counted."""
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
    # Ctrl-C in a terminal also reaches the command, so this process only waits for the command's end.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    # An adopted service that has ended is a zombie, which looks alive to others. It is therefore reaped at once.
    pid = status = 0
    while pid != child.pid:
        pid, status = os.wait()
    status = child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    reap()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = used.ru_utime + used.ru_stime
    print(f"{name}: {wall / 60:.1f} min wall time, {processor / 60:.1f} min processor time", flush=True)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
