"""Makes the documents' tables of how well fraud is detected, from what the benches measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

COUNTS = {"transactions": "rows", "frauds": "frauds"}
"""Figures of the default model, by the words of the table."""
FIGURES = {
    "average precision": "ap",
    "area under the ROC curve": "auc",
    "card precision at 100 a day": "cp",
    "the same of a perfect detector": "cp, ceiling",
    "precision of the scores from 0.5": "precision at half",
    "average precision of the rules": "rules, ap",
}
SECOND_HALF = {
    "average precision in the second half of the days": "second half, ap",
    "the same of a detector that knows the scenarios": "second half, informed ap",
}

ABOUT_DRAWS = """\
Draws of [the Handbook's world](handbook.md) with different seeds and constants, measured by its protocol: the figures
are the means of four test weeks. Each week, the models are trained as of its start, on the labels known then. The 15
features are the Handbook's, with XGBoost (100 trees of depth 3) trained on a week. The rules are not trained."""


def _row(name: str, values: Iterable[str]) -> str:
    return f"| {name} | {' | '.join(values)} |"


def _span(values: list[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f}"


def detect(measured: dict[str, Any]) -> str:
    """Makes the table of ``bench/detect.py``."""
    lines = [
        "| scenario | the best rule: a threshold on | its precision | average precision of the detector |",
        "|---|---|--:|--:|",
    ]
    for line in measured["table"]:
        spans = [_span(line[name]) for name in ("precision", "detector")]
        lines.append(f"| {line['scenario']} | {line['rule']} | {spans[0]} | {spans[1]} |")
    frauds, twins = (sum(sum(line[name]) for line in measured["table"]) for name in ("frauds", "twins"))
    counts = f"The least and the greatest of {len(measured['seeds'])} seeds, with {frauds:,} frauds and {twins:,} twins"
    return "\n".join([*lines, "", f"{counts}."])


def default_model(measured: dict[str, Any]) -> str:
    """Makes the tables of ``bench/default_model.py``."""
    runs = measured["table"]
    lines = [_row("", (f"seed {run['seed']}" for run in runs)), f"|---|{'--:|' * len(runs)}"]
    lines += [_row(name, (f"{run[figure]:,}" for run in runs)) for name, figure in COUNTS.items()]
    lines += [_row(name, (f"{run[figure]:.3f}" for run in runs)) for name, figure in FIGURES.items()]
    for rule in runs[0]["single rules, ap"]:
        lines.append(_row(f"the rule {rule} alone", (f"{run['single rules, ap'][rule]:.3f}" for run in runs)))
    lines += [_row(name, (f"{run[figure]:.3f}" for run in runs)) for name, figure in SECOND_HALF.items()]
    lines += [
        "",
        "| scenario | frauds | on the cards inspected | with a score from 0.5 |",
        "|---|--:|--:|--:|",
    ]
    for parts in zip(*(run["scenarios"] for run in runs), strict=True):
        spans = [_span([one[name] for one in parts]) for name in ("on top", "at half")]
        lines.append(f"| {parts[0]['scenario']} | {sum(one['frauds'] for one in parts):,} | {spans[0]} | {spans[1]} |")
    return "\n".join([*lines, "", f"The share of frauds found: the least and the greatest of {len(runs)} seeds."])


def draws(measured: dict[str, Any]) -> str:
    """Makes the table of ``bench/draws.py``."""
    lines = ["| draw | detector | AUC | average precision | card precision at 100 |", "|---|---|--:|--:|--:|"]
    for line in measured["table"]:
        constants = f"`{line['constants']}`" if line["constants"] else "the default constants"
        draw = f"seed {line['seed']}, {constants}, labels after {line['label delay, days']} days"
        for name, figures in line["detectors"].items():
            lines.append(f"| {draw} | {name} | {' | '.join(f'{value:.3f}' for value in figures.values())} |")
            draw = ""
    return "\n".join([*lines, "", ABOUT_DRAWS])


def analysis(measured: dict[str, Any]) -> str:
    """Makes the tables of ``bench/analysis.py``."""
    lines = ["| from Kafka into tables | transactions / s | share of the consumer |", "|---|--:|--:|"]
    lines += [f"| {line['name']} | {line['rate']:,.0f} | {line['share']:.2f} |" for line in measured["rates"]]
    lines += ["", "| cards | p50, ms | p95, ms | p99, ms | restored after a kill, s | first new score, s |"]
    lines.append("|--:|--:|--:|--:|--:|--:|")
    for line in measured["live"]:
        figures = " | ".join(f"{line[name]:,.0f}" for name in ("cards", "p50", "p95", "p99"))
        lines.append(f"| {figures} | {line['restored']:.1f} | {line['scored']:.1f} |")
    return "\n".join(lines)


def windows(measured: dict[str, Any]) -> str:
    """Makes the table of ``bench/windows.py``."""
    counted = {**measured["rows"], "all": sum(measured["rows"].values())}
    lines = _costs("windows", measured["rates"])
    cells = ["rows", "--:", *(f"{counted.get(line['name'], 0):,}" for line in measured["rates"])]
    return "\n".join(f"{line} {cell} |" for line, cell in zip(lines, cells, strict=True))


def alerts(measured: dict[str, Any]) -> str:
    """Makes the tables of ``bench/alerts.py``."""
    lines = [*_costs("rules", measured["rates"]), ""]
    lines += ["| rule | alerts | p50, ms | p99, ms | at most, ms |", "|---|--:|--:|--:|--:|"]
    for line in measured["live"]:
        figures = " | ".join(f"{line[name]:,.0f}" for name in ("alerts", "p50", "p99", "max"))
        lines.append(f"| {line['rule']} | {figures} |")
    return "\n".join(lines)


def _costs(what: str, rates: list[dict[str, Any]]) -> list[str]:
    """Makes a table of what several things cost the analyzer."""
    lines = [f"| {what} | transactions / s | of the rate without | processor time, µs | more than without |"]
    lines.append("|---|--:|--:|--:|--:|")
    for line in rates:
        times = f"{line['time']:.1f} | {100 * line['more']:+.0f} %"
        lines.append(f"| {line['name']} | {line['rate']:,.0f} | {line['share']:.2f} | {times} |")
    return lines


def segments(measured: dict[str, Any]) -> str:
    """Makes the table of ``bench/segments.py``."""
    lines = ["| what | transactions | members | first run, s | later run, s |", "|---|--:|--:|--:|--:|"]
    for line in measured["table"]:
        counts = f"{line['rows']:,} | {line['members']:,}"
        lines.append(f"| {line['kind']} | {counts} | {line['first']:.1f} | {line['later']:.1f} |")
    return "\n".join(lines)
