"""What a child that crashed leaves behind: a failure that comes once in thousands of runs has to be told at once."""

from __future__ import annotations

import contextlib
import resource
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

CRASHES = {-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT, -signal.SIGILL, -signal.SIGFPE}
"""The statuses of a child that ended by its own fault."""


def keep_core(child: subprocess.Popen[Any]) -> None:
    """Lets a child write a core, into the folder that it runs in."""
    # It has ended already, or the machine forbids it.
    with contextlib.suppress(OSError, ValueError):
        resource.prlimit(child.pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def trace(child: subprocess.Popen[Any], folder: Path) -> str | None:
    """The calls of the thread that crashed, and the innermost of each other; None where no child crashed.

    Needs gdb, and a kernel that writes cores into files. Our module's addresses have no names: less where it begins
    (``From``), they are found by ``addr2line -f -e`` in the same sources built with ``--profile profiling``.
    """
    if child.returncode not in CRASHES:
        return None
    told = f"process {child.pid} ended with {child.returncode}"
    cores = sorted(folder.glob("core*"), key=lambda core: core.stat().st_mtime)
    gdb = shutil.which("gdb")
    if not cores or not gdb:
        return f"{told}: no core, or no gdb"
    asked = ("bt 25", "info sharedlibrary _ccstream", "thread apply all -q bt 6")
    options = [option for question in asked for option in ("-ex", question)]
    command = [gdb, "-batch", *options, sys.executable, str(cores[-1])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    lines = (line for line in done.stdout.splitlines() if not line.startswith(("[New LWP", "warning:")))
    return "\n".join((f"{told}:", *lines))
