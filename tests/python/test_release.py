"""Tests the release as users get it: the wheel in a separate venv without Rust, and the sdist's list of files.

``make wheel-test`` builds both into the folder ``CCSTREAM_DIST``. It builds the wheel from the sdist, unpacked in an
empty folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline import Pipeline

pytestmark = [pytest.mark.release, pytest.mark.timeout(600)]

MOST_BYTES = 15_000_000
ROWS = 100_000
INSIDE = ("src/", "crates/", "python/ccstream/", "third-party/")
"""The folders of an sdist."""
BESIDE = {"PKG-INFO", "Cargo.toml", "Cargo.lock", "pyproject.toml", "README.md", "LICENSE"}
"""The files of an sdist outside these folders."""


@pytest.fixture(scope="module")
def dist() -> Path:
    return Path(os.environ["CCSTREAM_DIST"])


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    [found] = dist.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the programs of a venv that has only the wheel and the packages of the embedded services."""
    venv = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, str(wheel)], check=True)
    return venv / "bin"


def run(*command: str | Path, status: int = 0, environment: Mapping[str, str] | None = None) -> str:
    """Runs a command without Rust and without this checkout, and returns its output."""
    words = [str(word) for word in command]
    names = {"PATH": "/usr/bin:/bin", "HOME": "/", **(environment or {})}
    done = subprocess.run(words, capture_output=True, check=False, cwd="/", env=names, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_wheel_is_for_every_python_and_has_its_data(wheel: Path) -> None:
    assert "cp310-abi3" in wheel.name
    assert wheel.stat().st_size < MOST_BYTES
    names = zipfile.ZipFile(wheel).namelist()
    bundle = ("component.js", "LICENSES.txt", "land-110m.json")
    page = ("page.py", "card.svg", ".streamlit/config.toml", *(f"bundle/{part}" for part in bundle))
    for name in ("py.typed", "_ccstream.pyi", "pyproject.toml", *(f"dashboard/{part}" for part in page)):
        assert f"ccstream/{name}" in names


def test_the_wheel_has_the_default_model(clean: Path) -> None:
    program = "import ccstream; print(ccstream.Detector('habits-2').model)"
    assert run(clean / "python", "-c", program).strip() == "habits-2"


def test_the_wheel_says_what_of_others_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        [notices] = [name for name in names if name.endswith("/licenses/third-party/NOTICES.txt")]
        text = opened.read(notices).decode()
        components = [
            component["name"]
            for name in names
            if ".dist-info/sboms/" in name
            for component in json.loads(opened.read(name))["components"]
        ]
    for name in ("librdkafka", "openssl", "zlib", "zstd", "lz4", "tokio-postgres", "pyo3"):
        assert name in components
        # Licences spell names differently, such as "LZ4 Library".
        assert f"{name} " in text.lower()


def test_the_sdist_has_the_sources_and_nothing_else(dist: Path) -> None:
    [sdist] = dist.glob("*.tar.gz")
    assert sdist.stat().st_size < MOST_BYTES
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for crate in ("core", "kpi", "services"):
        assert {f"crates/ccstream-{crate}/Cargo.toml", f"crates/ccstream-{crate}/src/lib.rs"} <= names
    assert {"src/lib.rs", "python/ccstream/__init__.py", "python/ccstream/py.typed"} <= names
    strange = {name for name in names - BESIDE if not name.startswith(INSIDE) or name.endswith((".so", ".pyc"))}
    assert strange == set()


def test_it_is_imported_without_rust(clean: Path) -> None:
    code = "import ccstream; print(ccstream.__version__, ccstream.Producer(rate=5))"
    assert "PerSecond(5.0)" in run(clean / "python", "-c", code)
    assert "consume" in run(clean / "ccstream", "--help")


def test_what_an_extra_lacks_is_named(clean: Path) -> None:
    assert "ccstream[embedded]" in run(clean / "ccstream", "up", status=2)


def test_a_hundred_thousand_rows(clean: Path, embedded_pipeline: Pipeline) -> None:
    names = ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_TOPIC", "KAFKA_GROUP_ID", "DATABASE_URL")
    leads = {name: embedded_pipeline.environment[name] for name in names}
    run(clean / "ccstream", "produce", "--quiet", "--rate", "max", "--count", str(ROWS), environment=leads)
    run(clean / "ccstream", "consume", "--quiet", "--until-caught-up", environment=leads)
    assert embedded_pipeline.count() == ROWS
    run(clean / "ccstream", "verify", environment=leads)
