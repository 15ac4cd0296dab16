"""Tests what has changed against yesterday and last week: a recount in SQL finds the same values and figures."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

import ccstream
from ccstream.dashboard import changes_figures, changes_sides, changes_words
from ccstream.dashboard.changes_figures import AGO, COUNT, DECLINED, LEAST, MOVERS, RATE, Values
from ccstream.dashboard.changes_sides import DIMENSIONS, MEASURES, STEPS, Side, Table
from ccstream.dashboard.view import View
from ccstream.dashboard.words import said
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


def store(pipeline: Pipeline) -> Pipeline:
    """Stores transactions of days that differ."""
    world = ("--rate", f"{A_DAY / 86_400:.5f}", "--start-time", f"{START:%Y-%m-%dT%H:%M:%SZ}", "--speed", "max")
    pipeline.run("produce", *world, "--seed", "5", "--count", str(DAYS * A_DAY), "--quiet")
    pipeline.run("consume", "--until-caught-up")
    pipeline.execute(CHANGED)
    return pipeline


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
    [row] = pipeline.query(query, money=currency, **one.values, **times(start, end))
    return Values(*row)


def by_value(pipeline: Pipeline, one: Slice, currency: str | None, dimension: str, ago: timedelta) -> dict[str, Values]:
    """Returns the figures of each value of a dimension, a time ago."""
    start, end = one.start - ago, one.end - ago
    query = f"""SELECT coalesce({dimension}, '(unknown)'), {FIGURES} FROM orders
        WHERE {one.where} AND timestamp >= %(start)s AND timestamp < %(end)s GROUP BY 1"""
    rows = pipeline.query(query, money=currency, **one.values, **times(start, end))
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
    return pipeline.query(query, **parameters)


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
        now = by_value(pipeline, one, currency, dimension, timedelta())
        then = {since: by_value(pipeline, one, currency, dimension, AGO[since]) for since in compared}
        nothing = Values(0, 0, 0, 0, 0, 0)
        for name, (what, surprise) in best.items():
            before = {since: values.get(name, nothing) for since, values in then.items()}
            found[dimension, name] = Candidate(what, surprise, now.get(name, nothing), before)
    return found


def check_sentence(mover: Mover, expected: Candidate, currency: str | None) -> None:
    """Checks every figure of a sentence."""
    text = said(*changes_words.mover(mover, currency, "from-to"))
    now, then = expected.now, expected.then

    def of_what(values: Values) -> str:
        if expected.what == RATE:
            return f"{100 * values.approved / values.decided:.1f}%"
        return f"{values.count if expected.what == COUNT else values.declined:,}"

    names = {"yesterday": "the day before", "last week": "the week before"}
    instead = " and ".join(f"{of_what(values)} {names[since]}" for since, values in then.items())
    start = {COUNT: "{} transaction", DECLINED: "{} declined", RATE: "approval rate {}"}[expected.what]
    assert f"{start.format(of_what(now))}" in text
    assert f" instead of {instead}" in text
    assert text.index(start.format(of_what(now))) < text.index(" instead of ")
    if expected.what != DECLINED:
        assert f"{now.count:,} transaction" in text
        if now.decided:
            assert f"approval rate {100 * now.approved / now.decided:.1f}%" in text
        if now.purchases:
            assert f"value {now.value / 100:,.2f} {currency}" in text
    # A change in brackets is from the time that is named first.
    first = next(iter(then.values()))
    for pattern, new, old in (
        (r"transactions \(([+-][\d.,]+)%\)", now.count, first.count),
        (rf"{currency} \(([+-][\d.,]+)%\)", now.value, first.value),
    ):
        if change := re.search(pattern, text):
            assert float(change[1].replace(",", "")) == pytest.approx(100 * (new / old - 1), abs=0.051)
    if points := re.search(r"% \(([+-][\d.]+) pp\)", text):
        shares = [100 * values.approved / values.decided for values in (now, first)]
        assert float(points[1]) == pytest.approx(shares[0] - shares[1], abs=0.051)


@pytest.mark.timeout(1800)
def test_a_recount_in_sql_chooses_the_same(embedded_pipeline: Pipeline, chance: random.Random) -> None:
    pipeline = store(embedded_pipeline)
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


QUIET_DAYS = 200
CHANCE = 1 / 16_000
"""The documented probability that chance alone changes a value beyond the threshold."""


def quiet(generator: np.random.Generator, weights: dict[str, Any], rates: dict[str, Any], expected: float) -> Side:
    """Draws a day on which nothing but chance and the number of all transactions changes."""
    count = int(generator.poisson(expected))
    tables, totals = {}, dict.fromkeys(MEASURES, 0)
    # Two of a hundred transactions are neither approved nor declined.
    is_decided = generator.random(count) < 0.98
    chances = generator.random(count)
    is_approved = np.zeros(count, dtype=bool)
    for dimension, weight in weights.items():
        value = generator.choice(len(weight), size=count, p=weight)
        if dimension == "category":
            is_approved = is_decided & (chances < rates["category"][value])
        marked = {"count": np.ones(count, dtype=bool), "decided": is_decided, "approved": is_approved}
        marked |= {"declined": is_decided & ~is_approved, "value": is_approved, "purchases": is_approved}
        columns = {name: np.bincount(value[chosen], minlength=len(weight)) for name, chosen in marked.items()}
        tables[dimension] = Table([f"{dimension} {at}" for at in range(len(weight))], columns, is_whole=True)
        totals = {name: int(chosen.sum()) for name, chosen in marked.items()}
    return Side(at=0, span=(0, 1), currency="EUR", totals=totals, tables=tables)


@pytest.mark.parametrize("expected", [300, 5_000])
def test_chance_and_a_common_change_make_no_mover(chance: random.Random, expected: int) -> None:
    """Compares quiet days. Twice as many transactions of every value are a common change, which explains itself."""
    generator = np.random.default_rng(chance.getrandbits(64))
    sizes = dict(zip(DIMENSIONS, (6, 14, 30, 60, 200, 5, 40, 12), strict=True))
    weights = {name: generator.dirichlet(np.full(size, 0.5)) for name, size in sizes.items()}
    # The approval rate is that of the category, which comes first here.
    weights = {"category": weights.pop("category"), **weights}
    rates = {"category": generator.uniform(0.6, 0.99, sizes["category"])}
    tested = found = days = 0
    for day in range(QUIET_DAYS):
        now, yesterday, last_week = (
            quiet(generator, weights, rates, expected * size) for size in (1, 1, 2 if day % 2 else 1)
        )
        sides = {"yesterday": yesterday, "last week": last_week}
        for side in sides.values():
            for name in DIMENSIONS:
                here, there = (one.tables[name].figures["count"] for one in (now, side))
                # Of each value, its count and its approval rate are compared.
                tested += 2 * int((np.maximum(here, there) >= LEAST).sum())
        movers = changes_figures.movers(now, sides)
        found += len(movers)
        days += bool(movers)
    expected_movers = tested * CHANCE
    print(f"{found} of {tested:,} comparisons on {days} of {QUIET_DAYS} days; {expected_movers:.1f} are expected")
    assert tested > 10_000
    # The scales are approximate for small numbers. The rest is the chance of this test itself.
    assert found <= 1.5 * expected_movers + 4 * expected_movers**0.5 + 2


def test_a_value_that_may_be_incomplete_is_no_mover() -> None:
    """Compares with a side that has only the largest values: what it lacks may have had transactions."""

    def side(names: list[str], counts: list[int], *, is_whole: bool) -> Side:
        figures = {name: np.array(counts if name == "count" else [0] * len(counts)) for name in MEASURES}
        nothing = Table([], {name: np.array([], dtype=np.int64) for name in MEASURES}, is_whole=True)
        tables = {**dict.fromkeys(DIMENSIONS, nothing), "merchant": Table(names, figures, is_whole=is_whole)}
        totals = {**dict.fromkeys(MEASURES, 0), "count": 10_000}
        return Side(at=0, span=(0, 1), currency=None, totals=totals, tables=tables)

    now = side(["a", "b", "c"], [500, 500, 500], is_whole=True)
    for is_whole, names in ((False, []), (True, ["c"])):
        then = side(["a", "b"], [500, 500], is_whole=is_whole)
        assert [mover.name for mover in changes_figures.movers(now, {"yesterday": then})] == names
        assert [mover.name for mover in changes_figures.movers(then, {"yesterday": now})] == names


def asked(engine: ccstream.KpiEngine, view: View) -> tuple[Changes, list[Side]]:
    """Returns what has changed, and the answers about the past."""
    sides: list[Side] = []

    def ask(engine: ccstream.KpiEngine, question: dict[str, Any]) -> Side:
        sides.append(changes_sides.ask(engine, question))
        return sides[-1]

    found = changes_figures.load(engine, view, timezone.utc, ask)
    assert found is not None
    return found, sides


def test_ranges_that_follow_the_clock(embedded_pipeline: Pipeline) -> None:
    """Compares the last hours, and a day that has just begun, with SQL: the compared part is as long as what passed."""
    pipeline = embedded_pipeline
    now = datetime.now(timezone.utc)
    start = now - timedelta(days=8)
    world = ("--rate", "0.05", "--start-time", f"{start:%Y-%m-%dT%H:%M:%SZ}", "--speed", "max", "--seed", "5")
    pipeline.run("produce", *world, "--count", "36000", "--quiet")
    pipeline.run("consume", "--until-caught-up")
    begun = now - timedelta(minutes=20)
    views = [View(span="1h"), View(span="6h")]
    views += [View(span="from-to", start=begun, end=begun + timedelta(hours=length)) for length in (1, 24)]
    with ccstream.KpiEngine.from_database(pipeline.database_url) as engine:
        assert engine.refresh()
        for view in views:
            found, sides = asked(engine, view)
            assert len(sides) == len(AGO)
            own = changes_sides.ask(engine, changes_sides.question_now(view))
            passed = (own.span[0], min(own.span[1], own.at))
            length = passed[1] - passed[0]
            for (since, values), side in zip(found.then.items(), sides, strict=True):
                moments = [micros(moment).replace(tzinfo=timezone.utc) for moment in side.span]
                every = Slice(view, moments[0], moments[1], "true", {})
                assert values == figures(pipeline, every, found.currency, *moments), (view, since)
                before = [(moment - AGO[since] // timedelta(microseconds=1)) for moment in passed]
                assert abs(side.span[1] - before[1]) <= length / STEPS / 2 + 1, (view, since)
                assert side.span[1] - side.span[0] == pytest.approx(length, rel=0.5 / STEPS + 1e-6), (view, since)
