"""The topic against the tables, message by message, with no code of ccstream in it but for ``ccstream verify``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from topics import read_whole

if TYPE_CHECKING:
    from collections.abc import Container

    from conftest import Pipeline

Message = tuple[int, int, bytes | None]
"""Partition, offset, payload."""
KEPT = "SELECT kafka_partition, kafka_offset, payload FROM rejected_events"
COUNTERS = "SELECT partition, consumed, rejected, next_offset FROM kafka_offsets ORDER BY 1"


def read_topic(broker: str, topic: str) -> list[Message]:
    """Every message of a topic, read by a client that is not ours."""
    messages = read_whole(broker, topic)
    return [(message.partition() or 0, message.offset() or 0, message.value()) for message in messages]


def recount(pipeline: Pipeline, bad: Container[bytes | None] = ()) -> tuple[int, int]:
    """Compares the topic with the tables, message by message, without the product's code.

    For a topic read whole by one group, of valid events and of ``bad`` payloads: each id's row is there
    once, with its amount, and comes from a place that has it; each bad message is kept as it was sent; the
    counters say as many messages, duplicates and rejections as each partition holds.

    Returns:
        How many messages that were, and how many different events.
    """
    pipeline.verify()
    messages = read_topic(pipeline.broker, pipeline.topic)
    sent: dict[str, tuple[float, str | None]] = {}
    places: dict[str, set[tuple[int, int]]] = {}
    kept: set[Message] = set()
    for partition, offset, payload in messages:
        if payload in bad:
            kept.add((partition, offset, payload))
            continue
        event = json.loads(payload or b"")
        key = str(event.get("transaction_id", event.get("order_id")))
        sent[key] = (float(event.get("amount", event.get("value", "nan"))), event.get("merchant"))
        places.setdefault(key, set()).add((partition, offset))
    columns = "order_id, value, merchant, kafka_partition, kafka_offset"
    rows = {row[0]: row[1:] for row in pipeline.query(f"SELECT {columns} FROM orders")}
    lost, extra = sent.keys() - rows.keys(), rows.keys() - sent.keys()
    assert not lost, f"{len(lost)} events were lost, as {next(iter(lost))}"
    assert not extra, f"{len(extra)} rows came from nowhere, as {next(iter(extra))}"
    for key, (value, merchant, *place) in rows.items():
        assert abs(float(value) - sent[key][0]) < 0.001, key
        assert merchant == sent[key][1], key
        assert tuple(place) in places[key], key
    found = {(row[0], row[1], row[2] and bytes(row[2])) for row in pipeline.query(KEPT)}
    assert found == kept, f"{len(found)} kept of {len(kept)} bad ones, as {next(iter(found ^ kept))}"
    for partition, consumed, rejected, next_offset in pipeline.query(COUNTERS):
        offsets = [offset for number, offset, _ in messages if number == partition]
        assert consumed == len(offsets), f"partition {partition}"
        assert rejected == sum(number == partition for number, _, _ in kept), f"partition {partition}"
        assert not offsets or next_offset > max(offsets), f"partition {partition}"
    [(consumed, duplicate)] = pipeline.query("SELECT sum(consumed), sum(duplicate) FROM kafka_offsets")
    assert (consumed, duplicate) == (len(messages), len(messages) - len(kept) - len(sent))
    return len(messages), len(sent)
