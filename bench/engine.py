"""Compares the engine with pandas, polars and DuckDB: ``make bench-engine``.

All get the same rows, threads and query, in turns: one filter, six groupings with counts and sums, three percentiles
and distinct cards. Each answer is compared with the engine's before its time counts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import polars as pl
import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import ccstream
from ccstream import kpi
from services import embedded_services

if TYPE_CHECKING:
    from collections.abc import Callable

FILL = """
INSERT INTO orders (order_id, status, category, value, timestamp, city, payment_method, merchant, country, currency,
                    card_token, entry_mode, risk_flag)
SELECT 'row-' || n, CASE WHEN random() < 0.95 THEN 'approved' ELSE 'declined' END,
       'category-' || (16 * random() ^ 2)::int, round(exp(random_normal(3.7, 1.4))::numeric, 2),
       timestamp '2026-10-01' + n * interval '259 ms', 'city-' || (60 * random() ^ 2)::int,
       'method-' || (5 * random() ^ 2)::int, 'merchant-' || (400 * random() ^ 3)::int,
       'US', 'USD', 'tok_' || (50000 * random() ^ 2)::int, 'chip', random() < 0.01
FROM generate_series(1, %s) AS n
"""
COLUMNS = "status, category, value, timestamp, city, payment_method, merchant, card_token"
LEAST = 5
"""The smallest amount that the filter includes."""
NEAR = 0.001
"""The tolerance for percentiles. Other programs round ranks differently, to a neighbouring amount."""
HALF_DAY = timedelta(hours=12)
WHERE = f"status = 'approved' AND value >= {LEAST}"
KEYS = {
    "category": "category",
    "merchant": "merchant",
    "city": "city",
    "payment_method": "payment_method",
    "hour_of_week": "(isodow(timestamp) - 1) * 24 + hour(timestamp)",
    "time": "epoch(timestamp)::BIGINT // 43200",
}
Answer = tuple[int, float, int, dict[str, int]]
"""The number of rows, the p95, the distinct cards, and the number of groups in each grouping."""


def by_engine(engine: ccstream.KpiEngine, number: int) -> Answer:
    """Queries with a filter that is new each time but selects the same rows."""
    by: dict[str, list[str]] = {name: [] for name in KEYS}
    answer = engine.query(
        filters={"status": "approved"}, min_amount=LEAST, max_amount=10**7 + number, by=by, width=HALF_DAY
    )
    groups = {name: int((answer[name]["count"] > 0).sum()) for name in KEYS}
    return answer.totals["count"], float(kpi.units(answer.totals["p95"])), answer.totals["cards"], groups


def by_duckdb(connection: duckdb.DuckDBPyConnection, _: int) -> Answer:
    """Runs one query for all groupings."""
    keys = ", ".join(f"{key} AS {name}" for name, key in KEYS.items())
    sets = ", ".join(f"({name})" for name in KEYS)
    rows = connection.execute(
        f"WITH f AS (SELECT value, {keys} FROM orders WHERE {WHERE}) "
        f"SELECT GROUPING_ID({', '.join(KEYS)}), count(*), sum(value) FROM f GROUP BY GROUPING SETS ({sets})"
    ).fetchall()
    counts: dict[int, int] = {}
    for kind, *_figures in rows:
        counts[kind] = counts.get(kind, 0) + 1
    groups = dict(zip(KEYS, [counts[kind] for kind in sorted(counts)], strict=True))
    row = connection.execute(
        "SELECT count(*), quantile_disc(value, [0.5, 0.95, 0.99]), count(DISTINCT card_token) "
        f"FROM orders WHERE {WHERE}"
    ).fetchone()
    assert row is not None  # noqa: S101
    return row[0], float(row[1][1]), row[2], groups


def by_polars(frame: pl.DataFrame, _: int) -> Answer:
    """Collects all groupings together, so that the filter runs once."""
    chosen = frame.lazy().filter((pl.col("status") == "approved") & (pl.col("value") >= LEAST))
    keys = {
        **{name: pl.col(name) for name in ("category", "merchant", "city", "payment_method")},
        "hour_of_week": (pl.col("timestamp").dt.weekday().cast(pl.Int32) - 1) * 24 + pl.col("timestamp").dt.hour(),
        "time": pl.col("timestamp").dt.truncate("12h"),
    }
    grouped = [chosen.group_by(key.alias("key")).agg(pl.len(), pl.col("value").sum()) for key in keys.values()]
    value = pl.col("value")
    quantiles = [value.quantile(q, "lower").alias(str(q)) for q in (0.5, 0.95, 0.99)]
    totals = chosen.select(pl.len(), *quantiles, pl.col("card_token").n_unique().alias("cards"))
    *tables, total = pl.collect_all([*grouped, totals])
    groups = {name: len(table) for name, table in zip(keys, tables, strict=True)}
    return total["len"][0], total["0.95"][0], total["cards"][0], groups


def by_pandas(frame: Any, _: int) -> Answer:  # noqa: ANN401
    """Computes the answer as most notebooks do, with categorical columns."""
    chosen = frame[(frame["status"] == "approved") & (frame["value"] >= LEAST)]
    when = chosen["timestamp"].dt
    keys = {
        **{name: chosen[name] for name in ("category", "merchant", "city", "payment_method")},
        "hour_of_week": when.day_of_week * 24 + when.hour,
        "time": when.floor("12h"),
    }
    groups = {}
    for name, key in keys.items():
        groups[name] = len(chosen.groupby(key, observed=True)["value"].agg(["count", "sum"]))
    quantiles = chosen["value"].quantile([0.5, 0.95, 0.99], interpolation="lower")
    return len(chosen), float(quantiles[0.95]), chosen["card_token"].nunique(), groups


def main() -> None:
    """Fills a table, passes its rows to all programs, and queries them in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, embedded_services():
        url = os.environ["DATABASE_URL"]
        ccstream.Producer(rate=1000.0, count=1, bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"]).run()
        ccstream.Consumer(
            bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"], database_url=url, until_caught_up=True
        ).run()
        file = Path(folder) / "orders.csv"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("TRUNCATE orders")
            connection.execute(FILL % options.rows)
            with (
                file.open("wb") as out,
                connection.cursor().copy(f"COPY (SELECT {COLUMNS} FROM orders) TO STDOUT CSV") as copy,
            ):
                for piece in copy:
                    out.write(piece)
        columns = ["status", "category", "value", "timestamp", "city", "payment_method", "merchant", "card_token"]
        texts = [name for name in columns if name not in {"value", "timestamp"}]
        duck = duckdb.connect()
        types = {**dict.fromkeys(texts, "VARCHAR"), "value": "DOUBLE", "timestamp": "TIMESTAMP"}
        named = {name: types[name] for name in columns}
        duck.execute(f"CREATE TABLE orders AS SELECT * FROM read_csv('{file}', header = false, columns = {named})")
        rows = pl.DataFrame(pl.from_arrow(duck.sql("SELECT * FROM orders").to_arrow_table()))
        frame = rows.with_columns(pl.col(texts).cast(pl.Categorical))
        table = frame.to_pandas()
        with ccstream.KpiEngine.from_database(url) as engine:
            assert engine.refresh()  # noqa: S101
            programs: dict[str, Callable[[int], Answer]] = {
                "ccstream": lambda number: by_engine(engine, number),
                "DuckDB": lambda number: by_duckdb(duck, number),
                "polars": lambda number: by_polars(frame, number),
                "pandas": lambda number: by_pandas(table, number),
            }
            took: dict[str, list[float]] = {name: [] for name in programs}
            for number in range(options.rounds):
                for name, ask in programs.items():
                    began = time.perf_counter()
                    answer = ask(number)
                    took[name].append((time.perf_counter() - began) * 1000)
                    expected = by_engine(engine, number)
                    if (
                        answer[0] != expected[0]
                        or answer[2:] != expected[2:]
                        or abs(answer[1] / expected[1] - 1) > NEAR
                    ):
                        raise SystemExit(f"{name} answers {answer}, ccstream {expected}")
    print("| program | version | median, ms | relative to ccstream |\n|---|---|--:|--:|")
    versions = {
        "ccstream": ccstream.__version__,
        "DuckDB": duckdb.__version__,
        "polars": pl.__version__,
        "pandas": pd.__version__,
    }
    own = statistics.median(took["ccstream"])
    for name, found in took.items():
        median = statistics.median(found)
        print(f"| {name} | {versions[name]} | {median:,.0f} | {median / own:.1f} |")


if __name__ == "__main__":
    main()
