"""Measures the product's models and rules on draws of the preset ``handbook``: ``make bench-detect``.

``python bench/draws.py [--draws NUMBER ...]`` produces, stores and scores draws whose seeds and constants differ, with
the product's own commands on separate services. For each test week of the Handbook's protocol (``bench/handbook.py``)
it trains both kinds of model as of the week's start, with the labels known then, and scores the week. Beside them is a
detector of the Handbook's 15 features, XGBoost with 100 trees of depth 3, on the same transactions. With three draws
or more, the figures are saved. The exit status is 1 if the trees miss the aim on a draw.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from xgboost import XGBClassifier

import ccstream
import handbook
from ccstream import training
from handbook import START, WEEK, Transactions
from results import keep
from scored import read, scored

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ccstream.training.recipe import Kind

    Array = NDArray[Any]

DRAWS: tuple[tuple[int, str, int], ...] = (
    (21, "s1_above=150", 10),
    (22, "s1_above=150,s3_factor=3,s2_days=14,s3_days=21", 10),
    (23, "s1_above=400,s3_factor=7,s2_days=42,s3_days=7", 5),
    (24, "", 7),
)
"""The seed, the constants that are not the default ones, and after how many days frauds are labelled."""
DAYS = 157
"""The days up to the end of the last test week."""
TEST_WEEKS = 4
ABOVE = 0.07
"""By how much the trees' average precision exceeds that of the Handbook's features, at least."""
FEATURES = "15 features"
KINDS: tuple[Kind, ...] = ("trees", "logistic")


def transactions_of(table: pd.DataFrame) -> Transactions:
    """Converts the rows of a scored stream to what the Handbook's detector reads."""
    time = table["micros"].to_numpy() - START.value // 1000
    customer, terminal = (table[name].str.extract(r"(\d+)$")[0] for name in ("card_token", "terminal_id"))
    scenario = pd.to_numeric(table["scenario"].str[1:]).fillna(0).astype(int).to_numpy()
    return Transactions(
        time,
        time // handbook.DAY,
        customer.astype(int).to_numpy(),
        terminal.astype(int).to_numpy(),
        table["amount"].to_numpy(dtype=float),
        (scenario > 0).astype(np.int64),
        scenario,
    )


def trained(as_of: str, url: str, folder: Path) -> dict[str, Path]:
    """Trains each kind of model as ``ccstream train --as-of AS_OF --kind KIND`` does, and returns the files."""
    history = ccstream.feature_history(as_of, database_url=url)
    rows = training.Rows(history.features, history.labels, history.times, history.names, history.version)
    files: dict[str, Path] = {}
    for kind in KINDS:
        text = training.train(rows, as_of=history.as_of, maturity=history.maturity, kind=kind)
        files[kind] = folder / f"{kind}.json"
        files[kind].write_text(text, encoding="utf-8")
    return files


def booster() -> XGBClassifier:
    """Returns the detector of the 15 features."""
    return XGBClassifier(n_estimators=100, max_depth=3)


def measure(seed: int, constants: str, delay: int) -> dict[str, dict[str, float]]:
    """Measures every detector on a draw, by its name."""
    preset = f"handbook,days={DAYS}" + (f",{constants}" if constants else "")
    flags = {
        "preset": preset,
        "start-time": f"{START:%F}",
        "seed": seed,
        "rate": "max",
        "label-delay": f"fixed:{delay}d",
    }
    with scored([text for name, value in flags.items() for text in (f"--{name}", str(value))]) as url:
        transactions = transactions_of(read(url).table)
        first_day = handbook.first_training_day(DAYS, TEST_WEEKS)
        weeks: dict[str, list[list[float]]] = {name: [] for name in ("rules", *KINDS)}
        by_rules = ccstream.backtest(None, database_url=url).scores
        for _, rows in handbook.folds(transactions, first_day, TEST_WEEKS, delay):
            begin = int(transactions.day[rows[0]])
            start, end = (f"{START + pd.Timedelta(days=day):%F}" for day in (begin, begin + WEEK))
            first = int(np.searchsorted(transactions.day, begin))
            weeks["rules"].append(handbook.measure(transactions, rows, by_rules[rows]))
            with tempfile.TemporaryDirectory() as folder:
                for kind, model in trained(start, url, Path(folder)).items():
                    scores = ccstream.backtest(model, start=start, end=end, database_url=url).scores
                    weeks[kind].append(handbook.measure(transactions, rows, scores[rows - first]))
    found = {name: handbook.means(of_model) for name, of_model in weeks.items()}
    return {FEATURES: handbook.evaluate(transactions, first_day, TEST_WEEKS, delay, booster), **found}


def unexpected(figures: dict[str, dict[str, float]]) -> list[str]:
    """Describes what the trees miss: they have a better average precision, and no smaller area under the curve."""
    trees, features = figures["trees"], figures[FEATURES]
    more = trees["AP"] - features["AP"]
    return [
        *([f"the average precision of the trees is only {more:.3f} higher"] if more < ABOVE else []),
        *(["the AUC of the trees is smaller"] if trees["AUC"] < features["AUC"] else []),
    ]


def main() -> int:
    """Prints the figures of each draw, and saves those of three draws or more; returns the exit status."""
    numbers = range(1, len(DRAWS) + 1)
    parser = argparse.ArgumentParser(description="Measures models and rules on draws of the Handbook's world.")
    parser.add_argument("--draws", type=int, nargs="+", choices=numbers, default=list(numbers), metavar="NUMBER")
    lines, bad = [], []
    for number in parser.parse_args().draws:
        seed, constants, delay = DRAWS[number - 1]
        figures = measure(seed, constants, delay)
        rounded = {name: {of: round(value, 3) for of, value in one.items()} for name, one in figures.items()}
        lines.append({"seed": seed, "constants": constants, "label delay, days": delay, "detectors": rounded})
        print(f"draw {number}: seed {seed}, {constants or 'default constants'}, labels after {delay} days")
        for name, one in rounded.items():
            print(f"  {name:<12}" + "".join(f"{of:>8} {value:.3f}" for of, value in one.items()), flush=True)
        bad += [f"draw {number}: {text}" for text in unexpected(figures)]
    if len(lines) > 2:  # noqa: PLR2004
        keep("draws", {"days": DAYS, "table": lines})
    print("\n".join(bad), end="\n" if bad else "")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
