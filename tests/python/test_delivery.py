"""Tests exactly-once delivery through kills, outages, duplicates and stops, on the embedded broker and Apache Kafka."""

from __future__ import annotations

import os
import random
import signal
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from waiting import wait_until

if TYPE_CHECKING:
    from ccstream import embedded
    from pipeline import Pipeline


@pytest.mark.timeout(1800)
def test_ten_kills_lose_and_double_nothing(pipeline: Pipeline, request: pytest.FixtureRequest) -> None:
    # The group notices a killed member after the session timeout. The default of 6 s is the minimum of Apache Kafka.
    flags = ["--batch-rows", "250"] + (["--session-timeout", "3"] if "embedded" in request.node.name else [])
    seed = int(os.environ.get("CCSTREAM_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"CCSTREAM_TEST_SEED={seed}")
    chance = random.Random(seed)  # noqa: S311
    produced = on_the_way = 0
    for kill in range(10):
        # The topic always has more messages than a consumer reads before it is killed, even on a busy machine.
        if pipeline.count() > produced - 50_000:
            producer = pipeline.produce("max", 50_000, "--partitions", "4")
            assert producer.wait() == 0, producer.output()
            assert producer.accounts() == (50_000, 50_000, 0)
            produced += 50_000
        before = pipeline.count()
        consumer = pipeline.consume(*flags)
        consumer.wait_for_event("assigned")
        # Some consumers are killed at their start, the others after they have stored rows.
        if kill % 3:
            wait_until("rows come", lambda: pipeline.count() > before)  # noqa: B023
        time.sleep(chance.uniform(0, 0.12))
        consumer.signal(signal.SIGKILL)
        consumer.wait()
        on_the_way += before < pipeline.count() < produced
    assert on_the_way >= 6, f"only {on_the_way} kills happened while rows were stored"
    print(pipeline.run("consume", "--until-caught-up"))
    assert pipeline.count() == produced
    pipeline.recount()
    # Every message was written and counted once, without any conflict in the primary key.
    assert pipeline.query("SELECT sum(consumed), sum(duplicate), sum(rejected) FROM kafka_offsets") == [
        (produced, 0, 0)
    ]


@pytest.mark.timeout(1800)
def test_an_outage_of_postgres_needs_no_restart(pipeline: Pipeline, postgres: embedded.Postgres) -> None:
    count = 60_000
    consumer = pipeline.consume()
    pipeline.produce(5000, count)
    wait_until("rows arrive", lambda: pipeline.count() > 1000)
    assert postgres.stop()
    time.sleep(20)
    assert postgres.start()
    wait_until("all rows are there", lambda: pipeline.count() == count)
    assert consumer.process.poll() is None
    assert consumer.stop() == 0
    assert consumer.events("waiting", kind="postgres_unavailable")
    assert consumer.events("recovered", service="postgres")
    pipeline.recount()
    assert pipeline.query("SELECT sum(consumed), sum(duplicate) FROM kafka_offsets") == [(count, 0)]


def test_the_same_seed_twice_is_counted_as_duplicates(pipeline: Pipeline) -> None:
    produce = (
        "produce",
        "--rate",
        "max",
        "--count",
        "5000",
        "--seed",
        "7",
        "--start-time",
        "2026-01-01T00:00:00Z",
    )
    pipeline.run(*produce)
    pipeline.run("consume", "--until-caught-up")
    rows = "SELECT md5(string_agg(o::text, '|' ORDER BY order_id)), count(*) FROM orders o"
    before = pipeline.query(rows)
    assert before[0][1] == 5000
    pipeline.run(*produce)
    assert pipeline.catch_up().counted() == (5000, 0, 5000, 0)
    assert pipeline.query(rows) == before
    pipeline.verify()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_commits_what_was_read(pipeline: Pipeline, number: signal.Signals) -> None:
    consumer = pipeline.consume()
    consumer.wait_for_event("listening")
    pipeline.produce(2000, 200_000)
    wait_until("rows arrive", lambda: pipeline.count() > 500)
    consumer.signal(number)
    assert consumer.wait() == 0
    assert consumer.counted()[:2] == (pipeline.count(), pipeline.count())
    pipeline.verify()


def test_a_lone_event_is_visible_within_the_linger(pipeline: Pipeline) -> None:
    pipeline.create_topic(1)
    consumer = pipeline.consume("--linger", "5000")
    consumer.wait_for_event("assigned")
    for number in range(1, 4):
        pipeline.send([b'{"order_id":"%d","value":1,"timestamp":"2026-01-01T00:00:00Z"}' % number])
        # The limit is five seconds. An idle writer takes a few milliseconds.
        stored = partial(pipeline.query, "SELECT 1 FROM orders WHERE order_id = %s", str(number))
        wait_until("the event is stored", lambda: bool(stored()), limit=5)  # noqa: B023


def test_two_consumers_share_the_partitions(pipeline: Pipeline) -> None:
    pipeline.create_topic(4)
    one, two = (pipeline.consume() for _ in range(2))
    for consumer in (one, two):
        consumer.wait_for_event("listening")
    pipeline.run("produce", "--rate", "5000", "--count", "50000", "--quiet")
    wait_until("all rows are there", lambda: pipeline.count() == 50_000)
    owners = "SELECT count(DISTINCT owner_pid) FROM kafka_offsets"
    assert pipeline.query(owners) == [(2,)]
    for consumer in (one, two):
        assert consumer.stop() == 0
    pipeline.verify()
    # A consumer that ends in order leaves no owner.
    assert pipeline.query(owners) == [(0,)]


def test_a_dead_member_is_replaced(pipeline: Pipeline) -> None:
    pipeline.run("produce", "--rate", "max", "--count", "20000", "--partitions", "2", "--quiet")
    first = pipeline.consume("--batch-rows", "100")
    first.wait_for_event("assigned")
    first.signal(signal.SIGKILL)
    second = pipeline.consume()
    second.wait_for_event("assigned")
    wait_until("all rows are there", lambda: pipeline.count() == 20_000)
    pipeline.verify()


def test_a_new_group_starts_where_the_log_begins(apache_pipeline: Pipeline) -> None:
    # Only Apache Kafka is tested, because the embedded broker cannot delete records.
    pipeline = apache_pipeline
    pipeline.create_topic(1)
    pipeline.send([b'{"order_id":"%d","value":1,"timestamp":"2026-01-01T00:00:00Z"}' % n for n in range(10)])
    admin = AdminClient({"bootstrap.servers": pipeline.broker})
    for future in admin.delete_records([TopicPartition(pipeline.topic, 0, 6)]).values():
        future.result()
    assert pipeline.catch_up().counted()[:2] == (4, 4)
    pipeline.verify()
