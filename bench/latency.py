"""Measures the latency from sending an event to seeing its row: ``python bench/latency.py`` (a part of ``make bench``).

A producer sends at a steady rate and a consumer stores the events, both with default settings. Each event contains the
time at which it was created. It is visible when a query of the offset rows, which are committed together with the rows,
first shows an offset beyond it. The query runs every 2 ms, so the result may be up to 2 ms too large.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psycopg

import results
from workbench import Workbench, create_topic, embedded_broker, make_tables, postgres

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from apache_kafka import running_kafka  # noqa: E402
from services import free_port  # noqa: E402

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATES = (500, 5_000, 20_000)
PARTITIONS = 4
WARM_UP = 5.0
"""The time at the start that is not measured, in seconds: joining the group, first statements."""
ASK_EVERY = 0.002


def measure(bench: Workbench, broker: str, rate: int, seconds: float) -> dict[str, float]:
    """Returns percentiles of the latency in milliseconds, at a rate of events a second."""
    topic = f"latency-{rate}-{bench.name()}"
    create_topic(broker, topic, PARTITIONS)
    with bench.database() as url:
        make_tables(broker, topic, url)
        place = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": broker, "KAFKA_TOPIC": topic, "DATABASE_URL": url}
        place["KAFKA_GROUP_ID"] = topic
        program = [sys.executable, "-m", "ccstream"]
        consumer = subprocess.Popen([*program, "consume", "--quiet"], env=place, stdout=subprocess.DEVNULL)
        time.sleep(WARM_UP)
        count = int(rate * (WARM_UP + seconds))
        sending = ["produce", "--quiet", "--rate", str(rate), "--count", str(count)]
        producer = subprocess.Popen([*program, *sending], env=place, stdout=subprocess.DEVNULL)
        # For each partition, this holds each next offset and the moment at which it was first seen.
        seen: dict[int, list[tuple[int, float]]] = {number: [] for number in range(PARTITIONS)}
        with psycopg.connect(url, autocommit=True) as connection:
            question = connection.cursor()
            stored, until = 0, time.monotonic() + seconds + 60
            while stored < count and time.monotonic() < until:
                rows = question.execute("SELECT partition, next_offset FROM kafka_offsets", prepare=True).fetchall()
                now = time.time()
                for partition, offset in rows:
                    if not seen[partition] or seen[partition][-1][0] < offset:
                        seen[partition].append((offset, now))
                stored = sum(offset for _, offset in rows)
                time.sleep(ASK_EVERY)
            producer.wait()
            consumer.terminate()
            consumer.wait()
            found = connection.execute(
                "SELECT kafka_partition, kafka_offset, extract(epoch FROM timestamp)::float8 FROM orders"
            ).fetchall()
    if len(found) != count:
        raise RuntimeError(f"{len(found):,} of {count:,} events were stored")
    table: NDArray[np.float64] = np.array(found)
    table = table[table[:, 2] > table[:, 2].min() + WARM_UP]
    latency = np.empty(len(table))
    for partition, steps in seen.items():
        offsets, moments = np.array(steps).T
        own = table[:, 0] == partition
        # A row is visible at the first step whose next offset is beyond the row's offset.
        latency[own] = moments[np.searchsorted(offsets, table[own, 1], side="right")] - table[own, 2]
    p50, p95, p99 = np.percentile(latency * 1000, [50, 95, 99])
    return {"rate": rate, "p50": p50, "p95": p95, "p99": p99}


def main() -> None:
    """Measures each rate in turn, and saves the medians of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: list[dict[str, object]] = []
    with postgres() as url, running_kafka(free_port()) as kafka:
        bench = Workbench(url)
        for name, broker in (("Apache Kafka", kafka.address), ("embedded broker", embedded_broker())):
            for rate in RATES:
                rounds = [measure(bench, broker, rate, options.seconds) for _ in range(options.rounds)]
                middle = {key: float(np.median([one[key] for one in rounds])) for key in ("p50", "p95", "p99")}
                found.append({"broker": name, "rate": rate, **middle})
                print(found[-1], flush=True)
    results.keep("latency", {"seconds": options.seconds, "rounds": options.rounds, "table": found})


if __name__ == "__main__":
    main()
