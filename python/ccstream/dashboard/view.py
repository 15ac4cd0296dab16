"""Defines the settings of a page, and converts them to and from its address, without Streamlit or the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from ccstream.dashboard.custom import MAX_AMOUNT, Custom, CustomError
from ccstream.dashboard.dimensions import UNKNOWN, meant
from ccstream.declared import DIMENSIONS

SPANS: dict[str, tuple[str, timedelta | None]] = {
    "5m": ("5 min", timedelta(minutes=5)),
    "15m": ("15 min", timedelta(minutes=15)),
    "1h": ("1 h", timedelta(hours=1)),
    "6h": ("6 h", timedelta(hours=6)),
    "24h": ("24 h", timedelta(days=1)),
    "7d": ("7 d", timedelta(days=7)),
    "30d": ("30 d", timedelta(days=30)),
    "90d": ("90 d", timedelta(days=90)),
    "all": ("All", None),
}
"""For each time range in the address, its name on the page and its length."""
FROM_TO = "from-to"
CHARTED = {
    "approved_share": "Approval rate",
    "count": "Transactions",
    "value": "Value",
    "average": "Average purchase",
    "refunds": "Refunds",
    "declined": "Declined",
}
"""The measures that the charts can show, each with its name on the page."""
STACKS = {
    "outcome": "Outcome",
    "payment_method": "Payment method",
    "category": "Category",
    "country": "Country",
    "entry_mode": "Entry mode",
    "segment": "Segment",
}
"""What the bars of transactions over time can be divided by, each with its name on the page."""
BEFORE, WEEK = "before", "week"
COMPARED = {BEFORE: "The period before", WEEK: "A week before"}
"""What the large chart can compare with, each with its name on the page."""
LATEST = (10, 25, 50, 100)
EVERY = (2, 3, 5, 10)
"""The possible intervals between two refreshes, in seconds."""
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""The possible scores from which a transaction counts as found. Each is a lower bound of a cell of ``score_day``."""
TURNS = (5, 10, 20, 30, 60, 120)
"""The possible times, in seconds, for which a wall shows one part of the page."""
LOCAL, UTC = "local", "utc"
"""The time zones in which a page shows times: that of the viewer's browser, and UTC."""
MOST_KPIS = 12
"""The maximum number of the viewer's own KPIs. Each costs a query at every refresh."""
_CHOSEN = ("latest", "every", "metric", "stack", "compare", "threshold", "zone", "turn")
"""The settings that have one of a few values."""
_MOST_NOTES = 5
_YEARS = range(1970, 2100)

Filters = Mapping[str, tuple[str, ...]]
N = TypeVar("N", int, float, str)


