"""Which calls a child's threads were in when it crashed, or are in while it stands still.

What happens once in thousands of runs has to be told at once. Needs gdb. Our module's addresses have no names: less
where it begins (``From``), ``addr2line -f -e`` finds them in the same sources built with ``--profile profiling``.
"""

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


def of_crash(child: subprocess.Popen[Any], folder: Path) -> str | None:
    """Those of a Python child that has ended; None where it did not crash.

    Needs a kernel that writes cores into files.
    """
    if child.returncode not in CRASHES:
        return None
    cores = sorted(folder.glob("core*"), key=lambda core: core.stat().st_mtime)
    found = _read(str(cores[-1]), "bt 25") if cores else "no core"
    return f"process {child.pid} ended with {child.returncode}: {found}"


def of_running(child: subprocess.Popen[Any]) -> str:
    """Those of a Python child that runs."""
    return f"process {child.pid}: {_read(str(child.pid))}"


def _read(core_or_pid: str, *first: str) -> str:
    if not (gdb := shutil.which("gdb")):
        return "no gdb"
    before = ("-iex", "set auto-load no", "-iex", "set width 0")
    asked = (*first, "info sharedlibrary _ccstream", "thread apply all bt 12")
    options = [option for question in asked for option in ("-ex", question)]
    done = subprocess.run(
        [gdb, "-batch", *before, *options, sys.executable, core_or_pid],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    lines = (line for line in done.stdout.splitlines() if not line.startswith(("[New LWP", "warning:")))
    return "\n".join(lines)
