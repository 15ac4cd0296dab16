"""Measures how well scores find frauds, and how well probabilities are calibrated."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ccstream.training.rows import DAY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ccstream.training.rows import Rows

    Array = NDArray[np.float64]

TOP = 100
"""Cards that are inspected each day."""
EDGES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Bounds of the probabilities in the table of reliability."""


def area_under_roc(labels: NDArray[np.bool_], scores: Array) -> float:
    """Computes the share of pairs of a fraud and another row in which the fraud has the greater score."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    frauds, others = int(labels.sum()), int((~labels).sum())
    return float((ranks[labels].sum() - frauds * (frauds + 1) / 2) / (frauds * others))


def average_precision(labels: NDArray[np.bool_], scores: Array) -> float:
    """Computes the mean precision over the frauds, in the order of the scores; equal scores count together."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, [True]))
    hits = np.cumsum(labels[order])[last]
    return float((np.diff(np.append(0, hits)) * hits / (last + 1)).sum() / hits[-1])


def card_precision(rows: Rows, scores: Array) -> float:
    """Computes the mean, over the days, of the share of cards with a fraud among the TOP cards of the day.

    A card's score is its greatest of the day. A card that was found is left out of the following days.
    """
    cards = rows.cards if rows.cards is not None else np.empty(0, dtype=np.int64)
    days = rows.times // DAY
    found: set[int] = set()
    shares = []
    for day in np.unique(days):
        chosen = np.flatnonzero(days == day)
        chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
        _, first = np.unique(cards[chosen], return_index=True)
        ranked = [int(card) for card in cards[chosen][np.sort(first)] if int(card) not in found][:TOP]
        frauds = set(cards[chosen][rows.labels[chosen]].tolist())
        hits = frauds.intersection(ranked)
        found |= hits
        shares.append(len(hits) / TOP)
    return float(np.mean(shares))


def reliability(labels: NDArray[np.bool_], probabilities: Array) -> list[dict[str, float | int]]:
    """Compares the expected number of frauds with the actual one, by ranges of the probability."""
    table: list[dict[str, float | int]] = []
    for low, high in pairwise(EDGES):
        chosen = (probabilities >= low) & ((probabilities < high) | (high == EDGES[-1]))
        table.append(
            {
                "from": low,
                "to": high,
                "rows": int(chosen.sum()),
                "expected_frauds": round(float(probabilities[chosen].sum()), 1),
                "frauds": int(labels[chosen].sum()),
            }
        )
    return table


def measure(rows: Rows, scores: Array, probabilities: Array) -> dict[str, Any]:
    """Measures scores of rows that have frauds and others."""
    figures = {
        "auc": area_under_roc(rows.labels, scores),
        "average_precision": average_precision(rows.labels, scores),
    }
    if rows.cards is not None:
        figures["card_precision_100"] = card_precision(rows, scores)
    found = np.where(rows.labels, probabilities, 1 - probabilities)
    figures["log_loss"] = float(-np.log(np.maximum(found, 1e-15)).mean())
    return {name: round(value, 4) for name, value in figures.items()}
