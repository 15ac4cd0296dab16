"""Reads something again and again in a separate thread, while pages ask for it, so that a database never blocks a page.

All pages of a process share one watch. Reading takes at most a twentieth of the time.
"""

from __future__ import annotations

import threading
import time
from typing import Generic, TypeVar

PAUSES = 20
"""How many times the duration of a reading is the least pause after it."""
WANTED = 15.0
"""The time, in seconds, for which something is read after a page asked for it. Pages refresh more often."""
FIRST = 1.0
"""The time, in seconds, that a page waits for the first reading."""

Asked = TypeVar("Asked")
State = TypeVar("State")


class Watch(Generic[Asked, State]):
    """Reads each thing that a page has asked for recently, until the process ends.

    Args:
        name: the name of the thread.
        unknown: the state of what was not read yet.
    """

    def __init__(self, name: str, unknown: State) -> None:
        self._unknown = unknown
        self._changed = threading.Condition()
        self._wanted: dict[Asked, float] = {}
        self._due: dict[Asked, float] = {}
        self._states: dict[Asked, State] = {}
        self._rest_until = 0.0
        threading.Thread(target=self._watch, name=name, daemon=True).start()

    def _read(self, asked: Asked, before: State) -> tuple[State, float]:
        """Reads something. Returns its state, and the interval to the next reading in seconds.

        Args:
            asked: what is read.
            before: its state so far.
        """
        raise NotImplementedError

    def _get(self, asked: Asked) -> State:
        """Returns the most recent state. It waits only for the first one, and only for a second."""
        with self._changed:
            self._wanted[asked] = time.monotonic()
            self._changed.notify_all()
            self._changed.wait_for(lambda: asked in self._states, FIRST)
            return self._states.get(asked, self._unknown)

    def _watch(self) -> None:
        while True:
            asked = self._next()
            began = time.monotonic()
            state, every = self._read(asked, self._states.get(asked, self._unknown))
            ended = time.monotonic()
            with self._changed:
                self._states[asked] = state
                self._due[asked] = ended + every
                self._rest_until = ended + PAUSES * (ended - began)
                self._changed.notify_all()

    def _next(self) -> Asked:
        """Waits until something is due, and returns it. What no page asks for any more is forgotten.

        What was never read is due at once, so that a viewer who has chosen it does not wait.
        """
        with self._changed:
            while True:
                now = time.monotonic()
                for asked in [one for one, at in self._wanted.items() if now - at > WANTED]:
                    self._wanted.pop(asked, None)
                    self._due.pop(asked, None)
                    self._states.pop(asked, None)
                first = min(self._wanted, key=lambda one: self._due.get(one, 0.0), default=None)
                if first is None:
                    self._changed.wait()
                    continue
                due = max(self._due[first], self._rest_until) if first in self._due else now
                if due <= now:
                    return first
                self._changed.wait(due - now)
