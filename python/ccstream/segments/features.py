"""Computes the features of merchants and cards from their sums in ``orders``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ccstream.segments.kinds import Kind

    Array = NDArray[np.float64]

VERSION = "segments-1"
"""The version of the definitions of the features. Segments of another version are not continued."""
TYPICAL = 1.0
"""The number of usual amounts that are added to the amounts of each member."""
FREEDOM = 5.0
"""The weight of the usual spread, in amounts."""
WEIGHT = 10.0
"""The weight of the usual share, in transactions."""


@dataclass(frozen=True)
class Feature:
    """Describes a feature.

    Attributes:
        name: The feature's name.
        low: The word for a low value; empty if a low value sets nothing apart.
        high: The word for a high value.
    """

    name: str
    low: str
    high: str


def features_of(kind: Kind) -> tuple[Feature, ...]:
    """Returns the features of a kind, in the order of the columns."""
    return (
        Feature("recency", "active", "dormant"),
        Feature("frequency", "rare", "frequent"),
        Feature("value", "small", "large"),
        Feature("spread", "even", "varied"),
        Feature("refunds", "", "refunding"),
        Feature("weekend", "weekday", "weekend"),
        Feature("night", "daytime", "night"),
        Feature("returns", kind.once, kind.again),
        Feature("declined", "", "declined"),
        Feature("fraud", "", "defrauded"),
    )


@dataclass(frozen=True)
class Sums:
    """Holds what ``orders`` says of each member in a period, sorted by the key. Each array has a value for each member.

    Attributes:
        keys: The members.
        days: The length of the period, in days.
        count: The number of transactions.
        idle: The time since the last transaction, in days.
        amounts: The number of purchases that were not declined.
        total: The sum of their amounts, each as a multiple of the usual amount of its currency.
        logs: The sum of the natural logarithms of these multiples.
        squares: The sum of the squares of these logarithms.
        refunds: The number of refunds.
        weekend: The number of transactions on a Saturday or Sunday.
        night: The number of transactions at night.
        named: The number of transactions that name the other side: the card of a merchant, the merchant of a card.
        others: The number of different ones.
        declined: The number of declined transactions.
        frauds: The number of transactions that were known to be frauds.
    """

    keys: list[str]
    days: float
    count: Array
    idle: Array
    amounts: Array
    total: Array
    logs: Array
    squares: Array
    refunds: Array
    weekend: Array
    night: Array
    named: Array
    others: Array
    declined: Array
    frauds: Array

    def __len__(self) -> int:
        return len(self.keys)


def compute(sums: Sums) -> Array:
    """Returns the features, a row for each member and a column for each feature of :func:`features_of`.

    Shares and spreads of few transactions are drawn towards those of all members: otherwise, a member with one
    transaction on a Sunday would be the one with the greatest share of weekends.
    """
    columns = [
        np.log1p(sums.idle),
        np.log(sums.count / sums.days),
        np.log((sums.total + TYPICAL) / (sums.amounts + TYPICAL)),
        spread(sums),
        *(np.sqrt(share(part, sums.count)) for part in (sums.refunds, sums.weekend, sums.night)),
        np.log(np.maximum(sums.named, 1) / np.maximum(sums.others, 1)),
        *(np.sqrt(share(part, sums.count)) for part in (sums.declined, sums.frauds)),
    ]
    return np.column_stack(columns)


def share(part: Array, count: Array) -> Array:
    """Returns shares, each drawn towards the share of all members by :data:`WEIGHT` transactions."""
    usual = part.sum() / count.sum()
    found: Array = (part + WEIGHT * usual) / (count + WEIGHT)
    return found


def spread(sums: Sums) -> Array:
    """Returns standard deviations of logarithms of amounts, each drawn towards the usual one by :data:`FREEDOM`."""
    within = np.maximum(sums.squares - sums.logs**2 / np.maximum(sums.amounts, 1), 0)
    freedom = np.maximum(sums.amounts - 1, 0)
    usual = within.sum() / max(freedom.sum(), 1)
    found: Array = np.sqrt((within + FREEDOM * usual) / (freedom + FREEDOM))
    return found


def plain(sums: Sums, chosen: NDArray[np.bool_]) -> dict[str, Any]:
    """Describes some members in plain units: the totals of the members divided by each other, or medians.

    Returns:
        The median days since the last transaction, the median transactions a week, the mean amount as a multiple of
        the usual one of its currency (None without amounts), and the shares of all transactions.
    """
    count, amounts = sums.count[chosen], sums.amounts[chosen].sum()
    shares = {
        name: round(float(part[chosen].sum() / count.sum()), 5)
        for name, part in (
            ("refund_share", sums.refunds),
            ("weekend_share", sums.weekend),
            ("night_share", sums.night),
            ("declined_share", sums.declined),
            ("fraud_share", sums.frauds),
        )
    }
    return {
        "idle_days": round(float(np.median(sums.idle[chosen])), 2),
        "per_week": round(float(np.median(count)) / sums.days * 7, 3),
        "value": round(float(sums.total[chosen].sum() / amounts), 3) if amounts else None,
        "spread": round(float(np.median(spread(sums)[chosen])), 3),
        **shares,
        "each": round(float(sums.named[chosen].sum() / max(sums.others[chosen].sum(), 1)), 3),
    }
