"""Reads the analyzer's tables for the panel "Fraud" in a separate thread, for each time range that a page shows."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import psycopg

from ccstream.dashboard.fraud_figures import Drift, drift
from ccstream.dashboard.fraud_tables import Days, Now, Span, Tables
from ccstream.dashboard.watch import PAUSES, Watch

EVERY, DAYS_EVERY = 5.0, 30.0
"""The intervals, in seconds, at which the recent and the daily figures are read."""
NONE_EVERY = 30.0
"""The interval, in seconds, at which absent tables are searched for."""


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


class FraudWatch(Watch[Span, FraudState]):
    """Reads the tables of a database until the process ends, while pages ask for them.

    Args:
        url: the URL of the database.
        topic: the topic of transactions.
    """

    def __init__(self, url: str, topic: str) -> None:
        self._tables = Tables(url, topic)
        self._newest = Newest()
        self._days: Days | None = None
        self._drift: Drift | None = None
        self._days_due = 0.0
        super().__init__("ccstream-fraud", FraudState())

    def read(self, span: Span, newest: Newest) -> FraudState:
        """Returns the most recent figures of a range. It waits only for the first ones, and only for a second.

        Args:
            span: the range.
            newest: how far transactions have come.
        """
        self._newest = newest
        return self._get(span)

    def _read(self, asked: Span, before: FraudState) -> tuple[FraudState, float]:
        """Reads a range, and the daily figures if they are due. After an error, the figures stay as they were."""
        newest = self._newest
        try:
            with self._tables.connect() as connection:
                now = self._tables.read_now(connection, asked)
            began = time.monotonic()
            if now is not None and began >= self._days_due:
                with self._tables.connect() as connection:
                    self._days = self._tables.read_days(connection)
                self._drift = None if self._days is None else drift(self._days)
                ended = time.monotonic()
                self._days_due = ended + max(DAYS_EVERY, PAUSES * (ended - began))
        except psycopg.Error as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            return replace(before, why=lines[0]), EVERY
        if now is None:
            return FraudState(), NONE_EVERY
        return FraudState(now, self._days, self._drift, newest, time.time()), EVERY
