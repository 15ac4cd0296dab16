"""Signs of fraud in the simulated world, each computed from a transaction and those before it.

A sign is a number, and a rule warns of the transactions for which it is large. It is 0 for transactions that it is not
about. Periods and kinds of payment are those of the scenarios in ``crates/ccstream-core/src/generate/scenarios``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from histories import Histories, pairs
from simulated import DAY, HOUR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulated import Table

    Array = NDArray[Any]

TINY = 2.6
"""Dollars. Cards are tested with amounts below it."""
USUAL_SHARE = 0.065
"""The usual share of swiped and typed payments in shops."""
TWO_SIGNS = ("payments online at night to new merchants within two days", "the same within ten hours")
"""These combine two signs of scenario S3. A detector may; a rule depends on one sign."""


def amounts(table: Table) -> dict[str, Array]:
    """Computes signs of the amount, and of the card."""
    count = table.cards.all(table.is_purchase)
    in_category = table.logarithm - table.usual - table.level
    return {
        "the amount, as a multiple of the card's usual one": table.times,
        "the amount, as a multiple of the card's usual one in the category": np.exp(in_category) * table.is_purchase,
        "the amount in dollars": table.dollars * table.is_purchase,
        "a merchant that is new to the card": table.is_new,
        "durable goods": np.isin(table.category, ["electronics", "home"]),
        "a decline": table.is_declined,
        "the number of earlier payments by the card": count,
    }


def terminals(table: Table) -> dict[str, Array]:
    """Computes signs of the terminal: whether its chip reader is used."""
    history = Histories(table.terminal, table.time)
    without, in_shop = history.last(table.has_no_chip, 30), history.last(table.is_in_shop, 30)
    # In standard deviations of the usual number.
    excess = np.maximum(without - USUAL_SHARE * in_shop, 0) / np.sqrt(USUAL_SHARE * in_shop + 1)
    return {
        "the excess of swiped and typed payments at the terminal, for one that is swiped or typed": excess
        * table.has_no_chip,
        "the excess of swiped and typed payments at the terminal": excess * table.is_in_shop,
        "the share of swiped and typed payments at the terminal": without / np.maximum(in_shop, 1),
        "swiped or typed": table.has_no_chip,
    }


def online(table: Table) -> dict[str, Array]:
    """Computes signs of the card's payments online."""
    longitude = np.where(table.home >= 0, table.longitude[table.home], table.longitude)
    hour = (table.time / HOUR + longitude / 15) % 24
    # Clocks differ from the sun's by up to half an hour and more.
    is_night = (hour >= 22.5) | (hour < 6.5)  # noqa: PLR2004
    payments, since = table.is_online, table.cards.since
    night, new = payments & is_night, payments & table.is_new
    both = night & new

    def beyond(kind: Array) -> Array:
        """Counts payments within two days, less their usual number, in standard deviations of it."""
        usual = 2 * (table.cards.all(kind) + 1) / np.maximum(table.days, 3)
        excess: Array = (since(kind, 2 * DAY) - usual) / np.sqrt(usual + 0.3) * kind
        return excess

    return {
        "payments online within two days": since(payments, 2 * DAY) * payments,
        "payments online within two days, beyond the card's usual number": beyond(payments),
        "payments online to new merchants within two days": since(new, 2 * DAY) * new,
        "payments online to new merchants within two days, beyond the card's usual number": beyond(new),
        "payments online at night within two days": since(night, 2 * DAY) * night,
        "payments online at night within two days, beyond the card's usual number": beyond(night),
        TWO_SIGNS[0]: since(both, 2 * DAY) * both,
        TWO_SIGNS[1]: since(both, 10 * HOUR) * both,
        "online": payments,
        "at night": is_night,
    }


def in_shops(table: Table) -> dict[str, Array]:
    """Computes signs of the card's payments in shops."""
    shop, new, cards = table.is_in_shop, table.is_in_shop & table.is_new, table.cards
    number = cards.all(shop)
    count = cards.since(shop, 2 * HOUR) + 1
    usual = (number + 1) / np.maximum(table.days, 3) / 6

    def total(values: Array) -> Array:
        """Sums values over the row and the two hours before it."""
        summed: Array = cards.since(values * shop, 2 * HOUR) + values * shop
        return summed

    # The correlation of the logarithms of the amounts with the numbers of the payments, and the slope of their line.
    x, y = total(number), total(table.logarithm)
    of_x, of_y = total(number**2) - x * x / count, total(table.logarithm**2) - y * y / count
    of_both = total(number * table.logarithm) - x * y / count
    is_enough = shop & (count >= 3)  # noqa: PLR2004
    correlation = of_both / np.sqrt(np.maximum(of_x * of_y, 1e-6))
    last = cards.latest(shop)
    is_recent = (last >= 0) & (table.time - table.time[last] < 2 * HOUR)
    is_rise = shop & is_recent & (table.dollars > table.dollars[last])
    start = np.where(shop & ~is_rise, np.arange(len(shop)), cards.latest(shop & ~is_rise))
    return {
        "payments in shops within two hours": (count - 1) * shop,
        "payments in shops within an hour": cards.since(shop, HOUR) * shop,
        "payments in shops within two hours, beyond the card's usual number": (count - usual)
        / np.sqrt(usual + 0.3)
        * shop,
        "amounts that rise in shops within two hours, times their number": np.maximum(correlation, 0)
        * count
        * is_enough,
        "the slope of the amounts in shops within two hours": of_both / np.maximum(of_x, 1e-6) * is_enough,
        "payments in shops in a row, each above the one before": np.where(is_rise, number - number[start], 0),
        "payments in shops new to the card within two hours": cards.since(new, 2 * HOUR) * new,
        "the share of shops new to the card within two hours": total(new.astype(float)) / count * shop,
    }


