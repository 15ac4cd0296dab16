"""Tests that a trained model scores the stream and the past alike, and that models that do not fit are refused."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pytest

import ccstream
from conftest import make_database
from pipeline import Pipeline, make_pipeline
from test_analyze import SLOW_INSERTS, analyze, forget, verified
from waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


@pytest.fixture(scope="module")
def first(services: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pipeline, Path]]:
    """Trains a logistic regression on 40,000 transactions, which are scored by the rules."""
    path = tmp_path_factory.mktemp("models") / "first.json"
    with make_database(services) as url, make_pipeline(services["KAFKA_BOOTSTRAP_SERVERS"], url) as pipeline:
        pipeline.run("produce", *WORLD, "--quiet")
        pipeline.catch_up()
        analyze(pipeline, "--no-default-model")
        trained = pipeline.run("train", "--as-of", "2026-01-09T12:00:00Z", "--kind", "logistic", "--out", str(path))
        assert f"Wrote {path}" in trained
        yield pipeline, path


@pytest.fixture
def trained(services: dict[str, str], first: tuple[Pipeline, Path]) -> Iterator[tuple[Pipeline, Path]]:
    """Yields the topics of ``first``, a copy of its database, and the path of its model."""
    made, path = first
    name = made.database_url.rpartition("/")[2]
    with make_database(services, name) as url, make_pipeline(made.broker, url) as pipeline:
        pipeline.topic = made.topic
        yield pipeline, path


def test_a_model_scores_the_stream_as_it_scores_the_past(trained: tuple[Pipeline, Path], tmp_path: Path) -> None:
    pipeline, path = trained
    out = tmp_path / "scores.csv"
    pipeline.run("backtest", "--out", str(out))
    assert written(out) == scored(pipeline, "rules")
    pipeline.run("backtest", "--model", str(path), "--out", str(out))
    expected = written(out)
    assert len(expected) == 40_000
    pipeline.run("models", "add", str(path))
    pipeline.run("backtest", "--model", "first", "--out", str(out))
    assert written(out) == expected
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


def test_a_running_analyzer_takes_the_model_that_is_activated(trained: tuple[Pipeline, Path], tmp_path: Path) -> None:
    pipeline, path = trained
    expected = {}
    for name, file in (("rules", "rules"), ("first", str(path))):
        pipeline.run("backtest", "--model", file, "--out", str(tmp_path / "scores.csv"))
        expected[name] = written(tmp_path / "scores.csv")
    forget(pipeline)
    assert json.loads(pipeline.run("models", "add", str(path), "--json")) == {"name": "first"}
    # Each batch takes a while, so that the models change on the way.
    pipeline.execute(SLOW_INSERTS)
    analyzer = pipeline.analyze("--batch-rows", "500", "--until-caught-up")
    wait_until("the rules score", lambda: bool(scored(pipeline, "rules")))
    for name in ("first", "rules", "first"):
        before = len(scored(pipeline, name))
        pipeline.run("models", "activate", name)
        wait_until(f"{name} scores", lambda: len(scored(pipeline, name)) > before)  # noqa: B023
    assert analyzer.wait() == 0
    assert [event["name"] for event in analyzer.events("model")] == ["first", "rules", "first"]
    found = {name: scored(pipeline, name) for name in expected}
    assert sum(map(len, found.values())) == 40_000
    for name, scores in found.items():
        assert scores == {identity: expected[name][identity] for identity in scores}
    assert found["rules"]


def test_a_shadow_scores_beside_the_active_model(trained: tuple[Pipeline, Path]) -> None:
    pipeline, path = trained
    before = scored(pipeline, "rules")
    forget(pipeline)
    pipeline.run("models", "add", str(path))
    assert "first is the shadow" in pipeline.run("models", "shadow", "first")
    analyze(pipeline)
    assert scored(pipeline, "rules") == before
    [(shadows, greatest)] = pipeline.query("SELECT count(shadow), max(shadow) FROM scores WHERE shadow_model = 'first'")
    assert (shadows, 0 < greatest < 1) == (40_000, True)
    days = pipeline.query("SELECT model, sum(scored), count(DISTINCT day) FROM score_day GROUP BY model ORDER BY model")
    assert days == [("first", 40_000, 5), ("rules", 40_000, 5)]
    # Reasons are stored with high scores, and with no others.
    [(high, explained, least)] = pipeline.query(
        "SELECT count(*) FILTER (WHERE score >= 0.5), count(reasons) FILTER (WHERE score >= 0.5),"
        " min(cardinality(reasons)) FROM scores"
    )
    assert high == explained > 100
    assert least >= 1
    assert pipeline.query("SELECT count(*) FROM scores WHERE score < 0.5 AND reasons IS NOT NULL") == [(0,)]
    assert pipeline.query("SELECT DISTINCT count(*) FROM top_cards GROUP BY day") == [(100,)]
    assert verified(pipeline)["scores"] == 40_000
    pipeline.execute("UPDATE feature_day SET seen = seen + 1 WHERE day = '2026-01-07' AND feature = 'card_z'")
    assert "feature_day" in "".join(verified(pipeline, status=1)["problems"])
    # Without a shadow, the column remains empty.
    assert "There is no shadow" in pipeline.run("models", "shadow", "none")
    forget(pipeline)
    analyze(pipeline)
    assert pipeline.query("SELECT count(shadow), count(shadow_model) FROM scores") == [(0, 0)]
    pipeline.run("models", "activate", "first")
    assert "is the active one" in pipeline.run("models", "shadow", "first", status=2)


def test_models_are_listed_added_and_activated(embedded_pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline = embedded_pipeline

    def listed() -> list[tuple[str, bool]]:
        models = json.loads(pipeline.run("models", "--json"))["models"]
        return [(one["name"], one["active"]) for one in models]

    assert listed() == [("rules", True)]
    pipeline.run("models", "activate", "rules")
    assert "no model" in pipeline.run("models", "activate", "first", status=2)
    pipeline.create_topic(1)
    pipeline.catch_up()
    analyze(pipeline)
    history = ccstream.feature_history("2026-01-01", database_url=pipeline.database_url)
    first = tmp_path / "first.json"
    first.write_text(json.dumps(constant(history, 0.1)), encoding="utf-8")
    assert "first" in pipeline.run("models", "add", str(first))
    # The same file again is the same model. Another file with its name gets another name.
    pipeline.run("models", "add", str(first))
    assert listed() == [("rules", True), ("first", False)]
    first.write_text(json.dumps(constant(history, 0.2)), encoding="utf-8")
    second = json.loads(pipeline.run("models", "add", str(first), "--json"))["name"]
    assert second.startswith("first-")
    pipeline.run("models", "activate", second)
    assert listed() == [("rules", False), ("first", False), (second, True)]
    text = pipeline.run("models")
    assert "2026-01-09T00:00:00Z" in text
    assert "0.812" in text
    pipeline.execute("INSERT INTO models (name, kind, digest, file) VALUES ('old', 'trees', '', '{}')")
    assert "cannot be used" in pipeline.run("models", "activate", "old", status=2)
    assert "old cannot be used" in pipeline.run("models")
    pipeline.run("models", "activate", "rules")
    assert listed()[0] == ("rules", True)
    assert "name the model" in pipeline.run("models", "activate", status=2)
    assert "takes no name" in pipeline.run("models", "list", "first", status=2)
    assert "no-such-file" in pipeline.run("models", "add", "no-such-file.json", status=2)


def constant(history: ccstream.FeatureHistory, intercept: float) -> dict[str, object]:
    """Returns a model file that gives every transaction the same score."""
    none = [0.0] * len(history.names)
    return {
        "format": "ccstream-model-1",
        "features": {"version": history.version, "names": history.names},
        "kind": "logistic",
        "model": {"coefficients": none, "intercept": intercept, "means": none, "scales": [1.0] * len(none)},
        "calibration": {"kind": "platt", "slope": 1, "intercept": 0},
        "card": {"as_of": "2026-01-09T00:00:00Z", "maturity_days": 7, "quality": {"average_precision": 0.8123}},
    }


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
    assert len(analyzer.warned("model_unusable")) == 1
    assert "shadow" not in analyzer.output()
    pipeline.execute("UPDATE models SET is_active = false, is_shadow = true WHERE name = 'old'")
    as_shadow = analyze(pipeline)
    assert len(as_shadow.warned("model_unusable")) == 1
    assert "there is no shadow" in as_shadow.output()
    assert not analyzer.events("model")
