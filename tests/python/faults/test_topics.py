"""Tests topics that are recreated, extended, shortened by retention, compacted, or written in transactions."""

from __future__ import annotations

import contextlib
import json
import signal
import time
import uuid
from typing import TYPE_CHECKING

import psycopg
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from ccstream import embedded
from recount import read_topic
from running import numbers_in
from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline import Pipeline

COUNTERS = "SELECT sum(consumed), sum(stored), sum(duplicate), sum(missing) FROM kafka_offsets"


def events(numbers: Iterable[int]) -> list[bytes | None]:
    """Returns one event for each number, which determines its id and its merchant."""
    return [
        json.dumps(
            {
                "transaction_id": f"id-{number:06}",
                "merchant": f"shop {number}",
                "amount": number % 97 + 1,
                "timestamp": "2026-01-01T00:00:00Z",
            }
        ).encode()
        for number in numbers
    ]


def ids(numbers: Iterable[int]) -> set[str]:
    return {f"id-{number:06}" for number in numbers}


def stored_ids(pipeline: Pipeline) -> set[str]:
    """Returns the ids in ``orders``; an empty set if the table does not exist."""
    try:
        return {row[0] for row in pipeline.query("SELECT order_id FROM orders")}
    except psycopg.errors.UndefinedTable:
        return set()


def delete_topic(pipeline: Pipeline) -> None:
    """Deletes the topic and waits until it is gone."""
    admin = AdminClient({"bootstrap.servers": pipeline.broker})
    for future in admin.delete_topics([pipeline.topic]).values():
        future.result()
    wait_until("it is gone", lambda: pipeline.topic not in admin.list_topics(timeout=LIMIT).topics)


def delete_records(pipeline: Pipeline, before: int) -> None:
    """Deletes the messages before an offset of partition 0, as retention does."""
    admin = AdminClient({"bootstrap.servers": pipeline.broker})
    for future in admin.delete_records([TopicPartition(pipeline.topic, 0, before)]).values():
        future.result()


def recreate(pipeline: Pipeline) -> None:
    """Deletes the topic, and creates it again as soon as the broker allows it."""
    delete_topic(pipeline)

    def created() -> bool:
        with contextlib.suppress(KafkaException):
            # Until the old topic is removed completely, the broker reports that it exists.
            pipeline.create_topic(1)
            return True
        return False

    wait_until("it is created again", created)


@pytest.mark.parametrize("second", [range(50, 70), range(50, 250)], ids=["fewer", "more"])
def test_a_recreated_topic_between_runs(apache_pipeline: Pipeline, second: range) -> None:
    pipeline = apache_pipeline
    pipeline.create_topic(1)
    pipeline.send(events(range(100)))
    assert pipeline.catch_up().counted()[:2] == (100, 100)
    recreate(pipeline)
    pipeline.send(events(second))
    again = pipeline.catch_up()
    assert [warning["partitions"] for warning in again.warned("topic_recreated")] == [[0]]
    assert again.events("assigned", offsets={"0": 0})
    assert stored_ids(pipeline) == ids(range(100)) | ids(second)
    repeats = len(ids(range(100)) & ids(second))
    assert pipeline.query(COUNTERS) == [(100 + len(second), 100 + len(second) - repeats, repeats, 0)]
    pipeline.verify()


@pytest.mark.parametrize("second", [range(50, 70), range(50, 250)], ids=["fewer", "more"])
def test_a_recreated_topic_under_a_live_consumer(apache_pipeline: Pipeline, second: range) -> None:
    pipeline = apache_pipeline
    pipeline.create_topic(1)
    pipeline.send(events(range(100)))
    consumer = pipeline.consume()
    wait_until("rows arrive", lambda: pipeline.count() == 100)
    recreate(pipeline)
    pipeline.send(events(second))
    expected = ids(range(100)) | ids(second)
    wait_until("all are there", lambda: stored_ids(pipeline) == expected)
    consumer.wait_for_event("warning", kind="topic_recreated", partitions=[0])
    pipeline.send(events(range(300, 310)))
    wait_until("it goes on", lambda: stored_ids(pipeline) == expected | ids(range(300, 310)))
    assert consumer.stop() == 0, consumer.output()
    assert pipeline.query("SELECT missing FROM kafka_offsets") == [(0,)]
    pipeline.verify()


