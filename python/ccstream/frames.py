"""Reads columns and rows of DataFrames, and converts answers to pandas DataFrames.

It uses pandas and pyarrow where they are installed; neither is required.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from ccstream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import tzinfo
    from types import ModuleType

    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Codes: TypeAlias = npt.NDArray[np.int64]

_LARGEST = 2**63 - 1
_OTHERS = "other_"
"""With this begin the names of a grouping's entries that exist once, not for each key."""


class Frame:
    """Gives access to the columns of a mapping of arrays or of any DataFrame. It copies numbers only where it must.

    Raises:
        ConfigError: the data is neither, or no installed library can read it.
    """

    def __init__(self, data: object) -> None:
        self._columns: Any = _columns(data)

    def numbers(self, name: str) -> npt.NDArray[Any]:
        """Returns a column of numbers as contiguous int64, or as float64 in which NaN is an absent value.

        Raises:
            ConfigError: the column is missing or does not hold numbers.
        """
        column = self._column(name)
        if _is_of("pandas", column):
            column = _numbers_of_pandas(column)
        elif _is_of("pyarrow", column):
            column = _numbers_of_arrow(column)
        values = None if column is None else _contiguous(_array(name, column))
        if values is None:
            raise ConfigError(f"data: {name} is not a column of numbers", 2)
        return values

    def keys(self, name: str) -> tuple[Codes, list[Any] | None]:
        """Returns a column to group by as whole numbers.

        Returns:
            One number for each row, and a list of keys. With a list, each number is an index into it, and a negative
            one means that the row has no key. Without a list (None), the numbers are the keys.

        Raises:
            ConfigError: the column is missing, or holds neither whole numbers nor text.
        """
        column = self._column(name)
        encoded = None
        if _is_of("pandas", column):
            encoded = _keys_of_pandas(column)
        elif _is_of("pyarrow", column):
            encoded = _keys_of_arrow(column)
        else:
            column = _array(name, column)
            if column.dtype.kind in "OSTU":
                encoded = _encoded(column.tolist())
        if encoded is not None:
            return _distinct(name, *encoded)
        values = self.numbers(name)
        if values.dtype.kind != "i":
            raise ConfigError(f"by: {name} has neither whole numbers nor text", 2)
        return values, None

    def distinct(self, name: str) -> npt.NDArray[Any]:
        """Returns a column whose distinct values are counted. Text becomes one number for each distinct value."""
        import numpy as np  # noqa: PLC0415

        try:
            return self.numbers(name)
        except ConfigError:
            codes, names = self.keys(name)
            return codes if names is None else np.where(codes < 0, np.nan, codes)

    def _column(self, name: str) -> Any:  # noqa: ANN401
        try:
            column = self._columns[name]
        except KeyError:
            raise ConfigError(f"data: {name} is not among the columns", 2) from None
        if any(_is_of(library, column) for library in ("numpy", "pandas", "pyarrow")):
            return column
        if hasattr(column, "__arrow_c_stream__") and (arrow := _library("pyarrow")):
            return arrow.chunked_array(column)
        return column


def messages(transactions: object) -> Iterator[bytes]:
    """Encodes transactions, for ``Detector.score``, as the messages that a producer sends.

    Args:
        transactions: an iterable of mappings, or a DataFrame, whose missing values become absent fields.

    Raises:
        ConfigError: the transactions are neither, no installed library can read them, or a value cannot be encoded.
    """
    encode = json.JSONEncoder(ensure_ascii=False, default=_plain).encode
    for index, row in enumerate(_rows(transactions)):
        if not isinstance(row, Mapping):
            raise ConfigError(f"transactions: index {index}: pass a mapping, not {type(row).__name__}", 2)
        try:
            yield encode(dict(row)).encode()
        except (TypeError, ValueError) as error:
            raise ConfigError(f"transactions: index {index}: {error}", 2) from None


