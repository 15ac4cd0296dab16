"""Tests that a trained model scores the stream and the past alike, and that models that do not fit are refused."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pytest

from test_analyze import analyze, forget
from waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline import Pipeline

WORLD = (
    *("--rate", "0.1", "--cards", "4000", "--start-time", "2026-01-05", "--speed", "max", "--seed", "5"),
    *("--fraud", "0.02", "--label-delay", "fixed:1h", "--count", "40000", "--partitions", "2"),
)
"""Five days of a simulated world, whose labels come soon."""


def written(path: Path) -> dict[str, float]:
    """Reads the scores that a backtest wrote."""
    with path.open(encoding="utf-8") as file:
        return {row["transaction_id"]: float(row["score"]) for row in csv.DictReader(file)}


def scored(pipeline: Pipeline, model: str) -> dict[str, float]:
    """Returns the scores that the analyzer gave by a model."""
    return dict(pipeline.query("SELECT order_id, score FROM scores WHERE model = %s", model))


@pytest.fixture
def trained(embedded_pipeline: Pipeline, tmp_path: Path) -> tuple[Pipeline, Path]:
    """Trains a logistic regression on 40,000 transactions, which are scored by the rules."""
    pipeline, path = embedded_pipeline, tmp_path / "first.json"
    pipeline.run("produce", *WORLD, "--quiet")
    pipeline.catch_up()
    analyze(pipeline)
    trained = pipeline.run("train", "--as-of", "2026-01-09T12:00:00Z", "--kind", "logistic", "--out", str(path))
    assert f"Wrote {path}" in trained
    return pipeline, path


def test_a_model_scores_the_stream_as_it_scores_the_past(trained: tuple[Pipeline, Path], tmp_path: Path) -> None:
    pipeline, path = trained
    out = tmp_path / "scores.csv"
    pipeline.run("backtest", "--out", str(out))
    assert written(out) == scored(pipeline, "rules")
    pipeline.run("backtest", "--model", str(path), "--out", str(out))
    expected = written(out)
    assert len(expected) == 40_000
    # The model becomes active half-way: what was scored before keeps its score.
    forget(pipeline)
    first = pipeline.analyze("--batch-rows", "500")
    wait_until("some are scored", lambda: len(scored(pipeline, "rules")) > 0)
    assert first.stop() == 0
    before = scored(pipeline, "rules")
    analyze(pipeline, "--model", str(path))
    after = scored(pipeline, "first")
    assert (len(before) + len(after), len(after) > 0) == (40_000, True)
    assert after == {identity: expected[identity] for identity in after}
    [(name, kind)] = pipeline.query("SELECT name, kind FROM models WHERE is_active")
    assert (name, kind) == ("first", "logistic")
    # A part of the past is as the whole.
    pipeline.run("backtest", "--model", str(path), "--from", "2026-01-07", "--to", "2026-01-08", "--out", str(out))
    part = written(out)
    assert 0 < len(part) < 40_000
    assert part == {identity: expected[identity] for identity in part}


def test_models_that_do_not_fit_are_refused_by_name(trained: tuple[Pipeline, Path], tmp_path: Path) -> None:
    pipeline, path = trained
    model = json.loads(path.read_text(encoding="utf-8"))
    bad = tmp_path / "bad.json"
    changes: list[tuple[dict[str, Any], str]] = [
        ({"features": {**model["features"], "version": "0" * 16}}, "version"),
        ({"kind": "oracle"}, "oracle"),
        ({"model": {"coefficients": [1]}}, "model"),
        ({"format": "other"}, "format"),
    ]
    for change, why in changes:
        bad.write_text(json.dumps({**model, **change}), encoding="utf-8")
        for command in ("analyze", "backtest"):
            refused = pipeline.run(command, "--model", str(bad), status=2)
            assert "bad.json" in refused
            assert why in refused
    bad.write_text("[" * 100_000, encoding="utf-8")
    assert "bad.json" in pipeline.run("analyze", "--model", str(bad), status=2)
    assert "no-such-file" in pipeline.run("analyze", "--model", "no-such-file.json", status=2)
    # A model in the table that does not fit any more is a warning, and the rules score.
    pipeline.execute("INSERT INTO models (name, kind, digest, file, is_active) VALUES ('old', 'trees', '', '{}', true)")
    analyzer = analyze(pipeline)
    assert analyzer.warned("model_unusable")
