"""Tests the quality and the drift of scores by numbers that are computed by hand, without services."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta

import numpy as np
import pytest

from ccstream.dashboard import fraud_figures, quality
from ccstream.dashboard.fraud_charts import BY_TRUTH, IN_SHADOW, LABELS
from ccstream.dashboard.fraud_queries import MOST_HIGH
from ccstream.dashboard.fraud_tables import Days, Now, Planted, Scored
from ccstream.dashboard.quality import Cells
from ccstream.dashboard.words import said

TWO = Cells.of([0.9, 0.0, 0.5], [10, 980, 10], [8, 2, 0])
"""A day with 1,000 transactions and 10 frauds, of which the 10 transactions with the highest scores have 8."""
DAY = date(2026, 1, 1)


def test_a_days_quality_by_hand() -> None:
    found = quality.measure(TWO, 0.5)
    assert (found.scored, found.frauds) == (1000, 10)
    assert found.precision == pytest.approx(8 / 20)
    assert found.recall == pytest.approx(8 / 10)
    # Eight frauds are found at a precision of 8/10, and two at a precision of 10/1000.
    assert found.average_precision == pytest.approx(0.8 * 0.8 + 0.2 * 0.01)
    # The top 1 % are the ten transactions of the highest cell, which have 80 % of the frauds.
    assert found.lift == pytest.approx(80)
    assert quality.measure(TWO, 0.9).precision == pytest.approx(0.8)


def test_a_cell_that_is_cut_counts_proportionally() -> None:
    assert quality.measure(Cells.of([0.0, 0.9], [960, 40], [0, 8]), 0.5).lift == pytest.approx(0.25 * 100)
    assert quality.measure(Cells.of([0.0], [500], [5]), 0.5).lift == pytest.approx(1)


def test_what_nothing_determines_is_none() -> None:
    found = quality.measure(Cells.of([0.0, 0.2], [5, 5], [0, 0]), 0.5)
    assert (found.precision, found.recall, found.average_precision, found.lift) == (None, None, None, None)
    assert quality.measure(Cells.of([], [], []), 0.5).scored == 0


def test_average_precision_is_that_of_every_pair_of_cell_and_fraud() -> None:
    random = np.random.default_rng(7)
    scores = random.integers(0, 40, 3000) / 40
    frauds = random.random(3000) < scores**4
    bounds = sorted(set(scores.tolist()))
    cells = Cells.of(
        bounds, [int((scores == one).sum()) for one in bounds], [int(frauds[scores == one].sum()) for one in bounds]
    )
    by_fraud = [frauds[scores >= one].mean() for one in scores[frauds]]
    assert quality.measure(cells, 0.5).average_precision == pytest.approx(np.mean(by_fraud))


def test_card_precision_and_its_ceiling() -> None:
    assert quality.card_precision(30, 40) == (0.3, 0.4)
    assert quality.card_precision(90, 250) == (0.9, 1.0)


def test_the_bars_have_every_transaction_once() -> None:
    coarse = [*range(100, 9_901, 100), *range(9_910, 9_991, 10)]
    bounds = [at / 10_000 for at in [*range(100), *coarse, *range(9_991, 10_000)]]
    counts = range(1, len(bounds) + 1)
    cells = Cells.of(bounds, [*counts], [0] * len(bounds))
    bars = quality.distribution([cells, cells])
    assert len(bounds) == 217
    # A bar has all cells from its bound to the next one, whatever the last bits of the bounds are.
    ends = [edge for edge, _, _ in bars[1:]] + [2.0]
    for (edge, scored, _), end in zip(bars, ends, strict=True):
        assert scored == 2 * sum(count for one, count in zip(bounds, counts, strict=True) if edge <= one < end), edge


def test_stability_by_hand() -> None:
    now, before = np.array([100.0, 300.0]), np.array([200.0, 200.0])
    p, q = 100.5 / 401, 200.5 / 401
    expected = (p - q) * math.log(p / q) + ((1 - p) - (1 - q)) * math.log((1 - p) / (1 - q))
    assert quality.stability(now, before) == pytest.approx(expected)
    assert quality.stability(before, before) == 0
    assert quality.stability(np.array([100.0, 99.0]), before) is None


def test_small_bins_are_merged() -> None:
    # The last three bins have 1 % of the rows together, and the new rows have moved within them.
    now, before = np.array([990.0, 0.0, 0.0, 10.0]), np.array([990.0, 5.0, 5.0, 0.0])
    assert quality.stability(now, before) == 0
    # A value that was never seen before is a change.
    found = quality.stability(np.array([500.0, 0, 0, 500.0]), before)
    assert found is not None
    assert found > quality.LARGE


def test_drift_compares_a_day_with_the_week_before() -> None:
    days = [DAY + timedelta(days=at) for at in (0, 7, 8, 9, 17)]
    rows = [(days[0], 1, 500), (days[1], 1, 500), (days[2], 2, 500), (days[3], 1, 10), (days[4], 1, 500)]
    found = quality.drift(rows[::-1])
    # The fourth day has few rows, and no day of the week before the last one has any.
    assert list(found) == days[1:3]
    assert found[days[1]] == 0
    assert found[days[2]] > quality.LARGE
    assert quality.drift([]) == {}


def days_of(**changed: object) -> Days:
    """Returns a day of two models with some frauds, and a second day that the model did not finish."""
    usual: dict[str, object] = {
        "maturity": timedelta(days=2),
        "main": {DAY: "trees"},
        "cells": {(DAY, "trees"): TWO, (DAY, "logistic"): TWO.with_frauds([2, 0, 8])},
        "cards": {DAY: (9, 7)},
        "planted": {DAY: Planted([0.95, 0.93, 0.0], 3, 2)},
        "features": {"amount": [(DAY, 33, 500), (DAY + timedelta(days=1), 35, 500)]},
        "top_cards": [],
        "merchants": [],
    }
    return Days(**{**usual, **changed})  # type: ignore[arg-type]


def test_points_of_view() -> None:
    reached = datetime(2026, 1, 3, 12)  # noqa: DTZ001
    found = {one.who: one for one in fraud_figures.qualities(days_of(), reached, 0.5, "logistic")}
    assert set(found) == {LABELS, BY_TRUTH, IN_SHADOW}
    assert found[LABELS].cards == (0.07, 0.09)
    # The labels of the day come until January 4. What was planted is known at once.
    assert (found[LABELS].is_mature, found[BY_TRUTH].is_mature) == (False, True)
    assert found[BY_TRUTH].quality.frauds == 3
    assert found[BY_TRUTH].quality.recall == pytest.approx(2 / 3)
    assert found[BY_TRUTH].cards == (0.02, 0.03)
    assert (found[IN_SHADOW].model, found[IN_SHADOW].cards) == ("logistic", None)
    mature = fraud_figures.qualities(days_of(), reached + timedelta(days=1), 0.5, None)
    assert [(one.who, one.is_mature) for one in mature] == [(LABELS, True), (BY_TRUTH, True)]
    table = fraud_figures.quality_table(list(found.values()), LABELS)
    assert [row["day"] for row in table] == ["Jan 1 *"]
    assert len(fraud_figures.quality_lines(list(found.values()))) == 3


def test_a_models_scores_are_compared_with_its_own() -> None:
    second = DAY + timedelta(days=1)
    other = Cells.of([0.0, 0.9], [0, 1000], [0, 0])
    cells = {(DAY, "rules"): TWO, (second, "trees"): other}
    found = fraud_figures.drift(days_of(main={DAY: "rules", second: "trees"}, cells=cells))
    assert found.score == {}
    assert [name for name, _ in found.features[second]] == ["amount"]
    found = fraud_figures.drift(
        days_of(main={DAY: "trees", second: "trees"}, cells={(DAY, "trees"): TWO, (second, "trees"): other})
    )
    assert found.score[second] > quality.LARGE
    [runs, *_] = fraud_figures.drift_list(found, second)
    assert said(*runs).startswith("Jan 2 so far score 11.23 (large)\namount ")


def now_of(**changed: object) -> Now:
    moment = datetime(2026, 1, 1, 12)  # noqa: DTZ001
    row = Scored(moment, 0.9, None, None, "[x](http://y)", None, ["*odd*"])
    usual: dict[str, object] = {
        "event_time": moment,
        "late": 0,
        "renewed_at": moment,
        "is_held": True,
        "model": "trees",
        "shadow": None,
        "next_offsets": {0: 5},
        "width": timedelta(minutes=1),
        "series": [(1767268740, 40, 1), (1767268800, 60, 4)],
        "stake": {"USD": (3, 1234.5)},
        "riskiest": [row],
        "is_in_range": True,
    }
    return Now(**{**usual, **changed})  # type: ignore[arg-type]


def test_the_headline() -> None:
    def headline(currency: str = "USD", **changed: object) -> str:
        return said(*fraud_figures.headline(now_of(**changed), currency))

    assert headline().startswith("5 of 100 transactions scored high (5.00%). Of these, 3 are in USD: 1,234.50 is")
    assert "0 are in EUR: 0.00 is" in headline("EUR")
    assert f"Of the newest {MOST_HIGH:,}, 3 are in USD" in headline(series=[(0, 10**6, MOST_HIGH + 1)])
    assert "Nothing is at stake" in headline(series=[(0, 10, 0)])
    assert "has a score" in headline(series=[])
    assert "simulated world" not in headline()
    of_the_world = headline(model=fraud_figures.DEFAULT_MODEL)
    assert "-2, made for the simulated world and not for real cards" in of_the_world
    assert "logistic scores beside it" in headline(shadow="logistic")


def test_a_bar_is_pale_until_the_analysis_has_passed_it() -> None:
    assert [row["whole"] for row in fraud_figures.over_time(now_of())] == [True, False]
    assert fraud_figures.over_time(now_of(series=[])) == []
