"""Tests the docstrings of the extension: each public name has one, with all arguments, and the stub has the same."""

from __future__ import annotations

import importlib
import inspect
import pydoc
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import ccstream
from services import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

SECTIONS = {"Args", "Returns", "Raises", "Example"}
EXTENSION = importlib.import_module("ccstream._ccstream")


def public() -> Iterator[tuple[str, Any]]:
    """Yields the extension's classes, their members and its functions, with their names."""
    for name, described in sorted(vars(EXTENSION).items()):
        if name.startswith("_"):
            continue
        yield name, described
        if inspect.isclass(described):
            members = (member for member in sorted(vars(described)) if not member.startswith("_"))
            yield from ((f"{name}.{member}", getattr(described, member)) for member in members)


NAMES = dict(public())


def test_the_stub_has_the_same_docstrings() -> None:
    check = [sys.executable, str(ROOT / "tools" / "generate_stub.py"), "--check"]
    done = subprocess.run(check, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_documented(name: str) -> None:
    text = inspect.getdoc(NAMES[name])
    assert text, "there is no docstring"
    summary, _, rest = text.partition("\n")
    assert summary.endswith((".", ".)")), summary
    assert not rest or rest.startswith("\n"), "no blank line follows the first"
    sections = re.findall(r"^(\w+):$", text, re.MULTILINE)
    assert set(sections) <= SECTIONS
    assert sections == [section for section in ("Args", "Returns", "Raises", "Example") if section in sections]


@pytest.mark.parametrize("name", [name for name, described in NAMES.items() if callable(described)])
def test_every_argument_is_documented(name: str) -> None:
    described, text = NAMES[name], inspect.getdoc(NAMES[name]) or ""
    try:
        signature = inspect.signature(described)
    except ValueError:
        # Python code cannot construct this class.
        return
    arguments = [argument for argument in signature.parameters if argument != "self"]
    assert re.findall(r"^    (\w+): ", text.partition("Args:\n")[2].partition("\n\n")[0], re.MULTILINE) == arguments


def test_help_shows_it() -> None:
    shown = pydoc.plain(pydoc.render_doc(ccstream.KpiEngine.query))
    for part in ("tz", "The time zone of", "Raises:", "ConfigError"):
        assert part in shown
    assert "Sends card transactions" in pydoc.plain(pydoc.render_doc(ccstream.Producer))
    assert "``stored + duplicate + rejected``" in pydoc.plain(pydoc.render_doc(ccstream.PartitionReport.consumed))