def tests(table: Table) -> dict[str, Array]:
    """Computes signs of tiny amounts."""
    tiny = (table.dollars < TINY) & table.is_online
    # A card counts once, though it is tested several times.
    is_first = tiny & (table.pairs.since(tiny, 2 * HOUR) == 0)
    last = np.where(tiny, np.arange(len(tiny)), table.cards.latest(tiny))
    age = np.where(last >= 0, table.time - table.time[last], 1000 * DAY)
    # Cards with tiny amounts at the merchant, from two hours before the card's last one to now, or two hours after it.
    first = np.flatnonzero(is_first)
    room = 2 * int(table.time[-1] - table.time[0]) + 1
    moments = np.sort(table.merchant[first] * room + table.time[first] - table.time[0])
    at = table.merchant[last] * room + table.time[last] - table.time[0]
    until = np.searchsorted(moments, at + np.minimum(age, 2 * HOUR), side="right")
    cards = (until - np.searchsorted(moments, at - 2 * HOUR)) * (age < 40 * HOUR)
    recent = table.cards.since(tiny, 40 * HOUR)
    return {
        "a tiny amount": (table.dollars < TINY) & table.is_purchase,
        "cards with tiny amounts at the merchant within two hours": table.merchants.since(is_first, 2 * HOUR) * tiny,
        "online within 40 hours of tiny amounts": recent * table.is_online,
        "online within 40 hours of declined tiny amounts": table.cards.since(tiny & table.is_declined, 40 * HOUR)
        * table.is_online,
        "cards with tiny amounts at the merchant where the card last had one": cards * table.is_online,
        "dollars online within 40 hours of tiny amounts": table.dollars * table.is_online * (recent > 0),
    }


def places(table: Table) -> dict[str, Array]:
    """Computes signs of the place."""
    home, last = table.distance(table.home), table.cards.latest(table.is_in_shop)
    is_change = table.is_in_shop & (last >= 0) & (table.city[last] != table.city)
    change = table.cards.latest(is_change)
    # The card's last payment in a shop of another city.
    elsewhere = np.where(is_change, last, np.where(change >= 0, last[change], -1))
    hours = np.maximum((table.time - table.time[elsewhere]) / HOUR, 0.1)
    here = Histories(pairs(table.card, table.city), table.time).since(table.is_in_shop, 3 * DAY)
    return {
        "kilometres from home": home,
        "kilometres from home, if swiped": home * table.is_swiped,
        "kilometres an hour since the last payment in another city": table.distance(elsewhere) / hours,
        "swiped": table.is_swiped,
        "payments in the city within three days": here * table.is_in_shop,
    }


def refunds(table: Table) -> dict[str, Array]:
    """Computes signs of refunds."""
    refund = table.is_refund
    usual = np.exp(table.usual)
    bought = table.pairs.all(table.dollars * (table.is_purchase & ~table.is_declined))
    returned = table.pairs.all(table.dollars * refund) + table.dollars
    excess = np.maximum(returned - bought, 0) / usual
    return {
        "a refund": refund,
        "refunds by the merchant within four days": table.merchants.since(refund, 4 * DAY) * refund,
        "refunds to the card within eight days": table.cards.since(refund, 8 * DAY) * refund,
        "refunds to the card by the merchant within eight days": table.pairs.since(refund, 8 * DAY) * refund,
        "the refund, as a multiple of the category's usual amount": table.dollars / usual * refund,
        "refunds beyond what the card paid the merchant, as a multiple of the category's usual amount": excess * refund,
    }


Group = Callable[["Table"], dict[str, "Array"]]
GROUPS: tuple[Group, ...] = (amounts, terminals, online, in_shops, tests, places, refunds)
"""The functions that compute signs, each by a description of it."""
