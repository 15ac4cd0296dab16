"""Tests the latest transactions and files of transactions: filters mean what the engine means, figures are SQL's."""

from __future__ import annotations

import csv
import io
import time
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pytest
from pyarrow import parquet

import ccstream
from ccstream.dashboard import (
    export,
    export_files,
    export_queries,
    latest_figures,
    latest_queries,
    latest_tables,
    latest_watch,
    orders_queries,
)
from ccstream.dashboard.csv_texts import stacked, tidy
from ccstream.dashboard.export_files import ExportError
from ccstream.dashboard.latest_watch import LatestWatch
from ccstream.dashboard.orders_where import SEGMENTS, Slice, uncounted
from ccstream.dashboard.view import View
from conftest import make_database, micros, score
from pipeline import make_pipeline
from services import free_port
from test_search import EIGHT, at_the_end
from waiting import wait_until

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from ccstream.dashboard.latest_tables import Latest
    from pipeline import Pipeline

START = datetime(2026, 1, 5, tzinfo=timezone.utc)
MESSY = """
CREATE TABLE merchant_segment (merchant TEXT, name TEXT, valid_to TIMESTAMP);
CREATE TABLE segment_runs (run BIGINT, kind TEXT);
GRANT SELECT ON merchant_segment, segment_runs TO ccstream_reader;
INSERT INTO segment_runs VALUES (1, 'merchants');
INSERT INTO merchant_segment SELECT DISTINCT merchant, (ARRAY['day', 'night'])[1 + abs(hashtext(merchant)) % 2],
    NULL::timestamp FROM orders WHERE abs(hashtext(merchant)) % 3 > 0;
INSERT INTO merchant_segment SELECT merchant, 'night', now() FROM merchant_segment;
UPDATE orders SET
    currency = (ARRAY[currency, currency, lower(currency), 'e1r', NULL])[1 + abs(hashtext(order_id)) % 5],
    status = (ARRAY[status, status, upper(status), 'say "x", y', NULL])[1 + abs(hashtext(order_id || 'a')) % 5],
    risk_flag = (ARRAY[risk_flag, true, NULL])[1 + abs(hashtext(order_id || 'b')) % 3],
    merchant = CASE abs(hashtext(order_id || 'c')) % 9 WHEN 0 THEN NULL WHEN 1 THEN E'=1+1\\n' ELSE merchant END,
    value = CASE abs(hashtext(order_id || 'd')) % 9 WHEN 0 THEN 'NaN' WHEN 1 THEN NULL ELSE value END,
    timestamp = CASE abs(hashtext(order_id || 'e')) % 50 WHEN 0 THEN 'infinity' WHEN 1 THEN NULL ELSE timestamp END,
    city = CASE abs(hashtext(order_id || 'f')) % 9 WHEN 0 THEN '' WHEN 1 THEN NULL ELSE city END"""
NAMES = list(latest_queries.FIELDS)


@pytest.fixture(scope="module")
def messy(services: dict[str, str]) -> Iterator[Pipeline]:
    """Yields scored transactions with every kind of absent, odd and hostile value, for tests that change none."""
    with make_database(services) as url, make_pipeline(services["KAFKA_BOOTSTRAP_SERVERS"], url) as pipeline:
        score(pipeline)
        pipeline.execute("ALTER TABLE orders ALTER value DROP NOT NULL, ALTER timestamp DROP NOT NULL")
        pipeline.execute(MESSY)
        yield pipeline


