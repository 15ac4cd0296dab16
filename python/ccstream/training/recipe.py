"""Trains, calibrates and measures a model, and returns its model file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ccstream.errors import ConfigError
from ccstream.training import calibrate, quality
from ccstream.training.card import card, instant, period
from ccstream.training.logistic import Logistic
from ccstream.training.rows import DAY, Rows
from ccstream.training.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT = "ccstream-model-1"
Kind: TypeAlias = Literal["trees", "logistic"]
KINDS: dict[str, type[Trees | Logistic]] = {"trees": Trees, "logistic": Logistic}
FEWEST: dict[Kind, int] = {"logistic": 300, "trees": 500}
"""The smallest number of known frauds with which each kind of model is chosen."""
WEEK = 7 * DAY
PARTS = 5
"""The period of calibration is a week, or the history divided by this number if that is shorter."""
OTHERS_PER_FRAUD = 30
"""The number of sampled rows for each fraud. More rows make training longer, and the model hardly better."""


def choose(frauds: int) -> Kind:
    """Chooses the kind of model by the number of known frauds.

    Raises:
        ConfigError: there are too few for any kind.
    """
    if frauds >= FEWEST["trees"]:
        return "trees"
    if frauds >= FEWEST["logistic"]:
        return "logistic"
    raise ConfigError(
        f"{frauds} frauds are known, and a model needs {FEWEST['logistic']}; score by the rules until then, or name a "
        "kind of model to train it anyway",
        2,
    )


def train(
    rows: Rows,
    *,
    as_of: int,
    maturity: int,
    kind: Kind | None = None,
    seed: int = 1,
    command: str | None = None,
    progress: Callable[[str], object] = lambda _: None,
) -> str:
    """Trains a model on the rows that are known at a time.

    Two models are trained by the same settings. The first one is calibrated on the last period but one and measured on
    the last: its figures are the quality in the card. The second one is trained on everything before the last period,
    calibrated on it, and returned.

    Args:
        rows: The rows, with the labels that were known at ``as_of``.
        as_of: The time up to which labels are known, in microseconds since 1970 UTC.
        maturity: The age at which an unlabelled row counts as genuine, in microseconds. Younger rows are not used.
        kind: The kind of model; by default it is chosen by the number of frauds.
        seed: The seed of the sample and of XGBoost.
        command: The command that makes the model, for the card.
        progress: A function that is called with a line of text at each step.

    Returns:
        The text of the model file.

    Raises:
        ConfigError: there are too few rows or frauds.
    """
    end = as_of - maturity
    begin = int(rows.times.min()) if len(rows) else end
    known = rows.between(begin, end)
    kind = kind or choose(known.frauds)
    if not len(known):
        raise ConfigError(f"no row is from before {instant(end)}, so no label is known", 2)
    length = min(WEEK, (end - begin) // PARTS)

    tested = known.between(end - length, end)
    measured, calibration, _ = _fit(known, begin, end - length, length=length, kind=kind, seed=seed, progress=progress)
    _check(tested, "tested")
    margins = measured.margins(tested.features)
    probabilities = calibrate.probabilities(calibrate.log_odds(calibration, margins))
    figures = {
        "tested": period(tested, end - length, end),
        **quality.measure(tested, margins, probabilities),
        "reliability": quality.reliability(tested.labels, probabilities),
    }
    progress(f"tested on {len(tested):,} rows: average precision {figures['average_precision']:.3f}")

    model, calibration, periods = _fit(known, begin, end, length=length, kind=kind, seed=seed, progress=progress)
    about = card(as_of=as_of, maturity=maturity, **periods, settings=model.settings, quality=figures, command=command)
    return _file(rows, kind, model.text(), calibration, about)


def _fit(
    known: Rows, begin: int, end: int, *, length: int, kind: Kind, seed: int, progress: Callable[[str], object]
) -> tuple[Trees | Logistic, dict[str, str | float], dict[str, Any]]:
    """Trains a model on the rows from ``begin`` and calibrates it on the last period before ``end``."""
    history, last = known.between(begin, end - length), known.between(end - length, end)
    _check(history, "trained")
    _check(last, "calibrated")
    sample = history.sample(OTHERS_PER_FRAUD, seed)
    progress(f"training {kind} on {sample.frauds:,} frauds and {len(sample) - sample.frauds:,} other rows")
    model = KINDS[kind](sample, seed)
    calibration = calibrate.fit(model.margins(last.features), last.labels)
    trained = {**period(history, begin, end - length), "sampled_rows": len(sample)}
    return model, calibration, {"trained": trained, "calibrated": period(last, end - length, end)}


def _check(rows: Rows, use: str) -> None:
    if rows.frauds in {0, len(rows)}:
        raise ConfigError(
            f"{rows.frauds} of the {len(rows)} rows of the {use} period are frauds, but frauds and others are needed; "
            "wait for more labels, or use a longer history",
            2,
        )


def _file(rows: Rows, kind: Kind, model: str, calibration: dict[str, str | float], about: dict[str, Any]) -> str:
    """Returns the text of a model file: a line for each part. The model comes last, because it is long."""
    parts = {
        "format": json.dumps(FORMAT),
        "features": json.dumps({"version": rows.version, "names": list(rows.names)}),
        "kind": json.dumps(kind),
        "calibration": json.dumps(calibration),
        "card": json.dumps(about),
        "model": model,
    }
    lines = ",\n".join(f"{json.dumps(name)}: {part}" for name, part in parts.items())
    return f"{{\n{lines}\n}}\n"
