"""Tests the training of models. They need the extra ``ccstream[train]``."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xgboost
from sklearn.metrics import average_precision_score, roc_auc_score

from ccstream.errors import ConfigError
from ccstream.training import DAY, Rows, calibrate, quality, train
from ccstream.training import recipe as recipes
from ccstream.training import trees as boosted

if TYPE_CHECKING:
    from numpy.typing import NDArray

DAYS = 70
MATURITY = 7 * DAY
AS_OF = DAYS * DAY
NAMES = ["ratio", "frauds", "hour", "constant"]


def rows(count: int = 40_000, seed: int = 1) -> Rows:
    """Draws rows whose chance of fraud is known: log odds of -6 plus twice the ratio plus the frauds."""
    random = np.random.default_rng(seed)
    features = np.column_stack(
        [random.normal(size=count), random.exponential(size=count), random.random(count) * 24, np.ones(count)]
    ).astype(np.float32)
    chance = 1 / (1 + np.exp(6 - 2 * features[:, 0] - features[:, 1]))
    labels = random.random(count) < chance
    features[random.random(count) < 0.1, 2] = np.nan
    times = np.sort(random.integers(0, AS_OF, count))
    return Rows(features, labels, times, NAMES, "v1", random.integers(0, 500, count))


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {kind: train(rows(), as_of=AS_OF, maturity=MATURITY, kind=kind) for kind in ("trees", "logistic")}


def margins(file: dict[str, Any], features: NDArray[Any]) -> NDArray[Any]:
    """Computes margins from nothing but the model file."""
    model = file["model"]
    if file["kind"] == "trees":
        booster = xgboost.Booster(model_file=bytearray(json.dumps(model), "utf-8"))
        matrix = xgboost.DMatrix(features, feature_names=file["features"]["names"])
        found: NDArray[Any] = booster.predict(matrix, output_margin=True)
        return found
    values = features.astype(np.float64)
    is_log = np.array(model["shapes"]) == "log"
    values[:, is_log] = np.sign(values[:, is_log]) * np.log1p(np.abs(values[:, is_log]))
    values = np.where(np.isnan(values), model["means"], values)
    total: NDArray[Any] = (values - model["means"]) / model["scales"] @ model["coefficients"] + model["intercept"]
    return total


@pytest.mark.parametrize("kind", ["trees", "logistic"])
def test_a_model_file_scores_rows_that_it_has_not_seen(texts: dict[str, str], kind: str) -> None:
    file = json.loads(texts[kind])
    assert (file["format"], file["kind"]) == ("ccstream-model-1", kind)
    assert file["features"] == {"version": "v1", "names": NAMES}
    fresh = rows(seed=2)
    found = margins(file, fresh.features)
    probabilities = calibrate.probabilities(calibrate.log_odds(file["calibration"], found.astype(np.float64)))
    assert probabilities.sum() == pytest.approx(fresh.frauds, rel=0.15)
    order = np.argsort(found, kind="stable")
    assert (np.diff(probabilities[order]) >= 0).all()
    assert (np.diff(probabilities[order])[np.diff(found[order]) > 0] > 0).all()
    ceiling = quality.average_precision(fresh.labels, (2 * fresh.features[:, 0] + fresh.features[:, 1]).astype(float))
    assert quality.average_precision(fresh.labels, probabilities) > ceiling - 0.05


def test_the_card_says_what_the_model_was_made_from(texts: dict[str, str]) -> None:
    card = json.loads(texts["trees"])["card"]
    assert (card["as_of"], card["maturity_days"]) == ("1970-03-12T00:00:00Z", 7)
    assert (card["trained"]["to"], card["calibrated"]["from"]) == ("1970-02-26T00:00:00Z",) * 2
    assert (card["calibrated"]["to"], card["quality"]["tested"]["to"]) == ("1970-03-05T00:00:00Z",) * 2
    tested = rows().between(56 * DAY, 63 * DAY)
    assert (card["quality"]["tested"]["rows"], card["quality"]["tested"]["frauds"]) == (len(tested), tested.frauds)
    assert card["calibrated"]["frauds"] / card["calibrated"]["rows"] == card["fraud_share"]
    table = card["quality"]["reliability"]
    assert sum(line["frauds"] for line in table) == tested.frauds
    assert sum(line["expected_frauds"] for line in table) == pytest.approx(tested.frauds, rel=0.3)
    assert 0.1 < card["quality"]["average_precision"] < 1
    assert card["libraries"]["XGBoost"] == xgboost.__version__


def test_the_same_rows_give_the_same_bytes_for_any_number_of_threads(
    texts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for threads in (1, 3):
        monkeypatch.setattr(boosted, "SETTINGS", {**boosted.SETTINGS, "nthread": threads})
        again = json.loads(train(rows(), as_of=AS_OF, maturity=MATURITY, kind="trees"))
        del again["card"]["settings"]["nthread"]
        assert again == json.loads(texts["trees"])


@pytest.mark.parametrize("kind", ["trees", "logistic"])
def test_rows_whose_labels_are_not_mature_change_nothing(texts: dict[str, str], kind: recipes.Kind) -> None:
    changed = rows()
    young = changed.times >= AS_OF - MATURITY
    changed.labels[young] = ~changed.labels[young]
    changed.features[young] = 0
    assert train(changed, as_of=AS_OF, maturity=MATURITY, kind=kind) == texts[kind]


def test_the_order_of_rows_does_not_choose_them() -> None:
    ordered = rows(1000)
    shuffled = ordered.take(np.random.default_rng(5).permutation(1000))
    for begin, end in ((0, AS_OF), (9 * DAY, 30 * DAY), (AS_OF, 2 * AS_OF)):
        expected = sorted(time for time in ordered.times.tolist() if begin <= time < end)
        assert sorted(shuffled.between(begin, end).times.tolist()) == expected
        assert ordered.between(begin, end).times.tolist() == expected


def test_the_kind_is_chosen_by_the_number_of_frauds() -> None:
    assert [recipes.choose(frauds) for frauds in (300, 499, 500)] == ["logistic", "logistic", "trees"]
    with pytest.raises(ConfigError, match="299 frauds are known"):
        recipes.choose(299)


def test_a_period_without_frauds_is_refused() -> None:
    none = rows()
    none.labels[(none.times >= 49 * DAY) & (none.times < 56 * DAY)] = False
    with pytest.raises(ConfigError, match=r"0 of the .* rows of the calibrated period are frauds"):
        train(none, as_of=AS_OF, maturity=MATURITY, kind="trees")
    with pytest.raises(ConfigError, match="no row is from before 1969"):
        train(rows(), as_of=0, maturity=MATURITY, kind="trees")


def test_rows_that_do_not_fit_are_refused() -> None:
    features, labels, times = np.zeros((3, 2), np.float32), np.array([True] * 3), np.array([1, 2, 3])
    with pytest.raises(ConfigError, match="labels: its shape"):
        Rows(features, labels[:1], times, ["a", "b"], "v")
    with pytest.raises(ConfigError, match="features: its shape"):
        Rows(features, labels, times, ["a"], "v")
    features[1, 1] = np.inf
    with pytest.raises(ConfigError, match="b has an infinite value"):
        Rows(features, labels, times, ["a", "b"], "v")


def test_the_margin_of_a_base_score_is_far_from_a_rounding_boundary() -> None:
    for share in np.geomspace(1e-4, 0.9999, 200):
        score = boosted.base_score(share)
        assert score == pytest.approx(share, rel=1e-3)
        odds = np.log(float(np.float32(1) / np.float32(score) - np.float32(1)))
        assert abs(odds - float(np.float32(odds))) < 0.05 * float(np.spacing(np.float32(abs(odds))))


def test_a_calibration_recovers_known_slopes() -> None:
    random = np.random.default_rng(3)
    found = random.normal(-2, 2, 300_000)
    labels = random.random(len(found)) < calibrate.probabilities(0.7 * found - 1)
    calibration = calibrate.fit(found, labels)
    points = np.linspace(-6, 3, 10)
    assert calibrate.log_odds(calibration, points) == pytest.approx(0.7 * points - 1, abs=0.15)
    with pytest.raises(ConfigError, match="does not recognise frauds"):
        calibrate.fit(-found, labels)
    with pytest.raises(ConfigError, match="0 of its 300000 rows are frauds"):
        calibrate.fit(found, np.zeros(len(found), dtype=bool))


def test_figures_equal_those_of_scikit_learn() -> None:
    random = np.random.default_rng(4)
    scores = np.round(random.normal(size=5_000), 1)
    labels = random.random(5_000) < calibrate.probabilities(scores - 2)
    assert quality.area_under_roc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    expected = average_precision_score(labels, scores)
    assert quality.average_precision(labels, scores) == pytest.approx(expected, abs=1e-12)


def test_card_precision_leaves_out_cards_that_were_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "TOP", 2)
    # Day 0: cards 1 and 2 lead, and 1 has a fraud. Day 1: card 1 is left out, so 2 and 3 lead, and 3 has a fraud.
    table = [
        (0, 1, 0.9, 0),
        (0, 1, 0.2, 1),
        (0, 2, 0.8, 0),
        (0, 3, 0.7, 1),
        (1, 1, 0.9, 1),
        (1, 2, 0.5, 0),
        (1, 3, 0.4, 1),
    ]
    days, cards, scores, labels = (np.array(column) for column in zip(*table, strict=True))
    some = Rows(np.zeros((len(table), 1), np.float32), labels == 1, days * DAY, ["a"], "v", cards)
    assert quality.card_precision(some, scores) == 0.5


def test_without_the_extra_an_error_names_it() -> None:
    code = (
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'xgboost' else find(name, *more)\n"
        "from ccstream.errors import ConfigError\n"
        "try:\n    import ccstream.training\nexcept ConfigError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "training needs XGBoost: pip install 'ccstream[train]'\n"
