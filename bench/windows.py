"""Measures what windows cost the analyzer: ``python bench/windows.py`` (``make bench-windows``).

The rate is that of ``ccstream analyze --until-caught-up`` from a topic into empty tables, by its own accounting:
without windows, and with a tumbling, a hopping and a session window, in turn. The rate varies with what else the
machine does, so the processor time of the analyzer and of its session in PostgreSQL is measured, too. The topic has
1,000 transactions for each second of event time, as a live stream may. In a sparse stream nearly every transaction has
a separate row.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import psutil
import psycopg

import results
from analysis import Place
from workbench import Workbench, create_topic, embedded_broker, postgres

TOPIC = "windows-rate"
CARDS = 20_000
WINDOWS = {
    "tumbling": """
[[window]]
name = "issuer_minute"
size = "1m"
lateness = "30s"
by = ["issuer", "currency"]
measures = ["count", "sum", "mean", "approved_share"]
""",
    "hopping": """
[[window]]
name = "category_rolling"
size = "5m"
hop = "1m"
lateness = "30s"
by = ["category"]
measures = ["count", "cards", "mean_score"]
""",
    "session": """
[[window]]
name = "merchant_session"
gap = "1m"
lateness = "30s"
by = ["merchant"]
measures = ["count", "approved_share"]
""",
}


def send(bench: Workbench, count: int) -> None:
    """Sends the transactions to be scored."""
    create_topic(embedded_broker(), TOPIC, 4)
    with bench.database() as url:
        Place(TOPIC, url, embedded_broker()).run(
            *("produce", "--quiet", "--rate", "1000", "--cards", str(CARDS), "--count", str(count)),
            *("--start-time", "2026-06-01T12:00:00Z", "--speed", "max"),
        )


def processor_time(url: str) -> float:
    """Returns the processor time of all programs that ran, and of all sessions that have ended, in seconds."""
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    with psycopg.connect(url) as connection:
        server = psutil.Process(connection.info.backend_pid).parent()
    if server is None:
        raise RuntimeError("the server has ended")
    sessions = server.cpu_times()
    return own.ru_utime + own.ru_stime + sessions.children_user + sessions.children_system


def catch_up(bench: Workbench, flags: tuple[str, ...]) -> tuple[float, float]:
    """Returns the number of transactions that are scored in a second, and the processor time of each in µs."""
    with bench.database() as url:
        before = processor_time(url)
        found = Place(TOPIC, url, embedded_broker()).run("analyze", "--until-caught-up", "--quiet", *flags)
        # The server counts a session a moment after its client has left.
        time.sleep(0.5)
        used = processor_time(url) - before
    return found["scored"] / found["elapsed"], used * 1e6 / found["scored"]


def measure(bench: Workbench, rounds: int, folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Returns what :func:`catch_up` does without windows, with all three, and with each alone, in several rounds."""
    files = {"all": "".join(WINDOWS.values()), **WINDOWS}
    flags: dict[str, tuple[str, ...]] = {"none": ()}
    for name, text in files.items():
        path = folder / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        flags[name] = ("--windows", str(path))
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in flags}
    for _ in range(rounds):
        for name, figures in found.items():
            figures.append(catch_up(bench, flags[name]))
        print({name: [round(figure, 1) for figure in figures[-1]] for name, figures in found.items()}, flush=True)
    return found


def rows(bench: Workbench, flags: tuple[str, ...]) -> dict[str, int]:
    """Returns the number of rows of each kind of window."""
    counted = {}
    with bench.database() as url:
        Place(TOPIC, url, embedded_broker()).run("analyze", "--until-caught-up", "--quiet", *flags)
        with psycopg.connect(url) as connection:
            for (name,) in connection.execute("SELECT name FROM windows").fetchall():
                kind = next(kind for kind, text in WINDOWS.items() if f'"{name}"' in text)
                (counted[kind],) = connection.execute(f"SELECT count(*) FROM window_{name}").fetchone() or (0,)
    return counted


def main() -> None:
    """Measures everything, and saves it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=1_000_000)
    options = parser.parse_args()
    with postgres() as url, tempfile.TemporaryDirectory() as folder:
        bench = Workbench(url)
        send(bench, options.count)
        found = measure(bench, options.rounds, Path(folder))
        counted = rows(bench, ("--windows", str(Path(folder) / "all.toml")))
    rates = results.costs(found)
    print(rates, counted)
    results.keep("windows", {"rounds": options.rounds, "count": options.count, "rates": rates, "rows": counted})


if __name__ == "__main__":
    main()
