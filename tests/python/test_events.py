"""Tests the events of a run, also in a file, and the status that any thread can read."""

from __future__ import annotations

import errno
import json
import os
import re
import threading
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, get_args

import pytest

import ccstream
from ccstream import events
from ccstream.event_log import EventLog
from services import ROOT
from waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ccstream import embedded
    from pipeline import Pipeline


class Seen:
    """Is an ``on_event`` callback that compares every event with its type."""

    def __init__(self, types: Mapping[str, type]) -> None:
        self._types = types
        self.names: list[str] = []
        self.kinds: list[str] = []

    def __call__(self, name: str, fields: Mapping[str, Any]) -> None:
        """Compares one event."""
        assert set(fields) == set(self._types[name].__annotations__), name
        self.names.append(name)
        if "kind" in fields:
            self.kinds.append(fields["kind"])


def consumer(pipeline: Pipeline, **settings: Any) -> ccstream.Consumer:  # noqa: ANN401
    return ccstream.Consumer(
        bootstrap_servers=pipeline.broker,
        topic=pipeline.topic,
        group=pipeline.topic,
        database_url=pipeline.database_url,
        **settings,
    )


def names_in_rust(enum: str) -> set[str]:
    """Returns the names that ``as_str`` gives to the variants of an enum."""
    source = (ROOT / "crates/ccstream-services/src/consume/warning.rs").read_text()
    [body] = re.findall(rf"impl {enum} {{.*?fn as_str.*?match self {{(.*?)}}", source, re.DOTALL)
    return set(re.findall(r'=> "(\w+)"', body))


@pytest.mark.parametrize("enum", ["WarningKind", "WaitingKind", "Service"])
def test_python_knows_the_kinds_of_rust(enum: str) -> None:
    assert set(get_args(getattr(events, enum))) == names_in_rust(enum)


