"""Runs the Python code of docs/detection.md that trains a model from the demo's stream, as a reader would."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import ccstream
from services import ROOT
from test_analyze import analyze

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from pipeline import Pipeline

PAGE = ROOT / "docs" / "detection.md"
SECTION = "### From the demo's stream to a better model"
WORLD = (
    *("--rate", "0.1", "--cards", "4300", "--start-time", "2026-01-05", "--speed", "max", "--seed", "1", "--quiet"),
    *("--fraud", "0.04", "--label-delay", "lognormal:1d", "--count", "60000", "--partitions", "2"),
)
"""A week of a smaller world than the demo's, with as many frauds."""


def test_the_example_trains_a_better_model_and_activates_it(
    embedded_pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", *WORLD)
    pipeline.catch_up()
    analyze(pipeline, "--no-default-model")
    monkeypatch.setenv("DATABASE_URL", pipeline.database_url)
    monkeypatch.chdir(tmp_path)
    section = PAGE.read_text(encoding="utf-8").partition(SECTION)[2]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code
    exec(compile(code[1], str(PAGE), "exec"), {"__name__": "__main__"})  # noqa: S102
    printed = capsys.readouterr().out
    quality = dict(re.findall(r"^(\S+): average precision ([\d.]+)$", printed, re.MULTILINE))
    assert quality.keys() == {"rules", "demo.json"}
    assert float(quality["demo.json"]) > float(quality["rules"])
    assert [one.name for one in ccstream.list_models() if one.active] == ["demo"]
