"""The SQL, Python and TOML that README and pages show do what they say, and their tables are the measured ones."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, get_args

import pytest

from ccstream.dashboard.custom import MEASURES, read_file
from ccstream.events import ProducerWarningKind, WaitingKind, WarningKind
from services import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline import Pipeline

LONGEST_README = 200


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str, language: str) -> list[str]:
    """A document's code of a language."""
    return re.findall(rf"```{language}\n(.*?)```", text_of(document), re.DOTALL)


@pytest.mark.services
def test_the_readmes_python_and_sql_run(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", "--count", "300", "--rate", "max", "--quiet")
    pipeline.send([b"[]"])
    [example] = blocks("README.md", "python")
    done = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, check=False, env=pipeline.environment, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("300 0 {'not_an_object': 1}\n300 "), done.stdout
    [queries] = blocks("README.md", "sql")
    statements = [one for one in queries.split(";") if one.strip()]
    assert len(statements) == 5
    answers = [pipeline.query(one) for one in statements]
    assert all(answers), "a statement finds nothing"
    [(count, value)] = pipeline.query("SELECT count(*), sum(value) FROM orders WHERE currency = 'USD'")
    assert next(row for row in answers[1] if row[0] == "USD")[1:3] == (count, value)
    assert answers[3] == [(pipeline.topic, 301, 300, 0, 1, 0)]


def test_the_readme_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= LONGEST_README


def test_the_pages_kpi_is_one(tmp_path: Path) -> None:
    [toml] = blocks("docs/page.md", "toml")
    file = tmp_path / "kpis.toml"
    file.write_text(toml, encoding="utf-8")
    assert (len(read_file(file)[0]), read_file(file)[1]) == (2, [])
    others = re.findall(r"# (.*)", toml)[0].split(", ")
    assert {"count", *others} == set(MEASURES)


def test_every_kind_of_warning_has_a_line() -> None:
    kinds = re.findall(r"^\| `(\w+)` \|", text_of("docs/troubleshooting.md").partition("## Warnings")[2], re.MULTILINE)
    assert kinds == [*get_args(WarningKind), *get_args(ProducerWarningKind), *get_args(WaitingKind)]


def test_the_errors_that_are_explained_exist() -> None:
    folders = (ROOT / "crates", ROOT / "python" / "ccstream")
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in {".rs", ".py"}]
    # A text goes on in the next line after a backslash, or as another literal.
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    code = re.sub(r'\\\n\s*|"\s*\n\s*f?"', "", code)
    errors = text_of("docs/troubleshooting.md").partition("## Errors")[2].partition("## Warnings")[0]
    quoted = re.findall(r"^\| `([^`]+)` \|", errors, re.MULTILINE)
    assert len(quoted) > 5
    assert [one for one in quoted if one not in code] == []


def test_the_tables_are_what_was_measured() -> None:
    sys.path.insert(0, str(ROOT / "bench"))
    import results  # noqa: PLC0415

    for part, measured in json.loads(results.FILE.read_text()).items():
        for name, table in results.tables(part, measured).items():
            shown = results.document(name).read_text(encoding="utf-8")
            assert f"<!-- bench: {name} -->\n\n{table}\n\n<!-- end: {name} -->" in shown, name
