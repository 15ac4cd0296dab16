"""A command of ccstream that runs beside a test."""

from __future__ import annotations

import json
import re
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from ccstream.events import CONSUMER_EVENTS, PRODUCER_EVENTS, WaitingKind, WarningKind
from waiting import LIMIT, pause

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

TYPES = {**CONSUMER_EVENTS, **PRODUCER_EVENTS}
KINDS = {*get_args(WarningKind), *get_args(WaitingKind)}


def read_events(path: Path, name: str | None = None, **fields: object) -> list[dict[str, Any]]:
    """Reads the events of ``--events FILE``: all, or those of a name with these values of fields."""
    # A name, a field or a kind that does not exist would be absent whatever happens.
    assert set(fields) <= (set(TYPES[name].__annotations__) if name else set()), f"{name} has no {sorted(fields)}"
    assert fields.get("kind") in {None, *KINDS}, f"there is no kind {fields['kind']}"
    if not path.exists():
        return []
    # A line that is not ended is still being written.
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    read = [json.loads(line) for line in whole.splitlines()]
    return [one for one in read if name in {None, one["event"]} and fields.items() <= one.items()]


def numbers_in(text: str) -> set[int]:
    """The whole numbers that a sentence names."""
    return {int(number.replace(",", "")) for number in re.findall(r"\d+(?:,\d{3})*", text)}


@dataclass
class Running:
    """A command that runs, what it has printed, and which events it has reported so far."""

    process: subprocess.Popen[Any]
    log: Path
    events_file: Path

    def output(self) -> str:
        """All of it."""
        return self.log.read_text(errors="replace")

    def events(self, name: str | None = None, **fields: object) -> list[dict[str, Any]]:
        """Its events, as :func:`read_events` reads them."""
        return read_events(self.events_file, name, **fields)

    def warned(self, kind: WarningKind) -> list[dict[str, Any]]:
        """Its warnings of a kind."""
        return self.events("warning", kind=kind)

    def wait_for_event(self, name: str, limit: float = LIMIT, **fields: object) -> dict[str, Any]:
        """Waits until it has reported an event of a name, with these values of fields, and returns the first."""
        wanted = " ".join([name, *(f"{field}={value!r}" for field, value in fields.items())])
        began = time.monotonic()
        while True:
            # In this order: an event that it reports just before it ends counts.
            ended = self.process.poll() is not None
            if found := self.events(name, **fields):
                return found[0]
            assert not ended, f"ended before {wanted}: {self.output()}"
            assert time.monotonic() < began + limit, f"not within {limit} s: {wanted} in {self.output()}"
            pause(began)

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

    def summary(self) -> dict[str, Any]:
        """What it reports in the end that its run came to: a producer, which says so on the way too, or a consumer."""
        reports = self.events("ended") or self.events("progress")
        assert reports, self.output()
        found: dict[str, Any] = reports[-1]["summary"]
        return found

    def failure(self) -> dict[str, Any]:
        """The error that ended it."""
        found = self.events("failed")
        assert found, self.output()
        return found[0]

    def counted(self) -> tuple[int, int, int, int]:
        """What a consumer that has ended says that it consumed, stored, and found duplicate, and rejected."""
        found = self.summary()
        return found["consumed"], found["stored"], found["duplicate"], found["rejected"]

    def accounts(self) -> tuple[int, int, int]:
        """What a producer that has ended says that it sent, that Kafka has, and that failed."""
        found = self.summary()
        return found["sent"], found["acknowledged"], found["failed"]

    def sent_again(self) -> int:
        """What a producer that has ended says that it sent again, and may be in the topic more than once."""
        return int(self.summary()["sent_again"])

    def acknowledged(self) -> int:
        """What a producer that has ended says that Kafka has of it; all that it sent."""
        sent, acknowledged, failed = self.accounts()
        assert (acknowledged, failed) == (sent, 0), self.output()
        return acknowledged