def draw(chance: random.Random) -> View:
    """Draws a range and filters."""
    some = {
        "category": ("food_dining", "grocery", "travel", "nothing"),
        "city": ("", "(unknown)", "London"),
        "country": ("US", "GB", "(unknown)"),
        "merchant": ("=1+1\n", "Beacon Bakery", "(unknown)", "a\0b"),
        "segment": ("day", "night", "(unknown)"),
        "status": ("approved", "APPROVED", "(unknown)", 'say "x", y'),
        "currency": ("eur", "USD", "(unknown)", "e1r", "€"),
        "entry_mode": ("chip", "ecommerce"),
        "response_code": ("00", "51", "05"),
        "risk": ("true", "false", "(unknown)"),
    }
    filters = {name: tuple(chance.sample(values, chance.randint(1, len(values)))) for name, values in some.items()}
    start = START + chance.randint(0, 48 * 60) * timedelta(minutes=1)
    return View(
        span=chance.choice(("from-to", "from-to", "all")),
        start=start,
        end=start + chance.randint(10, 3000) * timedelta(minutes=1),
        filters={name: filters[name] for name in chance.sample(sorted(filters), chance.choice((0, 1, 1, 2, 3)))},
        min_amount=chance.choice((None, None, Decimal(-10), Decimal("20.50"))),
        max_amount=chance.choice((None, None, Decimal(100))),
    )


def selected(pipeline: Pipeline, asked: Slice, columns: str, more: str = "") -> list[tuple[Any, ...]]:
    """Returns columns of the rows that a slice selects."""
    where, given = asked.condition(("*", *columns_of(pipeline)), has_segments=True)
    return pipeline.query(f"SELECT {columns} FROM orders WHERE {where} {more}", **given)


def columns_of(pipeline: Pipeline) -> list[str]:
    return [name for (name,) in pipeline.query(orders_queries.COLUMNS)]


def read(pipeline: Pipeline, asked: Slice, count: int) -> Latest:
    found = latest_tables.read(pipeline.database_url, asked, count)
    assert found is not None
    return found


def test_filters_select_what_the_engine_counts(messy: Pipeline, chance: random.Random) -> None:
    some = 0
    with ccstream.KpiEngine.from_database(messy.database_url) as engine:
        assert engine.refresh()
        wait_until("segments are read", lambda: "day" in engine.values("segment"))
        for _ in range(60):
            view = draw(chance)
            print(view)
            answer = engine.query(**view.question())
            [(count,)] = selected(messy, Slice.of(view, answer.at), "count(*)")
            assert count == answer.totals["count"]
            some += count > 0
        # A range that ends now.
        answer = engine.query(**View(span="90d").question())
        last = Slice.of(View(span="90d"), answer.at)
        assert (last.start, last.end) == tuple(map(micros, (answer.start or 0, answer.end or 0)))
    assert some > 15


def test_the_latest_are_the_last_rows_that_match(messy: Pipeline, chance: random.Random) -> None:
    for _ in range(25):
        view = draw(chance)
        print(view)
        found = read(messy, Slice.of(view), 10)
        times = f"CASE WHEN isfinite(timestamp) THEN timestamp END, {', '.join(NAMES[1:])}"
        rows = selected(messy, Slice.of(view), times, "ORDER BY ctid DESC LIMIT 10")
        scores = dict(messy.query("SELECT order_id, score FROM scores WHERE order_id = ANY(%s)", [r[-1] for r in rows]))
        assert [tuple(map(str, row.values())) for row in found.rows] == [
            tuple(map(str, (*row, scores.get(row[-1])))) for row in rows
        ]
        assert found.searched is None


