"""Tests that the truth about a simulated world is stored exactly once in the table ``truth``, despite faults."""

from __future__ import annotations

import signal
import time
import uuid
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from faults.proxy import CommitCutter
from faults.test_topics import delete_records
from running import numbers_in
from test_bad_input import SMALL_LIMIT, send_packed
from truth_topic import BAD, TRUTH, Topic, accounts, named, truth, truths
from waiting import wait_until

if TYPE_CHECKING:
    import random

    from pipeline import Pipeline

SLOW_INSERTS = """
CREATE FUNCTION wait_a_while() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
CREATE TRIGGER wait_a_while AFTER INSERT ON truth FOR EACH STATEMENT EXECUTE FUNCTION wait_a_while()
"""
"""Makes each statement that inserts into ``truth`` take half a second."""


def test_each_truth_is_stored_as_it_was_sent(pipeline: Pipeline) -> None:
    topic = Topic.of(pipeline, 3)
    incident = truth(kind="incident", scenario="issuer_out", campaign=None, until="2026-01-02T04:00:00Z", subject="Zoë")
    topic.send([*truths(100), incident, BAD, incident])
    pipeline.run("produce", "--rate", "max", "--count", "500", "--quiet")
    consumer = pipeline.catch_up(*topic.flags)
    assert consumer.counted() == (500, 500, 0, 0)
    assert accounts(consumer) == (101, 1, 1)
    assert topic.counted() == (103, 101, 1, 1)
    reported = consumer.events("truth")
    assert sum(one["stored"] for one in reported) == reported[-1]["total_stored"] == 101
    [warning] = consumer.warned("truth_skipped")
    assert 'kind "theft" is none of' in warning["text"]
    columns = ", ".join(TRUTH).replace("timestamp", "timestamp::text").replace("until", "until::text")
    rows = {row[1]: row for row in pipeline.query(f"SELECT {columns} FROM truth WHERE kind = 'fraud'")}
    when = "2026-01-02 03:04:05.123456"
    for number in range(100):
        key = str(uuid.UUID(int=number))
        assert rows[key] == ("fraud", key, "S4", 3, when, None, None, None)
    [found] = pipeline.query(f"SELECT {columns} FROM truth WHERE kind = 'incident'")
    assert found == ("incident", None, "issuer_out", None, when, "2026-01-02 04:00:00", "Zoë", None)
    # Truth does not count as events, and the next run finds nothing new.
    pipeline.recount()
    again = pipeline.catch_up(*topic.flags)
    assert (accounts(again), again.counted()[0]) == ((0, 0, 0), 0)


@pytest.mark.timeout(1800)
def test_kills_lose_and_duplicate_nothing(pipeline: Pipeline, chance: random.Random) -> None:
    topic = Topic.of(pipeline, 3)
    sent = on_the_way = 0
    pipeline.catch_up(*topic.flags)
    # Each transaction takes a while, so that a kill comes before all of them are committed even if this test is slow.
    pipeline.execute(SLOW_INSERTS)
    for kill in range(6):
        if not kill or topic.counted()[0] > sent - 15_000:
            topic.send(truths(30_000, sent))
            sent += 30_000
        consumer = pipeline.consume(*topic.flags)
        if kill:
            before = topic.stored()
            wait_until("rows are stored", lambda: topic.stored() > before)  # noqa: B023
        else:
            consumer.wait_for_event("listening")
        time.sleep(chance.uniform(0, 0.6))
        consumer.signal(signal.SIGKILL)
        consumer.wait()
        on_the_way += 0 < topic.counted()[0] < sent
    assert on_the_way >= 2, f"only {on_the_way} kills came before everything was stored"
    pipeline.catch_up(*topic.flags)
    # No message was counted as a duplicate, so offsets alone prevented them and the key was not needed.
    assert topic.counted() == (sent, sent, 0, 0)
    assert pipeline.query("SELECT count(*), count(DISTINCT transaction_id) FROM truth") == [(sent, sent)]


