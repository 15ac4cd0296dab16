"""Measures how rows that PostgreSQL refuses slow the consumer down: ``python bench/refused.py [EVENTS] [ROUNDS]``.

A CHECK of the table refuses none, one in a hundred, every second, or all but a few of the rows. Each case reads the
same topic of the embedded broker into an empty table. The medians of all rounds are printed.
"""

from __future__ import annotations

import statistics
import sys

import psycopg

from duplicates import Bench, ordered_ids
from services import embedded_services

CHECKS = {
    "none refused": "true",
    "1 in 100": "right(order_id, 2) <> '00'",
    "every second": "right(order_id, 1) NOT IN ('1', '3', '5', '7', '9', 'b', 'd', 'f')",
    "15 of 16": "right(order_id, 1) = '0'",
}
"""For each case, the condition that the table's CHECK demands."""


def main() -> None:
    """Runs all cases and prints the table."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3  # noqa: PLR2004
    rates: dict[str, list[float]] = {name: [] for name in CHECKS}
    with embedded_services() as variables:
        bench = Bench(variables["KAFKA_BOOTSTRAP_SERVERS"], variables["DATABASE_URL"])
        one, topic = bench.topic(ordered_ids(1)), bench.topic(ordered_ids(events))
        for _ in range(rounds):
            for name, check in CHECKS.items():
                url = bench.database()
                # This creates the tables.
                bench.consume(one, url)
                with psycopg.connect(url) as connection:
                    connection.execute(f"ALTER TABLE orders ADD CONSTRAINT bench CHECK ({check}) NOT VALID")
                rates[name].append(bench.consume(topic, url, "--max-refused", "all"))
                bench.drop(url)
    print(f"{events:,} events, messages a second, medians of {rounds} rounds\n")
    clean = statistics.median(rates["none refused"])
    for name, found in rates.items():
        print(f"{name:<16} {statistics.median(found):>10,.0f} {statistics.median(found) / clean:>6.2f}")


if __name__ == "__main__":
    main()
