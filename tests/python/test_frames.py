"""Tests DataFrames as input of ``kpi.aggregate`` and as output of answers, and the conversion of amounts."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import ccstream
from ccstream import ConfigError, frames, kpi

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from pipeline import Pipeline

SHOPS = ["Rome", "Oslo", "مدينة", None, "", "O'Hara", "Ω"]
MEASURES: dict[str, str | tuple[str, str]] = {
    "n": "count",
    "sum": ("cents", "sum"),
    "high": ("share", "max"),
    "cards": ("card", "distinct"),
}


class Stream:
    """Is a DataFrame or a column that offers only Arrow's protocol."""

    def __init__(self, table: pa.Table | pa.ChunkedArray) -> None:
        self._table = table

    def __arrow_c_stream__(self, schema: object = None) -> object:
        return self._table.__arrow_c_stream__(schema)


class Interchange:
    """Is a DataFrame that offers only the older interchange protocol."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __dataframe__(self, *given: object, **named: object) -> object:
        return self._table.__dataframe__(*given, **named)


@pytest.fixture
def rows(chance: random.Random) -> dict[str, list[Any]]:
    """Returns rows by column, in which each optional value is sometimes absent."""
    return {
        "shop": [chance.choice(SHOPS) for _ in range(2000)],
        "cents": [chance.choice([None, chance.randrange(-500, 10**6)]) for _ in range(2000)],
        "share": [chance.choice([None, chance.random()]) for _ in range(2000)],
        "card": [chance.choice([None, f"tok_{chance.randrange(300)}"]) for _ in range(2000)],
        "hour": [chance.randrange(24) for _ in range(2000)],
    }


def expected(rows: dict[str, list[Any]], by: str) -> list[tuple[Any, ...]]:
    """Computes the expected figures row by row: key, rows, sum, maximum, distinct cards."""
    groups: dict[Any, list[int]] = {}
    for at, key in enumerate(rows[by]):
        groups.setdefault(key, []).append(at)
    found = []
    for key in sorted(groups, key=lambda key: (key is None, key or (0 if by == "hour" else ""))):
        of = {name: [value for at in groups[key] if (value := rows[name][at]) is not None] for name in rows}
        found.append((key, len(groups[key]), sum(of["cents"]), max(of["share"]), len(set(of["card"]))))
    return found


def as_arrays(rows: dict[str, list[Any]]) -> dict[str, Any]:
    texts = {name: np.array(rows[name], dtype=object) for name in ("shop", "card")}
    return {**texts, **{name: np.array(rows[name], dtype=float) for name in ("cents", "share")}, "hour": rows["hour"]}


def as_pandas(**types: str) -> Callable[[dict[str, list[Any]]], pd.DataFrame]:
    return lambda rows: pd.DataFrame(rows).astype(types)


def as_arrow(schema: dict[str, Any], pieces: int = 1) -> Callable[[dict[str, list[Any]]], pa.Table]:
    def made(rows: dict[str, list[Any]]) -> pa.Table:
        columns = {name: pa.array(values) for name, values in rows.items()}
        columns |= {name: columns[name].cast(kind) for name, kind in schema.items()}
        table = pa.table(columns)
        step = len(table) // pieces
        return pa.concat_tables([table.slice(at * step, step) for at in range(pieces)])

    return made


DICTIONARY = pa.dictionary(pa.int16(), pa.string())
KINDS: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "arrays": as_arrays,
    "lists": lambda rows: {**as_arrays(rows), "shop": rows["shop"]},
    "pandas": as_pandas(shop="object", card="object"),
    "pandas, categories": as_pandas(shop="category", card="category", cents="Int64", hour="int8"),
    "pandas, strings": as_pandas(shop="string", card="string", cents="Int64", share="Float64", hour="uint16"),
    "pandas, Arrow": as_pandas(shop="string[pyarrow]", cents="int64[pyarrow]", share="double[pyarrow]"),
    "series": lambda rows: dict(pd.DataFrame(rows).items()),
    "arrow": as_arrow({}),
    "arrow, pieces": as_arrow({"shop": pa.large_string(), "hour": pa.uint8()}, 4),
    "arrow, dictionaries": as_arrow({"shop": DICTIONARY, "card": DICTIONARY}, 2),
    "a batch": lambda rows: as_arrow({})(rows).to_batches()[0],
    "a stream": lambda rows: Stream(as_arrow({"shop": pa.string_view(), "card": pa.string_view()}, 2)(rows)),
    "columns that are streams": lambda rows: {
        name: Stream(column) for name, column in zip(rows, as_arrow({})(rows).columns, strict=True)
    },
    "arrow columns": lambda rows: dict(zip(rows, as_arrow({})(rows).columns, strict=True)),
    "the older protocol": lambda rows: Interchange(as_arrow({})(rows)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_any_frame(kind: str, rows: dict[str, list[Any]]) -> None:
    data = KINDS[kind](rows)
    for by in ("shop", "hour"):
        found = kpi.aggregate(data, by=by, measures=MEASURES)
        assert list(found) == [by, *MEASURES]
        assert list(zip(*(column.tolist() for column in found.values()), strict=True)) == expected(rows, by)
        assert found[by].dtype == (object if by == "shop" else np.int64)
        assert kpi.aggregate(data, by=by, measures={"n": "count"})["n"].sum() == 2000


def test_dictionaries_of_pieces_differ() -> None:
    pieces = [pa.array(texts, pa.string()).dictionary_encode() for texts in (["b", None, "a"], ["c", "a"], [])]
    table = pa.table({"key": pa.chunked_array(pieces)})
    found = kpi.aggregate(table, by="key", measures={"n": "count"})
    assert dict(zip(found["key"], found["n"], strict=True)) == {"a": 2, "b": 1, "c": 1, None: 1}


def test_a_dictionary_may_have_a_key_twice_and_null() -> None:
    texts = pa.array(["a", "b", "a", None, "c"])
    table = {"key": pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 3, None, 4, 4]), texts)}
    found = kpi.aggregate(table, by="key", measures={"n": "count"})
    assert dict(zip(found["key"], found["n"], strict=True)) == {"a": 2, "b": 1, "c": 2, None: 2}


def test_keys_that_may_be_absent() -> None:
    whole = pd.DataFrame({"id": pd.array([7, None, -(2**62), 7], dtype="Int64")})
    for data in (whole, pa.table(whole)):
        found = kpi.aggregate(data, by="id", measures={"n": "count"})
        assert dict(zip(found["id"], found["n"], strict=True)) == {-(2**62): 1, 7: 2, None: 1}
    mixed = {"name": np.array(["a", None, math.nan, pd.NA, "a"], dtype=object)}
    found = kpi.aggregate(mixed, by="name", measures={"n": "count"})
    assert (found["name"].tolist(), found["n"].tolist()) == (["a", None], [2, 3])
    nothing = kpi.aggregate({"name": np.array([], dtype="U3")}, by="name", measures={"n": "count"})
    assert [len(column) for column in nothing.values()] == [0, 0]


def test_numbers_are_not_copied() -> None:
    values = np.arange(5.0)
    frame = pd.DataFrame({"v": values}, copy=False)
    table = pa.table({"v": values})
    own = table["v"].chunk(0).to_numpy()
    for data, held in (({"v": values}, values), (frame, frame["v"].to_numpy()), (table, own), (Stream(table), own)):
        assert np.shares_memory(frames.Frame(data).numbers("v"), held)


def test_numbers_of_other_types() -> None:
    many = {
        "u": np.array([2**64 - 1, 1], np.uint64),
        "b": [True, False],
        "f": np.array([0.5, 1], ">f4"),
        "s": np.arange(4)[::2],
    }
    sums = {name: (name, "sum") for name in many}
    found = kpi.aggregate({**many, "k": np.zeros(2, np.int32)}, by="k", measures=sums)
    assert [found[name].tolist() for name in many] == [[float(2**64)], [1], [1.5], [2]]
    flags = pd.DataFrame({"k": pd.array([True, False, None], "boolean"), "v": [1, 2, 3]})
    for data in (flags, pa.table(flags)):
        table = kpi.aggregate(data, by="k", measures={"sum": ("v", "sum"), "yes": ("k", "sum")})
        assert (table["sum"].tolist(), table["k"].tolist()) == ([2, 1, 3], [False, True, None])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1, 2], "pass a mapping of arrays or a DataFrame, not list"),
        ({"v": [1]}, "k is not among the columns"),
        (pd.DataFrame({"v": [1]}), "k is not among the columns"),
        (pa.table({"v": [1]}), "k is not among the columns"),
        ({"k": [0.5], "v": [1]}, "neither whole numbers nor text"),
        (pd.DataFrame({"k": [0.5], "v": [1]}), "neither whole numbers nor text"),
        (pa.table({"k": [0.5], "v": [1]}), "neither whole numbers nor text"),
        ({"k": np.array(["a", 1], object), "v": [1, 2]}, "must be text, or all whole numbers"),
        ({"k": [2**64 - 1], "v": [1]}, "neither whole numbers nor text"),
        ({"k": [1], "v": ["a"]}, "v is not a column of numbers"),
        ({"k": [1], "v": [[1, 2]]}, "v has 2 dimensions"),
        ({"k": [1], "v": [1, 2]}, "different lengths"),
        (pd.DataFrame({"k": [1], "v": ["a"]}), "v is not a column of numbers"),
        (pa.table({"k": [1], "v": ["a"]}), "v is not a column of numbers"),
        (pa.table({"k": [1], "v": [Decimal("1.5")]}), "v is not a column of numbers"),
    ],
)
def test_what_cannot_be_grouped(data: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kpi.aggregate(data, by="k", measures={"sum": ("v", "sum")})


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "_library", lambda _: None)
    for data in (Stream(pa.table({"k": [1]})), Interchange(pa.table({"k": [1]}))):
        with pytest.raises(ConfigError, match="pip install pyarrow"):
            kpi.aggregate(data, by="k", measures={})
    with pytest.raises(ConfigError, match="pip install pandas"):
        frames.to_pandas("category", {}, None)


def test_answers_as_frames(filled: Pipeline) -> None:
    by: dict[str, list[str]] = {
        "category": ["p95", "approved"],
        "place": [],
        "time": ["cards"],
        "hour_of_week": ["min"],
        "amount": [],
        "trend:status": [],
    }
    zone = ZoneInfo("Asia/Kathmandu")
    with ccstream.KpiEngine.from_database(filled.database_url) as engine:
        assert engine.refresh()
        answer = engine.query(by=by, tz=zone, top=3)
        alone = engine.query(by={"category": []}).to_pandas()
        with pytest.raises(ConfigError, match="name one of the 6 groupings"):
            answer.to_pandas()
        with pytest.raises(KeyError, match="merchant"):
            answer.to_pandas("merchant")
    assert alone["count"].sum() == 2000
    for name in answer.keys():  # noqa: SIM118 - an answer is not a mapping
        frame, table = answer.to_pandas(name), answer[name]
        others = {key for key in table if key.startswith("other_")}
        assert others == {"other_groups", "other_count", "other_sum"} | (
            {"other_value"} if "approved" in table else set()
        )
        assert frame.attrs == {key: table[key] for key in others}
        if name == "trend:status":
            assert frame.to_numpy().tolist() == table["counts"].tolist()
            assert frame.index.tolist() == table["key"]
            assert (frame.index.name, frame.columns.name) == ("status", "time")
            times = pd.DatetimeIndex(frame.columns)
        elif name == "time":
            times = pd.DatetimeIndex(frame.index)
            assert set((frame["end"] - times.to_series()).tolist()) == {answer.width}
            assert frame["rate"].tolist() == table["rate"].tolist()
        else:
            assert frame.index.tolist() == list(table["key"])
            assert frame.index.name == name
            columns = [key for key in table if key != "key" and not key.startswith("other_")]
            assert list(frame.columns) == columns
            for key in columns:
                np.testing.assert_array_equal(frame[key].to_numpy(), np.asarray(table[key]))
        if name in {"trend:status", "time"}:
            assert times.tz == zone
            starts = table["time" if name == "trend:status" else "key"]
            assert (times.tz_convert("UTC").tz_localize(None) == starts).all()


def test_units() -> None:
    assert str(kpi.units(1250)) == "12.50"
    assert [kpi.units(cents) for cents in (-1, 0, 10**40 + 1)] == [
        Decimal("-0.01"),
        Decimal("0.00"),
        Decimal(f"{10**38}.01"),
    ]
    assert kpi.units(np.int64(7)) == Decimal("0.07")
    assert kpi.units(None) is None
    assert (kpi.units(150.0), type(kpi.units(150.0))) == (1.5, float)
    assert math.isnan(kpi.units(math.nan))
    assert kpi.units(np.array([150, -1])).tolist() == [1.5, -0.01]
    assert np.array_equal(kpi.units([150, None, math.nan]), [1.5, math.nan, math.nan], equal_nan=True)
    assert kpi.units(pd.Series([150, 2], name="sum")).tolist() == [1.5, 0.02]


def test_cents(chance: random.Random) -> None:
    for _ in range(1000):
        number = chance.randrange(-(10**10), 10**10)
        exact = kpi.units(number)
        assert [kpi.cents(amount) for amount in (exact, str(exact), float(exact))] == [number] * 3
    assert kpi.cents(None) is None
    assert [kpi.cents(amount) for amount in (0.29, "1e2", "-0", "1.500", 7)] == [29, 10_000, 0, 150, 700]
    for amount, message in (
        ("1.234", "more than two decimals"),
        ("1e-999999999", "more than two decimals"),
        (0.1 + 0.2, "more than two decimals"),
        ("1e999999", "not finite, or is too large"),
        ("1e40", "not finite, or is too large"),
        (math.nan, "not finite, or is too large"),
        ("inf", "not finite, or is too large"),
        ("12,50", "not a number"),
    ):
        with pytest.raises(ConfigError, match=message):
            kpi.cents(amount)
