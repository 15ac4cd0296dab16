"""Figures over series and over columns of one's own, and amounts of money.

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
"""Of every amount in ``orders``, whatever its currency."""
_MOST_DIGITS = 30
_EXACT = Context(prec=_MOST_DIGITS + 10, traps=[Inexact])


def aggregate(
    data: object,
    *,
    by: str,
    measures: Mapping[str, str | tuple[str, str]],
) -> dict[str, npt.NDArray[Any]]:
    """Groups rows by a column and measures others, in one parallel pass.

    Contiguous arrays of int64 and float64 are read where they are, without a copy. So are such columns of pandas, and
    those of Arrow that are in one piece and have no nulls. Other types of numbers are converted.

    Args:
        data: a mapping of arrays of one length, or a DataFrame: of pandas, or of another library that offers
            ``__arrow_c_stream__`` (polars, DuckDB; this needs pyarrow) or ``__dataframe__`` (pyarrow or pandas).
        by: the name of the column to group by: whole numbers or text. Rows without a value (None, NaN, null) are the
            group None.
        measures: for each name of the result ``"count"``, or a column with ``"sum"``, ``"mean"``, ``"min"``, ``"max"``,
            ``"p50"``, ``"p95"``, ``"p99"`` (exact: the value at that rank, as ``percentile_disc``) or ``"distinct"``
            (of text, too). NaN and null are absent values.

    Returns:
        ``by``: the groups in rising order, None last (int64; objects if they are text or one is None; length n). Each
        measure: its figures (float64, length n; NaN for a group without values).

    Raises:
        ConfigError: a column is missing, or of another type or length; a measure is unknown; the data cannot be read.
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
    """Converts cents, in which answers have all amounts, to units of their currency.

    Args:
        cents: one amount or several. Amounts in ``orders`` have two decimals in every currency, the yen too.

    Returns:
        An int becomes a ``Decimal`` with two decimals, exactly; a float (a mean, or a percentile of a group) a float;
        an array, a list or a Series one of floats. None stays None, and becomes NaN in a list; NaN stays NaN.

    Example:
        >>> units(1250)
        Decimal('12.50')
    """
    if isinstance(cents, Integral):
        # Not a quotient, which is rounded to the context's precision.
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
        amount: the amount; of a float, the decimal number that it is written as.

    Returns:
        The cents; None for None.

    Raises:
        ConfigError: it is not a number, or has more than two decimals.

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
        raise ConfigError(f"amount: {amount} is not an amount", 2)
    try:
        return int(number.scaleb(_DECIMALS, _EXACT).to_integral_exact(context=_EXACT))
    except Inexact:
        raise ConfigError(f"amount: {amount} has more than two decimals", 2) from None


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
