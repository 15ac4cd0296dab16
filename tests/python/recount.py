"""Compares the topic with the tables, message by message, without any code of ccstream."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from topics import read_whole

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence
    from decimal import Decimal

    from pipeline import Pipeline

Message = tuple[int, int, bytes | None]
"""The partition, offset and payload of a message."""
TEXTS = ("merchant", "category", "city", "country", "status", "payment_method", "mcc", "card_token", "entry_mode")
"""The text columns of an event. An event has them under the same name or under that in :data:`SENT_AS`."""
SENT_AS = {"city": "location"}
DEAD_LETTERS = "SELECT kafka_partition, kafka_offset, payload FROM rejected_events"
COUNTERS = "SELECT partition, consumed, rejected, next_offset FROM kafka_offsets ORDER BY 1"


def read_topic(broker: str, topic: str) -> list[Message]:
    """Returns every message of a topic, read by an independent client."""
    messages = read_whole(broker, topic)
    return [(message.partition() or 0, message.offset() or 0, message.value()) for message in messages]


class Recount:
    """Holds what a topic contains, message by message, to compare it with the tables independently of the product.

    One group must have read the whole topic, which contains valid events and ``bad`` payloads. The events are held as
    hashes, because a topic may have millions of messages.

    Args:
        pipeline: the pipeline, whose topic and tables no longer change.
        bad: the payloads that must be rejected.

    Attributes:
        held: the number of messages in each partition.
        events: the hash of each valid event's content, by its id, as it was first sent: see :func:`hashed`.
        places: the places of each valid event, one for each time it was sent: see :func:`place`.
        rejected: the messages that must be rejected.
        lost: the ids of events without a row.
        extra: the ids of rows without an event.
    """

    def __init__(self, pipeline: Pipeline, bad: Container[bytes | None] = ()) -> None:
        self._pipeline = pipeline
        self._last: dict[int, int] = {}
        self.held: Counter[int] = Counter()
        self.events: dict[str, int] = {}
        self.places: dict[str, tuple[int, ...]] = {}
        self.rejected: set[Message] = set()
        for message in read_whole(pipeline.broker, pipeline.topic):
            partition, offset, payload = message.partition() or 0, message.offset() or 0, message.value()
            self.held[partition] += 1
            self._last[partition] = offset
            if payload in bad:
                self.rejected.add((partition, offset, payload))
                continue
            event = json.loads(payload or b"")
            key = str(event.get("transaction_id", event.get("order_id")))
            texts = [event.get(SENT_AS.get(name, name), event.get(name)) for name in TEXTS]
            self.events.setdefault(key, hashed(event.get("amount", event.get("value")), texts))
            self.places[key] = (*self.places.get(key, ()), place(partition, offset))
        ids = {key for (key,) in self._rows("order_id")}
        self.lost, self.extra = self.events.keys() - ids, ids - self.events.keys()

    def _rows(self, *columns: str) -> Iterator[tuple[Any, ...]]:
        """Yields columns of ``orders``, row by row."""
        with self._pipeline.connect() as connection, connection.transaction(), connection.cursor("rows") as rows:
            rows.itersize = 10_000
            yield from rows.execute(f"SELECT {', '.join(columns)} FROM orders")

    def doubled(self) -> int:
        """Returns the number of messages that were counted more than once, plus the rows without a message."""
        counted = self._pipeline.query("SELECT partition, consumed FROM kafka_offsets")
        twice = sum(max(0, int(consumed) - self.held[partition]) for partition, consumed in counted)
        return twice + len(self.extra)

    def check(self) -> None:
        """Compares the topic with the tables.

        Each event has one row with its content, from a place where the event is. Each bad message is a dead letter with
        its payload. The counters have as many messages, duplicates and rejections as each partition.
        """
        assert not self.lost, f"{len(self.lost)} events were lost, as {next(iter(self.lost))}"
        assert not self.extra, f"{len(self.extra)} rows came from nowhere, as {next(iter(self.extra))}"
        for row in self._rows("order_id", "kafka_partition", "kafka_offset", "value", *TEXTS):
            key, partition, offset, value, *texts = row
            assert hashed(value, texts) == self.events[key], row
            assert place(partition, offset) in self.places[key], row
        found = {(row[0], row[1], row[2] and bytes(row[2])) for row in self._pipeline.query(DEAD_LETTERS)}
        differing = found ^ self.rejected
        assert not differing, (
            f"{len(found)} dead letters of {len(self.rejected)} bad messages, as {next(iter(differing))}"
        )
        counters = self._pipeline.query(COUNTERS)
        for partition, consumed, rejected, next_offset in counters:
            assert consumed == self.held[partition], f"partition {partition}"
            assert rejected == sum(number == partition for number, _, _ in self.rejected), f"partition {partition}"
            assert next_offset > self._last.get(partition, -1), f"partition {partition}"
        assert sum(consumed for _, consumed, _, _ in counters) == self.held.total()
        [(duplicate,)] = self._pipeline.query("SELECT sum(duplicate) FROM kafka_offsets")
        assert duplicate == self.held.total() - len(self.rejected) - len(self.events)


def hashed(value: float | str | Decimal, texts: Sequence[str | None]) -> int:
    """Returns a hash of the content of an event or a row: its amount, to a tenth of a cent, and its texts."""
    return hash((round(float(value) * 1000), *texts))


def place(partition: int, offset: int) -> int:
    """Returns a partition and an offset as one number."""
    return offset << 10 | partition
