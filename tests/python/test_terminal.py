"""Tests output on a pseudo-terminal of 80 columns, with and without colours, and the JSON for programs."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING, Any

import pytest

from ccstream.analyzer_console import AnalyzerConsole
from services import free_port

if TYPE_CHECKING:
    from pipeline import Pipeline

COLUMNS = 80
COLOUR = re.compile(r"\x1b\[\d+m")


def on_terminal(pipeline: Pipeline, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """Returns the output of a command on a terminal of 80 columns."""
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    inherited = {name: value for name, value in pipeline.environment.items() if name not in {"COLUMNS", "NO_COLOR"}}
    child = subprocess.Popen(
        [sys.executable, "-m", "ccstream", *arguments],
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        env={**inherited, "TERM": "xterm", **(environment or {})},
    )
    os.close(secondary)
    printed = b""
    while True:
        try:
            piece = os.read(primary, 65536)
        except OSError:
            # The command has closed its side of the terminal.
            break
        if not piece:
            break
        printed += piece
    os.close(primary)
    assert child.wait() in {0, 1}
    return printed.decode()


def read_json(pipeline: Pipeline, *arguments: str, status: int = 0) -> dict[str, Any]:
    """Runs a command with ``--json`` and returns its document."""
    done = subprocess.run(
        [sys.executable, "-m", "ccstream", *arguments, "--json"],
        env=pipeline.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_no_line_is_wider_than_the_terminal(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(3)
    pipeline.run("produce", "--rate", "max", "--count", "250000", "--quiet")
    # Many batches are needed, so that the progress line is overwritten.
    output = on_terminal(pipeline, "consume", "--until-caught-up", "--batch-rows", "20000")
    assert "\r" in output.replace("\r\n", "\n")
    for line in COLOUR.sub("", output).replace("\r\n", "\n").replace("\r", "\n").splitlines():
        if "messages/s, lag" in line or line.endswith("…"):
            assert len(line) < COLUMNS, line
    output = COLOUR.sub("", on_terminal(pipeline, "verify"))
    table = [line for line in output.splitlines() if re.match(r"\s*(part|\d+)\s", line)]
    assert len(table) == 4, output
    assert all(len(line) <= COLUMNS for line in table), table
    # With these numbers, the table is wider than the terminal.
    pipeline.execute("UPDATE kafka_offsets SET missing = 123456789012345, next_offset = 123456789012345")
    output = COLOUR.sub("", on_terminal(pipeline, "verify", "--counters-only"))
    assert "partition 0, next offset 123,456,789,012,345" in output
    account = output[: output.index("✓ consumed")].splitlines()
    assert all(len(line) <= COLUMNS for line in account), account


def test_marks_are_coloured_only_on_a_terminal(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", "--rate", "max", "--count", "100", "--quiet")
    arguments = ("consume", "--until-caught-up")
    output = on_terminal(pipeline, *arguments)
    assert "[Consumer] \x1b[32m✓\x1b[0m Connected to Kafka\r\n" in output
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = on_terminal(pipeline, *arguments, environment=environment)
        assert "[Consumer] ✓ Connected to Kafka\r\n" in plain
        assert not COLOUR.search(plain)
    assert "[Consumer] ✓ Connected to Kafka\n" in pipeline.run(*arguments)
    assert on_terminal(pipeline, "doctor").startswith("\x1b[32m✓\x1b[0m broker")
    assert pipeline.run("doctor").startswith("✓ broker")


def test_commands_print_json(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    sent = read_json(pipeline, "produce", "--rate", "max", "--count", "100")
    assert (sent["sent"], sent["acknowledged"], sent["failed"]) == (100, 100, 0)
    pipeline.send([b"no JSON"])
    consumed = read_json(pipeline, "consume", "--until-caught-up")
    assert (consumed["consumed"], consumed["stored"]) == (101, 100)
    assert consumed["rejected_by_reason"] == {"not_an_object": 1}
    verified = read_json(pipeline, "verify")
    assert (verified["ok"], verified["problems"], verified["partitions"][0]["rows"]) == (True, [], 100)
    pipeline.execute("UPDATE kpi_minute SET count = count + 1")
    assert read_json(pipeline, "verify", status=1)["ok"] is False
    assert read_json(pipeline, "rejected")["counts"][0]["count"] == 1
    [message] = read_json(pipeline, "rejected", "--show")["messages"]
    assert message["payload"] == "no JSON"
    assert read_json(pipeline, "rejected", "--replay")["replayed"]["sent"] == 1
    found = read_json(pipeline, "doctor")
    assert found["ok"] is True
    assert {"broker", "topic", "database", "session", "tables"} <= {check["name"] for check in found["checks"]}


def test_status_prints_json(embedded_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCSTREAM_HOME", embedded_pipeline.folder.name)
    found = read_json(embedded_pipeline, "status")
    assert found["ok"] is True
    assert [one["answers"] for one in found["services"]] == [True, True]


def test_help_needs_no_command(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    whole = pipeline.run("--help")
    assert pipeline.run() == pipeline.run("help") == whole
    assert pipeline.run("help", "verify") == pipeline.run("verify", "--help")
    assert "--counters-only" in pipeline.run("help", "verify")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_commands_and_flags(embedded_pipeline: Pipeline, shell: str) -> None:
    script = embedded_pipeline.run("completion", shell)
    assert "--until-caught-up" in script
    assert "rejected" in script


def test_bash_completes(embedded_pipeline: Pipeline) -> None:
    script = embedded_pipeline.run("completion", "bash")
    ask = 'COMP_WORDS=(ccstream veri); COMP_CWORD=1; _shtab_ccstream; echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["verify"]


def test_a_flag_given_twice_is_refused(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    for arguments in (
        ("produce", "--topic", "a", "--topic", "b"),
        ("consume", "--batch-rows", "1", "--batch-rows", "1"),
        ("produce", "--map", "amount=a", "--map", "amount=b"),
    ):
        assert "given twice" in pipeline.run(*arguments, status=2)


def test_without_postgresql_each_command_says_what_to_do(embedded_pipeline: Pipeline) -> None:
    nobody = f"postgresql://a:secret@localhost:{free_port()}/b"
    for arguments in (("verify",), ("rejected",), ("rejected", "--show")):
        output = embedded_pipeline.run(*arguments, "--database-url", nobody, status=4)
        assert "ccstream up" in output
        assert "--database-url" in output
        assert "secret" not in output


def test_addresses_may_come_with_quotes_and_blanks(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    # Secrets, .env files and the clipboard add such quotes and blanks.
    for servers, url in (
        (f'"{pipeline.broker}"', f" {pipeline.database_url} "),
        (f"'{pipeline.broker}'\n", f'"{pipeline.database_url}"\n'),
        (f" {pipeline.broker} , ", f"{pipeline.database_url}\n"),
    ):
        arguments = ("--bootstrap-servers", servers, "--database-url", url)
        assert pipeline.run("doctor", *arguments).startswith("✓ broker")
        pipeline.run("consume", "--until-caught-up", *arguments)
    for servers, part in (
        ("localhost", "has no port; give it as localhost:9094"),
        ("localhost:9094;localhost:9095", "separate several addresses by commas"),
    ):
        assert part in pipeline.run("consume", "--bootstrap-servers", servers, status=2)
    assert '"my host"' in pipeline.run("verify", "--database-url", "postgresql://a:b@my%20host/c", status=2)


def test_an_alert_does_not_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    # A merchant writes its own name: it could clear the screen, reverse the line, or add a line that looks like ours.
    text = "12.50 USD at \x1b[2J\u202e O'Brien 😀\n[Analyzer] ✓ All is well"
    fields = {"rule": "abroad", "severity": "warning", "text": text, "runbook": ""}
    AnalyzerConsole(quiet=True).on_event("alert", fields)
    shown = r"12.50 USD at \x1b[2J\u202e O'Brien 😀\n[Analyzer] ✓ All is well"
    assert capsys.readouterr().out == f"[Analyzer] ! Alert abroad (warning): {shown}\n"
