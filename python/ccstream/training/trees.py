"""Trains boosted trees with XGBoost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ccstream.training.rows import Rows

KIND = "trees"
ROUNDS = 200
SETTINGS: dict[str, Any] = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_depth": 4,
    "eta": 0.1,
    "min_child_weight": 5,
    "max_bin": 4096,
}
"""Histograms of XGBoost give the same trees for any number of threads, so that number is not a setting."""

CANDIDATES = 1000
CLEARLY = 0.05
"""The greatest distance of a logarithm from a number of single precision, in units of the number's last digit, at which
every machine rounds it to that number."""


class Trees:
    """Holds boosted trees.

    Args:
        rows: The rows to train on.
        seed: XGBoost's seed.
    """

    def __init__(self, rows: Rows, seed: int) -> None:
        share = min(max(rows.frauds / max(len(rows), 1), 1e-4), 1 - 1e-4)
        self.settings = {**SETTINGS, "rounds": ROUNDS, "base_score": base_score(share), "seed": seed}
        parameters = {name: value for name, value in self.settings.items() if name != "rounds"}
        matrix = xgboost.DMatrix(rows.features, rows.labels, feature_names=list(rows.names))
        self._booster = xgboost.train(parameters, matrix, ROUNDS)
        self._names = list(rows.names)

    def margins(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Computes the margin of each row."""
        matrix = xgboost.DMatrix(features, feature_names=self._names)
        margins: NDArray[np.float64] = self._booster.predict(matrix, output_margin=True).astype(np.float64)
        return margins

    def text(self) -> str:
        """Returns the model as XGBoost's JSON."""
        return bytes(self._booster.save_raw("json")).decode()


def base_score(share: float) -> float:
    """Returns a number near the share of frauds whose margin is the same on every machine.

    XGBoost computes the margin of ``base_score`` with the logarithm of the system's library in single precision. These
    libraries round differently if the logarithm is near the middle between two numbers.
    """
    first = int(np.float32(share).view(np.int32))
    scores = np.arange(first, first + CANDIDATES, dtype=np.int32).view(np.float32)
    logarithms = np.log((np.float32(1) / scores - np.float32(1)).astype(np.float64))
    rounded = logarithms.astype(np.float32)
    distances = np.abs(logarithms - rounded) / np.spacing(np.abs(rounded))
    return float(scores[int((distances < CLEARLY).argmax())])
