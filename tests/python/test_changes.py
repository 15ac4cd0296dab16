"""Tests what has changed against yesterday and last week: a recount in SQL finds the same values and figures."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple, cast

import numpy as np
import pytest

import ccstream
from ccstream.dashboard import changes_figures, changes_sides, changes_words
from ccstream.dashboard.changes_figures import AGO, COUNT, DECLINED, LEAST, MOVERS, RATE, Values
from ccstream.dashboard.changes_sides import DIMENSIONS, MEASURES, STEPS, Side, Table
from ccstream.dashboard.view import View
from conftest import micros

if TYPE_CHECKING:
    import random

    from ccstream.dashboard.changes_figures import Changes, Mover
    from pipeline import Pipeline

START = datetime(2026, 1, 5, tzinfo=timezone.utc)
DAYS, A_DAY = 15, 4_000
"""The number of days that are stored, and of transactions a day."""
CHANGED = """
    UPDATE orders SET status = 'declined', response_code = '91' WHERE payment_method = 'visa'
        AND extract(day FROM timestamp)::int % 3 = 0 AND abs(hashtext(order_id)) % 4 = 0;
    UPDATE orders SET entry_mode = 'manual' WHERE extract(day FROM timestamp)::int % 4 = 1
        AND abs(hashtext(order_id || 'e')) % 8 = 0;
    DELETE FROM orders WHERE category = (SELECT category FROM orders GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1)
        AND extract(day FROM timestamp)::int % 2 = 0 AND abs(hashtext(order_id || 'd')) % 3 > 0;
    UPDATE orders SET country = NULL WHERE abs(hashtext(order_id || 'c')) % 9 = 0;
    UPDATE orders SET status = (ARRAY['PAID', 'pending', NULL])[1 + abs(hashtext(order_id || 's')) % 3]
        WHERE abs(hashtext(order_id || 't')) % 20 = 0"""
"""Statements that make days differ, and add statuses and countries of all kinds."""
FIGURES = """count(*),
    count(*) FILTER (WHERE lower(status) IN ('approved', 'paid')),
    count(*) FILTER (WHERE lower(status) IN ('approved', 'paid', 'declined')),
    count(*) FILTER (WHERE lower(status) = 'declined'),
    coalesce(100 * sum(value) FILTER (WHERE lower(status) IN ('approved', 'paid') AND value >= 0
        AND currency = %(money)s), 0)::bigint,
    count(value) FILTER (WHERE lower(status) IN ('approved', 'paid') AND value >= 0 AND currency = %(money)s)"""
"""The figures of :class:`ccstream.dashboard.changes_figures.Values` in SQL."""


class Slice(NamedTuple):
    """Holds a view, its range, and the SQL condition of its filters with the parameters."""

    view: View
    start: datetime
    end: datetime
    where: str
    values: dict[str, Any]


class Candidate(NamedTuple):
    """Holds a value that has changed, as SQL says."""

    what: str
    surprise: float
    now: Values
    then: dict[str, Values]


def draw(chance: random.Random) -> Slice:
    """Draws a range of the last week and filters."""
    some = {
        "payment_method": ("visa", "mastercard", "amex"),
        "status": ("declined", "approved", "PAID"),
        "country": ("US", "DE", "FR", "(unknown)"),
        "entry_mode": ("chip", "contactless", "ecommerce"),
    }
    filters = {
        name: tuple(chance.sample(some[name], chance.randint(1, 3)))
        for name in chance.sample(sorted(some), chance.choice((0, 0, 0, 1, 2)))
    }
    start = START + timedelta(days=7) + chance.randint(0, 6 * 24 * 60) * timedelta(minutes=1)
    end = start + chance.choice((60, 360, 720, 1440, 2000)) * timedelta(minutes=1)
    where = " AND ".join(["true", *(f"coalesce({name}, '(unknown)') = ANY(%({name})s)" for name in filters)])
    values = {name: list(chosen) for name, chosen in filters.items()}
    return Slice(View(span="from-to", start=start, end=end, filters=filters), start, end, where, values)


def times(start: datetime, end: datetime) -> dict[str, Any]:
    return {"start": start.replace(tzinfo=None), "end": end.replace(tzinfo=None)}


def figures(pipeline: Pipeline, one: Slice, currency: str | None, start: datetime, end: datetime) -> Values:
    """Returns the figures of all transactions of a range."""
    query = f"SELECT {FIGURES} FROM orders WHERE {one.where} AND timestamp >= %(start)s AND timestamp < %(end)s"
    [row] = pipeline.query(cast("LiteralString", query), money=currency, **one.values, **times(start, end))
    return Values(*row)


def by_value(
    pipeline: Pipeline, one: Slice, currency: str | None, dimension: str, start: datetime, end: datetime
) -> dict[str, Values]:
    """Returns the figures of each value of a dimension."""
    query = f"""SELECT coalesce({dimension}, '(unknown)'), {FIGURES} FROM orders
        WHERE {one.where} AND timestamp >= %(start)s AND timestamp < %(end)s GROUP BY 1"""
    rows = pipeline.query(cast("LiteralString", query), money=currency, **one.values, **times(start, end))
    return {name: Values(*row) for name, *row in rows}


def angle(x: str, n: str) -> str:
    """Returns the transformation of Freeman and Tukey in SQL."""
    return f"(asin(sqrt({x} / ({n} + 1.0)::float8)) + asin(sqrt(({x} + 1) / ({n} + 1.0)::float8)))"


def nearer(a: str, b: str) -> str:
    """Returns, in SQL, the number that is closer to 0; 0 if the signs differ."""
    return f"CASE WHEN {a} * {b} > 0 THEN sign({a}) * least(abs({a}), abs({b})) ELSE 0 END"


def surprises(pipeline: Pipeline, one: Slice, dimension: str, ago: timedelta) -> list[tuple[str, str, float]]:
    """Returns the values of a dimension that have changed, by the documented rule in SQL."""
    counted = "declined" if dimension == "response_code" else "count"
    root = f"sqrt(2) * (sqrt({counted}0 + 0.375::float8) - sqrt({counted}1 + 0.375::float8))"
    share = f"({angle(f'{counted}0', 'all0')} - {angle(f'{counted}1', 'all1')})"
    share += " / sqrt(1 / (all0 + 0.5::float8) + 1 / (all1 + 0.5::float8))"
    alone = f"({angle('approved0', 'decided0')} - {angle('approved1', 'decided1')})"
    rest = f"({angle('restapproved0', 'rest0')} - {angle('restapproved1', 'rest1')})"
    both = "1 / (decided0 + 0.5::float8) + 1 / (decided1 + 0.5::float8)"
    rate, beside = f"{alone} / sqrt({both})", f"({alone} - {rest}) / sqrt({both} + 1 / (rest0 + 0.5::float8)"
    beside += " + 1 / (rest1 + 0.5::float8))"
    columns = {
        "count": "true",
        "approved": "lower(status) IN ('approved', 'paid')",
        "decided": "lower(status) IN ('approved', 'paid', 'declined')",
        "declined": "lower(status) = 'declined'",
    }
    counts = ", ".join(
        f"count(*) FILTER (WHERE {side} AND {condition}) AS {name}{at}"
        for at, side in enumerate(("here", "NOT here"))
        for name, condition in columns.items()
    )
    query = f"""WITH chosen AS (
            SELECT *, timestamp >= %(start)s AND timestamp < %(end)s AS here FROM orders WHERE {one.where}
            AND (timestamp >= %(start)s AND timestamp < %(end)s
                OR timestamp >= %(start)s - %(ago)s AND timestamp < %(end)s - %(ago)s)
        ), grouped AS (SELECT coalesce({dimension}, '(unknown)') AS name, {counts} FROM chosen GROUP BY 1
        ), beside AS (
            SELECT *, count(*) OVER () AS names, sum(count0) OVER () AS all0, sum(count1) OVER () AS all1,
                sum(approved0) OVER () - approved0 AS restapproved0, sum(decided0) OVER () - decided0 AS rest0,
                sum(approved1) OVER () - approved1 AS restapproved1, sum(decided1) OVER () - decided1 AS rest1
            FROM grouped
        ), scored AS (SELECT *, {root} AS a, {share} AS b, {rate} AS c, {beside} AS d FROM beside WHERE names > 1)
        SELECT name, '{counted}', {nearer("a", "b")} FROM scored WHERE greatest({counted}0, {counted}1) >= 20
            AND abs({counted}0 - {counted}1) >= 0.1::float8 * greatest({counted}0, {counted}1)
            AND abs({nearer("a", "b")}) >= 4
        UNION ALL SELECT name, 'approved_share', {nearer("c", "d")} FROM scored
            WHERE %(rates)s AND least(decided0, decided1) >= 20 AND abs({nearer("c", "d")}) >= 4
            AND abs(approved0 / greatest(decided0, 1)::float8 - approved1 / greatest(decided1, 1)::float8) >= 0.01"""
    parameters = {"ago": ago, "rates": dimension != "response_code", **one.values, **times(one.start, one.end)}
    return pipeline.query(cast("LiteralString", query), **parameters)


def recounted(
    pipeline: Pipeline, one: Slice, currency: str | None, compared: list[str]
) -> dict[tuple[str, str], Candidate]:
    """Returns every value that has changed, with what has changed most."""
    found: dict[tuple[str, str], Candidate] = {}
    for dimension in DIMENSIONS:
        best: dict[str, tuple[str, float]] = {}
        for since in compared:
            for name, what, surprise in surprises(pipeline, one, dimension, AGO[since]):
                if name not in best or abs(surprise) > abs(best[name][1]):
                    best[name] = (what, surprise)
        now = by_value(pipeline, one, currency, dimension, one.start, one.end)
        then = {
            since: by_value(pipeline, one, currency, dimension, one.start - AGO[since], one.end - AGO[since])
            for since in compared
        }
        nothing = Values(0, 0, 0, 0, 0, 0)
        for name, (what, surprise) in best.items():
            before = {since: values.get(name, nothing) for since, values in then.items()}
            found[dimension, name] = Candidate(what, surprise, now.get(name, nothing), before)
    return found


def check_sentence(mover: Mover, expected: Candidate, currency: str | None) -> None:
    """Checks every figure of a sentence."""
    said = changes_words.mover(mover, currency, "from-to").replace("\\", "")
    now, then = expected.now, expected.then
    of_what = {
        COUNT: lambda values: f"{values.count:,}",
        DECLINED: lambda values: f"{values.declined:,}",
        RATE: lambda values: f"{100 * values.approved / values.decided:.1f}%",
    }[expected.what]
    names = {"yesterday": "the day before", "last week": "the week before"}
    instead = " and ".join(f"{of_what(values)} {names[since]}" for since, values in then.items())
    start = {COUNT: f"{now.count:,} transaction", DECLINED: f"{now.declined:,} declined"}
    start[RATE] = f"approval rate {of_what(now)}" if expected.what == RATE else ""
    assert f"{start[expected.what]}" in said
    assert f" instead of {instead}" in said
    assert said.index(start[expected.what]) < said.index(" instead of ")
    if expected.what != DECLINED:
        assert f"{now.count:,} transaction" in said
        if now.decided:
            assert f"approval rate {100 * now.approved / now.decided:.1f}%" in said
        if now.purchases:
            assert f"value {now.value / 100:,.2f} {currency}" in said
    # A change in brackets is from the time that is named first.
    first = next(iter(then.values()))
    for pattern, new, old in (
        (r"transactions \(([+-][\d.,]+)%\)", now.count, first.count),
        (rf"{currency} \(([+-][\d.,]+)%\)", now.value, first.value),
    ):
        if change := re.search(pattern, said):
            assert float(change[1].replace(",", "")) == pytest.approx(100 * (new / old - 1), abs=0.051)
    if points := re.search(r"% \(([+-][\d.]+) pp\)", said):
        shares = [100 * values.approved / values.decided for values in (now, first)]
        assert float(points[1]) == pytest.approx(shares[0] - shares[1], abs=0.051)


@pytest.mark.timeout(1800)
def test_a_recount_in_sql_chooses_the_same(embedded_pipeline: Pipeline, chance: random.Random) -> None:
    pipeline = embedded_pipeline
    world = ("--rate", f"{A_DAY / 86_400:.5f}", "--start-time", f"{START:%Y-%m-%dT%H:%M:%SZ}", "--speed", "max")
    pipeline.run("produce", *world, "--seed", "5", "--count", str(DAYS * A_DAY), "--quiet")
    pipeline.run("consume", "--until-caught-up")
    pipeline.execute(CHANGED)
    kinds: list[str] = []
    with ccstream.KpiEngine.from_database(pipeline.database_url) as engine:
        assert engine.refresh()
        for _ in range(12):
            one = draw(chance)
            print(one.view)
            found = changes_figures.load(engine, one.view, timezone.utc)
            assert found is not None
            kinds += check(pipeline, one, found)
    print(kinds)
    assert {COUNT, RATE} <= set(kinds)


def check(pipeline: Pipeline, one: Slice, found: Changes) -> list[str]:
    """Compares what has changed with SQL, and returns what has changed of each value."""
    is_long = one.end - one.start > timedelta(days=1)
    compared = ["last week"] if is_long else list(AGO)
    assert list(found.then) == compared
    assert found.obstacles == ({"yesterday": "the range is longer than a day"} if is_long else {})
    assert found.now == figures(pipeline, one, found.currency, one.start, one.end)
    for since, then in found.then.items():
        assert then == figures(pipeline, one, found.currency, one.start - AGO[since], one.end - AGO[since])
    expected = recounted(pipeline, one, found.currency, compared)
    for mover in found.movers:
        value = expected[mover.dimension, mover.name]
        assert (mover.what, mover.now, mover.then) == (value.what, value.now, value.then)
        assert mover.surprise == pytest.approx(value.surprise)
        check_sentence(mover, value, found.currency)
    # Of values with the same transactions, one is shown. Those that changed equally have no order.
    different = {(value.what, value.now, *value.then.values()): value.surprise for value in expected.values()}
    most = sorted((abs(surprise) for surprise in different.values()), reverse=True)[:MOVERS]
    assert [abs(mover.surprise) for mover in found.movers] == pytest.approx(most)
    return [mover.what for mover in found.movers]
