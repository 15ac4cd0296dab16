"""Compares the engine's figures with PostgreSQL's, for random tables, filters, groupings and ranges."""

from __future__ import annotations

import math
import time
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

import ccstream
from ccstream import kpi
from ccstream.segments import tables
from conftest import micros
from waiting import wait_until
from zones import Shifted

if TYPE_CHECKING:
    import random

    from pipeline import Pipeline

BEGIN = datetime(2026, 3, 1, tzinfo=timezone.utc)
NAMES = {
    "category": ["food", "books", "Books", "füße", ""],
    "city": ["Paris", "Rome", "O'Hara", "مدينة"],
    "country": ["FR", "IT", "US"],
    "merchant": [f"Shop {n}" for n in range(40)] + ["<b>bold</b>", "🛒"],
    "payment_method": ["visa", "amex"],
    "status": ["approved", "declined", "COMPLETED", "Failed", "pending"],
    "currency": ["USD", "EUR", "JPY"],
    "entry_mode": ["chip", "online"],
    "response_code": ["00", "05", "51"],
}
SEGMENTS = ["large, night", "rare"]
COLUMN = {
    **{name: name for name in NAMES},
    "risk": "risk_flag::text",
    "segment": "(SELECT name FROM merchant_segment AS m WHERE m.merchant = orders.merchant AND valid_to IS NULL)",
}
CHOICES = {**NAMES, "risk": ["true", "false"], "segment": SEGMENTS}


