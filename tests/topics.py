"""Reads a whole topic with an independent client."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import Message


def read_whole(broker: str, topic: str) -> Iterator[Message]:
    """Yields every committed message up to the end of each partition, in the order of the partition."""
    reader = Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": f"reader-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    rest = set(reader.list_topics(topic, timeout=10).topics[topic].partitions)
    reader.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in rest])
    while rest:
        for message in reader.consume(10_000, timeout=1):
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                rest.discard(message.partition() or 0)
            else:
                raise KafkaException(error)
    reader.close()
