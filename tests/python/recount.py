"""The topic against the tables, message by message, with no code of ccstream in it but for ``ccstream verify``."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from topics import read_whole

if TYPE_CHECKING:
    from collections.abc import Container

    from conftest import Pipeline

Message = tuple[int, int, bytes | None]
"""Partition, offset, payload."""
TEXTS = ("merchant", "category", "city", "country", "status", "payment_method", "mcc", "card_token", "entry_mode")
"""Columns of an event's texts, under their own name or their sender's."""
SENT_AS = {"city": "location"}
KEPT = "SELECT kafka_partition, kafka_offset, payload FROM rejected_events"
COUNTERS = "SELECT partition, consumed, rejected, next_offset FROM kafka_offsets ORDER BY 1"


def read_topic(broker: str, topic: str) -> list[Message]:
    """Every message of a topic, read by a client that is not ours."""
    messages = read_whole(broker, topic)
    return [(message.partition() or 0, message.offset() or 0, message.value()) for message in messages]


class Recount:
    """What a topic holds, message by message, to be compared with the tables without the product's code.

    For a topic read whole by one group, of valid events and of ``bad`` payloads.

    Args:
        pipeline: whose topic and tables, of which neither changes any more.
        bad: the payloads that are to be rejected.

    Attributes:
        messages: all of them.
        events: each valid one by its id, as it was first sent.
        places: the partitions and offsets of each.
        kept: the bad ones.
        lost: ids of events without a row.
        extra: ids of rows without an event.
    """

    def __init__(self, pipeline: Pipeline, bad: Container[bytes | None] = ()) -> None:
        self._pipeline = pipeline
        self.messages = read_topic(pipeline.broker, pipeline.topic)
        self.events: dict[str, dict[str, object]] = {}
        self.places: dict[str, set[tuple[int, int]]] = {}
        self.kept: set[Message] = set()
        for partition, offset, payload in self.messages:
            if payload in bad:
                self.kept.add((partition, offset, payload))
                continue
            event = json.loads(payload or b"")
            key = str(event.get("transaction_id", event.get("order_id")))
            self.events.setdefault(key, event)
            self.places.setdefault(key, set()).add((partition, offset))
        ids = {key for (key,) in pipeline.query("SELECT order_id FROM orders")}
        self.lost, self.extra = self.events.keys() - ids, ids - self.events.keys()

    def doubled(self) -> int:
        """Messages that were counted more than once, and rows that no message accounts for."""
        held = Counter(partition for partition, _, _ in self.messages)
        counted = self._pipeline.query("SELECT partition, consumed FROM kafka_offsets")
        twice = sum(max(0, int(consumed) - held[partition]) for partition, consumed in counted)
        return twice + len(self.extra)

    def check(self) -> None:
        """Compares all of it.

        Each id's row is there once, with what the event says, and comes from a place that has it; each bad message is
        kept as it was sent; the counters say as many messages, duplicates and rejections as each partition holds.
        """
        assert not self.lost, f"{len(self.lost)} events were lost, as {next(iter(self.lost))}"
        assert not self.extra, f"{len(self.extra)} rows came from nowhere, as {next(iter(self.extra))}"
        columns = ("order_id", "value", "kafka_partition", "kafka_offset", *TEXTS)
        for key, value, partition, offset, *texts in self._pipeline.query(f"SELECT {', '.join(columns)} FROM orders"):
            event = self.events[key]
            assert abs(float(value) - float(str(event.get("amount", event.get("value", "nan"))))) < 0.001, key
            assert texts == [event.get(SENT_AS.get(name, name), event.get(name)) for name in TEXTS], key
            assert (partition, offset) in self.places[key], key
        found = {(row[0], row[1], row[2] and bytes(row[2])) for row in self._pipeline.query(KEPT)}
        assert found == self.kept, f"{len(found)} kept of {len(self.kept)} bad ones, as {next(iter(found ^ self.kept))}"
        counters = self._pipeline.query(COUNTERS)
        for partition, consumed, rejected, next_offset in counters:
            offsets = [offset for number, offset, _ in self.messages if number == partition]
            assert consumed == len(offsets), f"partition {partition}"
            assert rejected == sum(number == partition for number, _, _ in self.kept), f"partition {partition}"
            assert not offsets or next_offset > max(offsets), f"partition {partition}"
        assert sum(consumed for _, consumed, _, _ in counters) == len(self.messages)
        [(duplicate,)] = self._pipeline.query("SELECT sum(duplicate) FROM kafka_offsets")
        assert duplicate == len(self.messages) - len(self.kept) - len(self.events)
