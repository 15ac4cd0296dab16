"""Measures what a few bad messages do to each program: ``python bench/poison.py`` (a part of ``make bench``).

There are a thousand good messages, and a bad one after every two hundred of them: malformed JSON, a value of the wrong
type, a NUL character, a missing amount, and a duplicate. The results are how many good messages are stored, what
happened to the bad ones, and whether the program is still running.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

import messages
import results
from programs import OURS, VERSIONS, others
from workbench import Program, Workbench, postgres

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from apache_kafka import running_kafka  # noqa: E402
from services import free_port  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY = results.GOOD // results.BAD
PATIENCE = 45.0
"""The time limit of a program for these messages, in seconds."""


def poisoned(good: list[messages.Message]) -> Iterator[messages.Message]:
    """Yields the good messages in one partition, with the bad ones between them."""
    event = json.loads(good[0][2])
    bad = iter(
        [
            good[0][2][:-20],
            json.dumps(event | {"transaction_id": "wrong-type", "latitude": "north"}).encode(),
            json.dumps(event | {"transaction_id": "nul", "merchant": "a\0b"}).encode(),
            json.dumps(
                {name: value for name, value in event.items() if name != "amount"} | {"transaction_id": "x"}
            ).encode(),
            good[0][2],
        ]
    )
    for number, (_, key, payload) in enumerate(good, 1):
        yield 0, key, payload
        if number % EVERY == 0:
            yield 0, key, next(bad)


def try_out(bench: Workbench, program: Program, broker: str, ids: list[str]) -> dict[str, object]:
    """Runs one program and returns its results."""
    with bench.database() as url:
        run = bench.run(program, broker, "poisoned", url, PATIENCE)
        with psycopg.connect(url) as connection:
            [[good]] = connection.execute("SELECT count(*) FROM orders WHERE order_id = ANY(%s)", (ids,)).fetchall()
            kept = connection.execute("SELECT reason FROM rejected_events ORDER BY kafka_offset").fetchall()
            counted = connection.execute("SELECT coalesce(sum(duplicate), 0)::int FROM kafka_offsets").fetchall()
    return {
        "name": program.name,
        "good": good,
        "bad stored": run.rows - good,
        "kept": [reason for (reason,) in kept],
        "duplicates counted": counted[0][0],
        "dead letters": run.dead_letters,
        "alive": run.alive,
    }


def main() -> None:
    """Runs each program and saves the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, help="a folder for the other programs' virtual environments")
    options = parser.parse_args()
    found = []
    with postgres() as url, running_kafka(free_port()) as kafka:
        messages.produce(kafka.address, "clean", results.GOOD)
        good = messages.read(kafka.address, "clean")
        messages.send(kafka.address, "poisoned", poisoned(good))
        ids = [json.loads(payload)["transaction_id"] for _, _, payload in good]
        bench = Workbench(url)
        for program in [OURS, *others(options.peers)]:
            found.append(try_out(bench, program, kafka.address, ids))
            print(found[-1], flush=True)
    results.keep("poison", {"others": VERSIONS, "table": found})


if __name__ == "__main__":
    main()
