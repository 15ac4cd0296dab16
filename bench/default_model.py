"""Measures the default model on streams that its training never saw: ``make bench-detect``.

``python bench/default_model.py [--seeds SEED ...] [--model FILE]`` produces, stores and scores 60 days of the default
world for each seed, with the product's own commands on separate services. It measures the scores against the truth,
beside each rule of the product alone, and beside a detector that knows the scenarios (``bench/detect.py``). With
three seeds or more, the figures are saved. The exit status is 1 if the average precision is not at least .2 above that
of the best single rule.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import ccstream
import detect
from ccstream.training import quality
from results import keep
from scored import ROOT, Stream, read, scored, world
from simulated import DAY, Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

MODEL = ROOT / "crates" / "ccstream-services" / "models" / "habits-2.json"
DAYS = 60
RATE = 0.25
"""Transactions a second: 1.3 million in all, of 10,800 cards."""
START = "2026-06-01"
ABOVE_A_RULE = 0.2
"""By how much the average precision exceeds that of the best single rule, at least."""
HALF = 0.5
"""The score at which a warning is more often right than wrong."""


def single_rules(stream: Stream) -> dict[str, Array]:
    """Computes each rule of the product alone, as ``crates/ccstream-analysis/src/rules.rs`` does."""
    names = list(stream.rows.names)

    def value(name: str) -> Array:
        values: Array = np.nan_to_num(stream.rows.features[:, names.index(name)].astype(float))
        return values

    def logistic(odds: Array) -> Array:
        probabilities: Array = 1 / (1 + np.exp(-np.clip(odds, -60, 60)))
        return probabilities

    speed = 0.7 * logistic(4 * np.log(np.maximum(value("card_speed"), 1) / 900))
    tested, beyond = value("card_tested"), value("card_refunds_beyond") * value("refund")
    return {
        "card": value("rule_card"),
        "merchant": value("rule_merchant"),
        "terminal": value("rule_terminal"),
        "speed": np.where(value("card_distance") < 200, 0, speed),  # noqa: PLR2004
        "tested": np.where(tested < 1, 0, 0.5 * logistic(2 * (tested - 4))),
        "refunds": np.where(beyond < 1, 0, 0.6 * logistic(2 * (beyond - 2))),
    }


def is_on_top(stream: Stream, scores: Array) -> Array:
    """Returns whether the card of each transaction is among the day's 100 cards with the highest scores."""
    cards, days = pd.factorize(stream.table["card_token"])[0], stream.rows.times // DAY
    found = np.zeros(len(scores), dtype=bool)
    for day in np.unique(days):
        rows = np.flatnonzero(days == day)
        ranked = cards[rows[np.argsort(-scores[rows], kind="stable")]]
        first = np.sort(np.unique(ranked, return_index=True)[1])
        found[rows] = np.isin(cards[rows], ranked[first[: quality.TOP]])
    return found


def informed(table: Table) -> Array:
    """Returns the probability of a fraud by all detectors that know the scenarios, in the second half of the days."""
    signs = detect.all_signs(table)
    none = np.zeros(len(table.days))
    for scenario in detect.KNOWN:
        odds = detect.log_odds(scenario, signs, detect.masks(table, scenario), table.days)
        none -= np.logaddexp(0, odds)
    probabilities: Array = -np.expm1(none)
    return probabilities


def measure(seed: int, model: Path) -> dict[str, Any]:
    """Measures the model on the stream of a seed."""
    with scored(world(seed, DAYS, RATE, START)) as url:
        stream = read(url)
        scores, rules = (ccstream.backtest(one, database_url=url).scores for one in (model, None))
    rows, scenarios = stream.rows, stream.scenario
    table = Table(stream.table)
    late = detect.is_tested(table.days)
    singles = {name: quality.average_precision(rows.labels, one) for name, one in single_rules(stream).items()}
    on_top = is_on_top(stream, scores)
    return {
        "seed": seed,
        "rows": len(rows),
        "frauds": rows.frauds,
        "ap": quality.average_precision(rows.labels, scores),
        "auc": quality.area_under_roc(rows.labels, scores),
        "cp": quality.card_precision(rows, scores),
        "cp, ceiling": quality.card_precision(rows, rows.labels.astype(float)),
        "precision at half": float(rows.labels[scores >= HALF].mean()),
        "rules, ap": quality.average_precision(rows.labels, rules),
        "single rules, ap": singles,
        "second half, ap": quality.average_precision(rows.labels[late], scores[late]),
        "second half, informed ap": quality.average_precision(rows.labels[late], informed(table)[late]),
        "scenarios": [
            {
                "scenario": scenario,
                "frauds": int(np.count_nonzero(scenarios == scenario)),
                "on top": float(on_top[scenarios == scenario].mean()),
                "at half": float((scores[scenarios == scenario] >= HALF).mean()),
            }
            for scenario in detect.KNOWN
        ],
    }


def rounded(value: Any) -> Any:  # noqa: ANN401 - it is JSON
    """Rounds all figures to four decimal places."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value


def main() -> int:
    """Measures all seeds, prints the figures, and saves those of three seeds or more; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measures the default model on streams that its training never saw.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], metavar="SEED")
    parser.add_argument("--model", type=Path, default=MODEL, metavar="FILE")
    options = parser.parse_args()
    lines, status = [], 0
    for seed in options.seeds:
        line = rounded(measure(seed, options.model))
        lines.append(line)
        rule = max(line["single rules, ap"], key=line["single rules, ap"].get)
        best = line["single rules, ap"][rule]
        print(
            f"seed {seed}: " + ", ".join(f"{name} {line[name]}" for name in line if name not in {"seed", "scenarios"})
        )
        for one in line["scenarios"]:
            print(f"  {one['scenario']}: {one['frauds']} frauds, on top {one['on top']}, at half {one['at half']}")
        if line["ap"] < best + ABOVE_A_RULE:
            print(f"seed {seed}: average precision {line['ap']} is not {ABOVE_A_RULE} above the rule {rule}, {best}")
            status = 1
        sys.stdout.flush()
    if len(lines) > 2:  # noqa: PLR2004
        keep("default_model", {"days": DAYS, "rate": RATE, "start": START, "table": lines})
    return status


if __name__ == "__main__":
    sys.exit(main())
