"""Measures the cost of duplicates: shares from 0 to 100 %, ordered and random ids, with and without ``--always-stage``.

``python bench/duplicates.py [EVENTS] [ROUNDS]`` (``make bench-duplicates``) starts Apache Kafka and PostgreSQL, runs
every case in turn, ROUNDS times, and prints medians. Each case starts with an empty database and stores EVENTS / 2
rows first, of which later events are duplicates.

Each share of duplicates is read twice: with the default settings, and with ``--always-stage``, which writes every batch
through a staging table. The last two lines do not use ccstream. They write the same rows, encoded beforehand, in
transactions of 50,000: by COPY into the table, and by COPY into a staging table followed by INSERT ... ON CONFLICT DO
NOTHING. They do not read Kafka, parse, check, or update offsets and totals.
"""

from __future__ import annotations

import json
import random
import re
import statistics
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from copying import encoded, write

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from apache_kafka import running_kafka
from services import embedded_services, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SHARES = (0.0, 0.0001, 0.01, 0.1, 1.0)


def ordered_ids(count: int) -> list[str]:
    """Returns ids that grow, as those of UUIDv7 do."""
    return [f"0199f0c2-{number >> 12:04x}-7{number & 0xFFF:03x}-9d55-{number:012x}" for number in range(count)]


def random_ids(count: int) -> list[str]:
    """Returns random ids, as those of UUIDv4."""
    chance = random.Random(7)  # noqa: S311
    return [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(count)]


def event(number: int, key: str) -> bytes:
    """Returns an event of about 400 bytes."""
    return json.dumps(
        {
            "transaction_id": key,
            "timestamp": f"2026-11-22T10:{number // 60_000 % 60:02}:{number // 1000 % 60:02}.{number % 1000:03}Z",
            "card_token": f"tok_{number % 5000:016x}",
            "card_last4": f"{number % 10_000:04}",
            "merchant": f"Merchant number {number % 2000}",
            "mcc": "5814",
            "category": "food_dining",
            "location": "Chicago",
            "country": "US",
            "latitude": 41.88,
            "longitude": -87.63,
            "amount": number % 10_000 / 100,
            "currency": "USD",
            "discount": 0.05,
            "payment_method": "visa",
            "entry_mode": "contactless",
            "status": "approved",
            "response_code": "00",
            "risk_flag": False,
        }
    ).encode()


def with_duplicates(earlier: list[str], new: list[str], share: float) -> Iterator[str]:
    """Yields the new ids, of which a share is replaced by earlier ids at even distances."""
    chance, due = random.Random(11), 0.0  # noqa: S311
    for key in new:
        due += share
        if due >= 1 - 1e-9:
            due -= 1
            yield chance.choice(earlier)
        else:
            yield key


def send(broker: str, topic: str, payloads: Iterable[bytes]) -> None:
    """Sends payloads to partition 0."""
    producer = Producer({"bootstrap.servers": broker, "linger.ms": 50, "queue.buffering.max.kbytes": 262_144})
    for payload in payloads:
        while True:
            try:
                producer.produce(topic, payload, partition=0)
                break
            except BufferError:
                producer.poll(0.1)
    if producer.flush(120):
        raise RuntimeError("events were not delivered")


class Bench:
    """Creates topics and databases on the services.

    Args:
        broker: Kafka's address.
        database_url: the URL of a database on the PostgreSQL server.
    """

    def __init__(self, broker: str, database_url: str) -> None:
        self._broker = broker
        self._base = database_url
        self._made = 0

    def database(self) -> str:
        """Creates an empty database and returns its URL."""
        self._made += 1
        with psycopg.connect(self._base, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE bench_{self._made}")
        return self._base.rpartition("/")[0] + f"/bench_{self._made}"

    def drop(self, url: str) -> None:
        """Drops a database."""
        with psycopg.connect(self._base, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {url.rpartition('/')[2]}")

    def topic(self, ids: list[str]) -> str:
        """Creates a topic with an event for each id, in order, and returns its name."""
        self._made += 1
        name = f"bench_{self._made}"
        admin = AdminClient({"bootstrap.servers": self._broker})
        admin.create_topics([NewTopic(name, 1, 1)])[name].result()
        send(self._broker, name, (event(number, key) for number, key in enumerate(ids)))
        return name

    def consume(self, topic: str, url: str, *flags: str) -> float:
        """Reads a topic into a database and returns the messages a second."""
        group = f"{topic}-{url.rpartition('/')[2]}"
        command = [sys.executable, "-m", "ccstream", "consume", "--until-caught-up", "--quiet", *flags]
        place = ["--bootstrap-servers", self._broker, "--topic", topic, "--group", group, "--database-url", url]
        output = subprocess.run([*command, *place], check=True, capture_output=True, text=True).stdout
        found = re.search(r"\(([\d,]+) messages/s\)", output)
        if found is None:
            raise RuntimeError(f"no rate in: {output}")
        return float(found[1].replace(",", ""))


def measure(bench: Bench, make_ids: Callable[[int], list[str]], events: int) -> dict[str, float]:
    """Runs one round and returns the rate of every case."""
    all_ids = make_ids(events + events // 2)
    earlier, new = all_ids[: events // 2], all_ids[events // 2 :]
    before = bench.topic(earlier)
    rates: dict[str, float] = {}
    batches: list[bytes] = []
    for share in SHARES:
        topic = bench.topic(list(with_duplicates(earlier, new, share)))
        for flags in ((), ("--always-stage",)):
            url = bench.database()
            bench.consume(before, url)
            rates[f"{share:.2%}{', staged' if flags else ''}"] = bench.consume(topic, url, *flags)
            if share or flags:
                bench.drop(url)
                continue
            with psycopg.connect(url) as connection:
                connection.execute("DELETE FROM orders WHERE order_id = ANY(%s)", (earlier,))
            batches = encoded(url, events)
            bench.drop(url)
    for name, staged in (("bare COPY", False), ("bare staging", True)):
        url = bench.database()
        bench.consume(before, url)
        rates[name] = write(url, batches, staged=staged)
        bench.drop(url)
    return rates


def main() -> None:
    """Runs all cases and prints the table."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 400_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3  # noqa: PLR2004
    columns = {}
    with embedded_services() as variables, running_kafka(free_port()) as kafka:
        bench = Bench(kafka.address, variables["DATABASE_URL"])
        for name, make_ids in (("ordered ids", ordered_ids), ("random ids", random_ids)):
            runs = [measure(bench, make_ids, events) for _ in range(rounds)]
            columns[name] = {case: statistics.median(run[case] for run in runs) for case in runs[0]}
    print(f"{events:,} events, medians of {rounds} rounds, rows a second and as a share of the first line\n")
    print(f"{'':<20}" + "".join(f"{name:>26}" for name in columns))
    for case in next(iter(columns.values())):
        cells = [f"{rates[case]:>17,.0f} {rates[case] / rates['0.00%']:>8.2f}" for rates in columns.values()]
        print(f"{case:<20}" + "".join(cells))


if __name__ == "__main__":
    main()
