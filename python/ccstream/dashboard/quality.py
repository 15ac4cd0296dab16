"""Computes how good scores are, and how much they drift, from counts by cell, without the database and Streamlit.

A cell is a narrow interval of scores. Scores of the same cell count as equal, so every figure is that of scores rounded
down to their cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

Numbers: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"

TOP_CARDS = 100
"""The number of cards a day for which the card precision is computed."""
TOP_SHARE = 0.01
"""The share of transactions for which the lift is computed."""
MODERATE, LARGE = 0.1, 0.25
"""The population stability index from which a drift is moderate, and from which it is large."""
WEEK = timedelta(days=7)
"""The time before a day with which the day is compared."""
LEAST_SHARE = 0.02
"""The sum of a bin's shares, now and before, from which it is compared. Smaller neighbours are merged."""
LEAST_ROWS = 200
"""The number of rows that a day and the days before it need, so that their difference is not only chance."""
EDGES = (0, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.99, 0.997, 0.999)
"""The lower bounds of the bars of the distribution, which are closest together near 0 and near 1."""


@dataclass(frozen=True)
class Cells:
    """Holds the counts of a day and a model by cell.

    Attributes:
        at_least: the lower bounds of the cells, in increasing order.
        scored: the number of transactions in each cell.
        frauds: the number of these that are known frauds.
    """

    at_least: Numbers
    scored: Numbers
    frauds: Numbers

    @classmethod
    def of(cls, at_least: Sequence[float], scored: Sequence[float], frauds: Sequence[float]) -> Cells:
        """Builds the cells from columns in any order."""
        order = np.argsort(np.array(at_least, float), kind="stable")
        return cls(*(np.array(column, float)[order] for column in (at_least, scored, frauds)))

    def with_frauds(self, frauds: Sequence[float] | Numbers) -> Cells:
        """Returns the same transactions with other frauds, such as the planted ones, in the order of the cells."""
        return Cells(self.at_least, self.scored, np.array(frauds, float))


@dataclass(frozen=True)
class Quality:
    """Holds the quality of a day's scores. A figure is None if nothing determines it.

    Attributes:
        scored: the number of transactions.
        frauds: the number of these that are known frauds.
        precision: of the transactions that scored at least the threshold, the share that are frauds.
        recall: of the frauds, the share that scored at least the threshold.
        average_precision: the precision, averaged over the frauds.
        lift: the share of frauds among the 1 % with the highest scores, as a multiple of their share among all.
    """

    scored: int
    frauds: int
    precision: float | None
    recall: float | None
    average_precision: float | None
    lift: float | None


def measure(cells: Cells, threshold: float) -> Quality:
    """Computes the quality of scores.

    Args:
        cells: the counts.
        threshold: the score from which a transaction counts as found; a lower bound of a cell.
    """
    scored, frauds = float(cells.scored.sum()), float(cells.frauds.sum())
    found = cells.at_least >= threshold
    found_scored, found_frauds = float(cells.scored[found].sum()), float(cells.frauds[found].sum())
    top = _frauds_of_top(cells, TOP_SHARE)
    return Quality(
        scored=round(scored),
        frauds=round(frauds),
        precision=found_frauds / found_scored if found_scored else None,
        recall=found_frauds / frauds if frauds else None,
        average_precision=_average_precision(cells) if frauds else None,
        lift=top / frauds / TOP_SHARE if frauds else None,
    )


def _average_precision(cells: Cells) -> float:
    """Returns the sum over the cells, from the highest, of their share of the frauds times the precision so far."""
    frauds = cells.frauds[::-1]
    found, scored = np.cumsum(frauds), np.cumsum(cells.scored[::-1])
    precision = np.divide(found, scored, out=np.zeros_like(found), where=scored > 0)
    return float((frauds * precision).sum() / frauds.sum())


def _frauds_of_top(cells: Cells, share: float) -> float:
    """Returns the number of frauds among a share of the transactions. A cell that is cut counts proportionally."""
    scored = cells.scored[::-1]
    left = scored.sum() * share - (np.cumsum(scored) - scored)
    part = np.clip(np.divide(left, scored, out=np.zeros_like(left), where=scored > 0), 0, 1)
    return float((cells.frauds[::-1] * part).sum())


def card_precision(found: int, frauds: int) -> tuple[float, float]:
    """Returns the card precision at 100 of a day, and its ceiling.

    Args:
        found: the number of cards with a fraud among the 100 cards with the highest scores.
        frauds: the number of all cards with a fraud.
    """
    return found / TOP_CARDS, min(TOP_CARDS, frauds) / TOP_CARDS


def distribution(cells: Sequence[Cells]) -> list[tuple[float, int, int]]:
    """Returns the lower bound, the transactions and the known frauds of each bar of :data:`EDGES`, over all cells."""
    scored, frauds = np.zeros(len(EDGES)), np.zeros(len(EDGES))
    for one in cells:
        # A bound of a cell may differ in its last bit from the same bound here.
        at = np.searchsorted(EDGES, one.at_least + 1e-9, side="right") - 1
        np.add.at(scored, at, one.scored)
        np.add.at(frauds, at, one.frauds)
    return list(zip(EDGES, scored.astype(int).tolist(), frauds.astype(int).tolist(), strict=True))


def stability(counts: Numbers, before: Numbers) -> float | None:
    """Returns the population stability index of a distribution against an earlier one; None if either has few rows.

    It is the sum of (p - q) ln(p / q) over the bins, where p and q are the shares of a bin now and before. Neighbouring
    bins are merged until p + q is at least 0.02, and each merged bin then counts half a row more.

    Args:
        counts: the rows in each bin, in the order of the bins.
        before: the earlier rows in the same bins.
    """
    if min(counts.sum(), before.sum()) < LEAST_ROWS:
        return None
    starts = _merged(counts / counts.sum() + before / before.sum())
    now, then = (np.add.reduceat(one, starts) + 0.5 for one in (counts, before))
    p, q = now / now.sum(), then / then.sum()
    return float(((p - q) * np.log(p / q)).sum())


def _merged(shares: Numbers) -> list[int]:
    """Returns where the merged bins begin."""
    rest = np.cumsum(shares[::-1])[::-1]
    starts, share = [0], 0.0
    for at, one in enumerate(shares.tolist()):
        if share >= LEAST_SHARE <= rest[at]:
            starts.append(at)
            share = 0.0
        share += one
    return starts


def drift(rows: Sequence[tuple[date, float, float]]) -> dict[date, float]:
    """Returns the population stability index of each day against the seven days before it together.

    Seven days have every weekday once. Days without an index, such as the first, are left out.

    Args:
        rows: day, bin and count, in any order.
    """
    if not rows:
        return {}
    days, bins = sorted({row[0] for row in rows}), sorted({row[1] for row in rows})
    counts = np.zeros((len(days), len(bins)))
    day_at, bin_at = {day: at for at, day in enumerate(days)}, {one: at for at, one in enumerate(bins)}
    for day, one, count in rows:
        counts[day_at[day], bin_at[one]] += count
    weeks = ([at for at, other in enumerate(days) if timedelta(0) < day - other <= WEEK] for day in days)
    found = {
        day: stability(counts[at], counts[week].sum(axis=0))
        for at, (day, week) in enumerate(zip(days, weeks, strict=True))
    }
    return {day: index for day, index in found.items() if index is not None}


def in_words(index: float) -> str:
    """Says how large a drift is."""
    return "large" if index >= LARGE else "moderate" if index >= MODERATE else "small"