def test_events_have_the_fields_of_their_types(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    sent = Seen(events.PRODUCER_EVENTS)
    ccstream.Producer(bootstrap_servers=pipeline.broker, topic=pipeline.topic, rate=10, count=2, on_event=sent).run()
    assert sent.names == ["connected", *["sending", "sent"] * 2, "progress"]
    read = Seen(events.CONSUMER_EVENTS)
    consumer(pipeline, until_caught_up=True, on_event=read).run()
    assert read.names[:4] == ["connected_to_kafka", "connected_to_postgres", "listening", "assigned"]
    assert (set(read.names[4:-1]), read.names[-1]) == ({"batch"}, "ended")
    failed = Seen(events.CONSUMER_EVENTS)
    with pytest.raises(ccstream.KafkaError):
        ccstream.Consumer(
            bootstrap_servers="localhost:1",
            database_url=pipeline.database_url,
            until_caught_up=True,
            on_event=failed,
        ).run()
    assert failed.names == ["failed"]


def test_an_error_has_what_was_committed_before_it(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", "--rate", "max", "--count", "30", "--quiet")
    seen = Seen(events.CONSUMER_EVENTS)
    made = consumer(pipeline, on_event=seen, max_refused=100)
    raised: list[ccstream.SchemaError] = []

    def run() -> None:
        with pytest.raises(ccstream.SchemaError) as caught:
            made.run()
        raised.append(caught.value)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_until("all is stored", lambda: made.status().stored == 30)
        pipeline.execute("ALTER TABLE orders ADD CONSTRAINT nothing CHECK (false) NOT VALID")
        pipeline.run("produce", "--rate", "max", "--count", "200", "--quiet")
    finally:
        thread.join()
    [error] = raised
    assert error.exit_code == 5
    assert error.summary is not None
    assert (error.summary.consumed, error.summary.stored, error.summary.drained) == (30, 30, False)
    assert seen.names[-1] == "failed"
    with pytest.raises(ccstream.ConfigError) as refused:
        ccstream.Consumer(topic="")
    assert refused.value.summary is None


def test_a_missing_topic_and_a_revoked_partition(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    seen = Seen(events.CONSUMER_EVENTS)
    first, second = consumer(pipeline, on_event=seen), consumer(pipeline)
    threads = [threading.Thread(target=one.run) for one in (first, second)]
    threads[0].start()
    try:
        wait_until("it listens", lambda: "listening" in seen.names)
        pipeline.create_topic(2)
        wait_until("it reads both", lambda: set(first.status().offsets) == {0, 1}, state=lambda: str(seen.names))
        threads[1].start()
        wait_until("each reads one", lambda: len(first.status().offsets) == len(second.status().offsets) == 1)
        assert seen.names.count("revoked") == 1
        assert set(first.status().offsets) | set(second.status().offsets) == {0, 1}
    finally:
        first.stop()
        second.stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    assert first.status().state == second.status().state == "ended"
    assert first.status().offsets == {}


def test_a_status_from_another_thread(embedded_pipeline: Pipeline, postgres: embedded.Postgres) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    seen = Seen(events.CONSUMER_EVENTS)
    made = consumer(pipeline, on_event=seen)
    before = made.status()
    assert (before.state, before.offsets, before.lag, before.last_commit) == ("starting", {}, None, None)
    run = threading.Thread(target=made.run)
    run.start()
    try:
        wait_until("it reads", lambda: made.status().state == "reading")
        assert made.status().offsets == {0: 0}
        began = datetime.now(timezone.utc)
        pipeline.run("produce", "--rate", "max", "--count", "100", "--quiet")
        wait_until("all is committed", lambda: made.status().offsets == {0: 100})
        status = made.status()
        assert (status.consumed, status.stored, status.lag, status.waiting_for) == (100, 100, 0, [])
        assert status.last_commit is not None
        assert began <= status.last_commit <= datetime.now(timezone.utc)
        assert postgres.stop()
        pipeline.run("produce", "--rate", "max", "--count", "100", "--quiet")
        wait_until("it waits", lambda: made.status().waiting_for == ["postgres_unavailable"])
        assert postgres.start()
        wait_until("all is committed", lambda: made.status().stored == 200)
        assert made.status().waiting_for == []
    finally:
        made.stop()
        run.join()
    assert (made.status().state, made.status().stored) == ("ended", 200)
    assert seen.names.count("recovered") == 1
    assert seen.kinds == ["postgres_unavailable"]


def test_a_file_of_events(embedded_pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline, path = embedded_pipeline, tmp_path / "events"
    pipeline.run("produce", "--rate", "10", "--count", "2", "--quiet", "--events", str(path))
    sent = [json.loads(line) for line in path.read_text().splitlines()]
    assert [one["event"] for one in sent] == ["connected", *["sending", "sent"] * 2, "progress"]
    assert json.loads(sent[1]["payload"])["transaction_id"]
    assert (sent[-1]["summary"]["acknowledged"], sent[-1]["summary"]["elapsed"] > 0) == (2, True)
    pipeline.run("consume", "--until-caught-up", "--quiet", "--events", str(path))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    # A second run appends to the file.
    assert lines[: len(sent)] == sent
    read = lines[len(sent) :]
    *connected, assigned, _batch, ended = dict.fromkeys(one["event"] for one in read)
    assert connected == ["connected_to_kafka", "connected_to_postgres", "listening"]
    assert (assigned, ended) == ("assigned", "ended")
    batches = [one for one in read if one["event"] == "batch"]
    assert (sum(batch["stored"] for batch in batches), batches[-1]["offsets"]) == (2, {"0": 2})
    assert read[-1]["summary"]["stored"] == 2
    times = [datetime.fromisoformat(one["at"]) for one in lines]
    assert times == sorted(times)
    assert abs(times[-1] - datetime.now(timezone.utc)) < timedelta(minutes=1)


def test_a_file_that_cannot_be_written(lone_pipeline: Pipeline, tmp_path: Path) -> None:
    output = lone_pipeline.run("consume", "--events", str(tmp_path), status=2)
    assert f"events: {tmp_path} " in output
    assert os.strerror(errno.EISDIR) in output


def test_a_full_disk_ends_the_run() -> None:
    log = EventLog("/dev/full")
    with pytest.raises(ccstream.ConfigError, match=r"^events: /dev/full ") as caught:
        log.on_event("listening", {})
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    with pytest.raises(ccstream.ConfigError):
        log.close()
