"""Writes files of transactions: CSV as PostgreSQL writes it, and Parquet with typed columns.

Both are written while PostgreSQL sends rows, so that memory holds the file and a part of the rows.
"""

from __future__ import annotations

import io
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from ccstream.dashboard import export_queries as queries
from ccstream.dashboard import orders_queries, reading
from ccstream.dashboard.dimensions import plain
from ccstream.dashboard.export_queries import SCORE, Column
from ccstream.dashboard.orders_where import SEGMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccstream.dashboard.orders_where import Slice

BLOCK = 8 << 20
"""The number of bytes of rows that are converted together."""
_ONE_AT_A_TIME = threading.Lock()
"""Several files at a time would take several times the memory."""


class ExportError(Exception):
    """Says in Markdown why a file could not be made."""


def csv(url: str, asked: Slice) -> bytes:
    """Returns a CSV file of the newest transactions, the newest first, with every column of ``orders`` and the score.

    Times are in UTC. An apostrophe precedes texts that a spreadsheet would take for a formula.

    Args:
        url: the URL of the database.
        asked: which transactions.

    Raises:
        ExportError: the transactions cannot be read.
    """
    out = io.BytesIO()
    with _copying(url, asked, is_typed=False) as (copy, _):
        for part in copy:
            out.write(part)
    return out.getvalue()


def parquet(url: str, asked: Slice) -> bytes:
    """Returns a Parquet file of the same transactions.

    Times are moments in UTC, and amounts exact decimals. What has no such value, such as infinity, is NULL.

    Args:
        url: the URL of the database.
        asked: which transactions.

    Raises:
        ExportError: the transactions cannot be read.
    """
    # Streamlit brings this library. Loading it takes a while, and most pages never need it here.
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv as arrow_csv  # noqa: PLC0415
    from pyarrow import parquet as arrow_parquet  # noqa: PLC0415

    out = io.BytesIO()
    with _copying(url, asked, is_typed=True) as (copy, columns):
        types = {one.name: _type(one) for one in columns}
        times = {one.name for one in columns if one.is_time}
        fields = [(name, pa.timestamp("us", "UTC") if name in times else kind) for name, kind in types.items()]
        schema = pa.schema(fields)
        rows = arrow_csv.open_csv(
            io.BufferedReader(_Stream(copy), BLOCK),
            arrow_csv.ReadOptions(block_size=BLOCK, use_threads=False),
            arrow_csv.ParseOptions(newlines_in_values=True),
            arrow_csv.ConvertOptions(
                column_types=types,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                true_values=["t"],
                false_values=["f"],
            ),
        )
        with arrow_parquet.ParquetWriter(out, schema, compression="zstd") as writer:
            for batch in rows:
                writer.write_table(pa.Table.from_batches([batch]).cast(schema))
    return out.getvalue()


@contextmanager
def _copying(url: str, asked: Slice, *, is_typed: bool) -> Iterator[tuple[psycopg.Copy, list[Column]]]:
    """Begins to read transactions. Yields their bytes as CSV with a header, and the columns."""
    if not _ONE_AT_A_TIME.acquire(timeout=queries.TIME_LIMIT / 1000):
        raise ExportError("Another file is being made. Try again afterwards.")
    try:
        with reading.connect(url) as connection:
            others = SEGMENTS | queries.SCORES
            found = reading.begin_with(connection, orders_queries.NECESSARY, others, queries.TIME_LIMIT)
            if found is None or connection.execute(orders_queries.FIRST).fetchone() is None:
                raise ExportError("There is no table `orders`, or it may not be read.")
            connection.execute(queries.SETTINGS)
            columns = [Column(*row) for row in connection.execute(queries.TYPES)]
            names = {one.name for one in columns}
            where, given = asked.condition(names, has_segments=SEGMENTS.keys() <= found)
            has_scores = "scores" in found and SCORE not in names
            expressions = [one.typed() if is_typed else one.in_csv() for one in columns]
            query = queries.copy(expressions, where, has_scores=has_scores)
            if has_scores:
                columns.append(Column(SCORE, "double precision"))
            given["rows"] = queries.MOST
            with connection.cursor() as cursor, cursor.copy(query, given) as copy:
                yield copy, columns
    except psycopg.errors.QueryCanceled as error:
        limit = queries.TIME_LIMIT // 1000
        raise ExportError(
            f"PostgreSQL has not read them within {limit} s. Choose a shorter time range, or more filters."
        ) from error
    except psycopg.Error as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ExportError(f"They cannot be read now: {plain(lines[0])}") from error
    finally:
        _ONE_AT_A_TIME.release()


def _type(column: Column) -> Any:  # noqa: ANN401
    """Returns the type in Arrow of what PostgreSQL sends for a column."""
    import pyarrow as pa  # noqa: PLC0415

    if column.decimals:
        return pa.decimal128(*column.decimals)
    numbers = {
        "boolean": pa.bool_(),
        "smallint": pa.int16(),
        "integer": pa.int32(),
        "bigint": pa.int64(),
        "real": pa.float32(),
        "double precision": pa.float64(),
    }
    return pa.int64() if column.is_time else numbers.get(column.type, pa.string())


class _Stream(io.RawIOBase):
    """Reads the bytes that PostgreSQL sends."""

    def __init__(self, copy: psycopg.Copy) -> None:
        self._parts = iter(copy)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._rest = memoryview(part)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
