"""Provides a separate topic of truth for each test, and reads what a consumer reports about it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import uuid
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline import Pipeline
    from running import Running

TRUTH = {
    "kind": "fraud",
    "transaction_id": None,
    "scenario": "S4",
    "campaign": 3,
    "timestamp": "2026-01-02T03:04:05.123456Z",
    "until": None,
    "subject": None,
    "detail": None,
}
BAD = b'{"kind":"theft","timestamp":"2026-01-01"}'


def truth(**fields: object) -> bytes:
    return json.dumps({**TRUTH, **fields}).encode()


def truths(count: int, first: int = 0) -> list[bytes]:
    """Returns ``count`` messages, each about a different transaction."""
    return [truth(transaction_id=str(uuid.UUID(int=first + number))) for number in range(count)]


@dataclasses.dataclass
class Topic:
    """Is the topic of truth of a pipeline."""

    pipeline: Pipeline
    name: str
    partitions: int

    @classmethod
    def of(cls, pipeline: Pipeline, partitions: int = 1) -> Topic:
        """Creates the topic, and the topic of events."""
        pipeline.create_topic(1)
        made = cls(pipeline, f"truth_{pipeline.topic}", partitions)
        made.create()
        return made

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags with which a consumer reads the topic."""
        return ("--truth", "--truth-topic", self.name)

    def as_pipeline(self) -> Pipeline:
        """Returns the pipeline with this topic in place of the topic of events."""
        return dataclasses.replace(self.pipeline, topic=self.name)

    def create(self) -> None:
        """Creates the topic."""
        self.as_pipeline().create_topic(self.partitions)

    def create_again(self) -> None:
        """Creates the topic again, as soon as the broker has completely deleted it."""

        def created() -> bool:
            with contextlib.suppress(KafkaException):
                self.create()
                return True
            return False

        wait_until("the topic is created again", created)

    def delete(self) -> None:
        """Deletes the topic, and waits until it no longer exists."""
        admin = AdminClient({"bootstrap.servers": self.pipeline.broker})
        admin.delete_topics([self.name])[self.name].result()
        wait_until("the topic is deleted", lambda: self.name not in admin.list_topics(timeout=LIMIT).topics)

    def send(self, payloads: Iterable[bytes]) -> None:
        """Sends messages, to one partition after the other."""
        producer = Producer({"bootstrap.servers": self.pipeline.broker})
        for number, payload in enumerate(payloads):
            producer.produce(self.name, payload, partition=number % self.partitions)
        assert producer.flush(LIMIT) == 0

    def missing(self) -> int:
        """Returns the number of offsets that ``truth_offsets`` counts as missing."""
        return int(self.pipeline.query("SELECT sum(missing) FROM truth_offsets WHERE topic = %s", self.name)[0][0])

    def stored(self) -> int:
        """Returns the number of rows in ``truth``."""
        return int(self.pipeline.query("SELECT count(*) FROM truth")[0][0])

    def counted(self) -> tuple[int, int, int, int]:
        """Returns the sum of all next offsets, and the counters stored, duplicate and skipped of ``truth_offsets``."""
        columns = "sum(next_offset), sum(stored), sum(duplicate), sum(skipped)"
        [found] = self.pipeline.query(f"SELECT {columns} FROM truth_offsets WHERE topic = %s", self.name)
        at, stored, duplicate, skipped = (int(figure or 0) for figure in found)
        return at, stored, duplicate, skipped


def accounts(consumer: Running) -> tuple[int, int, int]:
    """Returns the counters of truth from the summary of a consumer that has ended: stored, duplicate, skipped."""
    summary = consumer.summary()
    return summary["truth_stored"], summary["truth_duplicate"], summary["truth_skipped"]


def named(consumer: Running) -> list[int]:
    """Returns the offsets of partition 0 that a consumer's warnings name, in the order of the warnings."""
    found: list[int] = []
    for warning in consumer.warned("truth_skipped"):
        [offsets] = re.findall(r": offset ([\d, ]+) of partition 0", warning["text"])
        found += [int(offset) for offset in offsets.split(", ")]
    return found
