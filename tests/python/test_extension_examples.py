"""Runs every example in the extension's docstrings, in the order of a user's first session."""

from __future__ import annotations

import asyncio
import doctest
import importlib
import inspect
import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import ccstream
from ccstream import kpi

if TYPE_CHECKING:
    from pipeline import Pipeline

EXTENSION = importlib.import_module("ccstream._ccstream")
PARSER = doctest.DocTestParser()

WITHOUT_SERVICES = ("Consumer.status", "aggregate", "Detector", "Detector.score", "Detector.label")
FILLED = (
    *("Producer", "Consumer", "Consumer.run_async", "topic_ends", "diagnose", "verify"),
    *("list_models", "activate_model", "shadow_model"),
)
"""These examples fill the topic and the tables, and inspect them."""
SCORED = ("Analyzer", "feature_history", "backtest")
"""These examples score the transactions."""
QUERIES = (
    "KpiEngine",
    "KpiEngine.refresh",
    "KpiEngine.query",
    "KpiEngine.latest",
    "KpiEngine.values",
    "KpiAnswer",
    "KpiAnswer.to_pandas",
)
REJECTED = ("count_rejected", "select_rejected", "replay_rejected")
"""These examples need dead letters."""


def described() -> dict[str, object]:
    """The extension's public names and their members."""
    found: dict[str, object] = {}
    for name, one in vars(EXTENSION).items():
        if not name.startswith("_"):
            found[name] = one
            if inspect.isclass(one):
                members = [member for member in vars(one) if not member.startswith("_")]
                found |= {f"{name}.{member}": getattr(one, member) for member in members}
    return found


DESCRIBED = described()


def run(name: str, **names: Any) -> None:  # noqa: ANN401
    """Runs the example of one name; ``names`` are known in it."""
    known = {"asyncio": asyncio, "ccstream": ccstream, "kpi": kpi, "math": math, "np": np, "timedelta": timedelta}
    test = PARSER.get_doctest(inspect.getdoc(DESCRIBED[name]) or "", {**known, **names}, name, None, None)
    report: list[str] = []
    results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append)
    assert results.attempted, f"{name} has no example"
    assert not results.failed, "".join(report)


def test_every_example_is_run() -> None:
    with_example = {name for name, one in DESCRIBED.items() if ">>>" in (inspect.getdoc(one) or "")}
    assert with_example == {*WITHOUT_SERVICES, *FILLED, *SCORED, *QUERIES, *REJECTED}
    skipped = [name for name in with_example if "doctest:" in (inspect.getdoc(DESCRIBED[name]) or "")]
    assert not skipped


@pytest.mark.parametrize("name", WITHOUT_SERVICES)
def test_an_example_without_services(name: str) -> None:
    run(name, aggregate=EXTENSION.aggregate)


def test_examples_with_services(embedded_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = embedded_pipeline
    for variable in ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_TOPIC", "KAFKA_GROUP_ID", "DATABASE_URL"):
        monkeypatch.setenv(variable, pipeline.environment[variable])
    monkeypatch.setenv("KAFKA_LABELS_TOPIC", f"{pipeline.topic}_labels")
    for name in (*FILLED, *SCORED):
        run(name)
    with ccstream.KpiEngine.from_database() as engine:
        for name in QUERIES:
            run(name, engine=engine)
    pipeline.send([b"{}", b"{}", b"{}", b"{broken"])
    ccstream.Consumer(until_caught_up=True).run()
    for name in REJECTED:
        run(name)
