"""Measures the cost of hostile but valid events: ``python bench/flood.py [EVENTS]`` (``make bench-flood``).

The consumer stores EVENTS (300,000 by default) of each kind in a separate database. ``plain`` are usual events.
``names`` have a different merchant, city and card in every event, in four-byte characters. ``kinds`` have a different
category, payment method, status and entry mode in every event. ``cells`` have a different minute and status in every
event. The table shows the processor time of a refresh of the page's figures, with 500 new events between two
refreshes, the engine's memory, and the rows of ``kpi_minute``.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
import uuid
from datetime import timedelta, timezone
from typing import TYPE_CHECKING

import psycopg

import ccstream
from ccstream.dashboard.figures import load
from ccstream.dashboard.view import View
from duplicates import Bench, ordered_ids, send
from services import embedded_services

if TYPE_CHECKING:
    from collections.abc import Iterator

REFRESHES = 15
BETWEEN = 500
"""The number of events that arrive between two refreshes."""
START = 1_790_000_000_000
EMOJI = [chr(0x1F300 + number) for number in range(700)]


def events(kind: str, count: int) -> Iterator[bytes]:
    """Yields a number of events of a kind."""
    chance = random.Random(7)  # noqa: S311

    def text(length: int) -> str:
        return "".join(chance.choices(EMOJI, k=length))

    for number in range(count):
        event: dict[str, object] = {
            "transaction_id": str(uuid.UUID(int=chance.getrandbits(128))),
            "amount": f"{chance.randrange(1, 9_999_999) / 100:.2f}",
            "currency": "USD",
            "status": "approved",
            "merchant": f"m{number % 300}",
            "location": f"c{number % 50}",
            "country": "US",
            "category": "food",
            "payment_method": "visa",
            "entry_mode": "chip",
            "card_token": f"tok{number % 20_000}",
            "timestamp": START + number * 10,
        }
        if kind == "cells":
            event |= {"timestamp": chance.randrange(100_000_000_000, START), "status": text(50)}
        if kind == "names":
            event |= {"merchant": text(200), "location": text(100), "country": text(60), "card_token": text(64)}
        if kind == "kinds":
            event |= {"category": text(50), "payment_method": text(50), "status": text(50), "entry_mode": text(20)}
        yield json.dumps(event, ensure_ascii=False).encode()


def measure(bench: Bench, broker: str, kind: str, count: int) -> str:
    """Measures one kind and returns its line of the table."""
    topic, url = bench.topic(ordered_ids(1)), bench.database()
    payloads = events(kind, count + (REFRESHES + 1) * BETWEEN)
    send(broker, topic, (next(payloads) for _ in range(count)))
    rate = bench.consume(topic, url)
    spent = []
    with ccstream.KpiEngine.from_database(url) as engine:
        engine.refresh()
        view = View(span="all")
        for _ in range(REFRESHES + 1):
            send(broker, topic, (next(payloads) for _ in range(BETWEEN)))
            bench.consume(topic, url)
            began = time.process_time()
            engine.refresh(timedelta(seconds=60))
            load(engine, view, timezone.utc)
            spent.append((time.process_time() - began) * 1000)
        memory = engine.status.bytes / 1e6
    with psycopg.connect(url) as connection:
        [[cells]] = connection.execute("SELECT count(*) FROM kpi_minute").fetchall()
    bench.drop(url)
    # The first refresh is separate, because it counts all rows.
    first, *rest = spent
    return f"{kind:<8}{rate:>14,.0f}{first:>12,.0f}{statistics.median(rest):>12,.0f}{memory:>12,.0f}{cells:>14,}"


def main() -> None:
    """Measures every kind and prints the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
    print(f"{count:,} events; processor time of the first refresh in ms, and the median of {REFRESHES} others\n")
    print(f"{'':<8}{'stored / s':>14}{'first':>12}{'refresh':>12}{'engine, MB':>12}{'kpi_minute':>14}")
    with embedded_services() as variables:
        broker = variables["KAFKA_BOOTSTRAP_SERVERS"]
        bench = Bench(broker, variables["DATABASE_URL"])
        for kind in ("plain", "names", "kinds", "cells"):
            print(measure(bench, broker, kind, count), flush=True)


if __name__ == "__main__":
    main()
