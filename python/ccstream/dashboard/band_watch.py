"""Reads usual bands in a separate thread, once for all pages that show the same range and series."""

from __future__ import annotations

import psycopg

from ccstream.dashboard import band_tables
from ccstream.dashboard.band_tables import Band, Series
from ccstream.dashboard.fraud_tables import Span
from ccstream.dashboard.watch import Watch

EVERY = 5.0
"""The interval, in seconds, at which a band is read."""


class BandWatch(Watch[tuple[Span, Series | None], Band]):
    """Reads bands of the approval rate until the process ends, while pages ask for them.

    Args:
        url: the URL of the database.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        super().__init__("ccstream-band", Band())

    def read(self, span: Span, series: Series | None) -> Band:
        """Returns the most recent band of a range. It waits only for the first one, and only for a second.

        Args:
            span: the range.
            series: the series; None for the alerts of the range alone.
        """
        return self._get((span, series))

    def _read(self, asked: tuple[Span, Series | None], before: Band) -> tuple[Band, float]:
        """Reads a band. After an error, it stays as it was.

        The panel "Fraud" reads the same database, and says why that fails.
        """
        try:
            return band_tables.read(self._url, *asked), EVERY
        except psycopg.Error:
            return before, EVERY
