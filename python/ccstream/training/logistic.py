"""Trains a logistic regression with scikit-learn."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ccstream.training.rows import Rows

KIND = "logistic"
SETTINGS: dict[str, Any] = {"C": 1.0, "max_iter": 200, "tol": 1e-8, "solver": "newton-cholesky"}
"""The settings of scikit-learn. The default solver takes a minute and this one seconds, because features are few and
correlated."""
SKEWED = 2.0
WIDE = 50.0
"""The logarithm replaces a feature that is more skewed than SKEWED and has values beyond WIDE. Otherwise a few rows far
from the others would determine its coefficient."""


class Logistic:
    """Holds a logistic regression of standardised features. A missing value counts as the mean.

    Args:
        rows: The rows to train on.
        seed: Unused: nothing is drawn at random.
    """

    def __init__(self, rows: Rows, seed: int) -> None:  # noqa: ARG002 - both kinds are made alike
        self.settings = dict(SETTINGS)
        values = rows.features.astype(np.float64)
        self._shapes = ["log" if _is_wide(column) else "identity" for column in values.T]
        shaped = self._shaped(values)
        with_values = (~np.isnan(shaped)).any(axis=0)
        self._means = np.zeros(len(self._shapes))
        self._scales = np.ones(len(self._shapes))
        self._means[with_values] = np.nanmean(shaped[:, with_values], axis=0)
        scales = np.nanstd(shaped[:, with_values], axis=0)
        self._scales[with_values] = np.where(scales > 0, scales, 1)
        self._model = LogisticRegression(**SETTINGS).fit(self._standardised(values), rows.labels)

    def _shaped(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        is_log = np.array([shape == "log" for shape in self._shapes])
        return np.where(is_log, np.copysign(np.log1p(np.abs(values)), values), values)

    def _standardised(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        standardised = (self._shaped(values) - self._means) / self._scales
        return np.where(np.isnan(standardised), 0.0, standardised)

    def margins(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Computes the margin of each row."""
        margins: NDArray[np.float64] = self._model.decision_function(self._standardised(features.astype(np.float64)))
        return margins

    def text(self) -> str:
        """Returns the model as JSON."""
        return json.dumps(
            {
                "coefficients": self._model.coef_[0].tolist(),
                "intercept": float(self._model.intercept_[0]),
                "means": self._means.tolist(),
                "scales": self._scales.tolist(),
                "shapes": self._shapes,
            }
        )


def _is_wide(column: NDArray[np.float64]) -> bool:
    """Returns whether a feature has few values that are far greater than the others."""
    values = column[~np.isnan(column)]
    if not len(values) or np.abs(values).max() <= WIDE:
        return False
    deviation = values.std()
    return bool(deviation > 0 and abs((((values - values.mean()) / deviation) ** 3).mean()) > SKEWED)
