"""Runs every example in the docstrings of the Python modules."""

from __future__ import annotations

import ast
import doctest
import importlib
from typing import TYPE_CHECKING

import pytest

from services import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline import Pipeline

SOURCES = ROOT / "python"
PACKAGE = SOURCES / "ccstream" / "__init__.py"
"""Its example needs a broker and a database."""


def examples(path: Path) -> Iterator[doctest.DocTest]:
    """Yields the examples in the docstrings of a source file, including those of constants."""
    module = ".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            name = f"{module}:{node.lineno}"
            found = doctest.DocTestParser().get_doctest(node.value.value, {}, name, str(path), node.lineno)
            if found.examples:
                yield found


def run(test: doctest.DocTest) -> None:
    """Runs the examples of a docstring with the names of its module, and fails with a report if one differs."""
    skipped = [example.source for example in test.examples if doctest.SKIP in example.options]
    assert not skipped, "an example that is skipped shows nothing"
    module = importlib.import_module(test.name.partition(":")[0])
    test.globs = dict(vars(module))
    report: list[str] = []
    assert doctest.DocTestRunner(verbose=False).run(test, out=report.append).failed == 0, "".join(report)


FOUND = [test for path in sorted(SOURCES.rglob("*.py")) if path != PACKAGE for test in examples(path)]


def test_examples_are_found() -> None:
    assert {"ccstream.kpi", "ccstream.events", "ccstream.flags"} <= {test.name.partition(":")[0] for test in FOUND}


@pytest.mark.parametrize("test", FOUND, ids=lambda test: test.name)
def test_an_example_shows_what_happens(test: doctest.DocTest) -> None:
    run(test)


def test_the_example_of_the_package(embedded_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in embedded_pipeline.environment.items():
        monkeypatch.setenv(name, value)
    [test] = examples(PACKAGE)
    run(test)