def test_a_recreated_topic_whose_old_log_did_not_begin_at_0(apache_pipeline: Pipeline) -> None:
    # librdkafka remembers the first offset of the old topic.
    pipeline = apache_pipeline
    pipeline.create_topic(1)
    pipeline.send(events(range(100)))
    delete_records(pipeline, 60)
    consumer = pipeline.consume()
    wait_until("rows arrive", lambda: pipeline.count() == 40)
    recreate(pipeline)
    pipeline.send(events(range(200, 500)))
    wait_until("all are there", lambda: stored_ids(pipeline) == ids(range(60, 100)) | ids(range(200, 500)))
    assert consumer.stop() == 0
    assert pipeline.query("SELECT missing FROM kafka_offsets") == [(0,)]
    pipeline.verify()


@pytest.mark.parametrize("how", ["restarted empty", "topic deleted"])
def test_the_embedded_brokers_topic_vanishes_under_a_live_consumer(embedded_pipeline: Pipeline, how: str) -> None:
    # librdkafka 2.12 may crash here: `rd_kafka_metadata_update_op` looks for a topic that this broker's answer to a
    # fetch does not name. Nothing is lost, and the next start continues.
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    pipeline.send(events(range(100)))
    consumer = pipeline.consume()
    wait_until("rows arrive", lambda: pipeline.count() == 100)
    if how == "topic deleted":
        delete_topic(pipeline)
    else:
        broker = embedded.Broker()
        assert broker.stop()
        assert broker.start()
    pipeline.create_topic(1)
    pipeline.send(events(range(90, 300)))
    time.sleep(3)
    ended = consumer.process.poll()
    print(f"{how}: the live consumer {'lived on' if ended is None else f'ended with status {ended}'}")
    if ended is not None:
        pipeline.children.remove(consumer.process)
        consumer = pipeline.consume()
    wait_until("all are there", lambda: stored_ids(pipeline) == ids(range(300)))
    # The new cluster and the new topic have new ids. The consumer may notice either of them first.
    restarts = [*consumer.warned("cluster_changed"), *consumer.warned("topic_recreated")]
    assert [0] in [warning["partitions"] for warning in restarts]
    consumer.signal(signal.SIGTERM)
    consumer.wait()
    # If the broker is back soon, librdkafka continues at offset 100, where the new topic has messages, too. They are
    # read again once the topic is known to be another, and counted each time.
    ((consumed, stored, duplicate, missing),) = pipeline.query(COUNTERS)
    again = consumed - 310
    assert (stored, duplicate, missing) == (300, 10 + again, 0)
    assert 0 <= again <= 110
    pipeline.verify()


def test_partitions_that_are_added_are_read_within_a_minute(apache_pipeline: Pipeline) -> None:
    pipeline = apache_pipeline
    pipeline.create_topic(1)
    consumer = pipeline.consume()
    consumer.wait_for_event("assigned", offsets={"0": 0})
    admin = AdminClient({"bootstrap.servers": pipeline.broker})
    for future in admin.create_partitions([NewPartitions(pipeline.topic, 3)]).values():
        future.result()
    producer = Producer({"bootstrap.servers": pipeline.broker})
    for partition, event in enumerate(events(range(3))):
        producer.produce(pipeline.topic, event, partition=partition)
    assert producer.flush(LIMIT) == 0
    wait_until("all are there", lambda: pipeline.count() == 3, limit=60)
    assert consumer.stop() == 0
    pipeline.recount()


@pytest.mark.parametrize("kept", [5, 0])
def test_what_retention_took_is_missing(apache_pipeline: Pipeline, kept: int) -> None:
    pipeline = apache_pipeline
    pipeline.create_topic(1)
    pipeline.send(events(range(10)))
    pipeline.run("consume", "--until-caught-up")
    pipeline.send(events(range(10, 20)))
    delete_records(pipeline, 20 - kept)
    consumer = pipeline.catch_up()
    [gap] = consumer.warned("gap")
    assert gap["partitions"] == [0]
    assert {10, 19 - kept, 10 - kept} <= numbers_in(gap["text"])
    assert consumer.summary()["missing"] == 10 - kept
    pipeline.send(events(range(20, 25)))
    pipeline.run("consume", "--until-caught-up")
    assert stored_ids(pipeline) == ids(range(10)) | ids(range(20 - kept, 25))
    assert pipeline.query(COUNTERS) == [(15 + kept, 15 + kept, 0, 10 - kept)]
    pipeline.verify()


