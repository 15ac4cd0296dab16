"""Folders and processes that go with the process of tests that made them, however it ends: also where it is killed.

``keeper.py FOLDER`` waits until its stdin, a pipe that the tests' process holds, is closed. Then it kills every process
that has the folder in its command line or environment, or whose id a service's note there has, and removes the folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

PATIENCE = 10.0
"""Seconds within which what is killed has ended."""


class KeptFolder:
    """A new temporary folder. With it go, at the latest when this process ends, all other processes that name it."""

    def __init__(self, prefix: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        # In another session, where no Ctrl-C reaches it.
        command = [sys.executable, __file__, str(self.path)]
        self._keeper = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def remove(self) -> None:
        """Ends what still runs there, and removes it."""
        self._keeper.communicate()


def clean(folder: str) -> None:
    """Kills the processes that name a folder, or that a note there names, and removes it."""
    import psutil  # noqa: PLC0415

    notes = [json.loads(note.read_text()) for note in Path(folder).glob("*/*.json")]
    noted = {(note["pid"], note["created"]) for note in notes}
    killed = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            names = [*process.cmdline(), *process.environ().values()]
            is_ours = any(folder in name for name in names) or (process.pid, process.create_time()) in noted
            if is_ours and process.pid != os.getpid():
                process.kill()
                killed.append(process)
    # A zombie stays until its parent asks, which may be waiting for us.
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and any(process.is_running() and not _is_zombie(process) for process in killed):
        time.sleep(0.02)
    shutil.rmtree(folder, ignore_errors=True)


def _is_zombie(process: psutil.Process) -> bool:
    import psutil  # noqa: PLC0415

    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    return True


if __name__ == "__main__":
    sys.stdin.read()
    clean(sys.argv[1])
