"""How fast rows get from Kafka into ``orders``: ``make bench`` (``python bench/ingest.py --help`` for parts of it).

In one run, on Apache Kafka and PostgreSQL of its own: the ceilings (a bare binary COPY of the same rows into the same
table; a bare consume with librdkafka), ccstream with every guarantee on, what most people write first, and other
programs, each in a virtual environment of its own. All read the same messages, made once; each run begins with empty
tables, runs take turns, and medians are told, as rates and as shares of the bare COPY's.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

import librdkafka
import messages
import results
from programs import OURS, others
from workbench import Run, Workbench, make_tables, postgres

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from apache_kafka import running_kafka  # noqa: E402
from services import free_port  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BATCH = 50_000
SLOW = 60.0
"""Seconds for which a program runs that will not be done by then: its rate is of what it has written."""


def copy_rate(bench: Workbench, broker: str, topic: str, rows: list[bytes]) -> float:
    """Rows a second of a bare COPY in transactions of 50,000 rows."""
    with bench.database() as url:
        make_tables(broker, topic, url)
        began = time.perf_counter()
        with psycopg.connect(url) as connection:
            for batch in rows:
                with connection.cursor().copy("COPY orders FROM STDIN BINARY") as copy:
                    copy.write(batch)
                connection.commit()
        return len(rows) * BATCH / (time.perf_counter() - began)


def encoded(bench: Workbench, broker: str, topic: str, count: int) -> list[bytes]:
    """The topic's rows as COPY takes them, in batches sorted by id."""
    with bench.database() as url:
        bench.run(OURS, broker, topic, url)
        batches = []
        with psycopg.connect(url) as connection:
            for first in range(0, count, BATCH):
                part = f"SELECT * FROM orders ORDER BY kafka_offset, order_id LIMIT {BATCH} OFFSET {first}"
                query = f"COPY (SELECT * FROM ({part}) AS part ORDER BY order_id) TO STDOUT BINARY"
                with connection.cursor().copy(query) as copy:
                    batches.append(b"".join(bytes(piece) for piece in copy))
    return batches


class Measured:
    """Runs by name, as they come."""

    def __init__(self) -> None:
        self.runs: dict[str, list[Run]] = {}
        self.expected: dict[str, int] = {}

    def take(self, name: str, run: Run, expected: int) -> None:
        """Keeps a run and says what it came to."""
        self.runs.setdefault(name, []).append(run)
        self.expected[name] = expected
        print(f"{name:<40} {run.rate:>10,.0f} rows/s {run.rows:>10,} of {expected:,} rows", flush=True)

    def table(self, ceiling: str) -> list[dict[str, object]]:
        """Medians, as shares of one of them."""
        middle = {name: statistics.median(run.rate for run in runs) for name, runs in self.runs.items()}
        return [
            {
                "name": name,
                "rate": middle[name],
                "share": middle[name] / middle[ceiling],
                "expected": self.expected[name],
                "runs": [asdict(run) for run in runs],
            }
            for name, runs in self.runs.items()
        ]


def main() -> None:
    """Measures, prints, and keeps what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, help="a folder for the other programs' virtual environments")
    options = parser.parse_args()
    count = options.events // BATCH * BATCH
    measured = Measured()
    with postgres() as url, running_kafka(free_port()) as kafka:
        bench, apache, embedded = Workbench(url), kafka.address, results.broker()
        for broker in (apache, embedded):
            messages.produce(broker, "clean", count)
        made = messages.read(apache, "clean")
        variants: dict[str, Callable[[], Iterable[messages.Message]]] = {
            "random ids": lambda: messages.random_ids(made),
            "0.01 % duplicates": lambda: messages.duplicates(made, 0.0001),
            "1 % duplicates": lambda: messages.duplicates(made, 0.01),
            "1 % rejected": lambda: messages.rejects(made, 0.01),
        }
        expected = {
            "random ids": count,
            "0.01 % duplicates": 0,
            "1 % duplicates": 0,
            "1 % rejected": count - count // 100,
        }
        for name, make in variants.items():
            sent = list(make())
            messages.send(apache, results.word(name), sent)
            if not expected[name]:
                expected[name] = len({payload for _, _, payload in sent})
        rows = encoded(bench, apache, "clean", count)
        for number in range(options.rounds):
            rate = copy_rate(bench, apache, "clean", rows)
            measured.take("bare COPY", Run(count, rate), count)
            rate = librdkafka.consume(apache, "clean", count, messages.PARTITIONS)
            measured.take("bare consume", Run(count, rate), count)
            cases = [(OURS, apache, "clean", "", count), (OURS, embedded, "clean", ", embedded broker", count)]
            cases += [(OURS, apache, results.word(name), f", {name}", expected[name]) for name in variants]
            cases += [(replace(OURS, copies=2), apache, "clean", ", 2 consumers", count)]
            for program, broker, topic, suffix, rows_expected in cases:
                with bench.database() as place:
                    measured.take(f"ccstream{suffix}", bench.run(program, broker, topic, place), rows_expected)
            # Others are slower by so much that one run tells.
            for program in others(options.peers) if number == 0 else ():
                with bench.database() as place:
                    measured.take(program.name, bench.run(program, apache, "clean", place, SLOW), count)
    results.keep("ingest", {"events": count, "rounds": options.rounds, "table": measured.table("bare COPY")})


if __name__ == "__main__":
    main()
