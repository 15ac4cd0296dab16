"""Measures what alerts cost and how soon they are there: ``python bench/alerts.py`` (``make bench-alerts``).

The cost is measured as that of windows is: see ``bench/windows.py``. The latency of a rule on transactions or scores is
that from the time of the event, at which it is sent, to the first query that shows the alert. For an absence, it is the
time after the moment at which the key was absent for long enough. The query runs every 2 ms, 5,000 transactions a
second are sent, and a consumer runs beside. Apache Kafka delivers them, because the embedded broker takes longer the
more its topic has.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

import results
from analysis import ASK_EVERY, QUIET, RATE, WARM_UP, Place, world
from windows import catch_up, send
from workbench import ROOT, Workbench, create_topic, postgres

sys.path.insert(0, str(ROOT / "tests"))

from apache_kafka import running_kafka
from services import free_port

CARDS = 50_000
AFTER = 2.0
"""The time after which the rule on an absence fires, in seconds."""
RULES = {
    "transaction": """
[[alert]]
name = "large"
kind = "transaction"
where = "amount > 1000 and entry_mode = manual"
""",
    "score": """
[[alert]]
name = "card_at_risk"
kind = "score"
budget = 50
""",
    "rate": """
[[alert]]
name = "issuer_out"
kind = "rate"
where = "response_code = 91"
by = ["issuer"]
least = 50
share = 0.5
size = "5m"
""",
    "new value": """
[[alert]]
name = "new_country"
kind = "new_value"
by = ["card_token"]
of = "country"
""",
    "anomaly": """
[[alert]]
name = "kpis"
kind = "anomaly"
""",
}
LIVE = """
[[alert]]
name = "transaction"
kind = "transaction"
where = "currency = USD and amount > {amount}"
by = ["card_token"]

[[alert]]
name = "score"
kind = "score"
threshold = {score}
by = ["card_token"]

[[alert]]
name = "absence"
kind = "absence"
where = "currency = USD and amount > {rare}"
after = "{after:.0f}s"
cooldown = "1s"
cooldown_limit = "1s"
"""
SHARES = {"amount": 0.005, "score": 0.005, "rare": 0.5 / RATE}
"""The share of the transactions that each limit of :data:`LIVE` lets through. A rule on over 1 % is suspended."""
TIMES = """SELECT a.id, a.rule, extract(epoch FROM a.opened_at)::float8,
    (SELECT extract(epoch FROM max(o.timestamp))::float8 FROM orders AS o
     WHERE a.rule = 'absence' AND o.currency = 'USD' AND o.value > %s AND o.timestamp < a.opened_at)
FROM alerts AS a WHERE a.id > %s ORDER BY a.id"""


def measure_cost(bench: Workbench, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """Measures the analyzer without rules, with all of them, and with each alone, in turn."""
    flags: dict[str, tuple[str, ...]] = {"none": ()}
    for name, text in {"all": "".join(RULES.values()), **RULES}.items():
        path = folder / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        flags[name] = ("--alerts", str(path))
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in flags}
    for _ in range(rounds):
        for name, figures in found.items():
            figures.append(catch_up(bench, flags[name]))
        print({name: [round(figure, 1) for figure in figures[-1]] for name, figures in found.items()}, flush=True)
    return results.costs(found)


def limits(url: str) -> dict[str, float]:
    """Returns the limits that let the shares of :data:`SHARES` through, from what was scored."""
    dollars = "CASE WHEN currency = 'USD' THEN value ELSE 0 END"
    column = {"amount": dollars, "score": "score", "rare": dollars}
    with psycopg.connect(url) as connection:
        found = {}
        for name, share in SHARES.items():
            row = connection.execute(
                f"SELECT percentile_cont(%s) WITHIN GROUP (ORDER BY {column[name]})::float8"
                " FROM scores JOIN orders USING (order_id)",
                [1 - share],
            ).fetchone()
            found[name] = round(row[0], 2) if row else 0.0
    return found


def latency(place: Place, url: str, seconds: float, file: Path) -> dict[str, list[float]]:
    """Returns the latencies of the alerts of each rule, in milliseconds."""
    chosen = limits(url)
    file.write_text(LIVE.format(**chosen, after=AFTER), encoding="utf-8")
    count = int(RATE * (WARM_UP + seconds))
    seen: list[tuple[int, float]] = []
    with place.running("consume", "--quiet"), place.running("analyze", "--quiet", "--alerts", str(file)):
        time.sleep(2)
        with (
            place.running("produce", "--quiet", "--rate", str(RATE), "--count", str(count)) as producer,
            psycopg.connect(url, autocommit=True) as connection,
        ):
            question, begun, quiet = connection.cursor(), time.monotonic(), time.monotonic()
            while producer.poll() is None or time.monotonic() - quiet < QUIET:
                (last,) = question.execute("SELECT max(id) FROM alerts", prepare=True).fetchone() or (None,)
                if last is not None and (not seen or seen[-1][0] < last):
                    seen.append((last, time.time()))
                    quiet = time.monotonic()
                if producer.poll() is not None and time.monotonic() - begun > WARM_UP + seconds + 60:
                    raise RuntimeError("alerts came for a minute after the last transaction")
                time.sleep(ASK_EVERY)
            first = next(number for number, moment in seen if moment > seen[0][1] + WARM_UP)
            rows = connection.execute(TIMES, [chosen["rare"], first]).fetchall()
    numbers, moments = np.array(seen).T
    late: dict[str, list[float]] = {}
    for number, rule, opened, last_met in rows:
        if rule in ("transaction", "score", "absence") and (rule != "absence" or last_met is not None):
            due = last_met + AFTER if rule == "absence" else opened
            late.setdefault(rule, []).append(1000 * float(moments[np.searchsorted(numbers, number)] - due))
    return late


def measure_latency(bench: Workbench, broker: str, rounds: int, seconds: float, folder: Path) -> list[dict[str, Any]]:
    """Measures the latency of each rule, over all rounds."""
    topic = "alerts-live"
    create_topic(broker, topic, 4)
    found: dict[str, list[float]] = {}
    with bench.database() as url:
        place = Place(topic, url, broker)
        world(place, CARDS, 4 * CARDS)
        place.run("consume", "--until-caught-up", "--quiet")
        place.run("analyze", "--until-caught-up", "--quiet")
        for _ in range(rounds):
            for rule, late in latency(place, url, seconds, folder / "live.toml").items():
                found.setdefault(rule, []).extend(late)
    lines = []
    for rule, late in found.items():
        p50, p99 = np.percentile(late, [50, 99])
        lines.append({"rule": rule, "alerts": len(late), "p50": float(p50), "p99": float(p99), "max": max(late)})
    return lines


def main() -> None:
    """Measures everything, and saves it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--count", type=int, default=1_000_000)
    options = parser.parse_args()
    with postgres() as url, tempfile.TemporaryDirectory() as folder:
        bench = Workbench(url)
        with running_kafka(free_port()) as kafka:
            live = measure_latency(bench, kafka.address, options.rounds, options.seconds, Path(folder))
        print(live, flush=True)
        send(bench, options.count)
        rates = measure_cost(bench, options.rounds, Path(folder))
    results.keep("alerts", {"rounds": options.rounds, "count": options.count, "rates": rates, "live": live})


if __name__ == "__main__":
    main()