def fill(pipeline: Pipeline, chance: random.Random, rows: int) -> None:
    """Fills a table ``orders`` as another program would, in which each optional value is sometimes absent."""
    pipeline.run("produce", "--count", "1", "--rate", "max")
    pipeline.run("consume", "--until-caught-up")
    # The counters are reset, because a table that has lost its rows is refused.
    pipeline.execute("DELETE FROM orders; UPDATE kafka_offsets SET consumed = 0, stored = 0")

    def pick(values: list[Any]) -> Any:  # noqa: ANN401
        return None if chance.random() < 0.07 else chance.choice(values)

    cards = [f"tok_{n}" for n in range(rows // 5 + 1)]
    lines = []
    for number in range(rows):
        amount = Decimal(int(chance.lognormvariate(8, 2))) / 100 * chance.choice([1, 1, 1, -1])
        when = BEGIN + timedelta(seconds=chance.randrange(12 * 86_400), microseconds=chance.randrange(10**6))
        if chance.random() < 0.01:
            when = chance.choice([datetime(1970, 1, 1, tzinfo=timezone.utc), BEGIN + timedelta(days=365)])
        if chance.random() < 0.01:
            amount = chance.choice([Decimal("99999999.99"), Decimal("-99999999.99"), Decimal(0)])
        lines.append(
            (
                f"row-{number}",
                pick([amount]),
                pick([when.replace(tzinfo=None)]),
                pick([True, False]),
                pick(cards),
                *[pick(values) for values in NAMES.values()],
            )
        )
    columns = ", ".join(["order_id", "value", "timestamp", "risk_flag", "card_token", *NAMES])
    with pipeline.connect() as connection, connection.cursor() as cursor:
        with cursor.copy(f"COPY orders ({columns}) FROM STDIN") as copy:
            for line in lines:
                copy.write_row(line)
        tables.begin(connection)
        cursor.execute("TRUNCATE segment_runs, segments, merchant_segment")
        cursor.execute(
            "INSERT INTO segment_runs (kind, as_of, days, founded, version, features, middle, width, silhouette, "
            "members, moved, appeared, ended) VALUES ('merchants', now(), 1, 1, '1', '{}', '{}', '{}', 0, 0, 0, 0, 0)"
        )
        # Some merchants have a segment, some had one, and some never had one.
        for merchant in chance.sample(NAMES["merchant"], 30):
            before = BEGIN - timedelta(days=1)
            times: list[tuple[datetime, datetime | None]] = [(before, BEGIN), (BEGIN, None), (before, None)]
            for run, (begin, end) in enumerate(chance.choice([times[:2], times[:1], times[2:]])):
                segment = (merchant, run, chance.choice(SEGMENTS), begin, end)
                cursor.execute(
                    "INSERT INTO merchant_segment (merchant, run, segment, name, founded, valid_from, valid_to) "
                    "VALUES (%s, %s, 1, %s, 1, %s, %s)",
                    segment,
                )
        connection.commit()


class Sql:
    """Asks the same query in SQL."""

    def __init__(self, pipeline: Pipeline, query: dict[str, Any], currency: str | None) -> None:
        self.pipeline = pipeline
        conditions = ["TRUE"]
        self.parameters: dict[str, Any] = {"currency": currency}
        for name, values in query.get("filters", {}).items():
            self.parameters[f"only_{name}"] = [value for value in values if value is not None]
            absent = f" OR {COLUMN[name]} IS NULL" if None in values else ""
            conditions.append(f"({COLUMN[name]} = ANY(%(only_{name})s){absent})")
        for name, sign in (("min_amount", ">="), ("max_amount", "<=")):
            if name in query:
                self.parameters[name] = query[name]
                conditions.append(f"value {sign} %({name})s")
        if "start" in query:
            self.parameters |= {"start": micros(query["start"]), "end": micros(query["end"])}
            conditions.append("timestamp >= %(start)s AND timestamp < %(end)s")
        self.where = " AND ".join(conditions)

    def rows(self, key: str) -> list[tuple[Any, ...]]:
        """Returns the figures of each group, without an order."""
        money = "FILTER (WHERE currency IS NOT DISTINCT FROM %(currency)s)"
        moved = f"{money[:-1]} AND lower(status) IN ('approved', 'completed')"
        return self.pipeline.query(
            f"SELECT {key}, count(*), count(value) {money}, (sum(value) {money} * 100)::bigint, "
            "count(*) FILTER (WHERE lower(status) IN ('approved', 'completed')), "
            "count(*) FILTER (WHERE lower(status) IN ('approved', 'completed', 'declined', 'failed')), "
            "count(*) FILTER (WHERE lower(status) IN ('declined', 'failed')), count(*) FILTER (WHERE risk_flag), "
            f"count(value) {moved} AND value >= 0), (sum(value) {moved} AND value >= 0) * 100)::bigint, "
            f"(-sum(value) {moved} AND value < 0) * 100)::bigint, "
            f"(min(value) {money} * 100)::bigint, (max(value) {money} * 100)::bigint, "
            + ", ".join(
                f"(percentile_disc({p}) WITHIN GROUP (ORDER BY value) {money} * 100)::bigint" for p in (0.5, 0.95, 0.99)
            )
            + f", count(DISTINCT card_token) FROM orders WHERE {self.where} GROUP BY 1",
            **self.parameters,
        )


def random_query(chance: random.Random) -> dict[str, Any]:
    query: dict[str, Any] = {}
    names = chance.sample(list(CHOICES), chance.randrange(4))
    query["filters"] = {
        name: chance.sample([*CHOICES[name], None], chance.randrange(1, len(CHOICES[name]) + 1)) for name in names
    }
    if chance.random() < 0.3:
        query["min_amount"] = Decimal(chance.randrange(-5000, 5000)) / 100
    if chance.random() < 0.3:
        query["max_amount"] = Decimal(chance.randrange(0, 500_000)) / 100
    if chance.random() < 0.6:
        start = int(BEGIN.timestamp() * 1e6) + chance.randrange(10 * 86_400 * 10**6)
        query |= {"start": start, "end": start + chance.randrange(1, 5 * 86_400 * 10**6)}
    return query


SUMS = {"sum", "value", "refunds"}
MORE = ["min", "max", "p50", "p95", "p99", "cards", "approved"]


def compare(engine: ccstream.KpiEngine, pipeline: Pipeline, query: dict[str, Any], dimensions: list[str]) -> None:
    by = dict.fromkeys([*dimensions, "time", "hour_of_week"], MORE)
    answer = engine.query(**query, by={**by, "amount": [], "trend:merchant": []}, width=timedelta(hours=6))
    sql = Sql(pipeline, query, answer.currency)
    total = sql.rows("1")
    found = answer.totals
    measures = ["count", "amounts", "sum", "approved", "decided", "declined", "risky"]
    measures += ["purchases", "value", "refunds", "min", "max", "p50", "p95", "p99", "cards"]
    if not total:
        assert found["count"] == 0
        return
    assert [found[name] for name in measures] == [
        value if name not in SUMS else value or 0 for name, value in zip(measures, total[0][1:], strict=True)
    ]
    for name in dimensions:
        rows = sql.rows(COLUMN[name])
        # The most frequent value comes first. Among equals, unknown comes first, then the order is by name.
        rows.sort(key=lambda row: (-row[1], row[0] is not None, (row[0] or "").encode()))
        check_groups(answer[name], answer[name]["key"], rows, measures)
    seconds = "floor(extract(epoch FROM timestamp) / 21600)::bigint * 21600 * 1000000"
    series = answer["time"]
    starts = series["key"].astype("int64").tolist()
    full = series["count"] > 0
    by_time = {row[0]: row for row in sql.rows(seconds)}
    assert series["other_count"] == (by_time.pop(None)[1] if None in by_time else 0)
    assert [start for start, some in zip(starts, full, strict=True) if some] == sorted(by_time)
    assert np.all(np.diff(starts) == 6 * 3600 * 10**6), "gaps are filled"
    check_groups(series, starts, [by_time[start] for start in sorted(by_time)], measures, series["count"] > 0)
    week = answer["hour_of_week"]
    hours = sql.rows("(extract(isodow FROM timestamp)::int - 1) * 24 + extract(hour FROM timestamp)::int")
    by_hour = {row[0]: row for row in hours if row[0] is not None}
    check_groups(week, list(range(168)), [by_hour[hour] for hour in sorted(by_hour)], measures, week["count"] > 0)
    assert week["key"].tolist() == list(range(168))
    trend = answer["trend:merchant"]
    cell = {
        (name, start): count
        for name, start, count in pipeline.query(
            f"SELECT merchant, {seconds}, count(*) FROM orders "
            f"WHERE {sql.where} AND timestamp IS NOT NULL GROUP BY 1, 2",
            **sql.parameters,
        )
    }
    times = trend["time"].astype("int64").tolist()
    assert {
        (key, times[at]): count
        for key, row in zip(trend["key"], trend["counts"].tolist(), strict=True)
        for at, count in enumerate(row)
        if count
    } == cell
    amounts = pipeline.query(
        f"SELECT (value * 100)::bigint FROM orders WHERE {sql.where} AND value IS NOT NULL "
        "AND currency IS NOT DISTINCT FROM %(currency)s",
        **sql.parameters,
    )
    histogram = answer["amount"]
    expected, _ = np.histogram([row[0] for row in amounts], [*histogram["key"], 10**12])
    assert histogram["count"].tolist() == expected.tolist()
    assert histogram["sum"].sum() == found["sum"]


def check_groups(
    table: dict[str, Any],
    keys: list[Any],
    rows: list[tuple[Any, ...]],
    measures: list[str],
    full: np.ndarray[Any, Any] | None = None,
) -> None:
    chosen = np.ones(len(keys), bool) if full is None else full
    assert [key for key, some in zip(keys, chosen, strict=True) if some] == [row[0] for row in rows]
    for at, name in enumerate(measures, start=1):
        found = np.asarray(table[name])[chosen]
        expected = [math.nan if row[at] is None else float(row[at]) for row in rows]
        if name in SUMS:
            expected = [0 if math.isnan(value) else value for value in expected]
        if name in {"p50", "p95", "p99"}:
            np.testing.assert_allclose(found, expected, rtol=0.01, atol=0.5)
        else:
            np.testing.assert_array_equal(found.astype(float), expected, name)


@pytest.mark.timeout(1800)
def test_every_figure_agrees_with_sql(embedded_pipeline: Pipeline, chance: random.Random) -> None:
    # The last table fills a block, whose columns are then stored in narrower types.
    for rows, queries in ((1, 25), (40, 25), (3000, 25), (66_000, 2)):
        fill(embedded_pipeline, chance, rows)
        with ccstream.KpiEngine.from_database(embedded_pipeline.database_url) as engine:
            assert engine.refresh()
            assert engine.status.foreign_rows == engine.status.rows == rows
            for _ in range(queries):
                compare(engine, embedded_pipeline, random_query(chance), list(CHOICES))


def test_a_range_moves_on_to_the_microsecond(embedded_pipeline: Pipeline, engine: ccstream.KpiEngine) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", "--rate", "max", "--count", "20000")
    pipeline.run("consume", "--until-caught-up")
    assert engine.refresh()
    read = engine.status.reloads
    pipeline.execute("UPDATE orders SET timestamp = now() AT TIME ZONE 'UTC' - random() * interval '2.2 hours'")
    # PostgreSQL's statistics are updated with a delay.
    wait_until("the change is noticed", lambda: engine.refresh() and engine.status.reloads > read)
    seen = set()
    for length in [timedelta(hours=1), timedelta(minutes=2)] * 15:
        assert engine.refresh()
        answer = engine.query(last=length, before=True, by={"time": ["cards", "min"]}, currency="USD")
        now = micros(answer.at)
        assert answer.start is not None
        assert (answer.end, micros(answer.start)) == (answer.at, now - length)
        for found, end in ((answer.totals, now), (answer.before, now - length)):
            [expected] = pipeline.query(
                "SELECT count(*), coalesce(sum(value) FILTER (WHERE currency = 'USD') * 100, 0)::bigint, "
                "count(DISTINCT card_token) FROM orders WHERE timestamp >= %s AND timestamp < %s",
                end - length,
                end,
            )
            assert found is not None
            assert (found["count"], found["sum"], found["cards"]) == expected
        assert sum(answer["time"]["count"]) == answer.totals["count"]
        seen.add(answer.totals["count"])
        time.sleep(0.2)
    assert len(seen) > 10


def test_times_that_are_none(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", "--rate", "max", "--count", "100")
    pipeline.run("consume", "--until-caught-up")
    pipeline.execute(
        "INSERT INTO orders (order_id, timestamp) VALUES ('a', 'infinity'), ('b', '-infinity'), ('c', '294276-01-01'), "
        "('d', NULL), ('e', '4000-01-01 BC')"
    )
    with ccstream.KpiEngine.from_database(pipeline.database_url) as engine:
        assert engine.refresh()
        for hours in (-12, 0, 14):
            answer = engine.query(by={"time": [], "hour_of_week": []}, tz=timezone(timedelta(hours=hours)))
            assert (answer.totals["count"], answer["time"]["other_count"]) == (105, 4)
        assert engine.query(start=-(2**61), end=2**61).totals["count"] == 101
        assert engine.latest(0)["time"] == []


ZONES = {
    # Clocks change on these days: in the second zone by half an hour, in the next three zones at midnight.
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "Australia/Lord_Howe": ("2026-04-05", "2026-10-04"),
    "Africa/Cairo": ("2026-04-24", "2026-10-30"),
    "America/Santiago": ("2026-04-05", "2026-09-06"),
    "America/Havana": ("2026-03-08", "2026-11-01"),
    "UTC": ("2026-03-29", "2026-10-25"),
}


def test_days_begin_at_local_midnight(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", "--rate", "max", "--count", "1")
    pipeline.run("consume", "--until-caught-up")
    days = ", ".join(day for pair in ZONES.values() for day in pair)
    # The counters are reset, because a table that has lost its rows is refused.
    pipeline.execute("DELETE FROM orders; UPDATE kafka_offsets SET consumed = 0, stored = 0")
    pipeline.execute(
        "INSERT INTO orders (order_id, timestamp) "
        "SELECT day || '-' || n, day + n * interval '1 min' + (n % 2) * interval '1 us' "
        f"FROM unnest('{{{days}}}'::timestamp[]) AS day, generate_series(-4320, 4319) AS n ON CONFLICT DO NOTHING"
    )
    with ccstream.KpiEngine.from_database(pipeline.database_url) as engine:
        assert engine.refresh()
        for name, changes in ZONES.items():
            zone = ZoneInfo(name)
            for change in map(datetime.fromisoformat, changes):
                start, end = change - timedelta(days=3, minutes=7), change + timedelta(days=2, seconds=7)
                by: dict[str, list[str]] = {"time": [], "hour_of_week": [], "trend:status": []}
                answer = engine.query(by=by, tz=zone, width=timedelta(days=1), start=start, end=end)
                asked = (start, end)
                sql = "SELECT {} AS key, count(*) FROM orders WHERE timestamp >= %s AND timestamp < %s GROUP BY 1"
                utc = "timestamp AT TIME ZONE 'UTC'"
                local = f"({utc} AT TIME ZONE '{name}')"
                expected = dict(pipeline.query(sql.format(f"{local}::date"), *asked))
                series = answer["time"]
                begins = [at.replace(tzinfo=timezone.utc) for at in series["key"].tolist()]
                dates = [at.astimezone(zone).date() for at in begins]
                assert dict(zip(dates, series["count"].tolist(), strict=True)) == expected, (name, change)
                before = [(at - timedelta(microseconds=1)).astimezone(zone).date() for at in begins]
                assert before == [date - timedelta(days=1) for date in dates], (name, change)
                assert answer["trend:status"]["time"].tolist() == series["key"].tolist()
                lengths = (series["end"] - series["key"]).astype("timedelta64[m]").astype(int)
                if name != "UTC":
                    assert set(lengths) > {1440}
                assert series["rate"].tolist() == [
                    count / (minutes * 60) for count, minutes in zip(series["count"], lengths, strict=True)
                ]
                hour = f"(extract(isodow FROM {local})::int - 1) * 24 + extract(hour FROM {local})::int"
                hours = dict(pipeline.query(sql.format(hour), *asked))
                week = answer["hour_of_week"]["count"].tolist()
                assert week == [hours.get(number, 0) for number in range(168)], (name, change)
                # Buckets of an hour or less all have the full width.
                half = engine.query(by={"time": []}, tz=zone, width=timedelta(minutes=30), start=start, end=end)["time"]
                assert set((half["end"] - half["key"]).tolist()) == {timedelta(minutes=30)}
                # Among buckets of three hours, one is longer or shorter.
                wide = engine.query(by={"time": []}, tz=zone, width=timedelta(hours=3), start=start, end=end)["time"]
                begins = [at.replace(tzinfo=timezone.utc).astimezone(zone) for at in wide["key"].tolist()]
                assert all((at.hour % 3, at.minute) == (0, 0) or at.date() == change.date() for at in begins)
                lengths = (wide["end"] - wide["key"]).tolist()
                assert sum(length != timedelta(hours=3) for length in lengths) <= int(name != "UTC")
                assert wide["count"].sum() == answer.totals["count"]


@pytest.mark.parametrize("minutes", [60, -60, 25])
def test_a_range_moves_on_over_a_change(embedded_pipeline: Pipeline, minutes: int) -> None:
    pipeline = embedded_pipeline
    pipeline.run("produce", "--rate", "max", "--count", "20000")
    pipeline.run("consume", "--until-caught-up")
    pipeline.execute("UPDATE orders SET timestamp = now() AT TIME ZONE 'UTC' - random() * interval '4 hours'")
    change = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(minutes=90)
    zone = Shifted(minutes, change)
    with ccstream.KpiEngine.from_database(pipeline.database_url) as engine:
        for _ in range(3):
            assert engine.refresh()
            answer = engine.query(
                last=timedelta(hours=3), before=True, by={"time": ["cards"]}, tz=zone, width=timedelta(minutes=50)
            )
            series = answer["time"]
            assert series["key"][1:].tolist() == series["end"][:-1].tolist()
            for start, end, count, cards in zip(
                series["key"].tolist(), series["end"].tolist(), series["count"], series["cards"], strict=True
            ):
                [expected] = pipeline.query(
                    "SELECT count(*), count(DISTINCT card_token) FROM orders WHERE timestamp >= %s AND timestamp < %s",
                    max(start, micros(answer.start or 0)),
                    min(end, micros(answer.at)),
                )
                assert (count, cards) == expected
                local = start.replace(tzinfo=timezone.utc).astimezone(zone)
                since = local.replace(tzinfo=None) - micros(0)
                assert since % timedelta(minutes=50) == timedelta(0) or start == change.replace(tzinfo=None)
            time.sleep(0.2)


def test_equivalent_queries_have_equal_answers(filled: Pipeline) -> None:
    with ccstream.KpiEngine.from_database(filled.database_url) as engine:
        assert engine.refresh()
        questions: list[list[Any]] = [
            [{"status": "declined"}, {"status": ["declined"]}, {"status": ("declined",)}, {"status": {"declined"}}],
            [{"category": None}, {"category": [None]}],
            [
                {"status": ["declined", None], "currency": "USD"},
                MappingProxyType({"status": {"declined", None}, "currency": ["USD"]}),
            ],
        ]
        for filters in questions:
            answers = [engine.query(filters=one).totals for one in filters]
            assert answers == [answers[0]] * len(answers)
            latest = [engine.latest(3, filters=one) for one in filters]
            assert latest == [latest[0]] * len(latest)
        assert 0 < engine.query(filters={"status": "declined"}).totals["count"] < 2000
        [moments] = filled.query(
            "SELECT min(timestamp), percentile_disc(0.4) WITHIN GROUP (ORDER BY timestamp) FROM orders"
        )
        first, last = (moment.replace(tzinfo=timezone.utc) for moment in moments)
        berlin = ZoneInfo("Europe/Berlin")
        ranges: list[tuple[Any, Any]] = [
            (first, last),
            (first.replace(tzinfo=None), last.replace(tzinfo=None)),
            (first.astimezone(berlin), last.astimezone(berlin)),
            (np.datetime64(moments[0]), np.datetime64(moments[1])),
            ((moments[0] - micros(0)) // timedelta(microseconds=1), np.datetime64(moments[1]).astype(np.int64)),
        ]
        totals = [engine.query(start=start, end=end).totals for start, end in ranges]
        assert totals == [totals[0]] * len(totals)
        assert 0 < totals[0]["count"] < 2000
        with pytest.raises(TypeError, match=r"^start: pass a datetime or"):
            engine.query(start="2026-01-01", end=last)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"^tz: pass a datetime\.tzinfo"):
            engine.query(tz="Europe/Berlin")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"by": {"colour": []}}, '^by: .*"colour"'),
        ({"by": {"city": ["mode"]}}, '^by: .*"mode"'),
        ({"filters": {"place": ["Rome"]}}, "^filters: "),
        ({"min_amount": "1.234"}, '^min_amount: "1.234"'),
        ({"before": True}, "^before: "),
        ({"start": 5, "end": 5}, "^end: "),
        ({"start": 5}, "^start: "),
        ({"last": timedelta(0)}, "^last: "),
        ({"last": timedelta(days=90), "width": timedelta(seconds=1), "by": {"time": []}}, "^width: "),
        ({"by": {"amount": ["p95"]}}, "^by: "),
    ],
)
def test_a_query_that_is_not_valid_is_refused(
    engine: ccstream.KpiEngine, question: dict[str, Any], message: str
) -> None:
    with pytest.raises(ccstream.ConfigError, match=message):
        engine.query(**question)


