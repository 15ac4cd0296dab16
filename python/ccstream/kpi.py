"""Computes figures over series and over your own columns, and converts amounts of money.

Example:
    >>> import numpy as np
    >>> from ccstream import kpi
    >>> data = {"shop": np.array(["Rome", "Rome", "Oslo"]), "cents": np.array([100, 300, 50])}
    >>> found = kpi.aggregate(data, by="shop", measures={"n": "count", "total": ("cents", "sum")})
    >>> dict(zip(found["shop"], kpi.units(found["total"]).tolist()))
    {'Oslo': 0.5, 'Rome': 4.0}
"""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation
from numbers import Integral
from typing import TYPE_CHECKING, Any, overload

from ccstream.declared import DIMENSIONS
from ccstream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt
    import pandas as pd

__all__ = ["DIMENSIONS", "aggregate", "cents", "change", "ewma", "rolling_mean", "units"]

_DECIMALS = 2
"""The number of decimals of every amount in ``orders``, whatever its currency."""
_MOST_DIGITS = 30
_EXACT = Context(prec=_MOST_DIGITS + 10, traps=[Inexact])


def aggregate(
    data: object,
    *,
    by: str,
    measures: Mapping[str, str | tuple[str, str]],
) -> dict[str, npt.NDArray[Any]]:
    """Groups rows by a column and measures other columns, in one parallel pass.

    Contiguous arrays of int64 and float64 are read without a copy. So are such columns of pandas, and Arrow columns
    that have one chunk and no nulls. Other types of numbers are converted.

    Args:
        data: a mapping of arrays of the same length, or a DataFrame of pandas or of another library that offers
            ``__arrow_c_stream__`` (polars, DuckDB; this needs pyarrow) or ``__dataframe__`` (pyarrow or pandas).
        by: the name of the column to group by. It holds whole numbers or text. Rows without a value (None, NaN, null)
            form the group None.
        measures: maps each name in the result to ``"count"``, or to a column and one of ``"sum"``, ``"mean"``,
            ``"min"``, ``"max"``, ``"p50"``, ``"p95"``, ``"p99"`` (exact, as PostgreSQL's ``percentile_disc``) or
            ``"distinct"`` (for text, too). NaN and null are absent values.

    Returns:
        The groups under the name in ``by``, in rising order, None last (int64; objects if they are text or one is
        None; length n). Each measure under its name (float64, length n; NaN for a group without values).

    Raises:
        ConfigError: a column is missing or has a wrong type or length, a measure is unknown, or the data cannot be
            read.
    """
    import numpy as np  # noqa: PLC0415

    from ccstream._ccstream import aggregate as aggregate_columns  # noqa: PLC0415
    from ccstream.frames import Frame  # noqa: PLC0415

    frame = Frame(data)
    codes, keys = frame.keys(by)
    wanted: list[tuple[npt.NDArray[Any] | None, str]] = []
    for what in measures.values():
        column, measure = ("", what) if isinstance(what, str) else what
        values = frame.distinct if measure == "distinct" else frame.numbers
        wanted.append((None if measure == "count" else values(column), measure))
    groups, figures = aggregate_columns(codes, wanted)
    found: dict[str, npt.NDArray[Any]] = {by: groups}
    found.update(zip(measures, figures, strict=True))
    if keys is None:
        return found
    named = [None if code < 0 else keys[code] for code in groups.tolist()]
    order = sorted(range(len(named)), key=lambda at: (named[at] is None, named[at]))
    found[by] = np.empty(len(named), dtype=object)
    found[by][:] = named
    return {name: column[order] for name, column in found.items()}


