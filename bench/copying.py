"""Reads rows of ``orders`` in the format of binary COPY, and writes them without ccstream."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psycopg

BATCH = 50_000


def encoded(url: str, count: int) -> list[bytes]:
    """Returns the first rows of ``orders`` by their offsets, in batches that are sorted by id."""
    batches = []
    with psycopg.connect(url) as connection:
        for first in range(0, count, BATCH):
            part = f"SELECT * FROM orders ORDER BY kafka_offset, order_id LIMIT {BATCH} OFFSET {first}"
            query = f"COPY (SELECT * FROM ({part}) AS part ORDER BY order_id) TO STDOUT BINARY"
            with connection.cursor().copy(query) as copy:
                batches.append(b"".join(bytes(piece) for piece in copy))
    return batches


def write(url: str, batches: list[bytes], *, staged: bool = False, connections: int = 1) -> float:
    """Writes batches and returns the rows a second.

    Each batch is one transaction. The connections take turns.

    Args:
        url: the database's URL.
        batches: the batches, as :func:`encoded` returns them.
        staged: whether to write through a staging table.
        connections: the number of connections.
    """
    began = time.perf_counter()
    with ThreadPoolExecutor(connections) as pool:
        rows = pool.map(partial(_write, url, staged), [batches[first::connections] for first in range(connections)])
        return sum(rows) / (time.perf_counter() - began)


def _write(url: str, staged: bool, batches: list[bytes]) -> int:
    rows = 0
    with psycopg.connect(url) as connection:
        for batch in batches:
            cursor = connection.cursor()
            table = "orders"
            if staged:
                cursor.execute("CREATE TEMP TABLE staging ON COMMIT DROP AS TABLE orders WITH NO DATA")
                table = "staging"
            with cursor.copy(f"COPY {table} FROM STDIN BINARY") as copy:
                copy.write(batch)
            if staged:
                cursor.execute("INSERT INTO orders SELECT * FROM staging ORDER BY order_id ON CONFLICT DO NOTHING")
            rows += cursor.rowcount
            connection.commit()
    return rows
