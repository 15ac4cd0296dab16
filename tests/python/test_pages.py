"""What the documentation and the contributor's files name exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path, PurePath

import pytest
import yaml

from services import ROOT

PAGES = sorted((ROOT / "docs").rglob("*.md"))
TRACKED = subprocess.run(["git", "ls-files"], capture_output=True, check=True, cwd=ROOT, text=True).stdout.split()
FILE = re.compile(r"`([\w./-]+\.(?:rs|py|pyi|toml|sh|yml))`")
PLACE = re.compile(r"`([\w:]+)` (?:in|of) `([\w./-]+\.rs)`")
LAST_CELL = re.compile(r"\| `(\w+)`[^|`]*\|$", re.MULTILINE)
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def is_there(name: str) -> bool:
    """Whether a file has this name, or a path that ends with it."""
    wanted = PurePath(name).parts
    return any(PurePath(path).parts[-len(wanted) :] == wanted for path in TRACKED)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_file_that_a_page_names_is_there(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    # Users write their own files of KPIs and of alerts.
    own = {"kpis.toml", "alerts.toml"}
    assert [name for name in FILE.findall(text) if name not in own and not is_there(name)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_target_of_make_that_a_page_names_is_there(page: Path) -> None:
    assert set(re.findall(r"`make ([\w-]+)", page.read_text(encoding="utf-8"))) <= TARGETS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_function_that_a_page_names_is_in_that_file(page: Path) -> None:
    missing = []
    for name, path in PLACE.findall(page.read_text(encoding="utf-8")):
        sources = [(ROOT / found).read_text(encoding="utf-8") for found in TRACKED if PurePath(found).match(path)]
        if not any(re.search(rf"\b(?:fn|const) {name.split('::')[-1]}\b", source) for source in sources):
            missing.append(f"{name} in {path}")
    assert missing == []


def test_a_test_that_the_page_about_librdkafka_names_is_there() -> None:
    names = set(LAST_CELL.findall((ROOT / "docs" / "librdkafka.md").read_text(encoding="utf-8")))
    assert len(names) > 10
    sources = [ROOT / path for path in TRACKED if path.startswith(("tests/python/", "crates/"))]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources if path.suffix in {".py", ".rs"})
    assert [name for name in sorted(names) if not re.search(rf"(?:def|fn) {name}\(", code)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.stem)
def test_a_workflow_only_calls_make(workflow: Path) -> None:
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert commands
    # .ci/run installs what the tests need, and then calls make.
    assert [command for command in commands if command != ".ci/run" and not command.startswith("make ")] == []
    assert {command.split()[1] for command in commands if command.startswith("make ")} <= TARGETS


def test_the_devcontainer_has_what_ci_installs() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    [usual] = re.findall(r'^packages="(.*)"$', ci, re.MULTILINE)
    further = re.findall(r'packages="\$packages (.*)"', ci)
    dockerfile = (ROOT / ".devcontainer" / "Dockerfile").read_text(encoding="utf-8")
    assert set(" ".join([usual, *further]).split()) <= set(dockerfile.split())
