"""Runs the Python code of docs/python.md, block after block, as a reader would in one session."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services import ROOT

if TYPE_CHECKING:
    import pytest

    from pipeline import Pipeline

PAGE = ROOT / "docs" / "python.md"
INVALID = b'{"transaction_id": "a1", "timestamp": "2026-01-01T10:00:00Z"}'
"""A message without an amount."""


def test_the_page_about_python_runs(filled: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    filled.send([INVALID] * 3)
    filled.run("consume", "--until-caught-up")
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_TOPIC", "KAFKA_GROUP_ID", "DATABASE_URL"):
        monkeypatch.setenv(name, filled.environment[name])
    monkeypatch.setenv("KAFKA_LABELS_TOPIC", f"{filled.topic}_labels")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 6
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), {"__name__": "__main__"})  # noqa: S102
    assert filled.count() == 7_000
