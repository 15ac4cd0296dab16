"""Tests the sums from which ``bench/detect.py`` computes signs of fraud, against sums that are computed row by row."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from services import ROOT

sys.path.insert(0, str(ROOT / "bench"))

import detect
from histories import MILLISECOND, Histories

ROWS = 400


@pytest.fixture(scope="module")
def draws() -> np.random.Generator:
    return np.random.default_rng(1)


def test_histories_equal_those_computed_row_by_row(draws: np.random.Generator) -> None:
    key = draws.integers(0, 20, ROWS) * 10**9
    time = 10**15 + np.sort(draws.integers(0, 5_000, ROWS)) * MILLISECOND
    values, is_meant = draws.integers(0, 9, ROWS), draws.random(ROWS) < 0.3
    histories = Histories(key, time)
    period = 700 * MILLISECOND
    found = {
        "all": histories.all(values),
        "since": histories.since(values, period),
        "last": histories.last(values, 3),
        "latest": histories.latest(is_meant),
        "most": histories.most(values),
    }
    for row in range(ROWS):
        before = np.flatnonzero(key[:row] == key[row])
        meant = before[is_meant[before]]
        expected = {
            "all": values[before].sum(),
            "since": values[before[time[before] >= time[row] - period]].sum(),
            "last": values[before[-3:]].sum(),
            "latest": meant[-1] if len(meant) else -1,
            "most": max(values[row], values[before].max(initial=0)),
        }
        assert {name: column[row] for name, column in found.items()} == expected, row


def test_a_rule_finds_half_of_the_frauds() -> None:
    sign = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 5.0, 9.0])
    is_fraud = np.array([False, True, False, False, True, False, False])
    is_judged = np.array([True, True, True, True, True, True, False])
    # The threshold is 5. One of the two warnings is right, and the last row is not judged.
    assert detect.precision_at_half(sign, is_fraud, is_judged) == pytest.approx(0.5)
