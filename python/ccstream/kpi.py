"""Figures over series, and over NumPy columns of one's own.

Example:
    >>> import numpy as np
    >>> from ccstream import kpi
    >>> columns = {"shop": np.array([1, 1, 2]), "cents": np.array([100, 300, 50])}
    >>> kpi.aggregate(columns, by="shop", measures={"n": "count", "total": ("cents", "sum")})["total"].tolist()
    [400.0, 50.0]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ccstream.declared import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

__all__ = ["DIMENSIONS", "aggregate", "change", "ewma", "rolling_mean"]


def aggregate(
    columns: Mapping[str, npt.NDArray[Any]],
    *,
    by: str,
    measures: Mapping[str, str | tuple[str, str]],
) -> dict[str, npt.NDArray[Any]]:
    """Groups rows by a column and measures others, in one parallel pass and without copying the columns.

    Args:
        columns: one-dimensional, contiguous arrays of one length. ``by`` is int64 (codes, ids, minutes); what is
            measured is int64 or float64, NaN counting as absent.
        by: the name of the column to group by.
        measures: for each name of the result ``"count"``, or a column with ``"sum"``, ``"mean"``, ``"min"``, ``"max"``,
            ``"p50"``, ``"p95"``, ``"p99"`` (exact: the value at that rank, as ``percentile_disc``) or ``"distinct"``.

    Returns:
        ``by``: the groups in rising order (int64, length n), and each measure (float64, length n; NaN for a group
        without values).

    Raises:
        ConfigError: a column is missing, or of another type or length; a measure is unknown.
    """
    from ccstream._ccstream import aggregate as aggregate_columns  # noqa: PLC0415

    wanted = [(name, *(("", what) if isinstance(what, str) else what)) for name, what in measures.items()]
    return aggregate_columns(dict(columns), by, wanted)


def change(now: float | None, before: float | None) -> float | None:
    """How much more now is than before, as a share of it: 0.1 is a tenth more. None where nothing can be said."""
    if now is None or before is None or not before:
        return None
    return (now - before) / abs(before)


def rolling_mean(values: npt.NDArray[np.float64], window: int) -> npt.NDArray[np.float64]:
    """The mean of each value and those before it, ``window`` in all; of as many as there are at the beginning.

    Raises:
        ValueError: the window is not at least 1.
    """
    import numpy as np  # noqa: PLC0415

    if window < 1:
        raise ValueError(f"window: {window} is not at least 1")
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=float)])
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(ends - window, 0)
    means: npt.NDArray[np.float64] = (sums[ends] - sums[begins]) / (ends - begins)
    return means


def ewma(values: npt.NDArray[np.float64], half_life: float) -> npt.NDArray[np.float64]:
    """The exponentially weighted mean: what lies ``half_life`` values back counts half.

    ``y[0] = x[0]``, ``y[i] = a * x[i] + (1 - a) * y[i - 1]`` with ``a = 1 - 0.5 ** (1 / half_life)`` (S. W. Roberts,
    "Control Chart Tests Based on Geometric Moving Averages", Technometrics 1(3), 1959).

    Raises:
        ValueError: the half-life is not positive.
    """
    import numpy as np  # noqa: PLC0415

    if not half_life > 0:
        raise ValueError(f"half_life: {half_life} is not positive")
    weight = 1 - 0.5 ** (1 / half_life)
    found = np.asarray(values, dtype=float).copy()
    for at in range(1, len(found)):
        found[at] = weight * found[at] + (1 - weight) * found[at - 1]
    return found
