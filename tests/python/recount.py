"""The topic against the tables, message by message, with no code of ccstream in it but for ``ccstream verify``."""

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

    For a topic read whole by one group, of valid events and of ``bad`` payloads. Of millions: no event is kept whole.

    Args:
        pipeline: whose topic and tables, of which neither changes any more.
        bad: the payloads that are to be rejected.

    Attributes:
        held: how many messages each partition has.
        events: what each valid event says, by its id, as it was first sent: see :func:`said`.
        places: where each stands, as often as it was sent: see :func:`place`.
        kept: the bad ones.
        lost: ids of events without a row.
        extra: ids of rows without an event.
    """

    def __init__(self, pipeline: Pipeline, bad: Container[bytes | None] = ()) -> None:
        self._pipeline = pipeline
        self._last: dict[int, int] = {}
        self.held: Counter[int] = Counter()
        self.events: dict[str, int] = {}
        self.places: dict[str, tuple[int, ...]] = {}
        self.kept: set[Message] = set()
        for message in read_whole(pipeline.broker, pipeline.topic):
            partition, offset, payload = message.partition() or 0, message.offset() or 0, message.value()
            self.held[partition] += 1
            self._last[partition] = offset
            if payload in bad:
                self.kept.add((partition, offset, payload))
                continue
            event = json.loads(payload or b"")
            key = str(event.get("transaction_id", event.get("order_id")))
            texts = [event.get(SENT_AS.get(name, name), event.get(name)) for name in TEXTS]
            self.events.setdefault(key, said(event.get("amount", event.get("value")), texts))
            self.places[key] = (*self.places.get(key, ()), place(partition, offset))
        ids = {key for (key,) in self._rows("order_id")}
        self.lost, self.extra = self.events.keys() - ids, ids - self.events.keys()

    def _rows(self, *columns: str) -> Iterator[tuple[Any, ...]]:
        """Those columns of ``orders``, row by row."""
        with self._pipeline.connect() as connection, connection.transaction(), connection.cursor("rows") as rows:
            rows.itersize = 10_000
            yield from rows.execute(f"SELECT {', '.join(columns)} FROM orders")

    def doubled(self) -> int:
        """Messages that were counted more than once, and rows that no message accounts for."""
        counted = self._pipeline.query("SELECT partition, consumed FROM kafka_offsets")
        twice = sum(max(0, int(consumed) - self.held[partition]) for partition, consumed in counted)
        return twice + len(self.extra)

    def check(self) -> None:
        """Compares all of it.

        Each id's row is there once, with what the event says, and comes from a place that has it; each bad message is
        kept as it was sent; the counters say as many messages, duplicates and rejections as each partition holds.
        """
        assert not self.lost, f"{len(self.lost)} events were lost, as {next(iter(self.lost))}"
        assert not self.extra, f"{len(self.extra)} rows came from nowhere, as {next(iter(self.extra))}"
        for row in self._rows("order_id", "kafka_partition", "kafka_offset", "value", *TEXTS):
            key, partition, offset, value, *texts = row
            assert said(value, texts) == self.events[key], row
            assert place(partition, offset) in self.places[key], row
        found = {(row[0], row[1], row[2] and bytes(row[2])) for row in self._pipeline.query(KEPT)}
        assert found == self.kept, f"{len(found)} kept of {len(self.kept)} bad ones, as {next(iter(found ^ self.kept))}"
        counters = self._pipeline.query(COUNTERS)
        for partition, consumed, rejected, next_offset in counters:
            assert consumed == self.held[partition], f"partition {partition}"
            assert rejected == sum(number == partition for number, _, _ in self.kept), f"partition {partition}"
            assert next_offset > self._last.get(partition, -1), f"partition {partition}"
        assert sum(consumed for _, consumed, _, _ in counters) == self.held.total()
        [(duplicate,)] = self._pipeline.query("SELECT sum(duplicate) FROM kafka_offsets")
        assert duplicate == self.held.total() - len(self.kept) - len(self.events)


def said(value: float | str | Decimal, texts: Sequence[str | None]) -> int:
    """What an event or a row says, as one number: its amount to a thousandth, a tenth of a cent, and its texts."""
    return hash((round(float(value) * 1000), *texts))


def place(partition: int, offset: int) -> int:
    """A partition and an offset, as one number."""
    return offset << 10 | partition
