"""Tests that a detector in memory gives the analyzer's scores, and refuses what the consumer rejects."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from confluent_kafka import Producer

import ccstream
from test_analyze import analyze, forget
from topics import read_whole
from waiting import LIMIT

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline import Pipeline

WORLD = (
    *("--rate", "0.02", "--cards", "400", "--start-time", "2026-01-05", "--speed", "max", "--seed", "5", "--quiet"),
    *("--fraud", "0.03", "--label-delay", "lognormal:2h", "--count", "5000", "--partitions", "2"),
)
"""Three days of a small world, whose labels come within hours."""
USUAL = {"card_token": "tok_1", "merchant": "Fig & Fern", "currency": "EUR", "country": "IE"}

Row = dict[str, Any]


def order(number: int, amount: object, **fields: object) -> Row:
    """Returns a transaction of one card, an hour after that of the number before."""
    time = datetime.fromisoformat("2026-03-01T00:00:00") + timedelta(hours=number)
    return {"transaction_id": f"t{number}", "timestamp": time.isoformat() + "Z", "amount": amount, **USUAL, **fields}


def correct(pipeline: Pipeline) -> None:
    """Sends further labels of every third labelled transaction: it is genuine, and then a fraud again."""
    labels = [json.loads(message.value() or b"") for message in read_whole(pipeline.broker, pipeline.labels_topic)]
    producer = Producer({"bootstrap.servers": pipeline.broker})
    for label in labels[::3]:
        for hours, fraud in ((2, False), (5, True)):
            at = datetime.fromisoformat(label["labelled_at"]) + timedelta(hours=hours)
            again = {**label, "labelled_at": at.isoformat(), "fraud": fraud}
            producer.produce(pipeline.labels_topic, json.dumps(again).encode())
    assert producer.flush(LIMIT) == 0


@pytest.fixture
def world(embedded_pipeline: Pipeline) -> tuple[Pipeline, list[Row]]:
    """Scores 5,000 transactions by the default model; returns them in the order of the analyzer."""
    pipeline = embedded_pipeline
    pipeline.run("produce", *WORLD)
    correct(pipeline)
    pipeline.catch_up()
    analyze(pipeline, "--explain", "0.2")
    messages = [json.loads(message.value() or b"") for message in read_whole(pipeline.broker, pipeline.topic)]
    by_id = {row["transaction_id"]: row for row in messages}
    return pipeline, [by_id[one] for (one,) in pipeline.query("SELECT order_id FROM scores ORDER BY seq")]


def scored(pipeline: Pipeline) -> list[tuple[str, float, list[str] | None]]:
    """Returns the id, score and reasons of each transaction, as the analyzer wrote them."""
    return [tuple(row) for row in pipeline.query("SELECT order_id, score, reasons FROM scores ORDER BY seq")]


def test_a_detector_scores_as_the_analyzer(world: tuple[Pipeline, list[Row]], tmp_path: Path) -> None:
    pipeline, rows = world
    labels = pipeline.query("SELECT transaction_id, fraud, labelled_at FROM labels")
    assert pipeline.query("SELECT count(*) > 100 FROM labels WHERE seq IS NOT NULL") == [(True,)]
    history = ccstream.feature_history("2026-01-20", database_url=pipeline.database_url)
    model = tmp_path / "some.json"
    model.write_text(some_model(history))
    for path in ("habits-2", None, model):
        if path != "habits-2":
            forget(pipeline)
            chosen = ("--model", str(path)) if path else ("--no-default-model",)
            pipeline.run("models", "activate", "rules")
            analyze(pipeline, "--explain", "0.2", *chosen)
        detector = ccstream.Detector(path)
        # A label may come before its transaction, and a transaction may have several.
        for identity, fraud, at in labels:
            detector.label(identity, fraud=fraud, at=at)
        parts = [detector.score(part) for part in (rows[:10], rows[10:10], rows[10:3000], iter(rows[3000:]))]
        expected = scored(pipeline)
        assert [one for part in parts for one in part.ids] == [one for one, _, _ in expected]
        assert np.concatenate([part.scores for part in parts]).tolist() == [score for _, score, _ in expected]
        reasons = [one for part in parts for one in part.reasons]
        high = [(of, why) for of, (_, _, why) in zip(reasons, expected, strict=True) if why is not None]
        assert len(high) > 50
        assert all(of == why for of, why in high)
    assert (detector.model, detector.transactions, detector.late) == ("some", 5000, 0)
    # The model has the maturity of the history, so all features are those of the history.
    features = np.concatenate([part.features for part in parts])
    assert np.array_equal(features, history.features, equal_nan=True)
    assert np.concatenate([part.times for part in parts]).tolist() == history.times.tolist()


def some_model(history: ccstream.FeatureHistory) -> str:
    """Writes a logistic regression of all features, with the maturity of a history."""
    count = len(history.names)
    return json.dumps(
        {
            "format": "ccstream-model-1",
            "features": {"version": history.version, "names": history.names},
            "kind": "logistic",
            "model": {
                "coefficients": [(at % 7 - 2) / 10 for at in range(count)],
                "intercept": -2,
                "means": np.nan_to_num(np.nanmean(history.features, axis=0)).tolist(),
                "scales": (np.nan_to_num(np.nanstd(history.features, axis=0)) + 0.1).tolist(),
            },
            "calibration": {"kind": "platt", "slope": 1, "intercept": 0},
            "card": {"maturity_days": history.maturity / 86_400e6},
        }
    )


def test_labels_are_due_at_their_time() -> None:
    def scores(*labels: tuple[object, ...]) -> list[float]:
        detector = ccstream.Detector()
        for label in labels:
            detector.label(*label)  # type: ignore[arg-type]
        found = detector.score([order(number, 20, card_token=f"tok_{number}") for number in range(6)])
        return list(map(float, found.scores))

    without = scores()
    at = datetime.fromisoformat("2026-03-01T02:30:00")
    known = scores(("t1", True, at))
    assert known[:3] == without[:3]
    assert known[3] > without[3] + 0.5
    assert scores(("t1", True, at.isoformat())) == scores(("t1", True, at.isoformat() + "Z")) == known
    assert scores(("t1", True, at), ("t1", False, at)) == known
    assert scores(("t1", True, at), ("t1", False, "2026-03-01T04:30:00Z"))[:5] == known[:5]
    assert scores(("t1", True, at), ("t1", False, "2026-03-01T04:30:00Z"))[5] == without[5]
    assert scores(("t1", False, at)) == without
    # Without a time, a label is due at once. A label of an unknown transaction waits.
    detector = ccstream.Detector()
    first = detector.score([order(number, 20, card_token=f"tok_{number}") for number in range(3)])
    assert first.scores.tolist() == without[:3]
    detector.label("t1")
    detector.label("t4")
    later = detector.score([order(number, 20, card_token=f"tok_{number}") for number in range(3, 6)])
    assert later.scores[0] == known[3]
    assert later.feature("run_frauds").tolist() == [1, 1, 2]
    with pytest.raises(ccstream.ConfigError, match=r"at: .* is not a time"):
        detector.label("t1", at="yesterday")


def test_a_detection_has_features_and_reasons_by_name() -> None:
    detector = ccstream.Detector()
    found = detector.score(
        [order(number, amount) for number, amount in enumerate([20, 25, 19.5, Decimal("22.00"), 180])]
    )
    assert found.names == detector.feature_names
    assert found.features.shape == (5, len(found.names))
    assert found.features.dtype == np.float32
    assert found.feature("amount").tolist() == [20, 25, 19.5, 22, 180]
    assert np.shares_memory(found.feature("amount"), found.features)
    assert (
        found.explain(4)
        == found.reasons[4]
        == [
            "8.5 times this card's usual amount",
            "8.4 times this merchant's usual amount",
        ]
    )
    assert len(found) == len(found.reasons) == 5
    assert (repr(detector), repr(found)) == ("Detector(rules, 5 transactions)", "Detection(5 transactions)")
    with pytest.raises(ccstream.ConfigError, match="there is no feature"):
        found.feature("colour")
    with pytest.raises(IndexError):
        found.explain(5)
    # The state is that of the calls before.
    assert detector.score([order(5, 20)]).feature("card_amounts").tolist() == [4]
    assert detector.score([order(4, 20, transaction_id="late")]).ids == ["late"]
    assert detector.late == 1


def test_frames_are_read_row_by_row() -> None:
    rows = [order(0, 20), order(1, 25, merchant=None), order(2, 180, terminal_id="T1")]
    expected = ccstream.Detector().score(rows)
    frame = pd.DataFrame(rows)
    times = frame.assign(timestamp=pd.to_datetime(frame["timestamp"]))
    for data in (frame, times, frame.assign(amount=[20.0, 25.0, 180.0]), pa.Table.from_pandas(frame)):
        found = ccstream.Detector().score(data)
        assert found.ids == expected.ids
        assert np.array_equal(found.features, expected.features, equal_nan=True)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([order(0, 20), order(1, "12,50")], "index 1: invalid_amount: "),
        ([order(0, float("nan"))], "index 0: invalid_json: "),
        ([order(0, 20), order(0, 20)], "index 1: the id .t0. was scored before"),
        ([order(0, 20), order(9, 20)], "index 1: the id .t9. was scored before"),
        ([order(0, 20, merchant=object())], "index 0: a object cannot be a field"),
        ([order(0, 20), "t1"], "index 1: pass a mapping, not str"),
        (order(0, 20), "pass an iterable of mappings or a DataFrame, not dict"),
        (7, "pass an iterable of mappings or a DataFrame, not int"),
    ],
)
def test_what_cannot_be_scored_changes_nothing(rows: Any, reason: str) -> None:  # noqa: ANN401
    detector = ccstream.Detector()
    detector.score([order(9, 20)])
    with pytest.raises(ValueError, match=f"transactions: {reason}"):
        detector.score(rows)
    assert detector.transactions == 1


def test_settings_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ccstream.ConfigError, match="cards: 0 is not from"):
        ccstream.Detector(cards=0)
    with pytest.raises(ccstream.ConfigError, match=r"model: .*nothing\.json: No such file"):
        ccstream.Detector(tmp_path / "nothing.json")
    # Some cards are remembered in any case.
    few, many = ccstream.Detector(cards=1), ccstream.Detector()
    others = [order(0, 20, transaction_id=f"o{number}", card_token=f"tok_{number + 2}") for number in range(30_000)]
    for detector, amounts in ((few, 0), (many, 1)):
        detector.score([order(0, 20), *others])
        assert detector.score([order(1, 20)]).feature("card_amounts").tolist() == [amounts]
