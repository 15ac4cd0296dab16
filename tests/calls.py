"""Shows the calls of a child's threads, at the time of a crash or while the child is suspended.

A crash that happens once in thousands of runs must be explained by its first report. This needs gdb. The addresses of
our module have no names. Subtract the module's start address (``From``), and look the result up with
``addr2line -f -e`` in a build of the same sources with ``--profile profiling``.
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
"""The exit statuses of a child that crashed."""


def keep_core(child: subprocess.Popen[Any]) -> None:
    """Allows a child to write a core file into its working folder."""
    # This fails if the child has ended already, or if the machine forbids it.
    with contextlib.suppress(OSError, ValueError):
        resource.prlimit(child.pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def of_crash(child: subprocess.Popen[Any], folder: Path) -> str | None:
    """Returns the calls of a Python child that has crashed; None if it did not crash.

    The kernel must write core files.
    """
    if child.returncode not in CRASHES:
        return None
    cores = sorted(folder.glob("core*"), key=lambda core: core.stat().st_mtime)
    found = _read(str(cores[-1]), "bt 25") if cores else "no core"
    return f"process {child.pid} ended with {child.returncode}: {found}"


def of_running(child: subprocess.Popen[Any]) -> str:
    """Returns the calls of a running Python child."""
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
