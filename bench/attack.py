"""Runs the attack six times for the table of faults: ``python bench/attack.py`` (an hour).

Each run is ``tests/python/faults/test_attack.py`` with separate services and a separate seed, which it prints. If a run
fails, this program fails, too. The results include the failed run if it reached its recount.
For each fault, the table counts the lost and doubled rows of the runs that tried it. Recovery times are of faults that
happened alone.
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
    """Returns one line for each fault."""
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
    """Runs the attacks, adds up their results and saves them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument(
        "--at-once", type=int, default=3, help="the number of parallel runs; five are too many for two cores"
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
        shown = [{name: value for name, value in run.items() if name != "recovery"} for run in runs]
        results.keep("attack", {"runs": shown, "failed": failed, "table": summed(runs)})
    if failed:
        sys.exit(f"runs that failed: {failed} of {options.runs}")


if __name__ == "__main__":
    main()
