"""Says in words what has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccstream.dashboard.changes_figures import COUNT, DECLINED, RATE
from ccstream.dashboard.metrics import change_text, text
from ccstream.dashboard.response_codes import meaning
from ccstream.dashboard.view import FROM_TO
from ccstream.dashboard.words import bold
from ccstream.declared import DIMENSIONS

if TYPE_CHECKING:
    from ccstream.dashboard.changes_figures import Changes, Mover, Values
    from ccstream.dashboard.words import Run

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


def whole(changes: Changes, since: str) -> list[Run]:
    """Says how all transactions have changed since a time, or why they cannot be compared."""
    if since in changes.obstacles:
        return [f"Not compared: {changes.obstacles[since]}."]
    now, then = changes.now, changes.then[since]
    parts = [
        ("transactions", change_text(COUNT, now.count, then.count), f"{then.count:,}"),
        ("approval rate", change_text(RATE, now.approved_share, then.approved_share), figure(RATE, then)),
        ("value", change_text("value", now.value, then.value), amount(then.value, changes.currency)),
    ]
    known: list[Run] = []
    for name, change, before in parts:
        if change:
            known += [f" · {name} " if known else f"{name.capitalize()} ", bold(change), f" from {before}"]
    return known or ["There was no transaction."]


def mover(one: Mover, currency: str | None, span: str) -> list[Run]:
    """Says how a value has changed.

    Args:
        one: the value.
        currency: the currency of amounts.
        span: the page's time range.
    """
    then = next(iter(one.then.values()))
    earlier = [f"{figure(one.what, values)} {when(since, span)}" for since, values in one.then.items()]
    instead = f"instead of {' and '.join(earlier)}"
    count = f"{one.now.count:,} {'transaction' if one.now.count == 1 else 'transactions'}"
    rate = f"approval rate {figure(RATE, one.now)}"
    if one.what == DECLINED:
        parts = [f"{one.now.declined:,} declined {instead}"]
    elif one.what == RATE:
        parts = [f"{rate} {instead}", f"{count}{bracketed(change_text(COUNT, one.now.count, then.count))}"]
    else:
        change = change_text(RATE, one.now.approved_share, then.approved_share)
        parts = [f"{count} {instead}", f"{rate}{bracketed(change)}"]
    if one.what != DECLINED and (one.now.purchases or then.purchases):
        change = change_text("value", one.now.value, then.value)
        parts.append(f"value {amount(one.now.value, currency)}{bracketed(change)}")
    return [bold(named(one)), f": {' · '.join(parts)}"]


def named(one: Mover) -> str:
    """Names a value with its dimension."""
    name = f"{DIMENSIONS[one.dimension]} {one.name}"
    words = meaning(one.name) if one.dimension == "response_code" else None
    return f"{name}, {words}" if words else name


def figure(what: str, values: Values) -> str:
    """Formats what may have changed of a value."""
    if what == RATE:
        return "none" if values.approved_share is None else f"{values.approved_share:.1%}"
    return f"{values.count if what == COUNT else values.declined:,}"


def amount(cents: int, currency: str | None) -> str:
    """Formats an amount."""
    return f"{text('sum', cents)} {currency or 'without a currency'}"


def bracketed(change: str | None) -> str:
    """Returns a change in brackets after a blank; empty if there is none."""
    return f" ({change})" if change else ""
