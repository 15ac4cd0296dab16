"""Sends further messages during the attack: valid events, duplicates, and bad messages."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, Producer

from faults.attack import PARTITIONS

if TYPE_CHECKING:
    import random

    from pipeline import Pipeline


class Mixer:
    """Sends a mixture of valid events, duplicates and bad messages with an independent client.

    Args:
        pipeline: the pipeline to whose topic it sends.
        chance: the random generator.
        rate: the number of messages a second while the broker answers.
    """

    def __init__(self, pipeline: Pipeline, chance: random.Random, rate: float) -> None:
        self._pipeline, self._chance, self._rate = pipeline, chance, rate
        self.bad: set[bytes | None] = set()
        self.failed: list[str] = []
        self._sent: list[bytes] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Starts to send."""
        self._thread.start()

    def stop(self) -> None:
        """Stops, and checks that all messages were delivered. Those of a client that was replaced do not count."""
        self._end.set()
        self._thread.join()
        assert not self.failed, self.failed[:3]

    def _run(self) -> None:
        settings = {"bootstrap.servers": self._pipeline.broker, "enable.idempotence": True, "log_level": 0}
        producer = Producer(settings)
        while not self._end.wait(1 / self._rate):
            partition = self._chance.randrange(PARTITIONS)
            try:
                producer.produce(self._pipeline.topic, self._next(), partition=partition, on_delivery=self._delivered)
            except BufferError:
                pass
            except KafkaException as error:
                if error.args[0].code() != KafkaError._FATAL:
                    raise
                # A broker that is killed often can forget the sequence numbers of an idempotent producer. The messages
                # in flight are in the topic or not; the test recounts the topic.
                print(f"the mixer starts a new client: {error}; not delivered: {len(self.failed)}")
                producer = Producer(settings)
                self.failed.clear()
            producer.poll(0)
        if left := producer.flush(60):
            self.failed.append(f"{left} messages were not delivered")

    def _delivered(self, error: object, _message: object) -> None:
        if error is not None:
            self.failed.append(str(error))

    def _next(self) -> bytes | None:
        kind = self._chance.random()
        if kind < 0.4:
            # A duplicate is of any earlier event, or of a recent one, which may be in the same batch.
            return self._chance.choice(self._sent[-5:] if kind < 0.2 else self._sent) if self._sent else self._good()
        if kind < 0.6:
            payload = self._bad()
            self.bad.add(payload)
            return payload
        return self._good()

    def _event(self) -> dict[str, object]:
        now = time.time()
        return {
            "transaction_id": f"mixed {len(self._sent)} of {now:.3f}",
            "amount": self._chance.randrange(-5_000, 100_000) / 100,
            "timestamp": int(now * 1000),
            "merchant": self._chance.choice(["Löwenbräu", "O'Neill & Sons", "寿司", "Plain"]),
        }

    def _good(self) -> bytes:
        payload = json.dumps(self._event()).encode()
        self._sent.append(payload)
        return payload

    def _bad(self) -> bytes | None:
        event = self._event()
        whole = json.dumps(event).encode()
        return self._chance.choice(
            [
                None,
                whole[: len(whole) // 2],
                whole + b"}",
                b"[" + whole + b"]",
                whole.replace(b"mixed", b"mixed\xff"),
                json.dumps({**event, "merchant": "NUL\0"}).encode(),
                json.dumps({**event, "merchant": 7}).encode(),
                json.dumps({**event, "amount": 0.001}).encode(),
                json.dumps({name: value for name, value in event.items() if name != "timestamp"}).encode(),
            ]
        )