def to_pandas(name: str, table: Mapping[str, Any], zone: tzinfo | None) -> pd.DataFrame:
    """Converts a grouping of an answer to a DataFrame, for ``KpiAnswer.to_pandas``.

    Raises:
        ConfigError: pandas is not installed.
    """
    if _library("pandas") is None:
        raise ConfigError("to_pandas: pandas is not installed; pip install pandas", 2)
    import pandas as pd  # noqa: PLC0415

    def moments(values: npt.NDArray[np.datetime64], name: str | None = None) -> pd.DatetimeIndex:
        found = pd.DatetimeIndex(values, name=name).tz_localize("UTC")
        return found if zone is None else found.tz_convert(zone)

    kind, _, dimension = name.rpartition(":")
    if kind == "trend":
        index = pd.Index(table["key"], dtype=object, name=dimension)
        frame = pd.DataFrame(table["counts"], index=index, columns=moments(table["time"], "time"))
    else:
        columns = {key: values for key, values in table.items() if key != "key" and not key.startswith(_OTHERS)}
        if name == "time":
            index = moments(table["key"], name)
            columns["end"] = moments(columns["end"])
        else:
            keys = table["key"]
            index = pd.Index(keys, dtype=object if isinstance(keys, list) else None, name=name)
        frame = pd.DataFrame(columns).set_index(index)
    frame.attrs.update({key: value for key, value in table.items() if key.startswith(_OTHERS)})
    return frame


def _library(name: str) -> ModuleType | None:
    """Imports a library; returns None if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _is_of(library: str, value: object) -> bool:
    """Returns whether the value's class belongs to a library. This does not import the library."""
    return library in sys.modules and type(value).__module__.partition(".")[0] == library


def _columns(data: object, argument: str = "data") -> Any:  # noqa: ANN401
    """Returns an object that has columns by name: a mapping, a pandas DataFrame or a pyarrow Table."""
    if isinstance(data, Mapping) or (_is_of("pandas", data) and hasattr(data, "columns")):
        return data
    if hasattr(data, "__arrow_c_stream__") and (arrow := _library("pyarrow")):
        return arrow.table(data)
    if hasattr(data, "__dataframe__"):
        for module in ("pyarrow.interchange", "pandas.api.interchange"):
            if library := _library(module):
                return library.from_dataframe(data)
    kind = type(data).__name__
    if hasattr(data, "__arrow_c_stream__") or hasattr(data, "__dataframe__"):
        raise ConfigError(f"{argument}: reading a {kind} needs pyarrow; pip install pyarrow", 2)
    raise ConfigError(f"{argument}: pass a mapping of arrays or a DataFrame, not {kind}", 2)


def _rows(transactions: object) -> Iterable[object]:
    """Returns the rows of a DataFrame without their missing values, or the elements of any other iterable."""
    if _is_of("pandas", transactions) or hasattr(transactions, "__arrow_c_stream__"):
        return _rows_of_frame(_columns(transactions, "transactions"))
    if isinstance(transactions, Iterable) and not isinstance(transactions, Mapping | str | bytes):
        return transactions
    kind = type(transactions).__name__
    raise ConfigError(f"transactions: pass an iterable of mappings or a DataFrame, not {kind}", 2)


