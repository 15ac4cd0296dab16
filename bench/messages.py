"""Creates the messages that every program reads: generated once by ccstream, then changed in one respect at a time."""

from __future__ import annotations

import json
import math
import random
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka import Producer

import ccstream
from workbench import create_topic

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from topics import read_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PARTITIONS = 4
START = "2026-11-25T00:00:00Z"

Message = tuple[int, bytes | None, bytes]
"""The partition, key and payload of a message."""


def produce(broker: str, topic: str, count: int) -> None:
    """Sends a number of transactions, which are always the same."""
    producer = ccstream.Producer(
        bootstrap_servers=broker,
        topic=topic,
        partitions=PARTITIONS,
        rate=math.inf,
        count=count,
        seed=1,
        start_time=START,
    )
    summary = producer.run()
    if summary.acknowledged != count:
        raise RuntimeError(f"{summary.acknowledged:,} of {count:,} messages were acknowledged")


def read(broker: str, topic: str) -> list[Message]:
    """Returns all messages of a topic, in the order of each partition."""
    return [(message.partition() or 0, message.key(), message.value() or b"") for message in read_whole(broker, topic)]


def send(broker: str, topic: str, messages: Iterable[Message]) -> None:
    """Sends messages to a new topic, each to its partition, in order."""
    create_topic(broker, topic, PARTITIONS)
    producer = Producer({"bootstrap.servers": broker, "linger.ms": 50, "enable.idempotence": True})
    for partition, key, payload in messages:
        while True:
            try:
                producer.produce(topic, payload, key, partition)
                break
            except BufferError:
                producer.poll(0.1)
    if producer.flush(120):
        raise RuntimeError("messages were not delivered")


def with_id(payload: bytes, key: str) -> bytes:
    """Returns a transaction with another id."""
    event = json.loads(payload)
    event["transaction_id"] = key
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def random_ids(messages: list[Message]) -> Iterator[Message]:
    """Yields the messages with random ids, which do not grow with time."""
    chance = random.Random(7)  # noqa: S311
    for partition, key, payload in messages:
        yield partition, key, with_id(payload, str(uuid.UUID(int=chance.getrandbits(128), version=4)))


def evenly(share: float, change: Callable[[int, Message], Message]) -> Callable[[list[Message]], Iterator[Message]]:
    """Returns a function that changes a share of the messages, at even distances. The first message is not changed."""

    def changed(messages: list[Message]) -> Iterator[Message]:
        every = round(1 / share)
        for number, message in enumerate(messages):
            yield change(number, message) if number % every == every - 1 else message

    return changed


def duplicates(messages: list[Message], share: float) -> Iterator[Message]:
    """Yields the messages, of which a share is replaced by the message about a thousand before it in the partition."""
    last: dict[int, list[bytes]] = {}

    def change(_number: int, message: Message) -> Message:
        partition, key, _ = message
        earlier = last.get(partition)
        return (partition, key, earlier[0]) if earlier else message

    for partition, key, payload in evenly(share, change)(messages):
        kept = last.setdefault(partition, [])
        kept.append(payload)
        del kept[:-1000]
        yield partition, key, payload


def rejects(messages: list[Message], share: float) -> Iterator[Message]:
    """Yields the messages, of which a share has an amount that is not a number."""

    def change(_number: int, message: Message) -> Message:
        partition, key, payload = message
        return partition, key, payload.replace(b'"amount":', b'"amount":"?","was":', 1)

    return evenly(share, change)(messages)
