"""Tests how segments are found, named and continued. They need the extra ``ccstream[train]``, and no services."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ccstream.declared import DECLINED
from ccstream.segments import groups, moves
from ccstream.segments.features import Sums, agreeing, compute, features_of, known, share, spread
from ccstream.segments.features import weights as weigh
from ccstream.segments.kinds import KINDS
from services import ROOT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FEATURES = features_of(KINDS["merchants"])
ONES = np.ones(600)
CENTRES = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 2.5, 1.0]])


def cloud(count: int = 600, seed: int = 1) -> Array:
    """Draws members around three centres. Their groups overlap, as those of merchants do."""
    random = np.random.default_rng(seed)
    return CENTRES[random.integers(0, 3, count)] + random.normal(scale=0.7, size=(count, 3))


def sums(count: list[float], weekend: list[float], squares: list[float] | None = None) -> Sums:
    """Returns sums of members that differ in few ways."""
    ones = np.ones(len(count))
    counts = np.array(count)
    return Sums(
        keys=[f"m{at}" for at in range(len(count))],
        days=30,
        count=counts,
        idle=ones,
        amounts=counts,
        total=counts,
        logs=0 * ones,
        squares=0 * ones if squares is None else np.array(squares),
        refunds=0 * ones,
        weekend=np.array(weekend),
        night=0 * ones,
        named=counts,
        others=ones,
        declined=0 * ones,
        frauds=0 * ones,
    )


def choose(scaled: Array) -> int:
    """Chooses the number of segments of members with equal weights."""
    return groups.choose(scaled, np.ones(len(scaled)), np.ones(len(scaled), dtype=np.bool_))


def test_a_single_transaction_makes_no_weekend_merchant() -> None:
    few, many, none = share(np.array([1.0, 90.0, 0.0]), np.array([1.0, 100.0, 100.0]))
    assert few == pytest.approx((1 + 10 * 91 / 201) / 11)
    assert few < many
    assert 0 < none < 0.05
    assert share(np.zeros(3), np.ones(3)).tolist() == [0, 0, 0]


def test_the_spread_of_one_amount_is_the_usual_one() -> None:
    found = spread(sums([1, 100, 100], [0, 0, 0], [0, 99, 4 * 99]))
    usual = np.sqrt(2.5)
    assert found.tolist() == pytest.approx([usual, np.sqrt((99 + 5 * 2.5) / 104), np.sqrt((396 + 5 * 2.5) / 104)])


def test_members_without_amounts_or_partners_have_finite_features() -> None:
    none = np.zeros(2)
    one = replace(sums([3, 4], [0, 1]), amounts=none, total=none, named=none, others=none)
    assert np.isfinite(compute(one)).all()
    assert compute(one).shape == (2, len(FEATURES))


def test_a_feature_that_is_the_same_for_all_counts_for_nothing() -> None:
    values = np.column_stack([np.arange(100.0), np.full(100, 0.3), np.r_[np.zeros(90), np.ones(10)]])
    scale = groups.Scale.of(values, np.ones(len(values)))
    scaled = scale.apply(values)
    assert (scaled[:, 1] == 0).all()
    # In the last column, the middle half has no spread; the standard deviation is used.
    assert scale.width[2] == pytest.approx(values[:, 2].std())
    assert scaled[:, 2].max() == groups.FAR
    # A later run may have other values in it, which still count for nothing.
    assert (scale.apply(values + 0.1)[:, 1] == 0).all()


def test_segments_are_found_again_and_continue_as_they_are() -> None:
    scaled = cloud()
    centres = groups.found(scaled, ONES, 3)
    assert np.array_equal(groups.found(scaled, ONES, 3), centres)
    labels = groups.nearest(scaled, centres)
    assert np.array_equal(groups.nearest(scaled, groups.continued(scaled, ONES, centres)), labels)
    assert groups.continued(scaled, ONES, centres) == pytest.approx(centres, abs=1e-12)
    assert (np.diff(np.bincount(labels)) <= 0).all()
    expected = [np.abs(centres - centre).sum(axis=1).min() for centre in CENTRES]
    assert max(expected) < 0.5


def test_segments_keep_their_numbers_when_all_members_shift() -> None:
    scaled = cloud()
    centres = groups.found(scaled, ONES, 3)
    shifted = groups.continued(scaled + 0.3, ONES, centres)
    assert shifted == pytest.approx(centres + 0.3, abs=0.1)
    # Without members, a segment stays where it was.
    others = scaled[groups.nearest(scaled, centres) != 1]
    alone = groups.continued(others, np.ones(len(others)), centres)
    assert alone[1].tolist() == centres[1].tolist()


def test_the_number_of_segments_follows_the_members() -> None:
    assert choose(cloud(10)) == 2
    assert 4 <= choose(cloud(100)) <= 8
    assert choose(np.zeros((100, 3))) == 1
    six = np.random.default_rng(2).normal(size=(600, 3), scale=0.05) + np.repeat(np.eye(3), 200, axis=0)
    far = np.concatenate([six, six + 5])
    assert choose(far) == 6


def test_names_say_what_sets_a_segment_apart() -> None:
    names = [feature.name for feature in FEATURES]
    centres = np.zeros((4, len(names)))
    for segment, feature, value in (
        (0, "value", 2.0),
        (0, "frequency", -1.5),
        (0, "weekend", 1.0),
        (1, "refunds", -2.5),
        (2, "night", 1.2),
        (3, "night", 1.2),
    ):
        centres[segment, names.index(feature)] = value
    found = groups.names(np.vstack([centres, np.zeros(len(names))]), FEATURES)
    assert found == ["large, rare, weekend", "ordinary (1)", "night (1)", "night (2)", "ordinary (2)"]


def test_a_fourth_word_tells_two_segments_apart() -> None:
    names = [feature.name for feature in FEATURES]
    centres = np.zeros((3, len(names)))
    for at, feature in enumerate(("value", "frequency", "weekend")):
        centres[:2, names.index(feature)] = 3 - at / 2
    centres[0, names.index("night")], centres[1, names.index("night")] = 1, -1
    found = groups.names(centres, FEATURES)
    assert found[:2] == ["large, frequent, weekend, night", "large, frequent, weekend, daytime"]


def test_a_share_that_the_transactions_do_not_confirm_gives_no_name() -> None:
    at = [feature.name for feature in FEATURES].index("weekend")
    some = sums([100, 100, 100, 100], [60, 26, 24, 10])
    apart = np.zeros((4, len(FEATURES)))
    # The share of all is 0.3.
    apart[:, at] = [1.0, 1.0, -1.0, -1.0]
    found = agreeing(apart, FEATURES, some, np.arange(4))
    assert found[:, at].tolist() == [1, 0, -1, -1]
    some = sums([100, 100, 100, 100], [60, 26, 25, 10])
    assert agreeing(apart, FEATURES, some, np.arange(4))[:, at].tolist() == [1, 0, 0, -1]


def test_members_with_few_transactions_do_not_set_the_scale() -> None:
    many = sums([1.0] * 900 + [190.0] * 100, [0.0] * 1000)
    weights = weigh(many)
    assert (weights[0], weights[-1]) == (1 / 11, 190 / 200)
    values = np.r_[np.full(900, 7.0), np.arange(100.0)][:, None]
    scale = groups.Scale.of(values, weights)
    # The 900 members together have about the weight of 86 others, so a quarter of the weight is at most near 40.
    assert scale.width[0] > 10
    assert groups.Scale.of(values, np.ones(1000)).width[0] == pytest.approx(values.std())
    assert known(many).sum() == 100
    assert known(sums([1.0] * 500 + [10.0] * 39, [0.0] * 539)).all()


def test_a_member_moves_after_three_runs_in_a_row() -> None:
    near, far, between = [3.0, 1.0], [1.0, 3.0], [1.0, 0.85]
    places = moves.Places(np.array([0, 0, 0, moves.NEW]), np.array([0, 0, 0, 0]))
    history = []
    for second in (near, near, far, near, near, near):
        distances = np.array([near, second, between, near])
        places = moves.move(places, distances, is_later=True)
        history.append(places.labels.tolist())
    assert [labels[0] for labels in history] == [0, 0, 1, 1, 1, 1]
    assert [labels[1] for labels in history] == [0, 0, 0, 0, 0, 1]
    assert {labels[2] for labels in history} == {0}
    assert {labels[3] for labels in history} == {1}
    assert places.streaks.tolist() == [0, 0, 0, 0]


def test_runs_of_the_same_time_move_nobody() -> None:
    places = moves.Places(np.array([0, moves.NEW]), np.array([2, 0]))
    for _ in range(5):
        places = moves.move(places, np.array([[3.0, 1.0], [3.0, 1.0]]), is_later=False)
    assert (places.labels.tolist(), places.streaks.tolist()) == ([0, 1], [2, 0])


def test_the_words_for_declined_are_those_of_the_documents() -> None:
    lines = (ROOT / "docs" / "data.md").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("| declined | `")]
    assert tuple(re.findall("`(.*?)`", line)) == DECLINED


def test_without_the_extra_an_error_names_it() -> None:
    code = (
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'sklearn' else find(name, *more)\n"
        "from ccstream.cli import main\n"
        "main(['segment'])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (
        2,
        "ccstream: segmenting needs scikit-learn: pip install 'ccstream[train]'\n",
    )
