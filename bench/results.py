"""What the benches measured, with the machine and the versions, in ``bench/results.json``; the README's tables."""

from __future__ import annotations

import json
import os
import platform
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil

import ccstream

ROOT = Path(__file__).resolve().parent.parent
FILE = Path(__file__).resolve().parent / "results.json"


def broker() -> str:
    """The embedded broker's address."""
    return os.environ["KAFKA_BOOTSTRAP_SERVERS"]


def word(name: str) -> str:
    """A name as a topic's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def machine() -> dict[str, object]:
    """What it was measured on."""
    cpu = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", cpu.read_text()) if cpu.exists() else None
    return {
        "processor": model[1] if model else platform.processor(),
        "cores": os.cpu_count(),
        "memory, GB": round(psutil.virtual_memory().total / 1e9),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "ccstream": ccstream.__version__,
        "at": datetime.now(timezone.utc).isoformat(timespec="minutes"),
    }


def keep(part: str, measured: dict[str, Any]) -> None:
    """Puts what one bench measured in place of what it measured before."""
    kept = json.loads(FILE.read_text()) if FILE.exists() else {}
    kept[part] = {**machine(), **measured}
    FILE.write_text(json.dumps(kept, indent=1) + "\n")
    print(table(part, kept[part]))


def table(part: str, measured: dict[str, Any]) -> str:
    """One bench's table, for the README."""
    lines = [
        "| | rows / s | of the bare COPY | rows stored | memory, MB | processor, µs a row |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    if part != "ingest":
        return json.dumps(measured)
    for line in measured["table"]:
        runs = line["runs"]
        stored = min(run["rows"] for run in runs)
        whole = "all" if stored == line["expected"] == max(run["rows"] for run in runs) else f"{stored:,}"
        memory, processor = max(run["memory"] for run in runs), min(run["processor"] for run in runs)
        more = f"{memory:,.0f} | {processor:,.1f}" if memory else " | "
        lines.append(f"| {line['name']} | {line['rate']:,.0f} | {line['share']:.2f} | {whole} | {more} |")
    return "\n".join(lines)
