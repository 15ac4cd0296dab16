"""Measures the cost and the speed of the dashboard: ``make bench-dashboard``.

One run starts separate services. The consumer loads rows that are spread over 30 days. At each size it measures how
long the engine reads them, the time of a page's refresh while rows arrive, the time of a new filter, and the time of
the GROUP BY queries that the engine replaces. Then it measures the budgets of the page in a browser, see
``bench/budgets.py``, the ingest rate with and without an open page, and the time from sending an event to counting it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from confluent_kafka import Producer
from streamlit.testing.v1 import AppTest

import budgets
import ccstream
import results
from ccstream.dashboard.figures import load
from ccstream.dashboard.view import View

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from services import as_superuser, embedded_services  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

SLOTS = 240
"""The number of pieces into which the 30 days of events are divided."""
CROWDS = 4
"""The number of different sets of 50,000 cards. Each seed has one."""
REPLACED = [
    (
        "SELECT date_bin('12 hours', timestamp, timestamp '1970-01-01'), count(*), sum(value), "
        "percentile_disc(0.95) WITHIN GROUP (ORDER BY value), count(DISTINCT card_token) FROM orders GROUP BY 1"
    ),
    "SELECT merchant, count(*), sum(value) FROM orders GROUP BY 1",
    "SELECT category, count(*), sum(value) FROM orders GROUP BY 1",
    "SELECT payment_method, count(*), sum(value) FROM orders GROUP BY 1",
    "SELECT city, country, count(*) FROM orders GROUP BY 1, 2",
    "SELECT extract(isodow FROM timestamp), extract(hour FROM timestamp), count(*) FROM orders GROUP BY 1, 2",
    (
        "SELECT count(*), sum(value), avg(value), percentile_disc(0.95) WITHIN GROUP (ORDER BY value), "
        "count(DISTINCT card_token) FROM orders WHERE currency = 'USD'"
    ),
]


def produce(count: int, stage: int) -> None:
    """Sends a number of events, spread over the last 30 days. Each stage has other moments, so that ids are unique."""
    begin = datetime.now(timezone.utc) - timedelta(days=30) + timedelta(seconds=stage)
    for slot in range(SLOTS):
        start = begin + slot * timedelta(days=30) / SLOTS
        own = count * (slot + 1) // SLOTS - count * slot // SLOTS
        ccstream.Producer(
            rate=math.inf,
            count=own,
            seed=slot % CROWDS,
            start_time=start.isoformat(),
            partitions=4,
            bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        ).run()


def consume() -> ccstream.ConsumeSummary:
    """Runs the consumer to the end of the topic."""
    return ccstream.Consumer(
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        database_url=os.environ["DATABASE_URL"],
        until_caught_up=True,
    ).run()


def times(count: int, work: Callable[[int], object]) -> list[float]:
    """Returns the milliseconds of each run."""
    found = []
    for number in range(count):
        began = time.perf_counter()
        work(number)
        found.append((time.perf_counter() - began) * 1000)
    return found


def p95(values: list[float]) -> float:
    """Returns the value that 95 % of the values do not exceed."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def loading(url: str, columns: Path) -> dict[str, float]:
    """Returns the seconds until an engine has its first rows, until it has all, and for a COPY that drops the rows."""
    read = "ctid, kafka_partition, timestamp, value, latitude, longitude, merchant, card_token, city, country, "
    read += "category, payment_method, status, currency, entry_mode, risk_flag"
    found: dict[str, list[float]] = {"first rows, s": [], "loaded, s": [], "COPY thrown away, s": []}
    for _ in range(3):
        columns.unlink(missing_ok=True)
        began, first = time.perf_counter(), 0.0
        engine = ccstream.KpiEngine.from_database(url, file=columns)
        while not engine.refresh(timedelta(milliseconds=50)):
            if not first and engine.status.rows:
                first = time.perf_counter() - began
        found["loaded, s"].append(time.perf_counter() - began)
        found["first rows, s"].append(first or found["loaded, s"][-1])
        engine.close()
        began = time.perf_counter()
        with (
            psycopg.connect(url) as connection,
            connection.cursor().copy(f"COPY (SELECT {read} FROM orders) TO STDOUT (FORMAT binary)") as copy,
        ):
            for _ in copy:
                pass
        found["COPY thrown away, s"].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in found.items()}


