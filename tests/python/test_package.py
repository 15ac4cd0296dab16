"""The wheel, the compose file, and what the repository must keep true."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

import ccstream
from apache_kafka import compose_environment, properties
from ccstream import settings
from conftest import leave_out
from services import ROOT


def test_import_needs_no_heavy_module() -> None:
    heavy = ("rich", "streamlit", "psycopg", "pandas", "psutil", "asyncio")
    code = f"import sys, ccstream, ccstream.cli; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


def test_python_code_imports_without_the_extension() -> None:
    # Where it cannot be loaded at all: None in sys.modules makes its import fail. The page draws when it is imported.
    code = (
        "import importlib, pkgutil, sys; sys.modules['ccstream._ccstream'] = None\n"
        "import ccstream\n"
        "for found in pkgutil.walk_packages(ccstream.__path__, 'ccstream.'):\n"
        "    if found.name not in {'ccstream._ccstream', 'ccstream.dashboard.page'}:\n"
        "        importlib.import_module(found.name)\n"
        "print(ccstream.dashboard.view.read({}), 'Producer' in dir(ccstream))\n"
        "ccstream.nothing"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert done.stdout.startswith("(View("), done.stderr
    assert done.stdout.endswith("True\n")
    assert "AttributeError: module 'ccstream' has no attribute 'nothing'" in done.stderr


def test_librdkafka_is_built_once() -> None:
    # The release build has other options, and so one more.
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    builds = [path for path in target.glob("*/build/rdkafka-sys-*/output") if path.parents[2].name != "release"]
    assert len(builds) == 1, f"after an update of it, `cargo clean -p rdkafka-sys`: {builds}"


def test_every_public_name_is_there() -> None:
    for name in ccstream.__all__:
        assert getattr(ccstream, name) is not None
    assert ccstream.Producer is ccstream.Producer
    assert ccstream.Producer.__module__ == "ccstream"


def test_the_compose_file_is_sound_and_has_the_defaults_ports() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    kafka, postgres = compose["services"]["kafka"], compose["services"]["postgres"]
    assert (kafka["container_name"], postgres["container_name"]) == ("kafka", "postgres")
    assert kafka["ports"] == ["127.0.0.1:9094:9094"]
    assert postgres["ports"] == ["127.0.0.1:5434:5432"]
    assert settings.named("bootstrap_servers").default == "localhost:9094"
    user, password, name = (postgres["environment"][f"POSTGRES_{key}"] for key in ("USER", "PASSWORD", "DB"))
    assert f"postgresql://{user}:{password}@localhost:5434/{name}" == settings.named("database_url").default
    for service in (kafka, postgres):
        assert service["healthcheck"]["test"]
        assert service["restart"] == "unless-stopped"
        assert service["volumes"]
    found = properties(compose_environment())
    assert found["advertised.listeners"] == "PLAINTEXT://localhost:9094"
    assert found["process.roles"] == "broker,controller"
    assert "heap.opts" not in found
    if shutil.which("docker-compose") is None:
        leave_out("compose", "there is no docker-compose to read the file")
    subprocess.run(["docker-compose", "config", "-q"], check=True, cwd=ROOT)


def test_make_names_what_is_missing(tmp_path: Path) -> None:
    for tool in ("sh", "sed", "id"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    done = subprocess.run(
        [str(ROOT / "tools" / "check-tools.sh")],
        capture_output=True,
        check=False,
        env={"PATH": str(tmp_path)},
        text=True,
    )
    assert done.returncode == 1
    for tool in ("Python 3.11", "cargo", "gcc", "g++", "make", "perl"):
        assert tool in done.stderr, tool
