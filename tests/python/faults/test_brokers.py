"""Tests brokers that become unavailable to their own cluster or to their clients."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient

import calls
from apache_kafka import SHORT_LIVED, missing_tools, running_kafka
from conftest import at_length, leave_out
from faults.proxy import Link
from pipeline import make_pipeline
from recount import Recount
from services import free_port
from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    import random

    from pipeline import Pipeline

FENCED = {"broker.session.timeout.ms": "1000", "broker.heartbeat.interval.ms": "1500"}
"""Settings with which each heartbeat comes after the session has ended. The controller then removes the broker from the
cluster's metadata and adds it again."""


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
        outputs = [one.output() for one in running]
        assert any("bootstrap servers" in text for text in outputs), "the cluster never had an empty broker list"
        # With these settings the group may never complete a rebalance, which takes longer than the broker stays in the
        # cluster.
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
    """Waits for a number of additional rows."""
    before = pipeline.count()
    wait_until("rows come", lambda: pipeline.count() >= before + number)


@pytest.mark.timeout(1800)
def test_a_broker_killed_before_it_acknowledges(database: str, chance: random.Random) -> None:
    if missing := missing_tools():
        leave_out("kafka", f"Apache Kafka needs {missing}")
    # At this rate, each message is a separate batch.
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
                # By then the broker has written the requests in flight, and the producer has no answer to any of them.
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


def addresses_in(text: str) -> set[str]:
    """Returns the addresses on this machine that a message names."""
    return set(re.findall(r"localhost:\d+", text))


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
        # A broker in a container does this if its listeners have the container's name.
        both = {f"localhost:{port}", f"localhost:{line.port}"}
        # A broker that has just started may take longer for its first answer than the commands wait.
        AdminClient({"bootstrap.servers": f"localhost:{port}"}).list_topics(timeout=LIMIT)
        line.close()
        for arguments, status in (
            (("produce", "--count", "3"), 3),
            (("consume", "--until-caught-up"), 3),
            (("doctor",), 1),
        ):
            output = pipeline.run(*arguments, status=status)
            assert both <= addresses_in(output), output
            assert "advertised.listeners" in output
            assert "✓ Connected to Kafka" not in output
            assert "does not exist" not in output
        waits = pipeline.consume().wait_for_event("waiting")
        assert both <= addresses_in(waits["reason"])
