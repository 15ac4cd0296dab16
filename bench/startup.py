"""Measures the start-up time: ``python bench/startup.py`` (a part of ``make bench``). It prints medians."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import results

ROOT = Path(__file__).resolve().parent.parent
STARTS = {
    "the interpreter alone": ["-c", "pass"],
    "import ccstream": ["-c", "import ccstream"],
    "consumer.py --help": ["consumer.py", "--help"],
    "producer.py --help": ["producer.py", "--help"],
}


def main() -> None:
    """Measures each start in turn, prints the results and saves them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    took: dict[str, list[float]] = {name: [] for name in STARTS}
    for _ in range(options.rounds):
        for name, arguments in STARTS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            took[name].append((time.perf_counter() - began) * 1000)
    table = [{"name": name, "ms": statistics.median(times)} for name, times in took.items()]
    results.keep("startup", {"rounds": options.rounds, "table": table})


if __name__ == "__main__":
    main()