def test_aggregating_your_own_columns() -> None:
    generator = np.random.default_rng(7)
    by, value = generator.integers(0, 50, 10_000), generator.normal(size=10_000)
    value[::17] = np.nan
    measures: dict[str, str | tuple[str, str]] = {
        "n": "count",
        "sum": ("v", "sum"),
        "low": ("v", "min"),
        "p95": ("v", "p95"),
        "kinds": ("by", "distinct"),
    }
    found = kpi.aggregate({"by": by, "v": value}, by="by", measures=measures)
    assert found["by"].tolist() == list(range(50))
    for group in (0, 31):
        own = np.sort(value[(by == group) & ~np.isnan(value)])
        assert found["n"][group] == (by == group).sum()
        assert found["sum"][group] == pytest.approx(own.sum())
        assert found["low"][group] == own[0]
        assert found["p95"][group] == own[int(np.ceil(0.95 * len(own))) - 1]
        assert found["kinds"][group] == 1
    for half in ({"by": by[::2], "v": value[::2]}, {"by": by[::2].copy(), "v": value[::2].copy()}):
        means = kpi.aggregate(half, by="by", measures={"mean": ("v", "mean")})["mean"]
        assert means[31] == pytest.approx(np.nanmean(value[::2][by[::2] == 31]))
    for columns, problem in (
        ({"by": by, "v": value[:-1]}, "^data: the columns "),
        ({"by": value, "v": value}, "^by: by "),
        ({"by": by}, "^data: v "),
    ):
        with pytest.raises(ccstream.ConfigError, match=problem):
            kpi.aggregate(columns, by="by", measures={"sum": ("v", "sum")})