def at_size(rows: int) -> dict[str, Any]:
    """Measures everything that depends on the number of rows."""
    url = os.environ["DATABASE_URL"]
    columns = Path(os.environ["CCSTREAM_HOME"]) / "columns"
    with psycopg.connect(url, autocommit=True) as connection:
        # The server would otherwise do this during the measurements, some time after the rows were written.
        connection.execute("VACUUM (ANALYZE) orders")
        connection.execute("CHECKPOINT")
    took = loading(url, columns)
    began = time.perf_counter()
    engine = ccstream.KpiEngine.from_database(url, file=columns)
    engine.refresh()
    restarted = time.perf_counter() - began
    with psycopg.connect(url) as connection:
        plain = sum(times(1, lambda _: [connection.execute(sql).fetchall() for sql in REPLACED]))
    view = View(span="all")
    load(engine, view, timezone.utc)
    # The live events have a separate topic, because a fetch from the embedded broker takes longer in a large topic.
    command = [sys.executable, "-m", "ccstream"]
    producer = subprocess.Popen(
        [*command, "produce", "--rate", "20", "--quiet", "--topic", "live"], stdout=subprocess.DEVNULL
    )
    consumer = subprocess.Popen([*command, "consume", "--quiet", "--topic", "live"], stdout=subprocess.DEVNULL)
    time.sleep(6)
    before = engine.query().totals["count"]
    look = times(60, lambda _: engine.refresh())
    refresh = []
    for _ in range(100):
        refresh += times(1, lambda _: load(engine, view, timezone.utc))
        time.sleep(0.1)
    came = engine.query().totals["count"] - before
    for child in (producer, consumer):
        child.terminate()
        child.wait()
    fresh = times(40, lambda number: load(engine, View(span="all", min_amount=Decimal(-1000 - number)), timezone.utc))
    status = engine.status
    engine.close()
    return {
        "rows": rows,
        **took,
        "loading rate / COPY": took["COPY thrown away, s"] / took["loaded, s"],
        "from file, s": restarted,
        "memory, MB": status.bytes / 1e6,
        "database check p95, ms": p95(look),
        "refresh p50, ms": statistics.median(refresh),
        "refresh p95, ms": p95(refresh),
        "rows that arrived meanwhile": came,
        "new filter p50, ms": statistics.median(fresh),
        "new filter p95, ms": p95(fresh),
        "plain GROUP BYs, ms": plain,
    }


class Pages:
    """Holds open pages of one dashboard process, which are refreshed as by browsers."""

    def __init__(self, count: int) -> None:
        self.pages = [AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=60) for _ in range(count)]
        for page in self.pages:
            page.query_params["range"] = "all"
            page.run()

    def refresh(self, seconds: float, every: float = 2.0) -> int:
        """Refreshes all pages at their interval, and returns the number of refreshes."""
        until, refreshes = time.time() + seconds, 0
        while time.time() < until:
            next_time = time.time() + every
            for page in self.pages:
                page.run()
                refreshes += 1
            time.sleep(max(0.0, next_time - time.time()))
        return refreshes


def ingest(count: int, runs: int) -> dict[str, float]:
    """Returns the messages a second with and without an open dashboard, measured in turns."""
    rates: dict[str, list[float]] = {"closed": [], "open": []}
    for number in range(runs):
        for name, found in rates.items():
            ccstream.Producer(
                rate=math.inf,
                count=count,
                seed=10**6 + number * 2 + (name == "open"),
                bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            ).run()
            dashboard = None
            if name == "open":
                script = "import sys; sys.path[:0] = ['bench', 'tests']; import page; page.Pages(1).refresh(600)"
                dashboard = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.DEVNULL)
                # By then the dashboard has read all rows.
                time.sleep(30)
            summary = consume()
            found.append(summary.consumed / summary.elapsed.total_seconds())
            if dashboard:
                dashboard.terminate()
                dashboard.wait()
    return {name: statistics.median(found) for name, found in rates.items()}


