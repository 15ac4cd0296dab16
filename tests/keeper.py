"""Removes the folders and processes that a test process has created, however that process ends, even by SIGKILL.

``keeper.py FOLDER`` waits until its stdin is closed, which is a pipe that the test process holds. Then it kills every
process that has the folder in its command line or environment, and those whose ids services have written to files in
it. In the end it removes the folder.
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
"""The time limit for killed processes to end, in seconds."""


class KeptFolder:
    """Is a new temporary folder. It and all processes that name it are removed when this process ends, or earlier."""

    def __init__(self, prefix: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        # The keeper runs in another session, so that Ctrl-C does not reach it.
        command = [sys.executable, __file__, str(self.path)]
        self._keeper = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def remove(self) -> None:
        """Kills the processes that name the folder, and removes the folder."""
        self._keeper.communicate()


def clean(folder: str) -> None:
    """Kills the processes that name a folder or are named in it, and removes the folder."""
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
    # A zombie remains until its parent reaps it, and the parent may be waiting for this process.
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
