"""Finds segments by k-means, continues them in a later run, and names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ccstream.segments.features import Feature

    Array = NDArray[np.float64]
    Labels = NDArray[np.int64]

SEED = 1
"""The seed of the starts of k-means and of the samples."""
STARTS = 10
"""The number of starts of which the best one counts."""
FEWEST, MOST = 4, 8
"""The bounds of the number of segments that is chosen without ``--segments``."""
EACH = 5
"""The number of members that there must be for each segment."""
SAMPLE = 2_000
"""The number of members by which a number of segments is judged."""
FAR = 3.0
"""Scaled features are at least minus this, and at most this."""
APART = 0.5
"""How far a segment's mean must be from that of all members to be named by the feature, in scaled units."""
WORDS = 3
"""The most words in a name, unless two segments differ only in later words."""


@dataclass(frozen=True)
class Scale:
    """Makes features comparable: it subtracts the median, and divides by the spread of the middle half, by weight.

    Attributes:
        middle: The median of each feature.
        width: The interquartile range divided by 1.349, which is the standard deviation of a normal distribution; the
            standard deviation if the range is 0; and 0 for a feature that is the same for all members.
    """

    middle: Array
    width: Array

    @classmethod
    def of(cls, features: Array, weights: Array) -> Scale:
        """Returns the scale of some members."""
        low, middle, high = np.column_stack([_quartiles(column, weights) for column in features.T])
        width = (high - low) / 1.349
        tiny = 1e-9 * np.maximum(np.abs(middle), 1)
        mean = np.average(features, axis=0, weights=weights)
        deviation = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weights))
        width = np.where(width > tiny, width, deviation)
        return cls(middle, np.where(width > tiny, width, 0.0))

    def apply(self, features: Array) -> Array:
        """Returns scaled features. A feature that was the same for all members is 0."""
        width = np.where(self.width > 0, self.width, np.inf)
        scaled: Array = np.clip((features - self.middle) / width, -FAR, FAR)
        return scaled


def found(scaled: Array, weights: Array, segments: int) -> Array:
    """Returns the centres of new segments, that of the most members first."""
    centres: Array = _fit(scaled, weights, n_clusters=segments, n_init=STARTS, random_state=SEED).cluster_centers_
    members = np.bincount(nearest(scaled, centres), minlength=segments)
    return centres[np.argsort(-members, kind="stable")]


def continued(scaled: Array, weights: Array, centres: Array) -> Array:
    """Returns the centres of earlier segments, moved to where their members are now. One without members stays."""
    moved = centres.copy()
    occupied = np.unique(nearest(scaled, centres))
    fit = _fit(scaled, weights, n_clusters=len(occupied), n_init=1, init=centres[occupied])
    moved[occupied] = fit.cluster_centers_
    return moved


def choose(scaled: Array, weights: Array, known: NDArray[np.bool_]) -> int:
    """Chooses the number of segments, from 4 to 8: the one with the greatest silhouette, found on a sample.

    With few members, there are fewer segments: one for each five members.

    Args:
        scaled: The scaled features.
        weights: The weights of the members.
        known: By which members the segments are judged.
    """
    sample = _sample(len(scaled))
    most = min(MOST, len(scaled) // EACH, len(np.unique(scaled[sample], axis=0)) - 1)
    if most <= FEWEST:
        return max(most, 1)
    scores = {
        number: silhouette(scaled[known], found(scaled[sample], weights[sample], number))
        for number in range(FEWEST, most + 1)
    }
    return max(scores, key=lambda number: (scores[number], -number))


def silhouette(scaled: Array, centres: Array) -> float:
    """Returns the mean silhouette of a sample: 1 for groups far apart, 0 for a cloud cut into pieces."""
    sample = scaled[_sample(len(scaled))]
    labels = nearest(sample, centres)
    if not 1 < len(np.unique(labels)) < len(sample):
        return 0.0
    with threadpool_limits(1):
        return float(silhouette_score(sample, labels))


def distances(scaled: Array, centres: Array) -> Array:
    """Returns the distance of each member from each centre."""
    return np.column_stack([np.sqrt(((scaled - centre) ** 2).sum(axis=1)) for centre in centres])


def nearest(scaled: Array, centres: Array) -> Labels:
    """Returns the index of the nearest centre of each member; of equally near ones, the first."""
    labels: Labels = distances(scaled, centres).argmin(axis=1)
    return labels


def names(apart: Array, features: Sequence[Feature]) -> list[str]:
    """Names segments by the features that set them apart, the one that does most first.

    Args:
        apart: How far each segment is from all members, by feature.
        features: The features.
    """
    words = [_words(mine, features) for mine in apart]
    made: list[str] = []
    for number, mine in enumerate(words):
        others = [other for at, other in enumerate(words) if at != number]
        length = min(WORDS, len(mine))
        while length < len(mine) and any(other[:length] == mine[:length] for other in others):
            length += 1
        made.append(", ".join(mine[:length]) or "ordinary")
    return [name if made.count(name) == 1 else f"{name} ({made[:at].count(name) + 1})" for at, name in enumerate(made)]


def _words(apart: Array, features: Sequence[Feature]) -> list[str]:
    """Returns the words for the features that are at least :data:`APART`, the greatest difference first."""
    chosen = []
    for at in np.argsort(-np.abs(apart), kind="stable"):
        word = features[at].high if apart[at] > 0 else features[at].low
        if abs(apart[at]) >= APART and word:
            chosen.append(word)
    return chosen


def _quartiles(values: Array, weights: Array) -> Array:
    """Returns the values below which a quarter, a half and three quarters of the weight are."""
    order = np.argsort(values, kind="stable")
    sums = np.cumsum(weights[order])
    found: Array = values[order[np.searchsorted(sums, np.array([0.25, 0.5, 0.75]) * sums[-1])]]
    return found


def _sample(members: int) -> Labels:
    """Returns the indices of at most :data:`SAMPLE` members, chosen by the seed, in their order."""
    return np.sort(np.random.default_rng(SEED).permutation(members)[:SAMPLE])


def _fit(scaled: Array, weights: Array, **settings: Any) -> KMeans:  # noqa: ANN401
    """Runs k-means until nothing changes. One thread adds in one order, so the centres are the same to the last bit."""
    with threadpool_limits(1):
        return KMeans(tol=0, max_iter=300, algorithm="lloyd", **settings).fit(scaled, sample_weight=weights)
