"""Tests the model in the wheel, and what ``bench/default_model.py`` measures of it, on a stream of another seed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import ccstream
from ccstream.training import DAY, Rows, quality
from services import ROOT
from test_analyze import analyze

sys.path.insert(0, str(ROOT / "bench"))
sys.path.insert(0, str(ROOT / "tools"))

import make_default_model

import default_model
from scored import Stream, read

if TYPE_CHECKING:
    from pipeline import Pipeline

WORLD = (
    *("--rate", "0.1", "--cards", "4000", "--start-time", "2026-01-05", "--speed", "max", "--seed", "5"),
    *("--fraud", "0.02", "--count", "40000"),
)


def test_the_model_finds_more_than_any_rule(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", *WORLD, "--quiet")
    pipeline.catch_up("--truth")
    analyze(pipeline)
    stream = read(pipeline.database_url)
    rows = stream.rows
    assert (len(rows), set(stream.scenario)) == (40_000, {"", "S1", "S2", "S3", "S4", "S5", "S6", "S7"})
    rules = default_model.single_rules(stream)
    # The bench computes the rules as the product does: together they are its feature.
    together = 1 - np.prod([1 - one for one in rules.values()], axis=0)
    assert together == pytest.approx(rows.features[:, list(rows.names).index("rules")].astype(float), abs=1e-6)
    scores = ccstream.backtest(default_model.MODEL, database_url=pipeline.database_url).scores
    best = max(quality.average_precision(rows.labels, one) for one in rules.values())
    assert quality.average_precision(rows.labels, scores) > best + default_model.ABOVE_A_RULE


def test_the_file_is_small_and_says_what_made_it() -> None:
    text = default_model.MODEL.read_text(encoding="utf-8")
    assert len(text.encode()) <= make_default_model.LARGEST
    card = json.loads(text)["card"]
    assert card["command"].startswith("ccstream train --as-of ")
    assert card["command"].endswith(f" --out {make_default_model.MODEL}")


def test_the_cards_on_top_of_a_day_are_those_with_the_highest_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "TOP", 2)
    tokens = ["a", "b", "a", "c", "d", "c"]
    days = np.array([0, 0, 0, 0, 1, 1])
    rows = Rows(np.empty((6, 0), dtype=np.float32), np.zeros(6, dtype=bool), days * DAY, [], "")
    stream = Stream(pd.DataFrame({"card_token": tokens}), rows)
    # On the first day, card a has the highest score and card c the second; its other transaction counts as well.
    scores = np.array([0.1, 0.2, 0.9, 0.3, 0.0, 0.1])
    assert default_model.is_on_top(stream, scores).tolist() == [True, False, True, True, True, True]
