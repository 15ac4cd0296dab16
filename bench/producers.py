"""Measures how fast events get into Kafka: ``python bench/producers.py`` (a part of ``make bench``).

ccstream generates each transaction and its JSON. librdkafka's ``rdkafka_performance`` and Kafka's
``ProducerPerformance`` send prepared payloads of the same size. confluent-kafka sends the same transactions, which
Python encodes as JSON from prepared dictionaries. All wait for every acknowledgement (``acks=all``, idempotent).
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka import Producer

import ccstream
import librdkafka
import messages
import results
from workbench import create_topic, topic_name

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from apache_kafka import ApacheKafka, fetch, running_kafka  # noqa: E402
from services import embedded_services, free_port  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = {"enable.idempotence": "true", "linger.ms": "5", "queue.buffering.max.messages": "1000000"}
OURS = {"queue.buffering.max.kbytes": "32768", "max.in.flight": "1"}
"""The settings in which ccstream's producer differs from librdkafka's defaults."""


LARGE = "rdkafka_performance, payloads as large as those of 50,000 cards"
WORLD = "ccstream, 50,000 cards with frauds, labels and truth"
"""The names of a program and of its ceiling, whose payloads are as large as the program's."""
CARDS = 50_000
"""The number of cards of the world with habits and frauds."""


def ours(broker: str, topic: str, count: int, **world: Any) -> float:  # noqa: ANN401
    """Measures ccstream at its maximum rate, from the first event to the last acknowledgement."""
    settings: dict[str, Any] = world or {"rate": math.inf}
    producer = ccstream.Producer(
        bootstrap_servers=broker, topic=topic, partitions=messages.PARTITIONS, count=count, seed=1, **settings
    )
    return count / producer.run().elapsed.total_seconds()


def world(topic: str) -> dict[str, Any]:
    """Returns the settings of a world whose cards make two payments a day, with frauds, labels and truth."""
    return {
        "rate": CARDS * 2 / 86_400,
        "cards": CARDS,
        "start_time": "2026-01-05",
        "speed": math.inf,
        "labels_topic": f"{topic}-labels",
        "truth_topic": f"{topic}-truth",
    }


def python(broker: str, topic: str, events: list[dict[str, Any]]) -> float:
    """Measures confluent-kafka with JSON that is encoded in Python."""
    producer = Producer({"bootstrap.servers": broker, **SETTINGS})
    began = time.perf_counter()
    for event in events:
        while True:
            try:
                producer.produce(topic, json.dumps(event, separators=(",", ":")), event["card_token"])
                break
            except BufferError:
                producer.poll(0.05)
        producer.poll(0)
    if producer.flush(120):
        raise RuntimeError("events were not delivered")
    return len(events) / (time.perf_counter() - began)


def java(kafka: ApacheKafka, topic: str, count: int, size: int) -> float:
    """Measures Kafka's own benchmark program."""
    settings = [f"bootstrap.servers={kafka.address}", "acks=all", "linger.ms=5"]
    done = subprocess.run(
        [
            *("java", "-Xmx512m", "-cp", f"{fetch('kafka-tools')}/*", "org.apache.kafka.tools.ProducerPerformance"),
            *("--topic", topic, "--num-records", str(count), "--record-size", str(size), "--throughput", "-1"),
            *("--producer-props", *settings),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    rates: list[str] = re.findall(r"([\d.]+) records/sec", done.stdout)
    return float(rates[-1])


def main() -> None:
    """Measures each program in turn, and saves the medians of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    count, rates = options.events, dict[str, list[float]]()
    with embedded_services(), running_kafka(free_port()) as kafka:
        broker = kafka.address
        messages.produce(broker, "sample", 10_000)
        ours(broker, "sample-world", 10_000, **world("sample-world"))
        payloads, larger = ([one[2] for one in messages.read(broker, f"sample{end}")] for end in ("", "-world"))
        size, large = (round(statistics.mean(map(len, found))) for found in (payloads, larger))
        events = [json.loads(payload) for payload in payloads] * (count // len(payloads) // 4)
        ways: dict[str, Callable[[str], float]] = {
            "rdkafka_performance, ready-made payloads": lambda topic: librdkafka.produce(
                broker, topic, count, size, SETTINGS
            ),
            "rdkafka_performance, with our buffer of 32 MiB and one request": lambda topic: librdkafka.produce(
                broker, topic, count, size, SETTINGS | OURS
            ),
            "ccstream, transactions and JSON made": lambda topic: ours(broker, topic, count),
            LARGE: lambda topic: librdkafka.produce(broker, topic, count, large, SETTINGS),
            WORLD: lambda topic: ours(broker, topic, count, **world(topic)),
            "kafka-producer-perf-test, ready-made payloads": lambda topic: java(kafka, topic, count, size),
            "confluent-kafka, JSON made in Python": lambda topic: python(broker, topic, events),
        }
        for number in range(options.rounds):
            for name, way in ways.items():
                topic = f"{topic_name(name)}-{number}"
                create_topic(broker, topic, messages.PARTITIONS)
                rates.setdefault(name, []).append(way(topic))
                print(f"{name:<46} {rates[name][-1]:>10,.0f} events/s", flush=True)
    ceiling = next(iter(rates.values()))
    table = [
        {
            "name": name,
            "rate": statistics.median(found),
            "share": results.share(found, rates[LARGE] if name in (LARGE, WORLD) else ceiling),
            "events": len(events) if "Python" in name else count,
        }
        for name, found in rates.items()
    ]
    sizes = {"bytes": size, "bytes of the world": large}
    results.keep("producers", {"events": count, **sizes, "rounds": options.rounds, "table": table})


if __name__ == "__main__":
    main()
