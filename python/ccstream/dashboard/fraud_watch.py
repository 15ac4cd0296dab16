"""Reads the analyzer's tables in a separate thread, so that a slow database never blocks the page.

All pages of a process share one watch. It reads each time range that a page has asked for recently, which
takes at most a twentieth of the time.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace

import psycopg

from ccstream.dashboard.fraud_figures import Drift, drift
from ccstream.dashboard.fraud_tables import Days, Now, Span, Tables

EVERY, DAYS_EVERY = 5.0, 30.0
"""The intervals, in seconds, at which the recent and the daily figures are read."""
NONE_EVERY = 30.0
"""The interval, in seconds, at which absent tables are searched for."""
PAUSES = 20
"""How many times the duration of a reading is the least pause after it."""
WANTED = 15.0
"""The time, in seconds, for which a range is read after a page asked for it. Pages refresh more often."""
FIRST = 1.0
"""The time, in seconds, that a page waits for the first reading of a range."""


@dataclass(frozen=True)
class Newest:
    """Holds how far transactions have come, as a page knew it before a reading, so that the lag is not overstated.

    Attributes:
        ends: the end offset of each partition of the topic; empty if unknown.
        time: the time of the newest transaction in ``orders``, in microseconds since 1970 UTC; None without one.
    """

    ends: dict[int, int] = field(default_factory=dict)
    time: int | None = None


@dataclass(frozen=True)
class FraudState:
    """Holds the most recent readings.

    Attributes:
        now: the recent figures; None if there is nothing to show.
        days: the daily figures; None if there are none.
        drift: the drift of scores and features; None if ``days`` is.
        newest: how far transactions had come before the reading of ``now``.
        read_at: the time of the reading of ``now``, in seconds since 1970.
        why: the error of the last reading; empty if it succeeded.
    """

    now: Now | None = None
    days: Days | None = None
    drift: Drift | None = None
    newest: Newest = field(default_factory=Newest)
    read_at: float = 0.0
    why: str = ""


class FraudWatch:
    """Reads the tables of a database until the process ends, while pages ask for them.

    Args:
        url: the URL of the database.
        topic: the topic of transactions.
    """

    def __init__(self, url: str, topic: str) -> None:
        self._tables = Tables(url, topic)
        self._changed = threading.Condition()
        self._wanted: dict[Span, float] = {}
        self._due: dict[Span, float] = {}
        self._states: dict[Span, FraudState] = {}
        self._newest = Newest()
        self._rest_until = 0.0
        self._days: Days | None = None
        self._drift: Drift | None = None
        self._days_due = 0.0
        threading.Thread(target=self._watch, name="ccstream-fraud", daemon=True).start()

    def read(self, span: Span, newest: Newest) -> FraudState:
        """Returns the most recent figures of a range. It waits only for the first ones, and only for a second.

        Args:
            span: the range.
            newest: how far transactions have come.
        """
        with self._changed:
            self._newest = newest
            self._wanted[span] = time.monotonic()
            self._changed.notify_all()
            self._changed.wait_for(lambda: span in self._states, FIRST)
            return self._states.get(span, FraudState())

    def _watch(self) -> None:
        while True:
            span = self._next()
            began = time.monotonic()
            state = self._read(span)
            ended = time.monotonic()
            every = EVERY if state.now or state.why else NONE_EVERY
            with self._changed:
                self._states[span] = state
                self._due[span] = ended + every
                self._rest_until = ended + PAUSES * (ended - began)
                self._changed.notify_all()

    def _next(self) -> Span:
        """Waits until a range is due, and returns it. Ranges that no page asks for any more are forgotten.

        A range that was never read is due at once, so that a viewer who has chosen it does not wait.
        """
        with self._changed:
            while True:
                now = time.monotonic()
                for span in [one for one, asked in self._wanted.items() if now - asked > WANTED]:
                    for known in (self._wanted, self._due, self._states):
                        known.pop(span, None)
                first = min(self._wanted, key=lambda one: self._due.get(one, 0.0), default=None)
                if first is None:
                    self._changed.wait()
                    continue
                due = max(self._due[first], self._rest_until) if first in self._due else now
                if due <= now:
                    return first
                self._changed.wait(due - now)

    def _read(self, span: Span) -> FraudState:
        """Reads a range, and the daily figures if they are due. After an error, the figures stay as they were."""
        before, newest = self._states.get(span, FraudState()), self._newest
        try:
            with self._tables.connect() as connection:
                now = self._tables.read_now(connection, span)
            began = time.monotonic()
            if now is not None and began >= self._days_due:
                with self._tables.connect() as connection:
                    self._days = self._tables.read_days(connection)
                self._drift = None if self._days is None else drift(self._days)
                ended = time.monotonic()
                self._days_due = ended + max(DAYS_EVERY, PAUSES * (ended - began))
        except psycopg.Error as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            return replace(before, why=lines[0])
        if now is None:
            return FraudState()
        return FraudState(now, self._days, self._drift, newest, time.time())
