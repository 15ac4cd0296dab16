"""Starts the parts of the demo, and shows what they store and what is planted."""

from __future__ import annotations

import math
import time
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ccstream import embedded
from ccstream.demo import plan as plans
from ccstream.demo import stored, texts
from ccstream.demo.parts import Part
from ccstream.demo.texts import utc_now
from ccstream.errors import ServiceError
from ccstream.terminal import paint

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

    from ccstream.console import LiveLine
    from ccstream.demo.stored import Ring

RULES = Path(__file__).with_name("alerts.toml")
"""The rules by which the analyzer raises alerts."""
STALL_LIMIT = 60.0
"""The time, in seconds, within which the first or more rows must be stored, and the page must be served."""
PATIENCE = 45.0
"""The time, in seconds, after which the page's address is printed even if the history is still being stored."""
RING_EVERY = 5.0
"""The interval between two questions about the ring, in seconds."""
ALMOST_NOW = timedelta(seconds=90)
"""The greatest age of the newest transaction if everything up to now is there, besides the usual time between two."""
RATE_OVER = 10
"""The number of seconds over which the rate is computed."""


class Show:
    """Runs the parts of the demo and prints what happens.

    Args:
        connection: a connection to the database.
        parts: a list to which each part is added when it starts.
        line: the line that shows the number of rows.
        dashboard_port: the port of the page.
    """

    def __init__(self, connection: psycopg.Connection, parts: list[Part], line: LiveLine, dashboard_port: int) -> None:
        self._connection = connection
        self._parts = parts
        self._line = line
        self._port = dashboard_port
        self._address = f"http://localhost:{dashboard_port}"
        self._plan = plans.Plan(utc_now(), math.inf)
        self._alert = 0

    def start(self, rate: float, history: timedelta) -> None:
        """Starts all parts, and returns when the page has something to show.

        Raises:
            ServiceError: a part has ended, or nothing is stored, or no page is served.
        """
        self._parts.append(Part.start("consumer", ["consume", "--truth"]))
        self._parts.append(Part.start("dashboard", ["dashboard", "--port", str(self._port)]))
        self._store_backlog()
        now = utc_now()
        found = stored.Stored.between(self._connection, now - history, now)
        self._plan = plans.make(now, rate, history, found)
        before, began = stored.rows(self._connection), time.monotonic()
        for text in texts.history(self._plan):
            self._say(text)
        self._parts.insert(0, Part.start("producer", ["produce", *self._plan.flags()]))
        self._wait_for_rows(before, began)
        # It starts after the history is stored, because the page is wanted first.
        self._alert = stored.newest_alert(self._connection)
        self._parts.insert(1, Part.start("analyzer", ["analyze", "--alerts", str(RULES)]))

    def watch(self) -> NoReturn:
        """Shows the number of rows, and each planted event when it comes, until a part ends.

        Raises:
            ServiceError: a part has ended.
        """
        counts: list[tuple[float, int]] = []
        ring: Ring | None = None
        ring_asked = 0.0
        is_scored = False
        seen = utc_now()
        while True:
            self._check()
            counts = [*counts[-RATE_OVER:], (time.monotonic(), stored.rows(self._connection))]
            now = utc_now()
            if self._plan.ring is not None and time.monotonic() - ring_asked >= RING_EVERY:
                ring_asked = time.monotonic()
                before, ring = ring, self._ring(self._plan.ring)
                if ring is not None and before is None:
                    self._say(*texts.ring_found(ring, self._address))
            if not is_scored and (scored := stored.scored(self._connection, now - self._almost())):
                is_scored = True
                self._say(*texts.scored(scored, self._address, self._plan))
            for text in self._outage_changed(seen, now):
                self._say(text)
            for one in stored.alerts(self._connection, self._alert, self._plan.now):
                self._alert = one.id
                self._say(*texts.alert(one, self._address))
            seen = now
            if len(counts) > 1:
                self._show(counts, texts.next_event(self._plan, ring, now))
            time.sleep(1)

    def _show(self, counts: list[tuple[float, int]], coming: str) -> None:
        (then, first), (now, last) = counts[0], counts[-1]
        rate = (last - first) / (now - then)
        each = f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"  # noqa: PLR2004
        text = f"{last:,} rows in orders, {each} new a second"
        self._line.show(f"{text}; {coming}" if coming else text)

    def _ring(self, begins: datetime) -> Ring | None:
        # Payments that are under way are stored some seconds later.
        return stored.ring(self._connection, begins, begins + plans.RING + timedelta(minutes=5))

    def _outage_changed(self, before: datetime, now: datetime) -> list[str]:
        """Says that the outage has begun or ended since the last time."""
        one = self._plan.outage
        if one is None:
            return []
        if before < one.begins <= now:
            return [f"! {one.subject} is out until {texts.clock(one.ends)}: its payments are declined (code 91)"]
        if before < one.ends <= now:
            return [f"✓ {one.subject} answers again"]
        return []

    def _store_backlog(self) -> None:
        """Waits until messages of an earlier start are stored, because the history continues the newest row."""
        waiting = stored.backlog(self._connection)
        began, last = time.monotonic(), waiting
        while waiting:
            self._check()
            self._line.show(f"{waiting:,} messages of an earlier start are stored first")
            time.sleep(0.5)
            waiting = stored.backlog(self._connection)
            began, last = (time.monotonic(), waiting) if waiting != last else (began, last)
            if time.monotonic() - began > STALL_LIMIT:
                raise ServiceError(
                    f"{waiting:,} messages of an earlier start are not stored after {STALL_LIMIT:.0f} s; "
                    f"see the log {self._parts[0].log}"
                )

    def _wait_for_rows(self, before: int, began: float) -> None:
        """Waits for the history and the page, and prints the page's address and what is planted."""
        progress, last, serves, is_announced = time.monotonic(), before, False, False
        while True:
            self._check()
            rows = stored.rows(self._connection)
            serves = serves or _serves(self._address)
            progress, last = (time.monotonic(), rows) if rows != last else (progress, last)
            is_whole = rows > before and self._is_current()
            if serves and (is_whole or time.monotonic() - began > PATIENCE) and rows > before and not is_announced:
                is_announced = True
                self._announce(rows - before if is_whole else None, time.monotonic() - began)
            if serves and is_whole:
                return
            if time.monotonic() - progress > STALL_LIMIT + self._gap():
                raise ServiceError(f"no new rows or no page for {STALL_LIMIT:.0f} s; see the logs in {embedded.home()}")
            if self._plan.is_history_long and rows > before:
                of = f" of about {self._plan.expected:,}" if rows - before < self._plan.expected else ""
                self._line.show(f"history: {rows - before:,}{of} rows")
            time.sleep(0.2)

    def _is_current(self) -> bool:
        """Returns whether the newest row is of now, so that the whole history is stored."""
        if self._plan.since is None:
            return True
        now = utc_now()
        newest = stored.newest(self._connection, now)
        return newest is not None and now - newest < self._almost()

    def _almost(self) -> timedelta:
        """Returns the greatest age of the newest transaction if everything up to now is there."""
        return ALMOST_NOW + timedelta(seconds=self._gap())

    def _gap(self) -> float:
        """Returns the longest usual time from one event to the next, in seconds."""
        return 10 / self._plan.rate

    def _announce(self, stored_rows: int | None, seconds: float) -> None:
        if stored_rows is not None and self._plan.is_history_long:
            self._say(f"✓ The history is stored: {stored_rows:,} rows in {seconds:.0f} s")
        elif stored_rows is None and self._plan.is_history_long:
            self._say("  The history is still being stored; the page shows what there is.")
        self._say(f"✓ The dashboard is at {self._address}/?range={self._plan.span}", "")
        if planted := texts.planted(self._plan, self._address, utc_now()):
            self._say(*planted, "", *texts.sql(), "")
        self._say(*texts.ending())

    def _say(self, *lines: str) -> None:
        self._line.end()
        for text in lines:
            print(paint(text), flush=True)

    def _check(self) -> None:
        for part in self._parts:
            part.check()


def _serves(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1) as answer:  # noqa: S310
            return bool(answer.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, OSError):
        return False
