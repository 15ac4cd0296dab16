"""Decides what the demo sends: how much history, and what is planted when. All moments are in UTC."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ccstream.errors import ServiceError
from ccstream.flags import DEMO_EVENTS

if TYPE_CHECKING:
    from ccstream.demo.stored import Stored

HISTORY = timedelta(days=7)
"""The length of the history, unless it has too many events or another length is chosen."""
SEED = 1
"""The seed of the world. It is fixed, so that a second start has the same people."""
MALFORMED = 0.0001
"""The share of malformed messages, so that there are some dead letters."""
RING = timedelta(minutes=90)
"""The time within which a ring tests its cards."""
NETWORK = "visa"
"""The network that goes out. It has nearly half of all payments at every hour, so everybody sees its outage."""
ISSUER = "Brightwater Bank"
"""The issuer that was out within the history."""


@dataclass(frozen=True)
class Outage:
    """Holds the outage of a network or an issuer, whose cards are then declined with response code 91.

    Attributes:
        kind: the kind of incident, as ``--incident`` has it.
        subject: the name of the network or the issuer.
        begins: when it begins.
        ends: when it ends.
    """

    kind: str
    subject: str
    begins: datetime
    ends: datetime

    @property
    def flag(self) -> str:
        """The outage as ``--incident`` takes it."""
        minutes = round((self.ends - self.begins) / timedelta(minutes=1))
        return f"{self.kind}@{self.begins.isoformat()}+{minutes}m:{self.subject}"


@dataclass(frozen=True)
class Plan:
    """Holds what a start of the demo sends.

    Attributes:
        now: the moment of the plan.
        rate: the number of events a second, or infinity. Nothing is planted at infinity.
        since: the beginning of the history; None for none.
        continues: whether the history continues rows of an earlier start.
        newer: the newest row of a stream before which the history comes, if there is one.
        earlier: an outage within the history, if the history is long enough.
        outage: the outage soon after the start.
        ring: when a ring begins to test stolen cards.
        span: the time range with which the page opens, as its address has it.
    """

    now: datetime
    rate: float
    since: datetime | None = None
    continues: bool = False
    newer: datetime | None = None
    earlier: Outage | None = None
    outage: Outage | None = None
    ring: datetime | None = None
    span: str = "1h"

    @property
    def expected(self) -> int:
        """The expected number of events in the history."""
        return 0 if self.since is None else round((self.now - self.since).total_seconds() * self.rate)

    @property
    def is_history_long(self) -> bool:
        """Whether the history takes a while."""
        return self.expected >= 1000  # noqa: PLR2004

    @property
    def outages(self) -> list[Outage]:
        """The planned outages."""
        return [one for one in (self.earlier, self.outage) if one is not None]

    def flags(self) -> list[str]:
        """Returns the flags of ``ccstream produce``."""
        if math.isinf(self.rate):
            return ["--rate", "max"]
        flags = ["--rate", str(self.rate), "--seed", str(SEED), "--label-delay", "lognormal:1d"]
        flags += ["--malformed", str(MALFORMED)]
        flags += [] if self.since is None else ["--backfill", self.since.isoformat()]
        flags += [part for one in self.outages for part in ("--incident", one.flag)]
        return flags if self.ring is None else [*flags, "--campaign", f"S5@{self.ring.isoformat()}"]


def length_of_history(rate: float, wanted: timedelta | None) -> timedelta:
    """Returns the length of the history at a rate: the wanted one, if there is one.

    Raises:
        ServiceError: a history is wanted at an infinite rate.
    """
    if math.isinf(rate):
        if wanted:
            raise ServiceError(
                "a history needs a number of events a second; give one as --rate, or leave out --history", 2
            )
        return timedelta()
    return wanted if wanted is not None else min(HISTORY, timedelta(seconds=DEMO_EVENTS / rate))


def make(now: datetime, rate: float, history: timedelta, stored: Stored) -> Plan:
    """Makes the plan of a start.

    Args:
        now: the current time in UTC.
        rate: the number of events a second, or infinity.
        history: the length of the history.
        stored: the rows of that time that exist already.
    """
    if math.isinf(rate):
        return Plan(now, rate)
    since = now - history
    continues = stored.newest is not None and stored.hours >= stored.hours_without_rows
    if continues and stored.newest is not None:
        # The minute of the newest row has its rows. A history begins in the past.
        since = min(max(since, stored.newest + timedelta(minutes=1)), now - timedelta(seconds=1))
    covered = timedelta(hours=stored.hours) if continues else history
    outage = _full_minute(now + timedelta(minutes=3))
    # Three hours of this time of day are one bar of the charts of a week.
    earlier = (now - timedelta(days=2)).replace(hour=15, minute=0, second=0, microsecond=0)
    return Plan(
        now=now,
        rate=rate,
        since=since if history else None,
        continues=continues and bool(history),
        newer=None if continues or not history else stored.newest,
        earlier=Outage("issuer_out", ISSUER, earlier, earlier + timedelta(hours=3)) if earlier > since else None,
        outage=Outage("network_out", NETWORK, outage, outage + timedelta(minutes=10)),
        ring=_full_minute(now + timedelta(minutes=1)),
        span="7d" if covered > timedelta(days=1) else "24h" if covered > timedelta(hours=1) else "1h",
    )


def _full_minute(moment: datetime) -> datetime:
    """Returns the next full minute."""
    return moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