def test_retention_passes_a_live_consumer_by(apache_pipeline: Pipeline) -> None:
    pipeline = apache_pipeline
    pipeline.create_topic(1)
    pipeline.send(events(range(10)))
    consumer = pipeline.consume()
    wait_until("rows arrive", lambda: pipeline.count() == 10)
    with pipeline.frozen(consumer):
        # The broker answers the pending fetch with these messages. The answer waits until the consumer reads it.
        pipeline.send(events(range(10, 20)))
        time.sleep(1)
        # The messages from now on are deleted before the consumer fetches them.
        pipeline.send(events(range(20, 1000)))
        delete_records(pipeline, 900)
    wait_until("it goes on", lambda: ids(range(900, 1000)) <= stored_ids(pipeline))
    assert consumer.stop() == 0
    [(consumed, stored, duplicate, missing)] = pipeline.query(COUNTERS)
    assert (consumed, consumed + missing, duplicate) == (stored, 1000, 0)
    assert missing in {880, 890}
    assert consumer.summary()["missing"] == missing
    assert any(missing in numbers_in(gap["text"]) for gap in consumer.warned("gap"))
    pipeline.verify()


def test_what_compaction_took_is_not_missing(apache_pipeline: Pipeline) -> None:
    pipeline = apache_pipeline
    pipeline.create_topic(
        1,
        cleanup_policy="compact",
        segment_ms="100",
        min_cleanable_dirty_ratio="0.001",
        max_compaction_lag_ms="100",
        delete_retention_ms="0",
    )
    producer = Producer({"bootstrap.servers": pipeline.broker})

    def send(numbers: range) -> None:
        # Every two events share a key, so that compaction removes the first of them.
        for number, event in zip(numbers, events(numbers), strict=True):
            producer.produce(pipeline.topic, event, key=str(number // 2), partition=0)
        assert producer.flush(LIMIT) == 0

    send(range(2))
    pipeline.run("consume", "--until-caught-up")
    send(range(2, 100))
    time.sleep(0.5)
    # These events open a new segment, because the last segment is never compacted.
    send(range(100, 102))

    def offsets() -> list[int]:
        return [offset for _, offset, _ in read_topic(pipeline.broker, pipeline.topic)]

    wait_until("it is compacted", lambda: len(offsets()) < 60)
    pipeline.run("consume", "--until-caught-up")
    there = [offset for offset in offsets() if offset >= 2]
    assert pipeline.query(COUNTERS) == [(2 + len(there), 2 + len(there), 0, 0)]
    assert pipeline.query("SELECT next_offset FROM kafka_offsets") == [(max(there) + 1,)]
    pipeline.verify()


def test_aborted_transactions_are_neither_read_nor_missing(apache_pipeline: Pipeline) -> None:
    pipeline = apache_pipeline
    pipeline.create_topic(1)
    producer = Producer({"bootstrap.servers": pipeline.broker, "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(LIMIT)
    committed = set()
    for number in range(20):
        numbers = range(number * 10, number * 10 + 10)
        producer.begin_transaction()
        for event in events(numbers):
            producer.produce(pipeline.topic, event, partition=0)
        if number % 3 == 1:
            producer.flush(LIMIT)
            producer.abort_transaction(LIMIT)
        else:
            producer.commit_transaction(LIMIT)
            committed |= ids(numbers)
    # The messages of an open transaction are not read yet.
    consumer = pipeline.consume()
    wait_until("all committed are there", lambda: stored_ids(pipeline) == committed)
    producer.begin_transaction()
    for event in events(range(500, 510)):
        producer.produce(pipeline.topic, event, partition=0)
    producer.flush(LIMIT)
    time.sleep(2)
    assert stored_ids(pipeline) == committed
    producer.commit_transaction(LIMIT)
    committed |= ids(range(500, 510))
    wait_until("and now it is", lambda: stored_ids(pipeline) == committed)
    assert consumer.stop() == 0
    assert pipeline.query(COUNTERS) == [(len(committed), len(committed), 0, 0)]
    pipeline.recount()


def test_the_independent_reader_reads_the_whole_topic(apache_pipeline: Pipeline) -> None:
    pipeline = apache_pipeline
    pipeline.create_topic(2)
    pipeline.send(events(range(7)))
    assert [(partition, offset) for partition, offset, _ in read_topic(pipeline.broker, pipeline.topic)] == [
        (0, at) for at in range(7)
    ]
    reader = Consumer({"bootstrap.servers": pipeline.broker, "group.id": "another"})
    reader.assign([TopicPartition(pipeline.topic, 0, OFFSET_BEGINNING)])
    assert len(reader.consume(7, timeout=LIMIT)) == 7
    reader.close()
