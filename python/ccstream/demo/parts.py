"""Runs one part of the demo as a process in a separate process group, with a log."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ccstream import embedded
from ccstream.embedded.user import open_log
from ccstream.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STOP_LIMIT = 15.0
"""The time, in seconds, after which a part that has not ended is killed."""


@dataclass
class Part:
    """Holds one process of the demo.

    Attributes:
        title: the part's name for people.
        process: the process.
        log: the file that its output goes to.
    """

    title: str
    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(cls, title: str, arguments: Sequence[str]) -> Part:
        """Starts ``python -m ccstream ARGUMENTS``."""
        log = embedded.home() / f"demo-{title}.log"
        log.unlink(missing_ok=True)
        with open_log(log) as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "ccstream", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(title, process, log)

    def check(self) -> None:
        """Checks that the process is still running.

        Raises:
            ServiceError: the process has ended.
        """
        if self.process.poll() is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])
            raise ServiceError(f"the {self.title} ended; the end of its log {self.log}:\n{tail or '(empty)'}")

    def stop(self) -> None:
        """Terminates the process, and kills it if it has not ended within the limit."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
