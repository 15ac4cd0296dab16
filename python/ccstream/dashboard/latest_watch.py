"""Reads the latest transactions in a separate thread, once for all pages that show the same ones."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from ccstream.dashboard import latest_tables
from ccstream.dashboard.watch import Watch

if TYPE_CHECKING:
    from ccstream.dashboard.latest_tables import Latest
    from ccstream.dashboard.orders_where import Slice

EVERY = 2.0
"""The interval, in seconds, at which transactions are read. It is that of the page which refreshes most often."""


class Asked(NamedTuple):
    """Holds what a page shows: which transactions, and the maximum number of them."""

    which: Slice
    most: int


@dataclass(frozen=True)
class LatestState:
    """Holds the most recent reading.

    Attributes:
        latest: the transactions; None if none were read yet, or if they may not be read.
        read_at: the time of the reading, in seconds since 1970.
        why: the error of the last reading; empty if it succeeded.
    """

    latest: Latest | None = None
    read_at: float = 0.0
    why: str = ""


class LatestWatch(Watch[Asked, LatestState]):
    """Reads the latest transactions until the process ends, while pages ask for them.

    Args:
        url: the URL of the database.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        super().__init__("ccstream-latest", LatestState())

    def read(self, asked: Slice, count: int) -> LatestState:
        """Returns the most recent transactions. It waits only for the first ones, and only for a second.

        Args:
            asked: which transactions.
            count: the maximum number of them.
        """
        return self._get(Asked(asked, count))

    def _read(self, asked: Asked, before: LatestState) -> tuple[LatestState, float]:
        """Reads transactions. After an error, they stay as they were."""
        try:
            return LatestState(latest_tables.read(self._url, *asked), time.time()), EVERY
        except psycopg.Error as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            return replace(before, why=lines[0]), EVERY
