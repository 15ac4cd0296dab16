"""Implements the commands ``train``, ``backtest`` and ``models``."""

from __future__ import annotations

import csv
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ccstream
from ccstream.errors import ConfigError
from ccstream.event_log import plain, print_json
from ccstream.terminal import paint

if TYPE_CHECKING:
    import argparse


def _say(text: str) -> None:
    print(paint(text, sys.stdout), flush=True)


def train(options: argparse.Namespace) -> int:
    """Trains a model and writes its file."""
    # Otherwise, threads of XGBoost and scikit-learn (OpenMP) spin while they wait for each other. On busy processors,
    # training then took 59 s instead of 5 s. The libraries read the variable when they are loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from ccstream import training  # noqa: PLC0415

    _say(f"Computing features of all transactions before {options.as_of}")
    history = ccstream.feature_history(options.as_of, database_url=options.database_url)
    rows = training.Rows(
        history.features, history.labels, history.times, history.names, history.version, cards=history.cards
    )
    _say(
        f"{len(rows):,} transactions, {rows.frauds:,} known frauds; nine of ten were labelled within "
        f"{history.maturity / training.DAY:.1f} days"
    )
    text = training.train(
        rows,
        as_of=history.as_of,
        maturity=history.maturity,
        kind=options.kind,
        seed=options.seed,
        command=shlex.join(["ccstream", *sys.argv[1:]]),
        progress=_say,
    )
    path = Path(options.out)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"out: {path}: {error.strerror}", 2) from error
    _say(f"✓ Wrote {path}")
    return 0


def backtest(options: argparse.Namespace) -> int:
    """Scores transactions of the past, and writes the scores to a file."""
    found = ccstream.backtest(
        None if options.model == "rules" else options.model,
        start=options.start,
        end=options.end,
        database_url=options.database_url,
    )
    scores = found.scores.tolist()
    if options.out is not None:
        try:
            with Path(options.out).open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["transaction_id", "score"])
                # The text of a float is the shortest one that gives the same float again.
                writer.writerows(zip(found.ids, map(repr, scores), strict=True))
        except OSError as error:
            raise ConfigError(f"out: {options.out}: {error.strerror}", 2) from error
        _say(f"✓ Wrote {len(scores):,} scores to {options.out}")
    frauds = int(found.labels.sum())
    _say(f"{len(scores):,} transactions, {frauds:,} known frauds")
    if frauds not in {0, len(scores)}:
        _print_quality(found)
    return 0


def _print_quality(found: ccstream.Backtest) -> None:
    """Prints how well the scores find the known frauds."""
    try:
        import numpy as np  # noqa: PLC0415

        from ccstream import training  # noqa: PLC0415
    except (ImportError, ConfigError):
        _say("  to measure the scores: pip install 'ccstream[train]'")
        return
    none = np.empty((len(found.times), 0), dtype=np.float32)
    rows = training.Rows(none, found.labels, found.times, [], "", cards=found.cards)
    _say(f"  area under the ROC curve: {training.quality.area_under_roc(rows.labels, found.scores):.3f}")
    _say(f"  average precision: {training.quality.average_precision(rows.labels, found.scores):.3f}")
    _say(f"  card precision at 100 a day: {training.quality.card_precision(rows, found.scores):.3f}")


def models(options: argparse.Namespace) -> int:
    """Lists the models, adds one, activates one, or makes one the shadow."""
    if options.action == "list":
        if options.model is not None:
            raise ConfigError("models list: takes no name; leave it out", 2)
        return _list_models(options)
    if options.model is None:
        what = {"add": "the model file", "activate": "the model, or rules", "shadow": "the model, or none"}
        raise ConfigError(f"models {options.action}: name {what[options.action]}", 2)
    name = options.model
    if options.action == "add":
        name = ccstream.add_model(options.model, database_url=options.database_url)
        done = f"✓ Added {name}; to score by it: ccstream models activate {shlex.quote(name)}"
    elif options.action == "shadow":
        ccstream.shadow_model(None if name == "none" else name, database_url=options.database_url)
        done = f"✓ {name} is the shadow; an analyzer scores by it, too, from its next batch on"
        if name == "none":
            done = "✓ There is no shadow; an analyzer scores by the active model alone from its next batch on"
    else:
        ccstream.activate_model(name, database_url=options.database_url)
        done = f"✓ {name} is active; an analyzer scores by it from its next batch on"
    if options.json:
        print_json({"name": name})
    else:
        _say(done)
    return 0


def _list_models(options: argparse.Namespace) -> int:
    """Prints the models with the quality that their cards have."""
    found = ccstream.list_models(database_url=options.database_url)
    cards = [{} if one.card is None else json.loads(one.card) for one in found]
    if options.json:
        print_json(
            {
                "models": [
                    {**plain(one), "card": None if one.card is None else card}
                    for one, card in zip(found, cards, strict=True)
                ]
            }
        )
        return 0
    from ccstream.tables import print_table  # noqa: PLC0415

    figures = ("auc", "average_precision", "card_precision_100")
    print_table(
        ["active", "name", "kind", "added", "as of", "AUC", "AP", "CP@100"],
        [
            [
                "*" if one.active else "shadow" if one.shadow else "",
                one.name,
                one.kind,
                one.added_at or "",
                one.as_of or "",
                *(_figure(card, name) for name in figures),
            ]
            for one, card in zip(found, cards, strict=True)
        ],
    )
    for one in found:
        if one.problem is not None:
            _say(f"! {one.name} cannot be used: {one.problem}")
    return 0


def _figure(card: dict[str, Any], name: str) -> str:
    """Returns a figure of a card as text; empty if the card does not have it."""
    quality = card.get("quality")
    value = quality.get(name) if isinstance(quality, dict) else None
    return f"{value:.3f}" if isinstance(value, int | float) else ""