@dataclass(frozen=True)
class View:
    """Holds the settings of a page.

    Attributes:
        span: a key of :data:`SPANS`, or ``from-to`` with ``start`` and ``end``.
        start: the start of the range (inclusive), in UTC.
        end: the end of the range (exclusive), in UTC.
        filters: for each filtered dimension, the values to include; :data:`UNKNOWN` stands for an absent value.
        min_amount: the smallest amount to include, in units of the currency; None for no limit.
        max_amount: the largest amount to include, in units of the currency; None for no limit.
        money: the currency whose amounts are added up. None selects the only currency in the filter, or else the most
            frequent one.
        latest: the number of latest transactions to show.
        every: the interval between two refreshes, in seconds.
        metric: a key of :data:`CHARTED`, which the charts show.
        stack: a key of :data:`STACKS`, by which the bars of transactions over time are divided.
        compare: a key of :data:`COMPARED`, whose line the large chart has; empty for none.
        threshold: the score from which a transaction counts as found, in the figures of the quality of scores.
        zone: the time zone of times, :data:`LOCAL` or :data:`UTC`.
        is_wall: whether the page is shown on a wall: without controls, and one part after the other.
        turn: the time for which a wall shows one part, in seconds; one of :data:`TURNS`.
        customs: the viewer's own KPIs.
    """

    span: str = "1h"
    start: datetime | None = None
    end: datetime | None = None
    filters: Filters = field(default_factory=dict)
    min_amount: Decimal | None = None
    max_amount: Decimal | None = None
    money: str | None = None
    latest: int = LATEST[0]
    every: int = 5
    metric: str = "approved_share"
    stack: str = "outcome"
    compare: str = ""
    threshold: float = 0.5
    zone: str = LOCAL
    is_wall: bool = False
    turn: int = 20
    customs: tuple[Custom, ...] = ()

    @property
    def narrows(self) -> bool:
        """Whether there is a filter other than the time range."""
        return bool(self.filters) or self.min_amount is not None or self.max_amount is not None

    def question(self, rows: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Returns the arguments of ``KpiEngine.query`` that select rows and a currency.

        Args:
            rows: the filters, in the form that :meth:`rows` returns. Default: the filters of the page.
        """
        asked = dict(rows or self.rows())
        only = asked["filters"].get("currency", ())
        if self.money is not None:
            asked["currency"] = meant(self.money) or ""
        elif len(only) == 1:
            asked["currency"] = only[0] or ""
        if self.span == FROM_TO and self.start and self.end:
            return asked | {"start": self.start, "end": self.end, "before": True}
        length = SPANS[self.span][1] if self.span in SPANS else None
        return asked | ({"last": length, "before": True} if length else {})

    def rows(self) -> dict[str, Any]:
        """Returns the page's filters without time range and currency, as ``KpiEngine.latest`` takes them."""
        return {
            "filters": {name: [meant(value) for value in values] for name, values in self.filters.items()},
            "min_amount": self.min_amount,
            "max_amount": self.max_amount,
        }


def read(address: Mapping[str, list[str]]) -> tuple[View, list[str]]:
    """Parses an address.

    Returns:
        The view that the address describes, and a note for each part of it that is not valid.
    """
    notes: list[str] = []
    values = {name: texts[-1] for name, texts in address.items() if texts}
    known = {"range", "from", "to", "min", "max", "money", "kiosk", *_CHOSEN, "kpi", "open", *DIMENSIONS}
    notes += [
        f"The address has “{name}”, which is not a filter; it is ignored." for name in address if name not in known
    ]

    def chosen(name: str, choices: tuple[N, ...], usual: N) -> N:
        text = values.get(name)
        for choice in choices:
            if str(choice) == text:
                return choice
        if text is None:
            return usual
        notes.append(f"The address has {name}={text}, which is not valid; use one of {', '.join(map(str, choices))}.")
        return usual

    span = values.get("range", View.span)
    start, end = (_moment(name, values, notes) for name in ("from", "to"))
    if span == FROM_TO and not (start and end and start < end):
        notes.append("The address has no range from an earlier to a later time; all of time is shown.")
        span = "all"
    elif span not in SPANS and span != FROM_TO:
        notes.append(f"The address has range={span}, which is not valid; use one of {', '.join([*SPANS, FROM_TO])}.")
        span = View.span
    filters = {name: tuple(address[name]) for name in DIMENSIONS if address.get(name)}
    for value in filters.get("risk", ()):
        if value not in {"true", "false", UNKNOWN}:
            notes.append(f"The address has risk={value}, which is not valid; use true, false or {UNKNOWN}.")
            filters.pop("risk", None)
    view = View(
        span=span,
        start=start if span == FROM_TO else None,
        end=end if span == FROM_TO else None,
        filters=filters,
        min_amount=_amount("min", values, notes),
        max_amount=_amount("max", values, notes),
        money=values.get("money"),
        latest=chosen("latest", LATEST, View.latest),
        every=chosen("every", EVERY, View.every),
        metric=chosen("metric", tuple(CHARTED), View.metric),
        stack=chosen("stack", tuple(STACKS), View.stack),
        compare=chosen("compare", tuple(COMPARED), View.compare),
        threshold=chosen("threshold", THRESHOLDS, View.threshold),
        zone=chosen("zone", (LOCAL, UTC), View.zone),
        is_wall=chosen("kiosk", (0, 1), 0) == 1,
        turn=chosen("turn", TURNS, View.turn),
        customs=_customs(address.get("kpi", []), notes),
    )
    if len(notes) > _MOST_NOTES:
        notes[_MOST_NOTES:] = [f"{len(notes) - _MOST_NOTES} more parts of the address are not valid."]
    return view, notes


def write(view: View) -> dict[str, list[str]]:
    """Returns the address of a view, without the settings that have their default."""
    address = {name: list(values) for name, values in view.filters.items() if values}
    usual = View()
    for name, value, left_out in (
        ("range", view.span, usual.span),
        ("from", view.start and view.start.isoformat(), None),
        ("to", view.end and view.end.isoformat(), None),
        ("min", view.min_amount, None),
        ("max", view.max_amount, None),
        ("money", view.money, None),
        ("kiosk", int(view.is_wall), 0),
        *((name, getattr(view, name), getattr(usual, name)) for name in _CHOSEN),
    ):
        if value != left_out:
            address[name] = [str(value)]
    if view.customs:
        address["kpi"] = [custom.in_address() for custom in view.customs]
    return address


def _moment(name: str, values: Mapping[str, str], notes: list[str]) -> datetime | None:
    if name not in values:
        return None
    try:
        moment = datetime.fromisoformat(values[name])
    except ValueError:
        notes.append(f"The address has {name}={values[name]}, which is not a date.")
        return None
    if moment.year not in _YEARS:
        notes.append(f"The address has {name}={values[name]}, which is not in the years 1970 to 2099.")
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _amount(name: str, values: Mapping[str, str], notes: list[str]) -> Decimal | None:
    if name not in values:
        return None
    try:
        amount = Decimal(values[name])
        if amount.is_finite() and abs(amount) <= MAX_AMOUNT and amount == round(amount, 2):
            return amount
    except InvalidOperation:
        pass
    notes.append(f"The address has {name}={values[name]}, which is not a valid amount.")
    return None


def _customs(texts: list[str], notes: list[str]) -> tuple[Custom, ...]:
    found = []
    if len(texts) > MOST_KPIS:
        notes.append(f"The address has {len(texts)} KPIs; the first {MOST_KPIS} are shown.")
    for text in texts[:MOST_KPIS]:
        try:
            found.append(Custom.from_address(text))
        except CustomError as error:
            notes.append(f"The address has a KPI that cannot be shown: {error}.")
    return tuple(found)
