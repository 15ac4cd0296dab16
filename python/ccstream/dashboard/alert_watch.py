"""Reads the open alerts in a separate thread, once for all pages that show them."""

from __future__ import annotations

import psycopg

from ccstream.dashboard import alert_tables
from ccstream.dashboard.alert_tables import Alert, Filters
from ccstream.dashboard.watch import Watch

EVERY = 5.0
"""The interval, in seconds, at which alerts are read."""


class AlertWatch(Watch[int, list[Alert]]):
    """Reads the most urgent open alerts until the process ends, while pages ask for them.

    Args:
        url: the URL of the database.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        super().__init__("ccstream-alerts", [])

    def read(self, most: int) -> list[Alert]:
        """Returns the open alerts, the most urgent first. It waits only for the first reading, and only for a second.

        Args:
            most: the maximum number of alerts.
        """
        return self._get(most)

    def _read(self, asked: int, before: list[Alert]) -> tuple[list[Alert], float]:
        """Reads the alerts. After an error, they stay as they were: the page says that the database is unavailable."""
        try:
            found = alert_tables.read(self._url, Filters(states=("open",)), None, asked)
        except psycopg.Error:
            return before, EVERY
        return ([] if found is None else found.alerts), EVERY