def test_only_the_end_of_the_table_is_searched(messy: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    at_the_end(monkeypatch, 100)
    monkeypatch.setattr(latest_queries, "STEPS", (1, 10, 100))
    [(blocks,)] = messy.query(latest_queries.BLOCKS)
    for filters in ((), (("response_code", ("91",)),), (("category", ("nothing",)),)):
        for count in (5, 100):
            asked = Slice(filters)
            found = read(messy, asked, count)
            end = f"AND ctid >= '({blocks - 100},0)'"
            rows = selected(messy, asked, "order_id", f"{end} ORDER BY ctid DESC LIMIT {count}")
            assert [(row["id"],) for row in found.rows] == rows
            [(searched,)] = selected(messy, Slice(), "count(*)", end)
            assert found.searched == (None if len(rows) == count else searched)
    assert f"None was found among the {searched:,} rows" in latest_figures.bound(found)


def test_a_foreign_table_has_its_columns(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    assert latest_tables.read(pipeline.database_url, Slice(), 10) is None
    with pytest.raises(ExportError, match="no table"):
        export_files.csv(pipeline.database_url, Slice())
    pipeline.execute(f"""{EIGHT}; INSERT INTO orders (order_id, value, timestamp) VALUES ('a', 2.5, '2026-01-05 23:30');
        ALTER TABLE orders ADD "%s" JSONB DEFAULT '[]', ADD wide NUMERIC DEFAULT 0.123, ADD score TEXT DEFAULT 'own'""")
    found = read(pipeline, Slice(), 10)
    zone = timezone(timedelta(hours=1))
    assert latest_figures.columns(found.rows, zone) == {"time": ["01-06 00:30:00"], "amount": ["2.50"], "id": ["a"]}
    # An absent column has no value in any row.
    assert len(read(pipeline, Slice((("merchant", (None,)), ("segment", (None,)))), 10).rows) == 1
    assert read(pipeline, Slice((("merchant", ("a",)),)), 10).rows == []
    assert read(pipeline, Slice((("segment", ("a",)),)), 10).rows == []
    [row] = csv.DictReader(io.StringIO(export_files.csv(pipeline.database_url, Slice()).decode()))
    assert (row["%s"], row["wide"], row["score"], row["city"]) == ("[]", "0.123", "own", "")
    [typed] = parquet.read_table(io.BytesIO(export_files.parquet(pipeline.database_url, Slice()))).to_pylist()
    assert (typed["%s"], typed["wide"], typed["score"], typed["city"]) == ("[]", "0.123", "own", None)


def test_files_have_what_sql_has(messy: Pipeline, chance: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_queries, "MOST", 300)
    names = columns_of(messy)
    sizes = []
    for at in range(12):
        asked = Slice.of(draw(chance) if at else View(span="all"), 0)
        print(asked)
        found = export_files.csv(messy.database_url, asked).decode()
        typed = parquet.read_table(io.BytesIO(export_files.parquet(messy.database_url, asked)))
        rows = selected(
            messy,
            asked,
            f"{', '.join(f'{name}::text' for name in names)}, (SELECT score FROM scores s WHERE s.order_id ="
            " orders.order_id)",
            "ORDER BY timestamp DESC NULLS LAST, order_id DESC LIMIT 300",
        )
        expected = [dict(zip([*names, "score"], row, strict=True)) for row in rows]
        in_csv = list(csv.DictReader(io.StringIO(found, newline="")))
        assert [of_csv(row) for row in in_csv] == [as_csv(row) for row in expected]
        assert [of_parquet(row) for row in typed.to_pylist()] == [as_parquet(row) for row in expected]
        sizes.append(len(rows))
    assert sizes[0] == 300
    types = {field.name: field.type for field in typed.schema}
    assert types["value"] == pa.decimal128(10, 2)
    assert types["timestamp"] == pa.timestamp("us", "UTC")
    assert (types["risk_flag"], types["score"], types["merchant"]) == (pa.bool_(), pa.float64(), pa.string())


def as_csv(row: dict[str, Any]) -> dict[str, str]:
    """Returns a row of SQL as it is in CSV."""
    found = {name: "" if value is None else str(value) for name, value in row.items()}
    found["merchant"] = found["merchant"].replace("=1+1", "'=1+1")
    if found["timestamp"] not in {"", "infinity"}:
        found["timestamp"] += "+00"
    found["risk_flag"] = found["risk_flag"][:1]
    return of_csv(found)


def of_csv(row: dict[str, str]) -> dict[str, str]:
    return row | {"score": row["score"] and repr(float(row["score"]))}


def as_parquet(row: dict[str, Any]) -> dict[str, Any]:
    """Returns a row of SQL as it is in Parquet, as text."""
    value, moment = row["value"], row["timestamp"]
    return row | {
        "value": None if value == "NaN" else value,
        "timestamp": None if moment in {None, "infinity"} else datetime.fromisoformat(moment).isoformat() + "+00:00",
    }


def of_parquet(row: dict[str, Any]) -> dict[str, Any]:
    moment = row.pop("timestamp")
    numbers = {"latitude", "longitude", "score"}
    found = {
        name: value if value is None or name == "score" else repr_of(value, is_degree=name in numbers)
        for name, value in row.items()
    }
    return found | {"timestamp": None if moment is None else moment.isoformat()}


def repr_of(value: Any, *, is_degree: bool) -> str:  # noqa: ANN401
    """Returns a value as PostgreSQL writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.15g}" if is_degree else str(value)


def test_errors_are_said_in_words(messy: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExportError, match="cannot be read now"):
        export_files.parquet(f"postgresql://a:s3cret@localhost:{free_port()}/c", Slice())
    why: list[str] = []
    make = export._maker(export_files.csv, messy.database_url, Slice(), why)
    with monkeypatch.context() as patched, messy.connect() as connection, connection.transaction():
        patched.setattr(export_queries, "TIME_LIMIT", 300)
        connection.execute("LOCK TABLE orders")
        with pytest.raises(ExportError, match="has not read them within"):
            make()
        assert "Choose a shorter time range" in why[0]
    assert make().startswith(b"order_id,")
    assert why == []
    # A file that is being made makes another one wait.
    with export_files._ONE_AT_A_TIME, pytest.raises(ExportError, match="Another file"):
        export_files.csv(messy.database_url, Slice())


def test_the_menu_says_what_a_file_has() -> None:
    assert export.about(1_234, is_whole=True).endswith("filters: **1,234**.")
    assert "the newest **200,000** of **1,234,567** transactions" in export.about(1_234_567, is_whole=True)
    assert "the newest **200,000** of **at least 10** transactions" in export.about(10, is_whole=False)


def test_transactions_stay_while_the_database_is_unavailable(messy: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latest_watch, "EVERY", 0.05)
    calls: list[Slice] = []

    def counting(url: str, asked: Slice, count: int) -> Latest | None:
        calls.append(asked)
        if len(calls) > 1:
            raise psycopg.OperationalError("no\nconnection")
        return latest_tables.read(url, asked, count)

    monkeypatch.setattr(latest_watch, "latest_tables", type("", (), {"read": staticmethod(counting)}))
    watch = LatestWatch(messy.database_url)
    wait_until("it is read", lambda: watch.read(Slice(), 3).latest is not None)
    wait_until("it fails", lambda: watch.read(Slice(), 3).why == "no")
    state = watch.read(Slice(), 3)
    assert state.latest is not None
    assert len(state.latest.rows) == 3
    assert 0 < state.read_at <= time.time()


def test_rare_values_are_not_listed() -> None:
    view = View(filters={"merchant": ("(others)", "a"), "city": ("(others)",)})
    assert uncounted(view, ["merchant", "card"]) == ["merchant"]
    assert uncounted(view, []) == []
    assert set(SEGMENTS) == {"merchant_segment", "segment_runs"}


def test_csv_has_no_formulas() -> None:
    import pandas as pd  # noqa: PLC0415

    frame = pd.DataFrame({"name": ["=a", "b,c", None], "trend": [[1], [2], []], "value": [-1.5, None, 1 / 3]})
    assert tidy(frame, "EUR").splitlines() == [
        "name,value,currency",
        "'=a,-1.5,EUR",
        '"b,c",,EUR',
        ",0.3333333333333333,EUR",
    ]
    both = stacked({"x": frame[["name"]], "y": frame[["value"]]}, "kind")
    assert list(both) == ["kind", "name", "value"]
    assert both["kind"].tolist() == ["x"] * 3 + ["y"] * 3
