"""Measures ``ccstream segment``: ``python bench/segments.py`` (``make bench-segments``).

The rows are made by SQL: merchants with as unequal numbers of transactions as real ones have (Zipf's law), cards,
and amounts in three currencies. The clock runs around a run of the segments, with its connection and its transaction,
and without the start of Python. The first run of a database finds segments; the others continue them, a day later each.
"""

from __future__ import annotations

import argparse
import time
from datetime import datetime, timedelta, timezone
from statistics import median

import psycopg

import results
from ccstream.segments import Settings, segment
from workbench import Workbench, create_topic, embedded_broker, make_tables, postgres

TOPIC = "segments"
BEGIN = datetime(2026, 3, 1, tzinfo=timezone.utc).replace(tzinfo=None)
DAYS = 90
MERCHANTS = 10_000
ROWS = """
INSERT INTO orders (order_id, value, timestamp, merchant, card_token, currency, status, longitude)
SELECT 'made-' || n, round(exp(3.7 + 1.2 * (random() + random() + random() + random() - 2)
           * (1 + merchant %% 3))::numeric, 2) * CASE WHEN random() < 0.03 THEN -1 ELSE 1 END,
       %(begin)s + random() * %(days)s * interval '1 day', 'merchant ' || merchant,
       'card ' || floor(random() ^ 2 * %(merchants)s * 5), (ARRAY['USD', 'EUR', 'GBP'])[1 + merchant %% 3],
       CASE WHEN random() < 0.06 THEN 'declined' ELSE 'approved' END, merchant %% 300 - 150
FROM (SELECT n, CASE WHEN n <= %(merchants)s THEN n
                     ELSE floor(%(merchants)s::float8 ^ random())::int END AS merchant
      FROM generate_series(1, %(rows)s) AS n OFFSET 0) AS drawn
"""
"""Every merchant has a transaction. A rank whose logarithm is uniform has a probability in proportion to 1 / rank."""


def fill(url: str, rows: int) -> None:
    """Inserts transactions."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT setseed(0.5)")
        # Parallel processes would not draw from the seed.
        connection.execute("SET max_parallel_workers_per_gather = 0")
        connection.execute(ROWS, {"begin": BEGIN, "days": DAYS + 30, "merchants": MERCHANTS, "rows": rows})
        connection.execute("VACUUM ANALYZE orders")


def timed(url: str, kind: str, day: int) -> tuple[float, int]:
    """Returns the seconds of a run, and the number of members."""
    began = time.monotonic()
    outcome = segment(url, Settings(kind, BEGIN + timedelta(days=day)))
    return time.monotonic() - began, outcome.figures.members


def measure(bench: Workbench, rows: int, rounds: int) -> list[dict[str, float | str]]:
    """Returns the seconds of first and of later runs, of merchants and of cards."""
    with bench.database() as url:
        make_tables(embedded_broker(), TOPIC, url)
        fill(url, rows)
        lines: list[dict[str, float | str]] = []
        for kind in ("merchants", "cards"):
            first, members = timed(url, kind, DAYS)
            later = [timed(url, kind, DAYS + day)[0] for day in range(1, rounds + 1)]
            lines.append({"kind": kind, "rows": rows, "members": members, "first": first, "later": median(later)})
            print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Measures everything, and saves it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000, 1_000_000])
    options = parser.parse_args()
    with postgres() as url:
        create_topic(embedded_broker(), TOPIC, 1)
        bench = Workbench(url)
        lines = [line for rows in options.rows for line in measure(bench, rows, options.rounds)]
    results.keep("segments", {"rounds": options.rounds, "table": lines})


if __name__ == "__main__":
    main()
