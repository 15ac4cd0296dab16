"""A command of ccstream that runs beside a test."""

from __future__ import annotations

import re
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from waiting import LIMIT

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


@dataclass
class Running:
    """A command that runs, and what it has printed so far."""

    process: subprocess.Popen[Any]
    log: Path

    def output(self) -> str:
        """All of it."""
        return self.log.read_text(errors="replace")

    def wait_for(self, part: str, limit: float = LIMIT) -> None:
        """Waits until it has printed a part of a line."""
        until = time.monotonic() + limit
        while part not in self.output():
            assert self.process.poll() is None, f"ended before {part!r}: {self.output()}"
            assert time.monotonic() < until, f"not within {limit} s: {part!r} in {self.output()}"
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Waits until it ends and returns its exit status."""
        return self.process.wait(LIMIT)

    def stop(self) -> int:
        """Sends it SIGTERM and returns its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def accounts(self) -> tuple[int, int, int]:
        """What a producer that has ended says that it sent, that Kafka has, and that failed."""
        found = re.search(r"Sent ([\d,]+), acknowledged ([\d,]+), failed ([\d,]+) in", self.output())
        assert found is not None, self.output()
        sent, acknowledged, failed = (int(number.replace(",", "")) for number in found.groups())
        return sent, acknowledged, failed

    def sent_again(self) -> int:
        """What a producer that has ended says that it sent again, and may be in the topic more than once."""
        found = re.search(r"\] ! ([\d,]+) were sent again", self.output())
        return int(found.group(1).replace(",", "")) if found else 0

    def acknowledged(self) -> int:
        """What a producer that has ended says that Kafka has of it; all that it sent."""
        sent, acknowledged, failed = self.accounts()
        assert (acknowledged, failed) == (sent, 0), self.output()
        return acknowledged
