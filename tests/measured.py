"""Runs a command and says what it took, with every process that it started: ``measured.py COMMAND ARGUMENT ...``.

The shell's ``time`` misses processes that nobody waited for, such as a browser's and the services of ``ccstream up``.
On Linux these become children of this process once their parent has ended.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    """Runs the command, and returns its exit status."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    began = time.monotonic()
    command = subprocess.Popen(sys.argv[1:])
    # A terminal's Ctrl-C reaches the command too, and its end is waited for.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: command.terminate())
    pid = status = 0
    while pid != command.pid:
        pid, status = os.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall, processor = time.monotonic() - began, used.ru_utime + used.ru_stime
    print(
        f"{sys.argv[1]}: {wall:.0f} s of wall time, {processor:.0f} s of processor time over all processes", flush=True
    )
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
