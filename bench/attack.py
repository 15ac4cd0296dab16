"""The attack, several times: ``python bench/attack.py --runs 2`` (half an hour each), for the README's table of faults.

Each run is ``tests/python/faults/test_attack.py`` with a seed of its own, which it prints; one that fails ends this.
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
    parser.add_argument("--runs", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "runs"
        environment = {**os.environ, "CCSTREAM_FAULTS": "long", "CCSTREAM_ATTACK_FILE": str(file)}
        for _ in range(options.runs):
            subprocess.run(
                [sys.executable, "-m", "pytest", "-s", "tests/python/faults/test_attack.py"],
                cwd=ROOT,
                env=environment,
                check=True,
            )
        runs = [json.loads(line) for line in file.read_text().splitlines()]
    results.keep("attack", {"runs": [{**run, "recovery": None} for run in runs], "table": summed(runs)})


if __name__ == "__main__":
    main()
