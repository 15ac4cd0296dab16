"""Brokers that come and go in their own cluster."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

import calls
from apache_kafka import SHORT_LIVED, missing_tools, running_kafka
from conftest import at_length, leave_out
from faults.proxy import Link
from pipeline import make_pipeline
from recount import Recount
from services import free_port
from waiting import wait_until

if TYPE_CHECKING:
    import random

    from pipeline import Pipeline

FENCED = {"broker.session.timeout.ms": "1000", "broker.heartbeat.interval.ms": "1500"}
"""Each heartbeat comes after the session has ended: the controller takes the broker out, and in again."""


@pytest.mark.timeout(1800)
def test_a_cluster_that_names_no_broker_now_and_then(database: str) -> None:
    if missing := missing_tools():
        leave_out("kafka", f"Apache Kafka needs {missing}")
    with running_kafka(free_port(), flags=SHORT_LIVED) as kafka, make_pipeline(kafka.address, database) as pipeline:
        pipeline.create_topic(4)
        consumer = pipeline.consume("--verbose")
        rate, seconds = 200, 60
        producers = [pipeline.produce(rate, rate * seconds, "--verbose") for _ in range(2)]
        running = (consumer, *producers)
        # A producer that is still starting up ends with status 3 where it finds no broker.
        for producer in producers:
            producer.wait_for_event("progress")
        wait_until("rows come", lambda: pipeline.count() > 0)
        kafka.restart(FENCED)
        time.sleep(40)
        said = [one.output() for one in running]
        assert any("asking the bootstrap servers again" in text for text in said), "the cluster was never without"
        # So often anew, it may never get a group together: who has gone is waited for longer than it lasts.
        kafka.restart({})
        for producer in producers:
            assert producer.wait() == 0, producer.output()[-2000:]
            producer.acknowledged()
        sent = 2 * rate * seconds

        def state() -> str:
            return f"{pipeline.count()} of {sent}: {consumer.output()[-4000:]}\n{calls.of_running(consumer.process)}"

        wait_until("all is stored", lambda: pipeline.count() == sent, state=state)
        assert consumer.stop() == 0
        pipeline.verify()


def wait_for_rows(pipeline: Pipeline, number: int) -> None:
    """So many more."""
    before = pipeline.count()
    wait_until("rows come", lambda: pipeline.count() >= before + number)


@pytest.mark.timeout(1800)
def test_a_broker_killed_before_it_acknowledges(database: str, chance: random.Random) -> None:
    if missing := missing_tools():
        leave_out("kafka", f"Apache Kafka needs {missing}")
    # So slow that each message is a batch of its own.
    rate = 100
    port = free_port()
    with (
        Link(f"kafka://localhost:{port}") as line,
        running_kafka(port, line.port, SHORT_LIVED) as kafka,
        make_pipeline(kafka.address, database) as pipeline,
    ):
        pipeline.create_topic(1)
        consumer = pipeline.consume()
        producer = pipeline.produce(rate, rate * 3600)
        for _ in range(at_length(3, 20)):
            wait_for_rows(pipeline, rate)
            with line.unanswered():
                # As many as may be under way are written by then, and the producer knows of none.
                time.sleep(chance.uniform(1, 2))
                kafka.kill()
            kafka.start()
        assert producer.stop() == 0, producer.output()
        sent = producer.acknowledged()
        wait_until("all is stored", lambda: pipeline.count() == sent, state=consumer.output)
        assert consumer.stop() == 0
        counted = Recount(pipeline)
        assert (len(counted.events), counted.held.total(), producer.sent_again()) == (sent, sent, 0)
        counted.check()
        pipeline.verify()


@pytest.mark.timeout(900)
def test_an_advertised_address_that_nobody_reaches_is_named(database: str) -> None:
    if missing := missing_tools():
        leave_out("kafka", f"Apache Kafka needs {missing}")
    port = free_port()
    with (
        Link(f"kafka://localhost:{port}") as line,
        running_kafka(port, line.port, SHORT_LIVED),
        make_pipeline(f"localhost:{port}", database) as pipeline,
    ):
        # As a broker in a container does that has the name of the container in its listeners.
        named = f"localhost:{port} answers, and names localhost:{line.port}"
        line.close()
        for arguments, status in (
            (("produce", "--count", "3"), 3),
            (("consume", "--until-caught-up"), 3),
            (("doctor",), 1),
        ):
            output = pipeline.run(*arguments, status=status)
            assert named in output
            assert "advertised.listeners" in output
            assert "✓ Connected to Kafka" not in output
            assert "does not exist" not in output
        waits = pipeline.consume().wait_for_event("waiting")
        assert named in waits["reason"]
