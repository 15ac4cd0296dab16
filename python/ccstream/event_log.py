"""Writes a run's events to a file for other programs, one JSON object on each line."""

from __future__ import annotations

import contextlib
import json
from dataclasses import is_dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccstream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from os import PathLike


class EventLog:
    """Appends events to a file. Each line holds the event's name as ``event``, its time as ``at``, and its fields.

    Times are written as RFC 3339 in UTC, durations as seconds, and summaries as objects.

    Args:
        path: the file. It is created if it does not exist.

    Raises:
        ConfigError: the file cannot be written.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = path
        with self._named_in_errors():
            # The file is buffered by lines, so that a reader sees each event at once.
            self._file = Path(path).open("a", buffering=1, encoding="utf-8")  # noqa: SIM115

    def on_event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Appends one event to the file."""
        line = json.dumps({"event": name, "at": datetime.now(timezone.utc).isoformat(), **fields}, default=plain)
        with self._named_in_errors():
            self._file.write(line + "\n")

    def close(self) -> None:
        """Closes the file."""
        with self._named_in_errors():
            self._file.close()

    @contextlib.contextmanager
    def _named_in_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(f"events: {self._path} cannot be written: {error.strerror}", 2) from error


def print_json(document: object) -> None:
    """Prints records, lists and dictionaries as one line of JSON: durations in seconds, bytes as text."""
    print(json.dumps(document, default=plain), flush=True)


def plain(value: object) -> Any:  # noqa: ANN401
    """Converts a duration, bytes or a record to a value that JSON can hold."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if is_dataclass(value):
        return vars(value)
    return {name: getattr(value, name) for name in dir(value) if not name.startswith("_")}
