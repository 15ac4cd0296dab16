"""Measures how surprising a change of a count or of a share is.

Both are transformed to a scale on which their variance does not depend on their size. A change is then in standard
deviations of what chance alone does: about 0 without a change, and beyond 4 once in 16,000 times.

F. J. Anscombe, "The transformation of Poisson, binomial and negative-binomial data", Biometrika 35, 1948.
M. F. Freeman and J. W. Tukey, "Transformations related to the angular and the square root", Annals of Mathematical
Statistics 21, 1950.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = "npt.NDArray[np.float64] | npt.NDArray[np.int64] | float"
Scores: TypeAlias = "npt.NDArray[np.float64]"


def of_counts(now: Numbers, then: Numbers) -> Scores:
    """Returns the change of counts, which are Poisson distributed if chance alone decides.

    ``2 (sqrt(now + 3/8) - sqrt(then + 3/8)) / sqrt(2)`` (Anscombe 1948). Each root, doubled, has a variance of about 1.

    Args:
        now: the counts (length n).
        then: the counts before (length n).

    Example:
        >>> round(float(of_counts(100, 100)), 1), round(float(of_counts(144, 100)), 1)
        (0.0, 2.8)
    """
    found: Scores = np.sqrt(2) * (np.sqrt(np.add(now, 0.375)) - np.sqrt(np.add(then, 0.375)))
    return found


def of_shares(now: Numbers, all_now: Numbers, then: Numbers, all_then: Numbers) -> Scores:
    """Returns the change of shares.

    The difference of the angles ``asin(sqrt(x / (n + 1))) + asin(sqrt((x + 1) / (n + 1)))``, divided by its standard
    deviation. The variance of an angle is about ``1 / (n + 1/2)`` (Freeman and Tukey 1950).

    Args:
        now: the number of those that are counted, such as approved transactions (length n).
        all_now: the number of all, of at least that size (length n).
        then: the number of those that were counted before (length n).
        all_then: the number of all before (length n).

    Example:
        >>> round(float(of_shares(71, 100, 92, 100)), 1)
        -3.9
    """
    found: Scores = (_angle(now, all_now) - _angle(then, all_then)) / np.sqrt(_variance(all_now) + _variance(all_then))
    return found


def beside(part: tuple[Numbers, Numbers, Numbers, Numbers], rest: tuple[Numbers, Numbers, Numbers, Numbers]) -> Scores:
    """Returns the change of shares of a part beyond that of the rest, on the same scale.

    Args:
        part: the four arguments of :func:`of_shares` for the part.
        rest: those for all others.
    """
    moves = [_angle(x, n) - _angle(y, m) for x, n, y, m in (part, rest)]
    variance = sum(_variance(n) + _variance(m) for _, n, _, m in (part, rest))
    found: Scores = (moves[0] - moves[1]) / np.sqrt(variance)
    return found


def smaller(one: Scores, other: Scores) -> Scores:
    """Returns the change that is closer to 0; 0 where they have opposite signs."""
    found: Scores = np.where(one * other > 0, np.sign(one) * np.minimum(np.abs(one), np.abs(other)), 0.0)
    return found


def _angle(some: Numbers, of: Numbers) -> Scores:
    angle: Scores = np.arcsin(np.sqrt(np.divide(some, np.add(of, 1)))) + np.arcsin(
        np.sqrt(np.divide(np.add(some, 1), np.add(of, 1)))
    )
    return angle


def _variance(of: Numbers) -> Scores:
    found: Scores = 1 / np.add(of, 0.5)
    return found
