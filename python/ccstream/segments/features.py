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
"""The weight of the usual share, in transactions. A member with this number of transactions has half of the full weight
when segments are found."""
FEWEST_KNOWN = 40
"""The number of members with :data:`WEIGHT` transactions below which segments are judged by all members."""
CLEARLY = 1.25
"""A segment is named by a share only if that is above or below the share of all members by this factor."""


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


def weights(sums: Sums) -> Array:
    """Returns the weight of each member, from 0 to 1, when segments are found.

    The features of a member with one transaction say little but that there was one, so all such members look alike. On
    real transactions they are half of all merchants: with full weight, they would set the scale for the others.
    """
    found: Array = sums.count / (sums.count + WEIGHT)
    return found


def known(sums: Sums) -> NDArray[np.bool_]:
    """Returns by which members segments are judged: those with at least :data:`WEIGHT` transactions."""
    found: NDArray[np.bool_] = sums.count >= WEIGHT
    return found if found.sum() >= FEWEST_KNOWN else np.ones(len(sums), dtype=np.bool_)


def agreeing(apart: Array, features: tuple[Feature, ...], sums: Sums, labels: NDArray[np.int64]) -> Array:
    """Returns how far segments are apart, without the shares that their members' transactions do not confirm.

    A share that is drawn towards that of all members may be greater than most others, although it is not great.

    Args:
        apart: How far each segment is from all members, by feature.
        features: The features.
        sums: The sums of the members.
        labels: The index of the segment of each member.
    """
    confirmed = apart.copy()
    parts = {"refunds": sums.refunds, "weekend": sums.weekend, "night": sums.night}
    parts |= {"declined": sums.declined, "fraud": sums.frauds}
    for at, part in ((at, parts[one.name]) for at, one in enumerate(features) if one.name in parts):
        usual = part.sum() / sums.count.sum()
        for segment in range(len(apart)):
            mine = labels == segment
            own = part[mine].sum() / max(sums.count[mine].sum(), 1)
            is_so = own >= CLEARLY * usual if apart[segment, at] > 0 else own * CLEARLY <= usual
            confirmed[segment, at] *= is_so
    return confirmed


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