def latency(events: int) -> dict[str, float]:
    """Returns the milliseconds from sending an event to its being counted in an answer. It uses a separate topic."""
    command = [sys.executable, "-m", "ccstream", "consume", "--quiet", "--topic", "live"]
    client = Producer({"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"], "linger.ms": 0})

    def send() -> None:
        now = datetime.now(timezone.utc).isoformat()
        texts = dict.fromkeys(["merchant", "category", "payment_method", "card_token"], "one")
        sent = {"transaction_id": f"at {now}", "timestamp": now, "amount": 1, "currency": "USD", "status": "approved"}
        client.produce("live", json.dumps(sent | texts))
        client.flush()

    send()
    consumer = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    found = []
    with ccstream.KpiEngine.from_database(os.environ["DATABASE_URL"]) as engine:
        engine.refresh()
        time.sleep(8)
        for number in range(events):
            before = engine.query().totals["count"]
            began = time.perf_counter()
            send()
            while engine.query().totals["count"] == before:
                time.sleep(0.005)
            found.append((time.perf_counter() - began) * 1000)
            time.sleep(0.1 + number % 7 / 20)
    consumer.terminate()
    consumer.wait()
    return {"p50, ms": statistics.median(found), "p95, ms": p95(found)}


def show(rows: list[dict[str, Any]]) -> None:
    """Prints a Markdown table with one column for each size."""
    print("| | " + " | ".join(f"{next(iter(row.values())):,}" for row in rows) + " |")
    print("|---|" + "--:|" * len(rows))
    for name in list(rows[0])[1:]:
        cells = [row[name] for row in rows]
        print(f"| {name} | " + " | ".join(f"{c:,.2f}" if abs(c) < 10 else f"{c:,.0f}" for c in cells) + " |")  # noqa: PLR2004


def main() -> None:
    """Runs the parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--minutes", type=float, default=60, help="the minutes for which a page is open (default 60)")
    parser.add_argument("--ranges", nargs="+", default=["24h", "all"], help="the time ranges of the page in a browser")
    parser.add_argument(
        "--parts", nargs="+", default=["sizes", "budgets", "ingest", "latency"], help="the parts to run (default: all)"
    )
    options = parser.parse_args()
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder, embedded_services() as variables:
        as_superuser(variables["DATABASE_URL"], "GRANT pg_checkpoint TO kafka_user")
        os.environ["CCSTREAM_KPI_FILE"] = str(Path(folder) / "page.columns")
        sizes, there = [], 0
        # All parts are measured with this number of rows in the table.
        for stage, size in enumerate(options.sizes):
            produce(size - there, stage)
            consume()
            there = size
            if "sizes" in options.parts:
                sizes.append(at_size(size))
                print(json.dumps(sizes[-1]), flush=True)
        if sizes:
            show(sizes)
        if "budgets" in options.parts:
            results.keep("page", budgets.measure(there, options.ranges, options.minutes))
        # Each part runs in a separate process, because a page's engine ends only with its process.
        parts = {
            "ingest": "ingest(1_000_000, 3)",
            "latency": "latency(50)",
        }
        for name, call in parts.items():
            if name not in options.parts:
                continue
            code = "import sys; sys.path[:0] = ['bench', 'tests']; import page, json; "
            code += f"print(json.dumps(page.{call}))"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
            if done.returncode:
                print(done.stderr[-2000:], file=sys.stderr)
                raise SystemExit(f"{name} failed")
            print(name, done.stdout.strip().splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
