"""Defines the rows from which a model is trained, and selects periods of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ccstream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DAY = 86_400_000_000
"""Microseconds."""


@dataclass(frozen=True)
class Rows:
    """Holds one row for each transaction.

    Attributes:
        features: The features, a column each, in single precision; NaN is a missing value.
        labels: Whether the transaction is known to be a fraud.
        times: The event time, in microseconds since 1970 UTC.
        names: The names of the features.
        version: The version of the features' definitions.
        cards: A number for each card, for the quality by card; None if it is not wanted.

    Raises:
        ConfigError: the arrays differ in length, or a feature is infinite.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.bool_]
    times: NDArray[np.int64]
    names: Sequence[str]
    version: str
    cards: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        features = np.ascontiguousarray(self.features, dtype=np.float32)
        labels = np.asarray(self.labels, dtype=np.bool_)
        times = np.asarray(self.times, dtype=np.int64)
        if features.ndim != 2 or features.shape[1] != len(self.names):  # noqa: PLR2004 - rows and columns
            raise ConfigError(
                f"features: its shape is {features.shape}; it needs one column for each of {len(self.names)} names", 2
            )
        columns: dict[str, NDArray[Any]] = {"labels": labels, "times": times}
        if self.cards is not None:
            columns["cards"] = np.asarray(self.cards, dtype=np.int64)
        for name, column in columns.items():
            if column.shape != (len(features),):
                raise ConfigError(f"{name}: its shape is {column.shape}; features has {len(features)} rows", 2)
        if np.isinf(features).any():
            name = self.names[int(np.isinf(features).any(axis=0).argmax())]
            raise ConfigError(f"features: {name} has an infinite value; NaN is a missing value", 2)
        for name, column in [("features", features), *columns.items()]:
            object.__setattr__(self, name, column)

    def __len__(self) -> int:
        return len(self.times)

    @property
    def frauds(self) -> int:
        """The number of known frauds."""
        return int(self.labels.sum())

    def take(self, chosen: NDArray[Any] | slice) -> Rows:
        """Returns the rows of a mask, of indices or of a slice."""
        cards = None if self.cards is None else self.cards[chosen]
        return Rows(self.features[chosen], self.labels[chosen], self.times[chosen], self.names, self.version, cards)

    def between(self, begin: int, end: int) -> Rows:
        """Returns the rows from ``begin``, before ``end``. It copies nothing if the rows are in the order of time."""
        if (self.times[1:] >= self.times[:-1]).all():
            first, last = np.searchsorted(self.times, [begin, end])
            return self.take(slice(int(first), int(last)))
        return self.take((self.times >= begin) & (self.times < end))

    def sample(self, others_per_fraud: int, seed: int) -> Rows:
        """Returns all frauds and a random sample of the other rows, in their order."""
        others = np.flatnonzero(~self.labels)
        count = min(len(others), max(1, self.frauds) * others_per_fraud)
        chosen = np.random.default_rng(seed).permutation(len(others))[:count]
        return self.take(np.sort(np.concatenate([np.flatnonzero(self.labels), others[chosen]])))
