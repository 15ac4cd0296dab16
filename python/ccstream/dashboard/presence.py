"""Says which columns of transactions have values, so that the page leaves out what would be empty.

A table of a few columns, which somebody has filled without ccstream, then looks as if the page were made for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ccstream.dashboard.view import CHARTED, STACKS, View

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

OF_STATUS = ("approved_share", "value", "average", "refunds", "declined")
"""The measures that depend on the status of transactions."""
OUTCOME = "outcome"
"""The parts of the bars over time that are not values of a dimension, but what became of transactions."""


def with_values(values: Mapping[str, Collection[str | None]]) -> frozenset[str]:
    """Returns the dimensions that have a value; all of them, as long as no row was read.

    Args:
        values: all values of each dimension; None stands for an absent one.
    """
    found = frozenset(name for name, some in values.items() if any(value is not None for value in some))
    return found or frozenset(values)


def charted(known: Collection[str]) -> list[str]:
    """Returns the measures that the charts can show, keys of :data:`ccstream.dashboard.view.CHARTED`.

    Args:
        known: the dimensions that have a value.
    """
    return [name for name in CHARTED if "status" in known or name not in OF_STATUS]


def stacks(known: Collection[str]) -> list[str]:
    """Returns what the bars over time can be divided by, keys of :data:`ccstream.dashboard.view.STACKS`.

    Args:
        known: the dimensions that have a value.
    """
    return [name for name in STACKS if name in known or name == OUTCOME]


def fitting(view: View, known: Collection[str]) -> View:
    """Returns a view whose charts show something: of transactions without a status, their number.

    Args:
        view: the settings of the page.
        known: the dimensions that have a value.
    """
    metric = view.metric if view.metric in charted(known) else "count"
    stack = view.stack if view.stack in stacks(known) else View.stack
    return replace(view, metric=metric, stack=stack)


def headed(measures: Iterable[str], known: Collection[str], cards: int) -> list[str]:
    """Returns the measures that the header shows: those that can have a value.

    Args:
        measures: the measures of the header.
        known: the dimensions that have a value.
        cards: the number of distinct cards, which is 0 without card tokens.
    """
    there = [one for one in measures if "status" in known or one not in OF_STATUS]
    return [one for one in there if cards or one != "cards"]
