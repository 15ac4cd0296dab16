"""Tests the module as a program uses it: run, stop from a thread, await, events, errors."""

from __future__ import annotations

import _thread
import asyncio
import math
import signal
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import ccstream
from ccstream import events
from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline import Pipeline


def consumer(pipeline: Pipeline, **settings: Any) -> ccstream.Consumer:  # noqa: ANN401
    return ccstream.Consumer(
        bootstrap_servers=pipeline.broker,
        topic=pipeline.topic,
        group=pipeline.topic,
        database_url=pipeline.database_url,
        **settings,
    )


def producer(pipeline: Pipeline, **settings: Any) -> ccstream.Producer:  # noqa: ANN401
    return ccstream.Producer(bootstrap_servers=pipeline.broker, topic=pipeline.topic, **settings)


def test_run_and_its_summaries(embedded_pipeline: Pipeline) -> None:
    sent = producer(embedded_pipeline, rate=math.inf, count=1000).run()
    assert (sent.sent, sent.acknowledged, sent.failed) == (1000, 1000, 0)
    assert sent.elapsed > timedelta(0)
    events: list[tuple[str, dict[str, Any]]] = []
    done = consumer(
        embedded_pipeline,
        until_caught_up=True,
        on_event=lambda kind, fields: events.append((kind, dict(fields))),
    ).run()
    assert (done.consumed, done.stored, done.duplicate, done.rejected, done.missing) == (1000, 1000, 0, 0, 0)
    assert done.drained
    assert done.rejected_by_reason == {}
    kinds = [kind for kind, _ in events]
    assert kinds[:4] == ["connected_to_kafka", "connected_to_postgres", "listening", "assigned"]
    assert sum(fields["stored"] for kind, fields in events if kind == "batch") == 1000
    report = ccstream.verify(database_url=embedded_pipeline.database_url)
    assert report.problems == []
    assert sum(one.stored for one in report.partitions) == 1000
    assert report.figures > 0
    embedded_pipeline.execute("UPDATE kpi_minute SET count = count + 1")
    quick = ccstream.verify(database_url=embedded_pipeline.database_url, counters_only=True)
    assert quick.figures == 0
    assert len(quick.problems) > 0


def test_events_have_their_fields(embedded_pipeline: Pipeline, tmp_path: Path) -> None:
    seen: dict[str, set[str]] = {}

    def on_event(name: str, fields: Mapping[str, Any]) -> None:
        seen[name] = set(fields)

    producer(embedded_pipeline, rate=math.inf, count=10, on_event=on_event).run()
    # At a low rate each transaction has events: one is sent, of a card that is used too often, and one is too large.
    producer(embedded_pipeline, rate=10, cards=1, count=1, on_event=on_event).run()
    file = tmp_path / "large.csv"
    file.write_text(f"timestamp,amount,merchant\n2026-01-02,1.50,{'x' * 2000}\n2026-01-02,1.50,x\n")
    least = {"message.max.bytes": 1000}
    producer(embedded_pipeline, rate=10, replay=file, librdkafka_options=least, on_event=on_event).run()
    # The first of these runs saves labels, and the second one takes them.
    script = tmp_path / "script"
    script.write_text("after 10 events: rate 50\n")
    world = {"rate": 100, "count": 2000, "seed": 1, "start_time": "2026-03-02", "speed": math.inf, "fraud": 0.05}
    for _ in range(2):
        producer(embedded_pipeline, **world, resume=tmp_path / "unsent", script=script, on_event=on_event).run()
    assert seen == {name: set(kind.__annotations__) for name, kind in events.PRODUCER_EVENTS.items()}
    seen.clear()
    consumer(embedded_pipeline, until_caught_up=True, on_event=on_event).run()
    usual = ("connected_to_kafka", "connected_to_postgres", "listening", "assigned", "batch", "ended")
    assert seen == {name: set(events.CONSUMER_EVENTS[name].__annotations__) for name in usual}


