"""Every example of the documentation runs: those of the docstrings, and those of the page about Python."""

from __future__ import annotations

import ast
import doctest
import importlib
import pkgutil
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import ccstream
from ccstream import kpi
from services import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline import Pipeline

PAGE = ROOT / "docs" / "python.md"
MODULES = [
    found.name
    for found in pkgutil.walk_packages(ccstream.__path__, "ccstream.")
    # The page's modules draw when they are imported, and `__main__` runs the command.
    if not found.name.startswith("ccstream.dashboard.page") and not found.name.endswith(("_ccstream", "__main__"))
]
EXTENSION = importlib.import_module("ccstream._ccstream")
LETTER = b'{"transaction_id": "a1", "timestamp": "2026-01-01T10:00:00Z"}'
"""A message without an amount."""


@pytest.fixture
def led_here(filled: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """2,000 transactions and a dead letter, and an environment that leads to them."""
    filled.send([LETTER] * 3)
    filled.run("consume", "--until-caught-up")
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_TOPIC", "KAFKA_GROUP_ID", "DATABASE_URL"):
        monkeypatch.setenv(name, filled.environment[name])
    return filled


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_python_module(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def extension_examples() -> Iterator[doctest.DocTest]:
    """The examples of the extension's classes, methods and functions, in the order of the source."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    names = {"ccstream": ccstream, "kpi": kpi, "timedelta": timedelta}
    for name, described in sorted(vars(EXTENSION).items()):
        if not name.startswith("_"):
            members = vars(described).items() if isinstance(described, type) else ()
            for full, one in [(name, described), *((f"{name}.{part}", member) for part, member in members)]:
                # The extension's methods are not functions to doctest, which looks for their texts in vain.
                text = one.__doc__ or ""
                if ">>>" in text:
                    yield finder._parser.get_doctest(text, dict(names), full, None, 0)  # type: ignore[attr-defined]


EXAMPLES = {one.name: one for one in extension_examples()}


def shape(value: object) -> object:
    """A value without what depends on the data: its type, of a container the types in it, of a record its fields."""
    if isinstance(value, dict):
        return dict, {shape(one) for pair in value.items() for one in pair}
    if isinstance(value, list | bool | int | str):
        return type(value)
    return re.sub(r"[\d.]+(ms|µs|s)?\b", "0", repr(value))


def expected_shape(text: str) -> object:
    """The shape of what an example shows."""
    try:
        return shape(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return re.sub(r"[\d.]+(ms|µs|s)?\b", "0", text)


def test_there_are_examples_of_the_extension() -> None:
    assert len(EXAMPLES) > 12
    assert {"Producer", "Consumer", "KpiEngine.query"} <= set(EXAMPLES)


def test_examples_of_the_extension(led_here: Pipeline) -> None:
    with ccstream.KpiEngine.from_database(led_here.database_url) as engine:
        engine.refresh()
        for name, test in EXAMPLES.items():
            names: dict[str, Any] = {**test.globs, "engine": engine}
            for example in test.examples:
                try:
                    code = compile(example.source, name, "eval")
                except SyntaxError:
                    exec(example.source, names)  # noqa: S102
                    continue
                value = eval(code, names)  # noqa: S307
                if example.want:
                    assert shape(value) == expected_shape(example.want.strip()), f"{example.source}{value!r}"


def test_the_page_about_python_runs(led_here: Pipeline) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 6
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), {"__name__": "__main__"})  # noqa: S102
    assert led_here.count() == 7_000
