"""The preset ``handbook`` is the world of the Fraud Detection Handbook, and as difficult for the Handbook's detector.

``make bench-detect`` measures 183 days, as the Handbook does; these tests have 60, and need no service.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

import handbook

if TYPE_CHECKING:
    from handbook import Transactions

DAYS = 60
TEST_WEEKS = 2


@pytest.fixture(scope="module")
def transactions() -> Transactions:
    return handbook.generate(1, DAYS)


def test_the_handbooks_detector_performs_as_published(transactions: Transactions) -> None:
    first_day = handbook.first_training_day(DAYS, TEST_WEEKS)
    figures = handbook.evaluate(transactions, first_day, TEST_WEEKS)
    assert handbook.unexpected(figures) == [], figures


def test_the_detector_learns_nothing_from_shuffled_frauds(transactions: Transactions) -> None:
    """A leak of the label into the features or into the protocol would give a high AUC."""
    shuffled = np.random.default_rng(0).permutation(transactions.fraud)
    first_day = handbook.first_training_day(DAYS, TEST_WEEKS)
    figures = handbook.evaluate(replace(transactions, fraud=shuffled), first_day, TEST_WEEKS)
    assert figures["AUC"] == pytest.approx(0.5, abs=0.03)


def test_features_equal_those_computed_row_by_row() -> None:
    transactions = handbook.generate(2, DAYS, "handbook,customers=20,terminals=300,radius=10,s2_terminals=6")
    computed = handbook.features(transactions)
    assert len(computed) > 1000
    assert transactions.fraud.mean() > 0.1
    for row in range(0, len(computed), 7):
        assert computed[row] == pytest.approx(expected_features(transactions, row)), row


def expected_features(transactions: Transactions, row: int) -> list[float]:
    """Computes the 15 features of one transaction by the Handbook's definitions, chapter 3."""
    time = transactions.time / handbook.DAY
    now, before = time[row], np.arange(len(time)) <= row
    of_card = before & (transactions.customer == transactions.customer[row])
    of_terminal = before & (transactions.terminal == transactions.terminal[row])
    # The first day, 2018-04-01, is a Sunday; the night ends at 7 o'clock.
    values = [transactions.amount[row], int(now) % 7 in {0, 6}, now % 1 * 24 < 7]
    for days in (1, 7, 30):
        recent = of_card & (time > now - days)
        values += [recent.sum(), transactions.amount[recent].mean()]
    for days in (1, 7, 30):
        recent = of_terminal & (time > now - 7 - days) & (time <= now - 7)
        values += [recent.sum(), transactions.fraud[recent].mean() if recent.any() else 0]
    return [float(value) for value in values]
