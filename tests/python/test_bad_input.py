"""Tests every reason to reject a message. Good messages around bad ones are stored; bad ones become dead letters."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

import ccstream
from running import numbers_in
from waiting import LIMIT

if TYPE_CHECKING:
    from pipeline import Pipeline

UNPACKED = 300
"""The size of an unpacked batch, in megabytes, which is small when compressed."""
KEPT = 65_536
"""The number of bytes that a dead letter holds of a payload."""
BASE = {"transaction_id": "t", "amount": 1.5, "timestamp": "2026-01-01T00:00:00Z"}


def event(**fields: object) -> bytes:
    return json.dumps({**BASE, **fields}).encode()


def raw(fields: str) -> bytes:
    """Returns a valid event with additional text between its braces."""
    return event(transaction_id="raw")[:-1] + b"," + fields.encode() + b"}"


BAD: dict[str, tuple[bytes | None, str]] = {
    "a tombstone": (None, "tombstone"),
    "an empty payload": (b"", "empty"),
    "2 MB": (event(merchant="x" * 2_000_000), "too_large"),
    "invalid UTF-8": (b'{"merchant":"\xff"}', "invalid_utf8"),
    "invalid UTF-8 in an unknown field": (event()[:-1] + b',"note":"\xc3\x28"}', "invalid_utf8"),
    "an array": (b"[" + event() + b"]", "not_an_object"),
    "100 levels deep": (raw(f'"x":{"[" * 100}{"]" * 100}'), "too_deep"),
    "truncated": (event()[:-9], "invalid_json"),
    "not JSON after the object": (event() + b"x", "invalid_json"),
    "a known key twice": (raw('"amount":1.5'), "repeated_key"),
    "both names, different values": (event(order_id="other"), "conflicting_names"),
    "no amount": (b'{"transaction_id":"a","timestamp":"2026-01-01"}', "missing_field"),
    "an id that is no whole number": (event(transaction_id=7.5), "wrong_type"),
    "a flag that is a text": (event(risk_flag="no"), "wrong_type"),
    "an empty id": (event(transaction_id=""), "empty_text"),
    "an id of 60 characters": (event(transaction_id="x" * 60), "text_too_long"),
    "an id with trailing spaces": (event(transaction_id="x" + " " * 50), "text_too_long"),
    "NUL in a text": (event(merchant="a\0b"), "nul_character"),
    "an amount of abc": (event(amount="abc"), "invalid_amount"),
    "an amount of NaN": (event(amount="NaN"), "invalid_amount"),
    "a bare NaN": (raw('"x":NaN'), "invalid_json"),
    "an amount of 1e400": (
        b'{"transaction_id":"a","amount":1e400,"timestamp":"2026-01-01"}',
        "invalid_amount",
    ),
    "an amount too large": (event(amount="100000000.00"), "invalid_amount"),
    "an amount too fine": (event(amount=12.345), "invalid_amount"),
    "a discount too fine": (event(discount=0.125), "invalid_discount"),
    "a date in the year 10000": (event(timestamp="10000-01-01T00:00:00Z"), "invalid_timestamp"),
    "a timestamp of no unit": (event(timestamp=17_672_256_000), "invalid_timestamp"),
    "a clock that is four days ahead": (event(timestamp=int((time.time() + 4 * 86_400) * 1000)), "in_the_future"),
    "a latitude of 91": (event(latitude=91), "invalid_coordinate"),
    "a card number": (event(merchant="paid by 4111 1111 1111 1111"), "card_number"),
    "a card number, escaped": (
        event().replace(b'"t"', b'"t","merchant":"\\u0034111111111111111"'),
        "card_number",
    ),
}


def test_every_reason_between_good_messages(pipeline: Pipeline) -> None:
    pipeline.create_topic(1, max_message_bytes="5000000")
    payloads: list[bytes | None] = []
    for number, (payload, _) in enumerate(BAD.values()):
        payloads += [event(transaction_id=f"good-{number}"), payload]
    payloads.append(event(transaction_id="last"))
    pipeline.send(payloads)
    consumer = pipeline.catch_up()
    assert consumer.counted() == (2 * len(BAD) + 1, len(BAD) + 1, 0, len(BAD))
    assert consumer.summary()["rejected_by_reason"] == Counter(reason for _, reason in BAD.values())
    stored = {row[0] for row in pipeline.query("SELECT order_id FROM orders")}
    assert stored == {f"good-{number}" for number in range(len(BAD))} | {"last"}
    kept = pipeline.query(
        "SELECT reason, payload, masked, detail, payload_bytes, payload_sha256, partial FROM rejected_events"
        " ORDER BY kafka_offset"
    )
    assert len(kept) == len(BAD)
    for (label, (payload, reason)), (kept_reason, kept_payload, masked, detail, *whole) in zip(
        BAD.items(), kept, strict=True
    ):
        assert kept_reason == reason, label
        assert detail, label
        assert masked == (reason == "card_number"), label
        if masked:
            assert b"****" in kept_payload, label
            assert b"4111 1111 1111" not in kept_payload, label
            assert b"11111111" not in kept_payload, label
        elif payload is None:
            assert whole == [None, None, False], label
        else:
            assert kept_payload == payload[:KEPT], label
            assert whole == [len(payload), hashlib.sha256(payload).digest(), len(payload) > KEPT], label
    pipeline.verify()


GOOD: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"amount": "12.450"}, {"value": "12.45"}),
    ({"amount": 1e2}, {"value": "100.00"}),
    ({"amount": -3.1}, {"value": "-3.10"}),
    ({"discount": 1}, {"discount": "1.00"}),
    ({"timestamp": "2026-11-22T12:15:30.123456+02:00"}, {"timestamp": "2026-11-22 10:15:30.123456"}),
    ({"timestamp": "2026-11-22 10:15:30"}, {"timestamp": "2026-11-22 10:15:30"}),
    ({"timestamp": 1_795_342_530_123}, {"timestamp": "2026-11-22 10:15:30.123"}),
    ({"merchant": 'Zoë\'s "Café"\\\t\n💳'}, {"merchant": 'Zoë\'s "Café"\\\t\n💳'}),
    ({"merchant": ""}, {"merchant": ""}),
    ({"risk_flag": 0}, {"risk_flag": "false"}),
    ({"latitude": 41.88, "longitude": -87.63}, {"latitude": "41.88", "longitude": "-87.63"}),
    ({"order_id": "$ID", "value": "1.50"}, {"value": "1.50"}),
    ({"location": "Bonn", "city": "Bonn"}, {"city": "Bonn"}),
    ({"unknown": {"a": [1, 2]}}, {"merchant": None}),
]


def test_what_is_valid_is_stored_as_it_was_sent(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    # The first events have the eight fields of a simple demo, and the six fields of a short one.
    classic = {
        "order_id": "classic",
        "status": "completed",
        "category": "Books",
        "value": 20.5,
        "timestamp": "2024-01-01T10:00:00.123456",
        "city": "Paris",
        "payment_method": "card",
        "discount": 0.1,
    }
    payloads = [json.dumps(classic).encode()]
    payloads.append(event(transaction_id="six", merchant="Shop", location="Rome", risk_flag=False))
    for number, (fields, _) in enumerate(GOOD):
        named = {key: f"id-{number}" if value == "$ID" else value for key, value in fields.items()}
        payloads.append(event(transaction_id=f"id-{number}", **named))
    pipeline.send(payloads)
    pipeline.run("consume", "--until-caught-up")
    assert pipeline.query("SELECT * FROM rejected_events") == []
    for number, (_, expected) in enumerate(GOOD):
        for column, text in expected.items():
            query = f"SELECT {column}::text FROM orders WHERE order_id = %s"
            assert pipeline.query(query, f"id-{number}") == [(text,)], (number, column)
    assert pipeline.query("SELECT city, value::text, timestamp::text FROM orders WHERE order_id = 'classic'") == [
        ("Paris", "20.50", "2024-01-01 10:00:00.123456")
    ]
    pipeline.verify()


def replay(pipeline: Pipeline) -> ccstream.Resent:
    return ccstream.replay_rejected(database_url=pipeline.database_url, bootstrap_servers=pipeline.broker)


def test_rejected_messages_are_listed_shown_and_sent_again(pipeline: Pipeline) -> None:
    pipeline.create_topic(1)
    pan = event(merchant="4111111111111111")
    large = event(merchant="x" * 100_000)
    pipeline.send([event(amount="abc"), event(amount="12.345"), pan, None, large])
    pipeline.run("consume", "--until-caught-up")
    listed = pipeline.run("rejected")
    assert "invalid_amount" in listed
    assert "card_number" in listed
    shown = pipeline.run("rejected", "--show", "--reason", "invalid_amount")
    assert '"amount": "abc"' in shown
    [(detail,)] = pipeline.query("SELECT detail FROM rejected_events WHERE kafka_offset = 0")
    assert f"invalid_amount: {detail}" in shown
    shown = pipeline.run("rejected", "--show")
    assert "4111111111111111" not in shown
    assert "x" * 3_000 not in shown
    assert {len(large)} <= numbers_in(shown)
    assert hashlib.sha256(large).hexdigest() in shown
    [partial] = [one for one in ccstream.select_rejected(database_url=pipeline.database_url) if one.partial]
    assert (partial.payload, partial.payload_bytes) == (large[:KEPT], len(large))
    resent = replay(pipeline)
    assert resent.sent == 2
    assert (resent.masked, resent.partial, resent.empty) == (1, 1, 1)
    reader = Consumer({"bootstrap.servers": pipeline.broker, "group.id": "reader", "enable.auto.commit": False})
    reader.assign([TopicPartition(pipeline.topic, 0, 5)])
    again = [message.value() for message in reader.consume(2, timeout=LIMIT)]
    reader.close()
    assert again == [event(amount="abc"), event(amount="12.345")]
    # A second replay sends nothing. The replayed messages, which are still bad, are dead letters again.
    assert numbers_in(pipeline.run("rejected", "--replay")) == {0, 1, 2}
    resent = replay(pipeline)
    assert (resent.sent, resent.replayed) == (0, 2)
    pipeline.run("consume", "--until-caught-up")
    assert pipeline.query("SELECT count(*) FROM rejected_events") == [(7,)]
    pipeline.verify()


def test_one_message_that_cannot_be_sent_again_holds_up_no_other(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    # The second message is larger than the producer may send.
    pipeline.send([event(amount="abc"), event(merchant="x" * 2_000), event(amount="1.234")])
    pipeline.run("consume", "--until-caught-up")
    output = pipeline.run("rejected", "--replay", "--kafka-option", "message.max.bytes=1000", status=3)
    assert 2 in numbers_in(output)
    replayed = pipeline.query("SELECT reason, replayed_at IS NOT NULL FROM rejected_events ORDER BY id")
    assert replayed == [("invalid_amount", True), ("text_too_long", False), ("invalid_amount", True)]


def send_refused(pipeline: Pipeline, count: int, every: int) -> None:
    """Sends valid events. A CHECK of the table refuses one in ``every``."""
    pipeline.create_topic(1)
    pipeline.run("consume", "--until-caught-up")
    pipeline.execute("ALTER TABLE orders ADD CONSTRAINT only_good CHECK (category <> 'bad')")
    categories = ["good" if number % every else "bad" for number in range(count)]
    pipeline.send(
        [event(transaction_id=f"t{number:05}", category=category) for number, category in enumerate(categories)]
    )


@pytest.mark.parametrize("limit", [(), ("--max-refused", "101")])
def test_rows_that_the_users_check_refuses_hold_up_no_other(
    embedded_pipeline: Pipeline, limit: tuple[str, ...]
) -> None:
    pipeline = embedded_pipeline
    send_refused(pipeline, 303, 3)
    pipeline.catch_up(*limit)
    assert pipeline.query("SELECT count(*) FROM orders WHERE category = 'good'") == [(202,)]
    kept = pipeline.query("SELECT kafka_offset, reason FROM rejected_events ORDER BY id")
    assert sorted(kept) == [(number, "refused_by_postgres") for number in range(0, 303, 3)]
    pipeline.verify()


def test_one_more_refused_row_than_allowed_ends_it(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    send_refused(pipeline, 303, 3)
    ended = pipeline.consume("--until-caught-up", "--max-refused", "100")
    assert ended.wait() == 5
    assert "23514" in ended.failure()["error"]
    assert "--max-refused" in ended.output()
    # Refused rows of a batch before the last one may be dead letters already.
    [(kept,)] = pipeline.query("SELECT count(*) FROM rejected_events")
    assert kept <= 100
    pipeline.catch_up("--max-refused", "all")
    assert pipeline.count() == 202
    assert pipeline.query("SELECT count(*) FROM rejected_events") == [(101,)]
    pipeline.verify()


SMALL_LIMIT = ("message.max.bytes=1000000", "fetch.max.bytes=1000000", "receive.message.max.bytes=1000512")
"""Options with which librdkafka unpacks at most a megabyte of zstd."""


def send_packed(pipeline: Pipeline, partition: int, payloads: list[bytes], codec: str = "zstd") -> None:
    """Sends payloads as one compressed batch."""
    producer = Producer(
        {
            "bootstrap.servers": pipeline.broker,
            "compression.type": codec,
            "linger.ms": 2_000,
            "batch.size": 500_000_000,
            "message.max.bytes": 500_000_000,
            "queue.buffering.max.kbytes": 1_000_000,
        }
    )
    for payload in payloads:
        producer.produce(pipeline.topic, payload, partition=partition)
    assert producer.flush(LIMIT) == 0


def test_a_batch_that_cannot_be_unpacked_is_named_and_left_out_where_that_is_wanted(pipeline: Pipeline) -> None:
    pipeline.create_topic(2)
    good = [[event(transaction_id=f"{partition}-{number}") for number in range(20)] for partition in range(2)]
    large = [event(transaction_id=f"large-{number}", merchant="m" * 100_000) for number in range(77)]
    # Both partitions have the same offsets, but only one has the batch.
    for partition in range(2):
        send_packed(pipeline, partition, good[partition][:10])
    send_packed(pipeline, 1, large)
    for partition in range(2):
        send_packed(pipeline, partition, good[partition][10:])
    options = [part for option in SMALL_LIMIT for part in ("--kafka-option", option)]
    ended = pipeline.consume("--until-caught-up", *options)
    assert ended.wait() == 3
    error = ended.failure()["error"]
    assert {pipeline.topic, "receive.message.max.bytes"} <= set(re.findall(r"[\w.-]+", error))
    assert {1, 10} <= numbers_in(error)
    assert "--skip-unreadable" in ended.output()
    # The messages before the batch are stored; those after it are not read.
    assert pipeline.query("SELECT count(*) FROM orders WHERE order_id LIKE '1-%%'") == [(10,)]
    skipped = pipeline.catch_up("--skip-unreadable", *options)
    [warning] = skipped.warned("unreadable")
    assert warning["partitions"] == [1]
    assert {10, 86, 77} <= numbers_in(warning["text"])
    assert pipeline.count() == 40
    assert pipeline.query("SELECT partition, missing FROM kafka_offsets ORDER BY 1") == [(0, 0), (1, 77)]
    pipeline.verify()


@pytest.mark.parametrize("kind", ["one", "many"])
def test_what_is_large_unpacked_costs_no_more_memory_than_that(embedded_pipeline: Pipeline, kind: str) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1, max_message_bytes="100000000")
    pad = "a" * 1_000_000
    if kind == "one":
        send_packed(pipeline, 0, [event(merchant=pad * UNPACKED)], "gzip")
    else:
        send_packed(pipeline, 0, [event(transaction_id=f"t{n}", note=pad) for n in range(UNPACKED)], "gzip")
    consumer = pipeline.consume("--until-caught-up")
    most = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(consumer.process.pid)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            most = max(most, process.memory_info().rss)
            time.sleep(0.01)
    assert consumer.wait() == 0, consumer.output()
    assert most < (UNPACKED + 150) * 1_000_000
    if kind == "one":
        [(length, kept, partial)] = pipeline.query(
            "SELECT payload_bytes, octet_length(payload), partial FROM rejected_events"
        )
        assert (length > UNPACKED * 1_000_000, kept, partial) == (True, KEPT, True)
    else:
        assert pipeline.count() == UNPACKED


def test_no_message_was_rejected(embedded_pipeline: Pipeline) -> None:
    embedded_pipeline.run("produce", "--rate", "max", "--count", "10")
    embedded_pipeline.run("consume", "--until-caught-up")
    assert "No message was rejected" in embedded_pipeline.run("rejected")


@pytest.mark.parametrize("arguments", [("--id", "1"), ("--show",)])
def test_no_such_message(embedded_pipeline: Pipeline, arguments: tuple[str, ...]) -> None:
    embedded_pipeline.run("produce", "--rate", "max", "--count", "10")
    embedded_pipeline.run("consume", "--until-caught-up")
    assert "No such message" in embedded_pipeline.run("rejected", *arguments)
