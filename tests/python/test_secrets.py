"""Tests the sources of passwords, and that no command line, error or log shows one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ccstream
from ccstream import settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline import Pipeline

PASSWORD = "kafka_password"


def write(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def password_file(tmp_path: Path) -> str:
    return write(tmp_path / "passwords", f"# none\nelsewhere:*:*:*:wrong\nlocalhost:*:*:kafka_user:{PASSWORD}\n")


SOURCES: dict[str, Callable[[str, Path], dict[str, str]]] = {
    "PGPASSWORD": lambda url, _: {"DATABASE_URL": url, "PGPASSWORD": PASSWORD},
    "PGPASSFILE": lambda url, tmp: {"DATABASE_URL": url, "PGPASSFILE": password_file(tmp)},
    "passfile": lambda url, tmp: {"DATABASE_URL": f"{url}?passfile={password_file(tmp)}"},
    "HOME": lambda url, tmp: {
        "DATABASE_URL": url,
        "HOME": str(tmp),
        "UNUSED": write(tmp / ".pgpass", f"*:*:*:*:{PASSWORD}"),
    },
    "DATABASE_URL_FILE": lambda url, tmp: {
        "DATABASE_URL_FILE": write(tmp / "url", url.replace("kafka_user@", f"kafka_user:{PASSWORD}@") + "\n", 0o444)
    },
}
"""For each source of a password, a function that sets it up for a URL without one."""


@pytest.mark.parametrize("source", SOURCES)
def test_a_password_is_found_where_postgres_users_have_it(
    source: str, embedded_pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", embedded_pipeline.broker)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    bare = embedded_pipeline.database_url.replace(f":{PASSWORD}@", "@")
    for name, value in SOURCES[source](bare, tmp_path).items():
        monkeypatch.setenv(name, value)
    [check] = [one for one in ccstream.diagnose() if one.name == "database"]
    assert check.ok, check
    assert PASSWORD not in check.found
    # The parts written in Python find the same URL.
    assert settings.database_url().startswith("postgresql://kafka_user")


def test_what_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://kafka_user@localhost:1/kafka_db"
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("PGPASSFILE", write(tmp_path / "open", "*:*:*:*:secret", 0o640))
    with pytest.raises(ccstream.ConfigError, match=r"^database_url: .*open .*chmod 600") as caught:
        ccstream.Consumer()
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "absent"))
    for ask in (ccstream.Consumer, settings.database_url):
        with pytest.raises(ccstream.ConfigError, match="both DATABASE_URL and DATABASE_URL_FILE"):
            ask()
    monkeypatch.delenv("DATABASE_URL")
    for ask in (ccstream.Consumer, settings.database_url):
        with pytest.raises(ccstream.ConfigError, match=r"DATABASE_URL_FILE=.*absent cannot be read"):
            ask()


def test_options_of_librdkafka_come_from_variables_and_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "options", "# TLS\nlinger.ms=secret\n")
    with pytest.raises(ccstream.ConfigError, match=r"^librdkafka_options: linger\.ms"):
        ccstream.Producer(librdkafka_options_file=file)
    # A variable overrides the file, and an argument overrides both.
    monkeypatch.setenv("CCSTREAM_KAFKA_LINGER_MS", "soon")
    with pytest.raises(ccstream.ConfigError, match=r"^librdkafka_options: linger\.ms"):
        ccstream.Producer()
    ccstream.Producer(librdkafka_options={"linger.ms": 5}, librdkafka_options_file=file)
    monkeypatch.setenv("CCSTREAM_KAFKA_LINGER_MS", "5")
    ccstream.Producer(librdkafka_options_file=file)
    monkeypatch.setenv("CCSTREAM_KAFKA_ENABLE_IDEMPOTENCE", "false")
    with pytest.raises(ccstream.ConfigError, match=r"^librdkafka_options: enable\.idempotence"):
        ccstream.Producer()
    monkeypatch.delenv("CCSTREAM_KAFKA_ENABLE_IDEMPOTENCE")
    for text, mode, part in (("sasl.password=hunter2", 0o604, "chmod 600"), ("hunter2", 0o600, "in line 1")):
        file = write(tmp_path / "options", text, mode)
        with pytest.raises(ccstream.ConfigError, match=f"^librdkafka_options_file: .*{part}") as caught:
            ccstream.Producer(librdkafka_options_file=file)
        assert "hunter2" not in str(caught.value)


def test_verbose_lines_have_no_password_and_no_message(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    kept = b'{"order_id":"1","value":"no amount","merchant":"marker-of-a-message"}'
    good = b'{"order_id":"2","value":1,"timestamp":"2026-01-01T00:00:00Z","merchant":"marker-of-a-message"}'
    pipeline.send([kept, good, good])
    environment = {"CCSTREAM_KAFKA_SASL_PASSWORD": "hunter2"}
    consumer = pipeline.catch_up("-v", environment=environment)
    assert consumer.counted() == (3, 1, 1, 1)
    output = consumer.output()
    # The output is verbose, so it would show a secret.
    assert "DEBUG" in output
    for secret in (PASSWORD, "hunter2", "marker-of-a-message"):
        assert secret not in output