@overload
def units(cents: None) -> None: ...
@overload
def units(cents: int | np.integer[Any]) -> Decimal: ...
@overload
def units(cents: float | np.floating[Any]) -> float: ...
@overload
def units(cents: pd.Series[Any]) -> pd.Series[float]: ...
@overload
def units(cents: npt.NDArray[Any] | Sequence[float | None]) -> npt.NDArray[np.float64]: ...
def units(cents: Any) -> Any:
    """Converts cents to units of their currency. Answers of the engine have all amounts in cents.

    Args:
        cents: one amount or several. Amounts in ``orders`` have two decimals in every currency, even the yen.

    Returns:
        A ``Decimal`` with two decimals for an int, exactly; a float for a float (a mean, or a percentile of a group);
        an array of floats for an array or a list; a Series for a Series. None stays None, and becomes NaN in a list;
        NaN stays NaN.

    Example:
        >>> units(1250)
        Decimal('12.50')
    """
    if isinstance(cents, Integral):
        # A quotient would be rounded to the context's precision; reading the text is exact.
        return Decimal(f"{int(cents)}e-{_DECIMALS}")
    if isinstance(cents, list | tuple):
        import numpy as np  # noqa: PLC0415

        return np.array(cents, dtype=float) / 10**_DECIMALS
    return None if cents is None else cents / 10**_DECIMALS


@overload
def cents(amount: None) -> None: ...
@overload
def cents(amount: Decimal | str | float) -> int: ...
def cents(amount: Decimal | str | float | None) -> int | None:
    """Converts an amount in units of a currency to cents, exactly.

    Args:
        amount: the amount. A float stands for the decimal number that Python prints for it.

    Returns:
        The cents; None for None.

    Raises:
        ConfigError: the amount is not a number, is too large, or has more than two decimals.

    Example:
        >>> cents("12.50"), cents(0.29)
        (1250, 29)
    """
    if amount is None:
        return None
    try:
        number = Decimal(str(amount))
    except InvalidOperation:
        raise ConfigError(f"amount: {amount!r} is not a number", 2) from None
    if not number.is_finite() or number.adjusted() > _MOST_DIGITS:
        raise ConfigError(f"amount: {amount} is not finite, or is too large", 2)
    try:
        return int(number.scaleb(_DECIMALS, _EXACT).to_integral_exact(context=_EXACT))
    except Inexact:
        raise ConfigError(f"amount: {amount} has more than two decimals", 2) from None


def change(now: float | None, before: float | None) -> float | None:
    """Returns the relative change from ``before`` to ``now``. None if either is missing or ``before`` is 0.

    Example:
        >>> change(110, 100)
        0.1
    """
    if now is None or before is None or not before:
        return None
    return (now - before) / abs(before)


def rolling_mean(values: npt.NDArray[np.float64], window: int) -> npt.NDArray[np.float64]:
    """Returns the mean of each value and the ``window - 1`` values before it, or of as many as there are.

    Args:
        values: the series (length n).
        window: the number of values in each mean.

    Returns:
        The means (float64, length n).

    Raises:
        ValueError: the window is below 1.

    Example:
        >>> import numpy as np
        >>> rolling_mean(np.array([1.0, 2.0, 6.0]), 2).tolist()
        [1.0, 1.5, 4.0]
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
    """Returns the exponentially weighted mean, in which a value ``half_life`` places back has half the weight.

    ``y[0] = x[0]``, ``y[i] = a * x[i] + (1 - a) * y[i - 1]`` with ``a = 1 - 0.5 ** (1 / half_life)`` (S. W. Roberts,
    "Control Chart Tests Based on Geometric Moving Averages", Technometrics 1(3), 1959).

    Args:
        values: the series (length n).
        half_life: the number of places after which a value has half the weight.

    Returns:
        The weighted means (float64, length n).

    Raises:
        ValueError: the half-life is not positive.

    Example:
        >>> import numpy as np
        >>> ewma(np.array([1.0, 3.0, 3.0]), half_life=1).tolist()
        [1.0, 2.0, 2.5]
    """
    import numpy as np  # noqa: PLC0415

    if not half_life > 0:
        raise ValueError(f"half_life: {half_life} is not positive")
    weight = 1 - 0.5 ** (1 / half_life)
    found = np.asarray(values, dtype=float).copy()
    for at in range(1, len(found)):
        found[at] = weight * found[at] + (1 - weight) * found[at - 1]
    return found
