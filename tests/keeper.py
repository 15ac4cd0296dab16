"""Folders and processes that go with the process of tests that made them, however it ends: also where it is killed.

``keeper.py FOLDER`` waits until its stdin, a pipe that the tests' process holds, is closed. Then it kills every process
that has the folder in its command line or environment, and removes the folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


class KeptFolder:
    """A new temporary folder. With it go, at the latest when this process ends, all other processes that name it."""

    def __init__(self, prefix: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        # In a session of its own, where no Ctrl-C reaches it.
        command = [sys.executable, __file__, str(self.path)]
        self._keeper = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def remove(self) -> None:
        """Ends what still runs there, and removes it."""
        self._keeper.communicate()


def clean(folder: str) -> None:
    """Kills the processes that name a folder, and removes it."""
    import psutil  # noqa: PLC0415

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            names = [*process.cmdline(), *process.environ().values()]
            if process.pid != os.getpid() and any(folder in name for name in names):
                process.kill()
                process.wait()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.stdin.read()
    clean(sys.argv[1])