def test_skipped_messages_are_named_once_although_commits_are_cut(
    embedded_pipeline: Pipeline, chance: random.Random
) -> None:
    pipeline = embedded_pipeline
    topic = Topic.of(pipeline)
    pipeline.catch_up(*topic.flags)
    # PostgreSQL refuses some messages, and others are invalid. The rest are stored.
    pipeline.execute("ALTER TABLE truth ADD CONSTRAINT no_bad CHECK (subject <> 'bad')")
    refused, malformed = {7, 500, 501, 2999}, {8, 1234, 2998}
    payloads = truths(3000)
    for offset in refused:
        payloads[offset] = truth(subject="bad", campaign=offset)
    for offset in malformed:
        payloads[offset] = BAD
    with CommitCutter(pipeline.database_url, chance) as cutter:
        consumer = pipeline.consume("--linger", "0", *topic.flags, environment={"DATABASE_URL": cutter.url})
        consumer.wait_for_event("listening")
        for start in range(0, 3000, 25):
            topic.send(payloads[start : start + 25])
            # Waiting only for the previous part lets a transaction contain one part or two.
            wait_until("the previous part is stored", lambda: topic.counted()[0] >= start)  # noqa: B023
        wait_until("everything is stored", lambda: topic.counted()[0] == 3000)
        assert consumer.stop() == 0
    print(f"{cutter.before} COMMITs were cut before PostgreSQL had them, {cutter.after} after")
    assert min(cutter.before, cutter.after) >= 3
    assert named(consumer) == sorted(refused | malformed)
    assert "no_bad" in consumer.warned("truth_skipped")[0]["text"]
    assert topic.counted() == (3000, 2993, 0, 7)
    assert accounts(consumer) == (2993, 0, 7)


