"""Fits the calibration of a model: a strictly increasing function from margins to log odds.

It is the beta calibration of Kull, Silva Filho and Flach (2017), with Platt's as the special case of equal slopes.
Isotonic regression alone would give the same score to many margins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ccstream.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

STEEP = (0.05, 20.0)
"""The smallest and the greatest slope. A margin with another slope is not the log odds of a fraud."""
STEPS = 100
TOLERANCE = 1e-10


def fit(margins: Array, labels: NDArray[np.bool_]) -> dict[str, str | float]:
    """Fits a calibration by maximum likelihood, with a slight preference for slopes of 1.

    Args:
        margins: The margins of rows on which the model was not trained.
        labels: Whether each row is a fraud.

    Returns:
        The calibration, as the model file holds it.

    Raises:
        ConfigError: there is no fraud or nothing else, or frauds do not have greater margins than the other rows.
    """
    if labels.all() or not labels.any():
        raise ConfigError(
            f"the calibration needs frauds and other rows, but {int(labels.sum())} of its {len(labels)} rows are "
            "frauds; wait for more labels",
            2,
        )
    c, a, b = _newton(_columns(margins), labels)
    if all(STEEP[0] <= slope <= STEEP[1] for slope in (a, b)):
        return {"kind": "beta", "a": a, "b": b, "c": c}
    intercept, slope = _newton(np.column_stack([np.ones_like(margins), margins]), labels)
    if STEEP[0] <= slope <= STEEP[1]:
        return {"kind": "platt", "slope": slope, "intercept": intercept}
    raise ConfigError(
        f"the model does not recognise frauds: the slope of its calibration is {slope:.3g}; train it on more frauds", 2
    )


def log_odds(calibration: dict[str, str | float], margins: Array) -> Array:
    """Computes calibrated log odds."""
    if calibration["kind"] == "beta":
        weights = np.array([calibration["c"], calibration["a"], calibration["b"]], dtype=np.float64)
        odds: Array = _columns(margins) @ weights
        return odds
    return float(calibration["slope"]) * margins + float(calibration["intercept"])


def probabilities(odds: Array) -> Array:
    """Computes the probabilities of log odds."""
    exponential = np.exp(-np.abs(odds))
    found: Array = np.where(odds < 0, exponential, 1.0) / (1 + exponential)
    return found


def _columns(margins: Array) -> Array:
    """Returns the columns 1, ``ln(p)`` and ``-ln(1 - p)``, where ``p`` is the margin's probability."""
    return np.column_stack([np.ones_like(margins), -np.logaddexp(0, -margins), np.logaddexp(0, margins)])


def _loss(columns: Array, labels: NDArray[np.bool_], weights: Array) -> float:
    odds = columns @ weights
    return float(np.logaddexp(0, np.where(labels, -odds, odds)).sum() + 0.5 * ((weights[1:] - 1) ** 2).sum())


def _newton(columns: Array, labels: NDArray[np.bool_]) -> list[float]:
    """Finds the weights of least loss. The first weight is the intercept, and the others are the slopes."""
    weights = np.ones(columns.shape[1])
    weights[0] = 0.0
    penalty = np.ones(len(weights))
    penalty[0] = 1e-9
    loss = _loss(columns, labels, weights)
    for _ in range(STEPS):
        found = probabilities(columns @ weights)
        gradient = columns.T @ (found - labels) + np.where(np.arange(len(weights)) > 0, weights - 1, 0)
        curvature = (columns * (found * (1 - found))[:, None]).T @ columns + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        scale = 1.0
        while _loss(columns, labels, weights - scale * step) > loss and scale > TOLERANCE:
            scale /= 2
        weights = weights - scale * step
        loss = _loss(columns, labels, weights)
        if np.abs(scale * step).max() < TOLERANCE:
            break
    return [float(weight) for weight in weights]
