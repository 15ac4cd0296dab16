"""Controls a command of ccstream that runs in parallel with a test."""

from __future__ import annotations

import json
import re
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from ccstream.events import (
    ANALYZER_EVENTS,
    CONSUMER_EVENTS,
    PRODUCER_EVENTS,
    ProducerWarningKind,
    WaitingKind,
    WarningKind,
)
from waiting import LIMIT, pause

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

# Of the two events that are called warning, the consumer's has all the fields of the producer's.
TYPES = {**PRODUCER_EVENTS, **ANALYZER_EVENTS, **CONSUMER_EVENTS}
KINDS = {*get_args(WarningKind), *get_args(ProducerWarningKind), *get_args(WaitingKind)}


def read_events(path: Path, name: str | None = None, **fields: object) -> list[dict[str, Any]]:
    """Reads the events of ``--events FILE``: all, or those with a name and with these values of fields."""
    # A test for the absence of a misspelt name, field or kind would always pass.
    assert set(fields) <= (set(TYPES[name].__annotations__) if name else set()), f"{name} has no {sorted(fields)}"
    assert fields.get("kind") in {None, *KINDS}, f"there is no kind {fields['kind']}"
    if not path.exists():
        return []
    # A line without a line break is still being written.
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    read = [json.loads(line) for line in whole.splitlines()]
    return [one for one in read if name in {None, one["event"]} and fields.items() <= one.items()]


def numbers_in(text: str) -> set[int]:
    """Returns the whole numbers in a sentence."""
    return {int(number.replace(",", "")) for number in re.findall(r"\d+(?:,\d{3})*", text)}


@dataclass
class Running:
    """Holds a running command, with what it has printed and which events it has reported so far."""

    process: subprocess.Popen[Any]
    log: Path
    events_file: Path

    def output(self) -> str:
        """Returns all that it has printed so far."""
        return self.log.read_text(errors="replace")

    def events(self, name: str | None = None, **fields: object) -> list[dict[str, Any]]:
        """Returns its events, as :func:`read_events` reads them."""
        return read_events(self.events_file, name, **fields)

    def warned(self, kind: WarningKind) -> list[dict[str, Any]]:
        """Returns its warnings of a kind."""
        return self.events("warning", kind=kind)

    def wait_for_event(self, name: str, limit: float = LIMIT, **fields: object) -> dict[str, Any]:
        """Waits until it has reported an event of a name, with these values of fields, and returns the first."""
        wanted = " ".join([name, *(f"{field}={value!r}" for field, value in fields.items())])
        began = time.monotonic()
        while True:
            # The order matters: the last events before the end are read after the end is seen.
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
        """Returns the last summary that the producer or the consumer has reported."""
        reports = self.events("ended") or self.events("progress")
        assert reports, self.output()
        found: dict[str, Any] = reports[-1]["summary"]
        return found

    def failure(self) -> dict[str, Any]:
        """Returns the event of the error that ended it."""
        found = self.events("failed")
        assert found, self.output()
        return found[0]

    def counted(self) -> tuple[int, int, int, int]:
        """Returns the numbers of consumed, stored, duplicate and rejected messages in the summary of a consumer."""
        found = self.summary()
        return found["consumed"], found["stored"], found["duplicate"], found["rejected"]

    def accounts(self) -> tuple[int, int, int]:
        """Returns the numbers of sent, acknowledged and failed events in the summary of a producer."""
        found = self.summary()
        return found["sent"], found["acknowledged"], found["failed"]

    def sent_again(self) -> int:
        """Returns the number of events that a producer has re-sent, which may be in the topic more than once."""
        return int(self.summary()["sent_again"])

    def acknowledged(self) -> int:
        """Returns the number of events that Kafka has acknowledged, and checks that it is the number sent."""
        sent, acknowledged, failed = self.accounts()
        assert (acknowledged, failed) == (sent, 0), self.output()
        return acknowledged
