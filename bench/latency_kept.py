"""Measures the cost of storing the latency of events: ``python bench/latency_kept.py [ROWS] [ROUNDS]``.

The same rows are copied in batches of 50,000 into tables like ``orders``, one transaction for each batch, in three
ways: unchanged; with an additional column for the time of storing; and with a few cells for each batch in a table like
``latency_minute``, which is what ccstream does. Then the percentiles of the last five minutes are queried both ways.
"""

from __future__ import annotations

import contextlib
import math
import os
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString

import psycopg

import ccstream

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from services import as_superuser, embedded_services

if TYPE_CHECKING:
    from psycopg import Connection

BATCH = 50_000
PARTITIONS = 4
CELLS = 40
"""The number of bins for a batch's rows of a partition, as many as there are from 100 ms to 3 s."""
WAYS = ("not at all", "for each row", "for each batch")


def batches(connection: Connection, rows: int) -> list[bytes]:
    """Returns a number of transactions in COPY's text format, in batches."""
    ccstream.Producer(
        rate=math.inf, count=rows, bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"], partitions=PARTITIONS
    ).run()
    ccstream.Consumer(
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        database_url=os.environ["DATABASE_URL"],
        until_caught_up=True,
    ).run()
    found = []
    for begin in range(0, rows, BATCH):
        query = f"SELECT * FROM orders ORDER BY order_id OFFSET {begin} LIMIT {BATCH}"
        with connection.cursor().copy(f"COPY ({query}) TO STDOUT") as copy:
            found.append(b"".join(bytes(piece) for piece in copy))
    return found


def store(connection: Connection, way: str, texts: list[bytes], columns: str) -> float:
    """Copies all batches in one of the ways, and returns the rows a second."""
    connection.execute("DROP TABLE IF EXISTS kept; CREATE TABLE kept (LIKE orders INCLUDING ALL)")
    connection.execute("DROP TABLE IF EXISTS cells; CREATE TABLE cells (LIKE latency_minute INCLUDING ALL)")
    if way == "for each row":
        connection.execute("ALTER TABLE kept ADD stored_at timestamptz NOT NULL DEFAULT clock_timestamp()")
    connection.commit()
    connection.execute("CHECKPOINT")
    began = time.perf_counter()
    for text in texts:
        with connection.cursor().copy(f"COPY kept ({columns}) FROM STDIN") as copy:
            copy.write(text)
        if way == "for each batch":
            connection.execute(
                "INSERT INTO cells AS c (minute, kafka_partition, up_to_ms, count) "
                "SELECT date_trunc('minute', now() AT TIME ZONE 'UTC'), p, b * 75, 300 "
                f"FROM generate_series(1, {PARTITIONS}) AS p, generate_series(1, {CELLS}) AS b "
                "ON CONFLICT (minute, kafka_partition, up_to_ms) DO UPDATE SET count = c.count + excluded.count"
            )
        connection.commit()
    return len(texts) * BATCH / (time.perf_counter() - began)


def asked(connection: Connection, way: str) -> float:
    """Returns the milliseconds that a query of the percentiles of the last five minutes takes."""
    sql: dict[str, LiteralString] = {
        "for each row": (
            "SELECT percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY "
            "stored_at AT TIME ZONE 'UTC' - timestamp) FROM kept WHERE stored_at > now() - interval '5 minutes'"
        ),
        "for each batch": "SELECT up_to_ms, sum(count) FROM cells WHERE minute > now() AT TIME ZONE 'UTC' - "
        "interval '5 minutes' GROUP BY 1 ORDER BY 1",
    }
    began = time.perf_counter()
    connection.execute(sql[way]).fetchall()
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Measures and prints a Markdown table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5  # noqa: PLR2004
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(embedded_services())["DATABASE_URL"]
        as_superuser(url, "GRANT pg_checkpoint TO kafka_user")
        connection = stack.enter_context(psycopg.connect(url))
        texts = batches(connection, rows)
        names = connection.execute(
            "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute "
            "WHERE attrelid = 'orders'::regclass AND attnum > 0 AND NOT attisdropped"
        ).fetchone()
        rates: dict[str, list[float]] = {way: [] for way in WAYS}
        sizes: dict[str, float] = {}
        times: dict[str, list[float]] = {way: [] for way in WAYS[1:]}
        for _ in range(rounds):
            for way, found in rates.items():
                found.append(store(connection, way, texts, names[0] if names else ""))
                [size] = connection.execute("SELECT pg_table_size('kept')").fetchone() or [0]
                sizes[way] = size / rows
                if way in times:
                    times[way].append(asked(connection, way))
        plain = statistics.median(rates[WAYS[0]])
        print("| latency is stored | rows / s | relative to unchanged rows | bytes a row | percentiles of 5 min, ms |")
        print("|---|--:|--:|--:|--:|")
        for way, found in rates.items():
            rate = statistics.median(found)
            ask = f"{statistics.median(times[way]):,.1f}" if way in times else ""
            print(f"| {way} | {rate:,.0f} | {rate / plain:.3f} | {sizes[way]:.1f} | {ask} |")


if __name__ == "__main__":
    main()