def test_two_consumers_store_each_truth_once(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    topic = Topic.of(pipeline, 2)
    both = [pipeline.consume(*topic.flags) for _ in range(2)]
    for consumer in both:
        consumer.wait_for_event("listening")
    payloads = truths(20_000)
    payloads[::1000] = [BAD] * 20
    for start in range(0, 20_000, 2000):
        topic.send(payloads[start : start + 2000])
    wait_until("everything is stored", lambda: topic.counted()[0] == 20_000)
    for consumer in both:
        assert consumer.stop() == 0
    assert topic.counted() == (20_000, 19_980, 0, 20)
    assert [sum(each) for each in zip(*map(accounts, both), strict=True)] == [19_980, 0, 20]


def test_the_consumer_waits_for_a_topic_that_does_not_exist(pipeline: Pipeline) -> None:
    topic = Topic.of(pipeline)
    topic.delete()
    lonely = pipeline.catch_up(*topic.flags)
    [warning] = lonely.warned("topic_missing")
    assert topic.name in warning["text"]
    consumer = pipeline.consume(*topic.flags)
    consumer.wait_for_event("warning", kind="topic_missing")
    topic.create_again()
    topic.send([*truths(50), BAD])
    wait_until("the truth of a late topic is stored", lambda: topic.stored() == 50)
    assert consumer.stop() == 0
    assert (topic.counted(), named(consumer)) == ((51, 50, 0, 1), [50])


def test_a_topic_that_was_created_again_is_read_from_its_beginning(apache_pipeline: Pipeline) -> None:
    # The embedded broker can crash librdkafka here, as in the tests of topics of events.
    pipeline = apache_pipeline
    topic = Topic.of(pipeline)
    topic.send([*truths(50), BAD])
    consumer = pipeline.consume(*topic.flags)
    consumer.wait_for_event("listening")
    wait_until("the first topic is stored", lambda: topic.counted()[0] == 51)
    # The new topic has fewer messages, and half of them are the same.
    topic.delete()
    topic.create_again()
    topic.send(truths(20, 40))
    wait_until("the new topic is stored", lambda: topic.stored() == 60)
    consumer.wait_for_event("warning", kind="topic_recreated")
    assert consumer.stop() == 0
    assert topic.counted() == (20, 60, 10, 1)
    # The topic is now created again between two runs, with more messages.
    topic.delete()
    topic.create_again()
    topic.send(truths(90, 40))
    again = pipeline.catch_up(*topic.flags)
    assert again.warned("topic_recreated")
    assert accounts(again) == (70, 20, 0)


def test_messages_that_cannot_be_read_are_skipped_and_counted(pipeline: Pipeline) -> None:
    topic = Topic.of(pipeline)
    large = [truth(campaign=number, pad="m" * 50_000) for number in range(60)]
    topic.send(truths(10))
    send_packed(topic.as_pipeline(), 0, large)
    topic.send(truths(10, 10))
    options = [flag for option in SMALL_LIMIT for flag in ("--kafka-option", option)]
    consumer = pipeline.catch_up(*topic.flags, *options)
    [warning] = consumer.warned("unreadable")
    assert {10, 69, 60} <= numbers_in(warning["text"])
    assert (topic.counted(), topic.missing()) == ((80, 20, 0, 0), 60)


def test_messages_that_retention_deleted_are_missing(apache_pipeline: Pipeline) -> None:
    pipeline = apache_pipeline
    topic = Topic.of(pipeline)
    topic.send(truths(10))
    pipeline.catch_up(*topic.flags)
    topic.send(truths(10, 10))
    delete_records(topic.as_pipeline(), 15)
    consumer = pipeline.catch_up(*topic.flags)
    [gap] = consumer.warned("gap")
    assert {10, 14, 5} <= numbers_in(gap["text"])
    assert (topic.counted(), topic.missing()) == ((20, 15, 0, 0), 5)
    assert consumer.summary()["truth_missing"] == 5


def test_only_the_readers_role_may_read_and_the_flag_creates_the_tables(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    topic = Topic.of(pipeline)
    topic.send(truths(10))
    pipeline.catch_up()
    assert pipeline.query("SELECT to_regclass('truth'), to_regclass('truth_offsets')") == [(None, None)]
    pipeline.catch_up(*topic.flags)
    with pipeline.connect() as connection:
        analysis = f"analysis_{uuid.uuid4().hex[:8]}"
        connection.execute(f"CREATE ROLE {analysis} NOLOGIN; GRANT {analysis} TO CURRENT_USER")
        try:
            for role, may in (("ccstream_reader", True), (analysis, False)):
                connection.execute(f"SET ROLE {role}")
                if may:
                    assert connection.execute("SELECT count(*) FROM truth").fetchone() == (10,)
                else:
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        connection.execute("SELECT count(*) FROM truth")
                connection.execute("RESET ROLE")
        finally:
            connection.execute(f"RESET ROLE; DROP ROLE {analysis}")
    # The other commands work beside the tables of truth.
    for command in (["verify"], ["doctor"], ["rejected"]):
        pipeline.run(*command)


def test_a_permanent_error_of_truth_ends_the_run(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    topic = Topic.of(pipeline)
    consumer = pipeline.consume(*topic.flags)
    consumer.wait_for_event("listening")
    topic.send(truths(10))
    wait_until("the rows are stored", lambda: topic.stored() == 10)
    pipeline.execute("ALTER TABLE truth RENAME COLUMN detail TO details")
    topic.send(truths(10, 10))
    assert consumer.wait() == 4
    failure: dict[str, Any] = consumer.failure()
    assert "details" in failure["error"] or "detail" in failure["error"]
    assert failure["summary"]["truth_stored"] == 10
    assert topic.counted() == (10, 10, 0, 0)


def test_the_name_of_the_topic_is_checked(lone_pipeline: Pipeline) -> None:
    for flags in (("--truth-topic", "a b"), ("--truth", "--truth-topic", lone_pipeline.topic)):
        assert "truth_topic: " in lone_pipeline.run("consume", *flags, status=2)
