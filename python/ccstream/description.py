"""Formats the shape of a stream of events, generated or replayed, for ``ccstream produce --describe``.

This module defines the types of the figures that ``Producer.describe()`` returns. To limit memory, names beyond a limit
(200,000 merchants, 1,000,000 cards) are counted together.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import TypedDict

from ccstream.text_charts import heat_map, log_bars, table

WIDTH = 80
"""The number of columns of the text."""
SHOWN = 12
"""The number of rows of each table. Further rows are only in the JSON document."""
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Zipf(TypedDict):
    """Is the fit ``frequency ~ rank ** -exponent``, by a regression of the logarithms."""

    exponent: float
    ranks: int
    """The last rank that was fitted; the first is 1."""
    least: int
    """The frequency of the last rank. Ranks whose frequency is below 5 are not fitted."""


class Names(TypedDict):
    """Describes how events are distributed over names."""

    distinct: int
    events: int
    """The number of events that have a name."""
    limit: int
    beyond_limit: int
    """The number of events with a name beyond the limit. Except for ``events``, no other figure includes them."""
    top_tenth_share: float | None
    """The share of events of the most frequent tenth of the names."""
    gini: float | None
    """The Gini coefficient: 0 if all names have the same number of events, near 1 if one name has all."""
    zipf: Zipf | None
    """None if fewer than ten ranks have a frequency of at least 5."""
    ranks: list[tuple[int, int]]
    """Some ranks, and the frequency of each."""
    top: list[tuple[str, int]]
    """The ten most frequent merchants. Empty for cards."""


class LogNormal(TypedDict):
    """Has the mean and the standard deviation of ``ln(amount)``."""

    name: str
    """The category; empty for all purchases."""
    count: int
    mu: float
    sigma: float


class Amounts(TypedDict):
    """Describes purchases, which are amounts above zero, in the most frequent currency."""

    currency: str
    share: float
    """The share of the purchases of all currencies."""
    all: LogNormal
    by_category: list[LogNormal]
    endings: list[tuple[int, float]]
    """An ending in cents, and the share of purchases that have it."""


class Approved(TypedDict):
    """Is the share of approved events among those that were approved or declined."""

    name: str
    count: int
    share: float


class Code(TypedDict):
    """Is a response code, and its share of the events that have one."""

    code: str
    count: int
    share: float


class Description(TypedDict):
    """Is the shape of a stream."""

    events: int
    malformed: dict[str, int]
    """The number of messages that a consumer would reject, by reason. No other figure includes them."""
    first: int | None
    """The earliest timestamp, in microseconds since 1970 UTC."""
    last: int | None
    merchants: Names
    cards: Names
    hours: list[list[int]]
    """The number of events by weekday, from Monday, and hour, in UTC."""
    refunds: float | None
    """The share of events with an amount below zero."""
    amounts: Amounts | None
    approved: Approved | None
    by_network: list[Approved]
    by_issuer: list[Approved]
    response_codes: list[Code]


def text(shape: Description) -> str:
    """Formats the shape as text, in lines of at most 80 columns."""
    parts = [
        _events(shape),
        _merchants(shape["merchants"]),
        _cards(shape["cards"]),
        _hours(shape["hours"]),
        _amounts(shape["amounts"]),
        _approved(shape),
        _codes(shape["response_codes"]),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}".replace("%", " %")


def _moment(micros: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=micros)
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _events(shape: Description) -> list[str]:
    lines = [f"{shape['events']:,} events"]
    first, last = shape["first"], shape["last"]
    if first is not None and last is not None:
        days = (last - first) / 86_400e6
        lines[0] += f" in {days:,.2f} days, {_percent(shape['refunds'])} refunds"
        lines.append(f"from {_moment(first)} to {_moment(last)} UTC")
    if shape["malformed"]:
        reasons = sorted(shape["malformed"].items(), key=lambda one: -one[1])
        lines.append(f"{sum(shape['malformed'].values()):,} malformed messages, which no other figure includes:")
        lines += [f"  {count:,} {reason}" for reason, count in reasons]
    return lines


def _merchants(names: Names) -> list[str]:
    if not names["distinct"]:
        return []
    share = _percent(names["top_tenth_share"])
    lines = [
        f"Merchants: {names['distinct']:,}; the top tenth has {share} of {names['events']:,} events",
        *_beyond(names),
    ]
    if (fit := names["zipf"]) is not None:
        ranks = f"ranks 1 to {fit['ranks']:,} ({fit['least']:,} events or more each)"
        lines.append(f"Zipf exponent {fit['exponent']:.2f}, fitted to {ranks}")
    lines.append("Events by rank; bars are logarithmic:")
    return lines + log_bars([(f"{rank:,}", count) for rank, count in names["ranks"]], WIDTH - 30)


def _cards(names: Names) -> list[str]:
    if not names["distinct"]:
        return []
    mean = (names["events"] - names["beyond_limit"]) / names["distinct"]
    gini = "-" if names["gini"] is None else f"{names['gini']:.2f}"
    return [f"Cards: {names['distinct']:,}, with {mean:,.1f} events each on average; Gini {gini}", *_beyond(names)]


def _beyond(names: Names) -> list[str]:
    if not names["beyond_limit"]:
        return []
    limit, others = names["limit"], names["beyond_limit"]
    return [f"  Only the first {limit:,} are counted separately; {others:,} events have other names."]


def _hours(hours: list[list[int]]) -> list[str]:
    total = sum(map(sum, hours))
    if not total:
        return []
    picture = heat_map(dict(zip(WEEKDAYS, hours, strict=True)), range(0, 24, 6))
    most = max(map(max, hours))
    shares = ["", *(f" {_percent(sum(day) / total):>7}" for day in hours)]
    lines = [line + share for line, share in zip(picture, shares, strict=True)]
    return [f"Events by weekday and hour (UTC); the darkest has {most:,}:", *lines]


def _amounts(amounts: Amounts | None) -> list[str]:
    if amounts is None:
        return []
    currency = amounts["currency"] or "no currency"
    shown = [("all", amounts["all"]), *((one["name"] or "(none)", one) for one in amounts["by_category"][:SHOWN])]
    rows = [
        [name, f"{one['count']:,}", f"{one['mu']:.2f}", f"{one['sigma']:.2f}", f"{math.exp(one['mu']):,.2f}"]
        for name, one in shown
    ]
    endings = ", ".join(f".{ending:02} {_percent(share)}" for ending, share in amounts["endings"])
    return [
        f"Purchases in {currency}, {_percent(amounts['share'])} of all; mu and sigma are of ln(amount):",
        *table(["category", "count", "mu", "sigma", "exp(mu)"], rows, WIDTH),
        *_more(len(amounts["by_category"]), "categories"),
        f"Endings: {endings}",
    ]


def _approved(shape: Description) -> list[str]:
    if (all_of := shape["approved"]) is None:
        return []
    lines = [f"Approved: {_percent(all_of['share'])} of {all_of['count']:,} events that were approved or declined"]
    for what, names in (("network", shape["by_network"]), ("issuer", shape["by_issuer"])):
        if names:
            rows = [[one["name"], f"{one['count']:,}", _percent(one["share"])] for one in names[:SHOWN]]
            lines += [*table([what, "count", "approved"], rows, WIDTH), *_more(len(names), f"{what}s")]
    return lines


def _codes(codes: list[Code]) -> list[str]:
    if not codes:
        return []
    rows = [[one["code"], f"{one['count']:,}", _percent(one["share"])] for one in codes[:SHOWN]]
    return [*table(["response code", "count", "share"], rows, WIDTH), *_more(len(codes), "codes")]


def _more(count: int, what: str) -> list[str]:
    return [f"  and {count - SHOWN:,} more {what}"] if count > SHOWN else []
