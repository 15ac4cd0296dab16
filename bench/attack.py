"""The attack, six times: ``python bench/attack.py`` (an hour), for the README's table of faults.

Each run is ``tests/python/faults/test_attack.py`` with services and a seed of its own, which it prints; one that fails
fails this, and its figures are kept if it came to its recount, whatever that found.
Rows lost and doubled are those of the runs in which a fault was tried; how long until all is caught up is of the
faults that came alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import results

ROOT = Path(__file__).resolve().parent.parent


def summed(runs: list[dict[str, Any]]) -> list[dict[str, object]]:
    """A line for each fault."""
    lines = []
    for fault in runs[0]["tried"]:
        met = [run for run in runs if run["tried"][fault]]
        took = [seconds for run in met for seconds in run["recovery"][fault]]
        lines.append(
            {
                "fault": fault,
                "times": sum(run["tried"][fault] for run in met),
                "lost": sum(run["lost"] for run in met),
                "doubled": sum(run["doubled"] for run in met),
                "alone": len(took),
                "p50": statistics.median(took) if took else 0.0,
                "most": max(took, default=0.0),
            }
        )
    return lines


def main() -> None:
    """Runs, sums up, and keeps what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument(
        "--at-once", type=int, default=3, help="so many at a time: five keep two cores from anything but starting Kafka"
    )
    options = parser.parse_args()
    command = [sys.executable, "-m", "pytest", "-s", "tests/python/faults/test_attack.py"]
    environment = {**os.environ, "CCSTREAM_FAULTS": "long"}

    def attack(file: Path) -> bool:
        own = {**environment, "CCSTREAM_ATTACK_FILE": str(file)}
        return subprocess.run(command, cwd=ROOT, env=own, check=False).returncode == 0

    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / str(number) for number in range(options.runs)]
        with ThreadPoolExecutor(options.at_once) as pool:
            failed = sum(not passed for passed in pool.map(attack, files))
        runs = [json.loads(file.read_text()) for file in files if file.exists()]
    if runs:
        told = [{name: value for name, value in run.items() if name != "recovery"} for run in runs]
        results.keep("attack", {"runs": told, "failed": failed, "table": summed(runs)})
    if failed:
        sys.exit(f"runs that failed: {failed} of {options.runs}")


if __name__ == "__main__":
    main()
