"""Decides which members change their segment. A member moves only if it was clearly nearer elsewhere three times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLEARLY = 0.8
"""Another centre is clearly nearer if its distance is below this multiple of that of the member's own centre."""
RUNS = 3
"""The number of runs in a row after which a member moves."""
NEW = -1
"""The segment of a member that has none yet."""


@dataclass(frozen=True)
class Places:
    """Holds where members are.

    Attributes:
        labels: The index of the segment of each member; :data:`NEW` for a member without one.
        streaks: In how many runs in a row, up to now, another segment was clearly nearer.
    """

    labels: NDArray[np.int64]
    streaks: NDArray[np.int64]


def move(before: Places, distances: NDArray[np.float64], *, is_later: bool) -> Places:
    """Returns where members are after a run.

    Args:
        before: Where they were.
        distances: The distance of each member from each centre.
        is_later: Whether the run is of a later time than the one before. A run of the same time is no further
            evidence: it moves nobody, and only assigns new members.
    """
    nearest = distances.argmin(axis=1)
    is_new = before.labels == NEW
    own = distances[np.arange(len(distances)), np.where(is_new, nearest, before.labels)]
    clearly = distances.min(axis=1) < CLEARLY * own
    streaks = np.where(clearly, before.streaks + 1, 0) if is_later else before.streaks
    moves = is_new | (streaks >= RUNS)
    return Places(np.where(moves, nearest, before.labels), np.where(moves, 0, streaks))
