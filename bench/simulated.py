"""Transactions of the simulated world with the truth about them, as a bench's detectors read them."""

from __future__ import annotations

import io
import subprocess
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histories import Histories, pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ("cargo", "run", "--locked", "--profile", "dev-fast", "-q", "-p", "ccstream-core", "--example", "world")
PAYMENTS_A_DAY = 2
"""Payments a card and day in the default world."""
MINUTE = 60_000_000
"""Microseconds."""
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7
"""Days."""
PRIOR = 2.0
"""What a card usually pays is estimated as if it had paid everybody's usual amounts this many times before."""
LARGE = 8
"""The least of the amounts that scenario S1 has, as a multiple of the card's usual one. That is an estimate, so the
scenario's own limit of 30 is too high.
"""
PER_DOLLAR = {"USD": 1, "CAD": 1.4, "MXN": 18, "BRL": 5.5, "GBP": 0.8, "EUR": 0.9, "CHF": 0.9, "SEK": 10, "PLN": 4}
PER_DOLLAR |= {"TRY": 40, "AED": 3.7, "INR": 85, "SGD": 1.3, "JPY": 150, "KRW": 1400, "AUD": 1.5, "ZAR": 18, "KES": 100}
"""The price of one US dollar in each of the world's currencies."""


def generate(seed: int, days: int, rate: float, fraud: float) -> pd.DataFrame:
    """Generates the transactions of a seed, with as many cards as make two payments a day."""
    cards = round(rate * 86_400 / PAYMENTS_A_DAY)
    command = [*EXAMPLE, "--", *map(str, (seed, days, rate, cards, fraud))]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    return pd.read_csv(io.BytesIO(output), dtype={"response_code": str}, keep_default_na=False)


class Table:
    """Columns of transactions, as arrays in the order of the transactions' times.

    Args:
        rows: Transactions as the example ``world`` prints them.
    """

    def __init__(self, rows: pd.DataFrame) -> None:
        self.time = rows["micros"].to_numpy()
        self.days = (self.time - self.time[0]) / DAY
        self.card, self.merchant, self.terminal, self.city = (
            pd.factorize(rows[name])[0] for name in ("card_token", "merchant", "terminal_id", "location")
        )
        amount = rows["amount"].to_numpy() / rows["currency"].map(PER_DOLLAR).to_numpy()
        self.dollars = np.abs(amount)
        self.logarithm = np.log(np.maximum(self.dollars, 0.01))
        self.is_refund = amount < 0
        self.is_purchase = ~self.is_refund
        mode = rows["entry_mode"]
        self.is_online = mode.isin(["ecommerce", "recurring"]).to_numpy() & self.is_purchase
        self.is_in_shop = self.is_purchase & ~self.is_online
        self.is_swiped = (mode == "swipe").to_numpy() & self.is_in_shop
        self.has_no_chip = mode.isin(["swipe", "manual"]).to_numpy() & self.is_in_shop
        self.is_declined = (rows["response_code"] != "00").to_numpy()
        self.category = rows["category"].to_numpy()
        self.latitude, self.longitude = rows["latitude"].to_numpy(), rows["longitude"].to_numpy()
        self.kind, self.scenario = rows["kind"].to_numpy(), rows["scenario"].to_numpy()
        self.cards = Histories(self.card, self.time)

    @cached_property
    def pairs(self) -> Histories:
        """The histories of each card at each merchant."""
        return Histories(pairs(self.card, self.merchant), self.time)

    @cached_property
    def merchants(self) -> Histories:
        """The histories of the merchants."""
        return Histories(self.merchant, self.time)

    @cached_property
    def is_new(self) -> Array:
        """Whether the card has not paid at the merchant before."""
        is_first: Array = (self.pairs.all(self.is_purchase) == 0) & self.is_purchase
        return is_first

    @cached_property
    def is_early(self) -> Array:
        """Whether a row is a purchase of the first week, from which everybody's usual amounts are estimated."""
        is_early: Array = self.is_purchase & (self.days < WEEK)
        return is_early

    @cached_property
    def usual(self) -> Array:
        """The logarithm of the usual amount in the category."""
        medians = pd.Series(self.logarithm[self.is_early]).groupby(self.category[self.is_early]).median()
        usual: Array = medians.reindex(self.category).to_numpy()
        return usual

    @cached_property
    def level(self) -> Array:
        """The logarithm of what the card usually pays, as a multiple of the usual amounts."""
        # Bounds limit the influence of a single extreme amount.
        paid = np.clip(self.logarithm - self.usual, -2, 2) * self.is_purchase
        level: Array = self.cards.all(paid) / (self.cards.all(self.is_purchase) + PRIOR)
        return level

    @cached_property
    def times(self) -> Array:
        """The amount of a purchase, as a multiple of the card's usual one in any category."""
        usual = np.median(self.logarithm[self.is_early]) + self.level
        times: Array = np.exp(self.logarithm - usual) * self.is_purchase
        return times

    @cached_property
    def is_large(self) -> Array:
        """Whether a purchase may be of scenario S1."""
        is_large: Array = self.times >= LARGE
        return is_large

    @cached_property
    def home(self) -> Array:
        """The row of a payment in the city in whose shops the card has most often paid before, otherwise -1."""
        visits = Histories(pairs(self.card, self.city), self.time).all(self.is_in_shop).astype(np.int64)
        visits = (visits + 1) * self.is_in_shop
        return self.cards.latest((visits == self.cards.most(visits)) & (visits > 0))

    def distance(self, other: Array) -> Array:
        """Computes the kilometres to the place of another row; 0 if it is -1, or for payments that are not in shops."""
        one, two = np.radians(self.latitude), np.radians(self.latitude[other])
        east = np.radians(self.longitude[other] - self.longitude)
        haversine = np.sin((two - one) / 2) ** 2 + np.cos(one) * np.cos(two) * np.sin(east / 2) ** 2
        kilometres: Array = 12_742 * np.arcsin(np.sqrt(haversine)) * ((other >= 0) & self.is_in_shop)
        return kilometres
