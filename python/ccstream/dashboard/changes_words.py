"""Says in words what has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccstream import kpi
from ccstream.dashboard.changes_figures import COUNT, DECLINED, RATE
from ccstream.dashboard.dimensions import plain
from ccstream.dashboard.figures import change_text, text
from ccstream.dashboard.response_codes import meaning
from ccstream.dashboard.view import FROM_TO
from ccstream.declared import DIMENSIONS

if TYPE_CHECKING:
    from ccstream.dashboard.changes_figures import Changes, Mover, Values

NAMES = {"yesterday": "the day before", "last week": "the week before"}
"""What the times of comparison are called for a range that does not end now."""


def when(since: str, span: str) -> str:
    """Names a time of comparison.

    Args:
        since: its key.
        span: the page's time range.
    """
    return NAMES[since] if span == FROM_TO else since


def title(since: str, span: str) -> str:
    """Returns the title of the figures of all transactions against a time of comparison."""
    return f"Against {when(since, span)}" if span == FROM_TO else f"Against this time {when(since, span)}"


def whole(changes: Changes, since: str) -> str:
    """Says how all transactions have changed since a time, or why they cannot be compared."""
    if since in changes.obstacles:
        return f"Not compared: {plain(changes.obstacles[since])}."
    now, then = changes.now, changes.then[since]
    parts = [f"**{now.count:,}** transactions instead of {then.count:,}"]
    if now.approved_share is not None and then.approved_share is not None:
        parts.append(f"approval rate **{now.approved_share:.1%}** instead of {then.approved_share:.1%}")
    if now.purchases or then.purchases:
        parts.append(f"value {change(now, then, 'value') or 'instead of none'}")
    return plain_dots(parts)


def plain_dots(parts: list[str]) -> str:
    """Joins parts of a text."""
    return " · ".join(parts)


def mover(one: Mover, currency: str | None, span: str) -> str:
    """Says how a value has changed, in Markdown.

    Args:
        one: the value.
        currency: the currency of amounts.
        span: the page's time range.
    """
    others = [since for since in one.then if since != one.since]
    figures = f"{figure(one.what, one.now)} instead of {figure(one.what, one.then[one.since])} {when(one.since, span)}"
    for since in others:
        figures += f" and {figure(one.what, one.then[since])} {when(since, span)}"
    then = one.then[one.since]
    parts = [f"**{named(one)}**: {label(one.what)} {figures}"]
    if one.what == RATE:
        parts.append(_with_change(f"{one.now.count:,} transactions", change_text("count", one.now.count, then.count)))
    elif one.what == COUNT and one.now.approved_share is not None and then.approved_share is not None:
        rate = f"approval rate {one.now.approved_share:.1%}"
        parts.append(_with_change(rate, change_text(RATE, one.now.approved_share, then.approved_share)))
    if one.what != DECLINED and (one.now.purchases or then.purchases):
        amount = f"{text('sum', float(one.now.value))} {plain(currency or 'without a currency')}"
        parts.append(_with_change(amount, change(one.now, then, "value")))
    return plain_dots(parts)


def named(one: Mover) -> str:
    """Names a value with its dimension, in Markdown."""
    name = f"{DIMENSIONS[one.dimension]} {plain(one.name)}"
    words = meaning(one.name) if one.dimension == "response_code" else None
    return f"{name}, {words}" if words else name


def label(what: str) -> str:
    """Names what has changed."""
    return {COUNT: "transactions", DECLINED: "declines", RATE: "approval rate"}[what]


def figure(what: str, values: Values) -> str:
    """Formats what has changed."""
    if what == RATE:
        return "none" if values.approved_share is None else f"{values.approved_share:.1%}"
    return f"{values.count if what == COUNT else values.declined:,}"


def change(now: Values, then: Values, measure: str) -> str | None:
    """Formats the change of the value of purchases in Markdown; None if there was none."""
    found = change_text("sum", float(getattr(now, measure)), float(getattr(then, measure)))
    return None if found is None else plain(found)


def _with_change(figure: str, found: str | None) -> str:
    return f"{figure} ({found})" if found else figure


def units(cents: int) -> float:
    """Converts cents to units of the currency."""
    return float(kpi.units(cents))