def _rows_of_frame(frame: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    rows = frame.to_dict("records") if _is_of("pandas", frame) else frame.to_pylist()
    for row in rows:
        yield {name: value for name, value in row.items() if not _is_absent(value)}


def _plain(value: object) -> object:
    """Returns a value that JSON has, for one that it does not have: a time, a decimal number, a number of NumPy."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if _is_of("numpy", value) and hasattr(value, "item"):
        return value.item()
    raise TypeError(f"a {type(value).__name__} cannot be a field of a transaction")


def _array(name: str, column: object) -> npt.NDArray[Any]:
    """Returns a column of a mapping as an array of one dimension."""
    import numpy as np  # noqa: PLC0415

    values = np.asarray(column)
    if values.ndim != 1:
        raise ConfigError(f"data: {name} has {values.ndim} dimensions; a column has one", 2)
    return values


def _contiguous(values: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """Returns numbers as contiguous int64 or float64, without a copy if they are already so; None for other types."""
    import numpy as np  # noqa: PLC0415

    kind = values.dtype.kind
    if kind == "u" and values.size and int(values.max()) > _LARGEST:
        kind = "f"
    if kind not in "biuf":
        return None
    return np.ascontiguousarray(values, dtype=np.float64 if kind == "f" else np.int64)


def _numbers_of_pandas(column: Any) -> npt.NDArray[Any] | None:  # noqa: ANN401
    import pandas as pd  # noqa: PLC0415

    dtype = column.dtype
    if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_complex_dtype(dtype):
        return None
    if pd.api.types.is_extension_array_dtype(dtype) and column.isna().any():
        return column.to_numpy(dtype="float64", na_value=float("nan"))  # type: ignore[no-any-return]
    values: npt.NDArray[Any] = column.to_numpy()
    # pandas holds Decimal values as objects, which are not read as numbers.
    return None if values.dtype.kind == "O" else values


def _keys_of_pandas(column: Any) -> tuple[Codes, list[Any]] | None:  # noqa: ANN401
    import pandas as pd  # noqa: PLC0415

    if isinstance(column.dtype, pd.CategoricalDtype):
        categorical = column.array if hasattr(column, "array") else column
        return categorical.codes.astype("int64"), categorical.categories.tolist()
    if pd.api.types.is_float_dtype(column.dtype):
        return None
    if pd.api.types.is_numeric_dtype(column.dtype) and not column.isna().any():
        return None
    codes, names = pd.factorize(column)
    return codes.astype("int64"), names.tolist()


def _numbers_of_arrow(column: Any) -> npt.NDArray[Any] | None:  # noqa: ANN401
    import pyarrow as pa  # noqa: PLC0415

    is_of = pa.types
    if not (is_of.is_integer(column.type) or is_of.is_floating(column.type) or is_of.is_boolean(column.type)):
        return None
    if is_of.is_boolean(column.type):
        column = column.cast(pa.int64())
    if isinstance(column, pa.ChunkedArray) and column.num_chunks == 1:
        column = column.chunk(0)
    if isinstance(column, pa.ChunkedArray):
        pieces: npt.NDArray[Any] = column.to_numpy()
        return pieces
    values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values


def _keys_of_arrow(column: Any) -> tuple[Codes, list[Any]] | None:  # noqa: ANN401
    import pyarrow as pa  # noqa: PLC0415

    is_of = pa.types
    if is_of.is_floating(column.type):
        return None
    if (is_of.is_integer(column.type) or is_of.is_boolean(column.type)) and not column.null_count:
        return None
    if not is_of.is_dictionary(column.type):
        column = column.dictionary_encode()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return column.indices.cast(pa.int64()).fill_null(-1).to_numpy(), column.dictionary.to_pylist()


def _encoded(values: Sequence[Any]) -> tuple[Codes, list[Any]]:
    """Numbers the distinct values in the order of their first occurrence; returns the numbers and the values."""
    import numpy as np  # noqa: PLC0415

    known: dict[Any, int] = {}
    codes = np.fromiter((known.setdefault(value, len(known)) for value in values), np.int64, len(values))
    return codes, list(known)


def _distinct(name: str, codes: Codes, keys: list[Any]) -> tuple[Codes, list[Any]]:
    """Merges duplicate keys, and gives absent ones (None, NaN) the number -1.

    Raises:
        ConfigError: the keys are not all text or all whole numbers.
    """
    import numpy as np  # noqa: PLC0415

    known: dict[Any, int] = {}
    order = [-1 if _is_absent(key) else known.setdefault(key, len(known)) for key in keys]
    for key in known:
        if not isinstance(key, str | int) or isinstance(key, str) != isinstance(next(iter(known)), str):
            raise ConfigError(f"by: {name} holds {key!r}; all its values must be text, or all whole numbers", 2)
    if order != list(range(len(order))):
        # The code -1 selects the last element, which is -1.
        codes = np.array([*order, -1], dtype=np.int64)[codes]
    return codes, list(known)


def _is_absent(key: object) -> bool:
    """Returns whether a key is None, NaN or ``pandas.NA``. Comparing ``NA`` gives ``NA``, which has no truth value."""
    return key is None or type(key).__name__ in {"NAType", "NaTType"} or bool(key != key)  # noqa: PLR0124
