"""Tests the arguments of constructors and functions: from the environment, as mappings or pairs, and refused ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

import ccstream

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline import Pipeline

CSV = "when,amount\n2026-01-02,12.50\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "rows.csv"
    found.write_text(CSV)
    return found


def test_an_argument_beats_the_environment_which_beats_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_TOPIC", "KAFKA_GROUP_ID", "DATABASE_URL")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for made in (ccstream.Producer(), ccstream.Consumer()):
        assert "localhost:9094" in repr(made)
        assert "orders_json" in repr(made)
    assert 'group: "ccstream"' in repr(ccstream.Consumer())
    assert "localhost:5434/kafka_db" in repr(ccstream.Consumer())
    for name, value in zip(names, ("there:1", "mine", "us", "postgresql://me:secret@there:2/ours"), strict=True):
        monkeypatch.setenv(name, value)
    assert all(part in repr(ccstream.Producer()) for part in ('"there:1"', '"mine"'))
    assert all(part in repr(ccstream.Consumer()) for part in ('"there:1"', '"mine"', '"us"', "there:2/ours"))
    named = ccstream.Consumer(
        bootstrap_servers="here:3", topic="other", group="them", database_url="postgresql://here:4/theirs"
    )
    assert "there" not in repr(named)
    assert all(part in repr(named) for part in ('"here:3"', '"other"', '"them"', "here:4/theirs"))


def test_functions_read_the_environment(embedded_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in embedded_pipeline.environment.items():
        monkeypatch.setenv(name, value)
    embedded_pipeline.create_topic(1)
    embedded_pipeline.send([b"not JSON"])
    assert ccstream.Producer(rate=math.inf, count=20).run().acknowledged == 20
    assert ccstream.Consumer(until_caught_up=True).run().stored == 20
    assert sum(one.stored for one in ccstream.verify().partitions) == 20
    assert [one.count for one in ccstream.count_rejected()] == [1]
    assert [one.payload for one in ccstream.select_rejected()] == [b"not JSON"]
    assert ccstream.topic_ends().keys() == {0}
    assert all(check.ok for check in ccstream.diagnose())
    assert any(embedded_pipeline.topic in check.found for check in ccstream.diagnose())
    with ccstream.KpiEngine.from_database() as engine:
        assert engine.refresh()
        assert engine.query().totals["count"] == 20
    assert ccstream.replay_rejected().sent == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"librdkafka_options": {"acks": "1"}}, r"^librdkafka_options: acks\b"),
        ({"librdkafka_options": {"metadata.broker.list": "x:1"}}, "^librdkafka_options: metadata.broker.list"),
        ({"librdkafka_options": {"no.such.option": "1"}}, "^librdkafka_options: no.such.option"),
        ({"librdkafka_options": {"linger.ms": "soon"}}, "^librdkafka_options: linger.ms"),
        ({"topic": "a b"}, "^topic: "),
        ({"replay": "/nonexistent.csv"}, "^/nonexistent.csv: "),
        ({"replay": "/"}, "^/: "),
        ({"replay": "file"}, '^map: .*"timestamp"'),
        ({"replay": "file", "map": {"timestamp": "day"}}, '^map: .*"day".* when, amount'),
        ({"replay": "file", "map": {"timestamp": "when"}, "set": {"colour": "red"}}, '^set: "colour"'),
    ],
)
def test_a_producer_refuses_at_once_what_its_run_would(file: Path, settings: dict[str, Any], message: str) -> None:
    if settings.get("replay") == "file":
        settings = settings | {"replay": file}
    with pytest.raises(ccstream.ConfigError, match=message):
        ccstream.Producer(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"librdkafka_options": {"isolation.level": "read_uncommitted"}}, "^librdkafka_options: isolation.level"),
        ({"librdkafka_options": {"group.protocol": "consumer"}}, "^librdkafka_options: group.protocol=consumer"),
        ({"librdkafka_options": {"group.protocol": "Consumer"}}, "KIP-848"),
        ({"librdkafka_options": {"no.such.option": "1"}}, "^librdkafka_options: no.such.option"),
        ({"database_url": "mysql://localhost/db"}, "^database_url: mysql://"),
        ({"database_url": "postgresql://localhost/db?sslmode=maybe"}, '^database_url: .*"maybe"'),
        ({"database_url": "postgresql://me:secret@localhost:port/db"}, "^database_url: "),
        ({"topic": ""}, "^topic: "),
    ],
)
def test_a_consumer_refuses_at_once_what_its_run_would(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ccstream.ConfigError, match=message) as caught:
        ccstream.Consumer(**settings)
    assert "secret" not in str(caught.value)


def test_mappings_and_pairs(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_mapping = ccstream.Producer(
        replay=file,
        map={"timestamp": "when"},
        set={"risk_flag": True, "latitude": 1.5, "merchant": "Shop"},
        librdkafka_options={"socket.keepalive.enable": True, "message.max.bytes": 2_000_000},
    )
    as_pairs = ccstream.Producer(
        replay=file,
        map=[("timestamp", "when")],
        set=[("risk_flag", "true"), ("latitude", "1.5"), ("merchant", "Shop")],
        librdkafka_options=(("socket.keepalive.enable", "true"), ("message.max.bytes", "2000000")),
    )
    assert repr(as_mapping) == repr(as_pairs)
    assert '("risk_flag", "true")' in repr(as_mapping)
    monkeypatch.setenv("KAFKA_TOPIC", "never")
    for wrong in ("a=b", {"acks"}, {"message.max.bytes": None}, [("a", b"b")], 5):
        with pytest.raises(TypeError, match="librdkafka_options"):
            ccstream.Consumer(librdkafka_options=wrong)  # type: ignore[arg-type]
