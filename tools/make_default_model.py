"""Trains the model that the wheel contains: ``make default-model``.

It produces a stream of the default world, stores and scores it with the product's own commands on separate services,
and trains on the labels that the stream sends. ``bench/default_model.py`` measures the model on streams of other seeds.
Equal commands and versions of the libraries make an equal file, byte for byte.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench"))

from scored import run, scored, world  # noqa: E402

MODEL = "crates/ccstream-services/models/habits-2.json"
"""The name of the file is the version of the world, ``habits/2``."""
SEED = 102
START = date(2026, 7, 6)
DAYS = 60
RATE = 0.5
"""Transactions a second: 2.6 million in all, of 21,600 cards."""
LABELLED = timedelta(days=20)
"""The time after the last transaction up to which labels are waited for. Nine of ten come within 17 days."""
LARGEST = 400_000
"""The greatest length of the file, in bytes: it is a part of the wheel."""


def main() -> None:
    """Makes the file."""
    as_of = START + timedelta(days=DAYS) + LABELLED
    with scored(world(SEED, DAYS, RATE, START.isoformat())):
        run("train", "--as-of", as_of.isoformat(), "--kind", "trees", "--out", MODEL)
    length = (ROOT / MODEL).stat().st_size
    print(f"{length:,} bytes")
    if length > LARGEST:
        sys.exit(f"{MODEL} has {length:,} bytes, more than {LARGEST:,}")


if __name__ == "__main__":
    main()
