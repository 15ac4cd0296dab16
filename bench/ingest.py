"""Measures how fast rows get from Kafka into ``orders``: ``make bench``, or ``python bench/ingest.py --help``.

One run starts a separate Apache Kafka and PostgreSQL. It measures the ceilings (a bare binary COPY of the same rows
into the same table, and a bare consume with librdkafka), ccstream with all its guarantees, a typical first script, and
other programs, each in a separate virtual environment. All read the same messages, which are generated once. Each case
starts with empty tables, and cases take turns. The results are medians of the rates, and of the ratio to the bare COPY
in the same round.
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
"""The time limit of another program, in seconds. A slower program's rate is computed from what it has written."""


class Measured:
    """Collects runs by name."""

    def __init__(self) -> None:
        self.runs: dict[str, list[Run]] = {}
        self.expected: dict[str, int] = {}

    def take(self, name: str, run: Run, expected: int) -> None:
        """Saves a run and prints its result."""
        self.runs.setdefault(name, []).append(run)
        self.expected[name] = expected
        print(f"{name:<40} {run.rate:>10,.0f} rows/s {run.rows:>10,} of {expected:,} rows", flush=True)

    def table(self, ceiling: str) -> list[dict[str, object]]:
        """Returns the median of each name, and its ratio to one of them."""
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
    """Measures everything, prints the results and saves them."""
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
            # The other programs are so much slower that one run suffices.
            for program in others(options.peers) if number == 0 else ():
                with bench.database() as place:
                    measured.take(program.name, bench.run(program, apache, "clean", place, SLOW), count)
    kept = {"events": count, "rounds": options.rounds, "others": VERSIONS, "table": measured.table("bare COPY")}
    results.keep("ingest", kept)


if __name__ == "__main__":
    main()