def test_stop_from_another_thread_and_the_interpreter_stays_free(embedded_pipeline: Pipeline) -> None:
    made = consumer(embedded_pipeline)
    ticks = []

    def stop_later() -> None:
        for _ in range(20):
            ticks.append(time.monotonic())
            time.sleep(0.05)
        made.stop()

    thread = threading.Thread(target=stop_later)
    thread.start()
    made.run()
    thread.join()
    assert len(ticks) == 20


def test_await(embedded_pipeline: Pipeline) -> None:
    producer(embedded_pipeline, rate=math.inf, count=100).run()

    async def both() -> tuple[ccstream.ConsumeSummary, int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.02)
                ticks += 1

        ticking = asyncio.create_task(tick())
        done = await consumer(embedded_pipeline, until_caught_up=True).run_async()
        ticking.cancel()
        return done, ticks

    done, ticks = asyncio.run(both())
    assert done.stored == 100
    assert ticks > 10


def test_a_cancelled_task_stops_the_run(embedded_pipeline: Pipeline) -> None:
    producer(embedded_pipeline, rate=math.inf, count=100).run()
    warned = threading.Event()

    async def cancel() -> None:
        made = consumer(embedded_pipeline, on_event=lambda kind, _: warned.set() if kind == "batch" else None)
        task = asyncio.ensure_future(made.run_async())
        await asyncio.to_thread(warned.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    # The run commits, leaves the group and closes its connection, in this order.
    connections = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'ccstream' AND datname = current_database()"
    wait_until("the run has ended", lambda: not embedded_pipeline.query(connections))
    assert embedded_pipeline.count() == 100
    done = consumer(embedded_pipeline, until_caught_up=True).run()
    assert done.consumed == 0


def test_an_exception_in_the_callback_ends_the_run(embedded_pipeline: Pipeline) -> None:
    def fail(kind: str, _fields: object) -> None:
        raise ZeroDivisionError(kind)

    with pytest.raises(ZeroDivisionError, match="connected"):
        producer(embedded_pipeline, count=5, on_event=fail).run()


def test_ctrl_c_drains_and_raises(embedded_pipeline: Pipeline) -> None:
    # Tests that run in the background ignore SIGINT, so the test sets Python's handler.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(1.0, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        producer(embedded_pipeline, rate=50).run()
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_a_verification_here_and_in_postgres(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    producer(pipeline, rate=math.inf, count=100).run()
    consumer(pipeline, until_caught_up=True).run()
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    # The child sets its own handler, because children of tests in the background ignore SIGINT.
    handled = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    script = f"import os, signal, ccstream; {handled}; ccstream.verify(database_url=os.environ['DATABASE_URL'])"
    with pipeline.locked():
        child = pipeline.spawn("-c", script)
        wait_until("it waits for the table", lambda: bool(pipeline.query(waiting)))
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=LIMIT)[0].endswith("KeyboardInterrupt\n")
        wait_until("PostgreSQL has cancelled the query", lambda: not pipeline.query(waiting))


def test_errors_are_of_their_kind(embedded_pipeline: Pipeline) -> None:
    with pytest.raises(ccstream.ConfigError, match=r"^rate: -1\b") as caught:
        ccstream.Producer(rate=-1)
    assert isinstance(caught.value, ValueError)
    assert caught.value.exit_code == 2
    with pytest.raises(ccstream.KafkaError, match=embedded_pipeline.topic) as caught_of_kafka:
        consumer(embedded_pipeline, until_caught_up=True).run()
    assert caught_of_kafka.value.exit_code == 3
    with pytest.raises(ccstream.PostgresError) as caught_too:
        ccstream.verify(database_url=embedded_pipeline.database_url.replace("kafka_password", "wrong"))
    assert isinstance(caught_too.value, ConnectionError)
    assert caught_too.value.exit_code == 4


def test_no_password_in_a_repr() -> None:
    made = ccstream.Consumer(
        database_url="postgresql://me:secret@h/d", librdkafka_options=[("sasl.password", "hidden")]
    )
    assert "secret" not in repr(made)
    assert "hidden" not in repr(made)
