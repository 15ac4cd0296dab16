"""Measures the analyzer: rate, latency and recovery: ``python bench/analysis.py`` (``make bench-analysis``).

The rate is that of ``ccstream analyze --until-caught-up`` from a topic into empty tables, by its own accounting. In the
same round a consumer stores the same topic, so that the ratio of both does not depend on the machine. The model is the
one that comes with ccstream. The latency is that from the time of an event, at which it is sent, to the first query
that shows it as scored, while a consumer runs beside; the query runs every 2 ms. The recovery is the time from taking
the lease to the first new score, after SIGKILL under load. Both are measured with Apache Kafka, because the embedded
broker takes longer to deliver an event the more its topic has.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg

import results
from workbench import ROOT, Workbench, create_topic, embedded_broker, postgres

sys.path.insert(0, str(ROOT / "tests"))

from apache_kafka import running_kafka
from services import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PROGRAM = [sys.executable, "-m", "ccstream"]
RATE = 5_000
"""Events a second of the live streams."""
WARM_UP = 10.0
"""The time at the start of a live stream that is not measured, in seconds."""
ASK_EVERY = 0.002
QUIET = 2.0
"""The analyzer has scored everything if it scores nothing for this number of seconds after the last event."""


class Place:
    """Runs commands on one topic and one database.

    Args:
        topic: the topic.
        url: the database's URL.
        broker: the broker's address.
    """

    def __init__(self, topic: str, url: str, broker: str) -> None:
        names = {"KAFKA_TOPIC": topic, "KAFKA_LABELS_TOPIC": f"{topic}-labels", "KAFKA_TRUTH_TOPIC": f"{topic}-truth"}
        self._environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": broker, "DATABASE_URL": url, **names}

    def run(self, *arguments: str) -> dict[str, Any]:
        """Runs a command to its end, and returns the accounting that it prints as JSON."""
        done = subprocess.run(
            [*PROGRAM, *arguments, "--json"], env=self._environment, check=True, capture_output=True, text=True
        )
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    @contextlib.contextmanager
    def running(self, *arguments: str, log: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """Runs a command in the background, and ends it."""
        with (log or Path(os.devnull)).open("wb") as output:
            process = subprocess.Popen([*PROGRAM, *arguments], env=self._environment, stdout=output, stderr=output)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait()


def catch_up(bench: Workbench, topic: str, *flags: str) -> float:
    """Returns the number of transactions that the analyzer scores in a second."""
    with bench.database() as url:
        found = Place(topic, url, embedded_broker()).run("analyze", "--until-caught-up", "--quiet", *flags)
        return float(found["scored"] / found["elapsed"])


def store(bench: Workbench, topic: str) -> float:
    """Returns the number of transactions that a consumer stores in a second."""
    with bench.database() as url:
        found = Place(topic, url, embedded_broker()).run("consume", "--until-caught-up", "--quiet")
        return float(found["stored"] / found["elapsed"])


def latency(place: Place, url: str, seconds: float) -> dict[str, float]:
    """Returns percentiles of the latency of scores in milliseconds, with a consumer beside."""
    seen: list[tuple[int, float]] = []
    count = int(RATE * (WARM_UP + seconds))
    with place.running("consume", "--quiet"), place.running("analyze", "--quiet"):
        time.sleep(2)
        with (
            place.running("produce", "--quiet", "--rate", str(RATE), "--count", str(count)) as producer,
            psycopg.connect(url, autocommit=True) as connection,
        ):
            question = connection.cursor()
            quiet = time.monotonic()
            while producer.poll() is None or time.monotonic() - quiet < QUIET:
                (seq,) = question.execute("SELECT seq FROM analysis", prepare=True).fetchone() or (0,)
                if not seen or seen[-1][0] < seq:
                    seen.append((seq, time.time()))
                    quiet = time.monotonic()
                time.sleep(ASK_EVERY)
            sent = connection.execute(
                "SELECT seq, extract(epoch FROM event_time)::float8 FROM scores"
                " WHERE seq > %s AND event_time > (SELECT max(event_time) FROM scores) - make_interval(secs => %s)",
                [seen[0][0], seconds],
            ).fetchall()
    table: NDArray[np.float64] = np.array(sent)
    places, moments = np.array(seen).T
    late = moments[np.searchsorted(places, table[:, 0])] - table[:, 1]
    p50, p95, p99 = np.percentile(late * 1000, [50, 95, 99])
    return {"events": len(table), "p50": float(p50), "p95": float(p95), "p99": float(p99)}


def recovery(place: Place, log: Path) -> dict[str, float]:
    """Kills an analyzer under load. Returns how long the next one takes to restore, and to score again, in seconds."""
    with place.running("produce", "--quiet", "--rate", str(RATE), "--count", str(RATE * 60)):
        with place.running("analyze", "--quiet") as analyzer:
            time.sleep(WARM_UP)
            analyzer.send_signal(signal.SIGKILL)
        events = log.with_suffix(".events")
        events.unlink(missing_ok=True)
        with place.running("analyze", "--quiet", "--events", str(events)):
            until = time.monotonic() + 60
            while '"scored"' not in (text := events.read_text() if events.exists() else ""):
                if time.monotonic() > until:
                    raise RuntimeError("nothing was scored within a minute after the kill")
                time.sleep(0.01)
    found = {one["event"]: one for one in reversed([json.loads(line) for line in text.splitlines()])}
    at = {name: datetime.fromisoformat(found[name]["at"]).timestamp() for name in ("leased", "restored", "scored")}
    return {"restored": at["restored"] - at["leased"], "scored": at["scored"] - at["leased"]}


def world(place: Place, cards: int, count: int) -> None:
    """Sends a stream of the simulated world in which each card pays about twice a day."""
    rate = 2 * cards / 86_400
    place.run(
        *("produce", "--quiet", "--rate", str(rate), "--cards", str(cards), "--count", str(count)),
        *("--start-time", "2026-06-01", "--speed", "max", "--fraud", "0.005", "--label-delay", "lognormal:1d"),
    )


def measure_rates(bench: Workbench, rounds: int) -> list[dict[str, Any]]:
    """Measures the rules, the default model, and the consumer on the same topic, in turn."""
    topic = "analysis-rate"
    create_topic(embedded_broker(), topic, 1)
    with bench.database() as url:
        world(Place(topic, url, embedded_broker()), 50_000, 1_000_000)
    found: dict[str, list[float]] = {"consumer": [], "rules": [], "trees": []}
    for _ in range(rounds):
        found["consumer"].append(store(bench, topic))
        found["rules"].append(catch_up(bench, topic, "--no-default-model"))
        found["trees"].append(catch_up(bench, topic))
        print({name: round(rates[-1]) for name, rates in found.items()}, flush=True)
    shares = {name: results.share(rates, found["consumer"]) for name, rates in found.items()}
    return [{"name": name, "rate": median(rates), "share": shares[name]} for name, rates in found.items()]


def measure_live(
    bench: Workbench, broker: str, cards: int, *, rounds: int, seconds: float, folder: Path
) -> dict[str, Any]:
    """Measures latency and recovery with the state of a number of cards."""
    topic = f"analysis-live-{cards}"
    create_topic(broker, topic, 4)
    with bench.database() as url:
        place = Place(topic, url, broker)
        world(place, cards, 3 * cards)
        place.run("consume", "--until-caught-up", "--quiet")
        place.run("analyze", "--until-caught-up", "--quiet")
        with psycopg.connect(url) as connection:
            (known,) = connection.execute("SELECT count(DISTINCT card) FROM scores").fetchone() or (0,)
        latencies = [latency(place, url, seconds) for _ in range(rounds)]
        print(latencies, flush=True)
        place.run("consume", "--until-caught-up", "--quiet")
        kills = [recovery(place, folder / f"{topic}.log") for _ in range(rounds)]
        print(kills, flush=True)
    middle = {key: median(one[key] for one in latencies) for key in ("p50", "p95", "p99")}
    return {"cards": known, **middle, **{key: max(one[key] for one in kills) for key in ("restored", "scored")}}


def main() -> None:
    """Measures everything, and saves it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    folder = results.ROOT / "target" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    with postgres() as url:
        bench = Workbench(url)
        rates = measure_rates(bench, options.rounds)
        with running_kafka(free_port()) as kafka:
            how = {"rounds": options.rounds, "seconds": options.seconds, "folder": folder}
            live = [measure_live(bench, kafka.address, cards, **how) for cards in (5_000, 1_000_000)]
    results.keep("analysis", {"rounds": options.rounds, "seconds": options.seconds, "rates": rates, "live": live})


if __name__ == "__main__":
    main()
