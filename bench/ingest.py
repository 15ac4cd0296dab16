"""How fast rows get from Kafka into ``orders``: ``make bench`` (``python bench/ingest.py --help`` for parts of it).

In one run, on Apache Kafka and PostgreSQL of its own: the ceilings (a bare binary COPY of the same rows into the same
table; a bare consume with librdkafka), ccstream with every guarantee on, what most people write first, and other
programs, each in a virtual environment of its own. All read the same messages, made once; each run begins with empty
tables, runs take turns, and medians are told: of the rates, and of what each is of its own round's bare COPY.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import librdkafka
import messages
import results
from copying import BATCH, encoded, write
from programs import OURS, VERSIONS, others
from workbench import Run, Workbench, embedded_broker, make_tables, postgres, topic_name

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from apache_kafka import running_kafka  # noqa: E402
from services import free_port  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SLOW = 60.0
"""Seconds for which a program runs that will not be done by then: its rate is of what it has written."""


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
        """Medians, and shares of one of them."""
        rates = {name: [run.rate for run in runs] for name, runs in self.runs.items()}
        return [
            {
                "name": name,
                "rate": statistics.median(rates[name]),
                "share": results.share(rates[name], rates[ceiling]),
                "expected": self.expected[name],
                "runs": [asdict(run) for run in runs],
            }
            for name, runs in self.runs.items()
        ]


def main() -> None:
    """Measures, prints, and keeps what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", type=Path, help="a folder for the other programs' virtual environments")
    options = parser.parse_args()
    count = options.events // BATCH * BATCH
    measured = Measured()
    with postgres() as url, running_kafka(free_port()) as kafka:
        bench, apache, embedded = Workbench(url), kafka.address, embedded_broker()
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
            messages.send(apache, topic_name(name), sent)
            if not expected[name]:
                expected[name] = len({payload for _, _, payload in sent})
        with bench.database() as place:
            bench.run(OURS, apache, "clean", place)
            rows = encoded(place, count)
        for number in range(options.rounds):
            for connections, name in ((1, "bare COPY"), (2, "bare COPY, 2 connections")):
                with bench.database() as place:
                    make_tables(apache, "clean", place)
                    rate = write(place, rows, connections=connections)
                measured.take(name, Run(count, rate), count)
            rate = librdkafka.consume(apache, "clean", count, messages.PARTITIONS)
            measured.take("bare consume", Run(count, rate), count)
            cases = [(OURS, apache, "clean", "", count), (OURS, embedded, "clean", ", embedded broker", count)]
            cases += [(OURS, apache, topic_name(name), f", {name}", expected[name]) for name in variants]
            flags = {", 1 connection": ("--connections", "1"), ", no synchronous commits": ("--no-synchronous-commit",)}
            for suffix, more in flags.items():
                cases.append((replace(OURS, command=(*OURS.command, *more)), apache, "clean", suffix, count))
            cases += [(replace(OURS, copies=2), apache, "clean", ", 2 consumers", count)]
            for program, broker, topic, suffix, rows_expected in cases:
                with bench.database() as place:
                    measured.take(f"ccstream{suffix}", bench.run(program, broker, topic, place), rows_expected)
            # Others are slower by so much that one run tells.
            for program in others(options.peers) if number == 0 else ():
                with bench.database() as place:
                    measured.take(program.name, bench.run(program, apache, "clean", place, SLOW), count)
    kept = {"events": count, "rounds": options.rounds, "others": VERSIONS, "table": measured.table("bare COPY")}
    results.keep("ingest", kept)


if __name__ == "__main__":
    main()
