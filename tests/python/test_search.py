"""Tests the search and the drawer against PostgreSQL: what is found, how far, and what the page shows."""

from __future__ import annotations

import re
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg import sql
from streamlit.testing.v1 import AppTest

from analyst import open_alert, open_some, riskiest
from ccstream.dashboard import drawer, drawer_figures, drawer_tables, orders_queries, orders_tables, reading
from ccstream.dashboard.orders_tables import Reach
from ccstream.dashboard.search_tables import LONGEST, MOST, Found, Match, clean, search
from conftest import make_database, micros, score
from drawn import texts
from pipeline import make_pipeline
from test_dashboard import app, engines, settled  # noqa: F401
from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from analyst import Case
    from ccstream.dashboard.drawer_tables import One, Several
    from pipeline import Pipeline

# Streamlit and Altair cause deprecation warnings, and the threads of cached engines end only with the process.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

EIGHT = """CREATE TABLE orders (order_id VARCHAR(50) PRIMARY KEY, status VARCHAR(50), category VARCHAR(50),
    value NUMERIC(10,2), timestamp TIMESTAMP, city VARCHAR(100), payment_method VARCHAR(50), discount NUMERIC(4,2))"""
DRAW = """from datetime import timedelta, timezone
from ccstream.dashboard import drawer
drawer.draw({!r}, timezone.utc, print)"""
MERCHANTS = ["Harbor Coffee", "Coffee Corner", "(others)", None, "100% Pure", "a_b", "\u0643\u0627\u0641\u064a"]
HOSTILE = ("%", "_", "'; DROP TABLE orders; --", "\0", "x" * 10_000, "\u202e\u200f", "{rows}", "%(value)s", '"', "\\")


@pytest.fixture(scope="module")
def stored(services: dict[str, str]) -> Iterator[Pipeline]:
    """Yields scored transactions, for tests that change none of them."""
    with make_database(services) as url, make_pipeline(services["KAFKA_BOOTSTRAP_SERVERS"], url) as pipeline:
        yield score(pipeline)


@pytest.fixture
def case(stored: Pipeline) -> Iterator[Case]:
    """Yields a transaction with a high score. The tables of alerts and segments are as before at the end."""
    yield riskiest(stored)
    stored.execute("DELETE FROM alerts; DROP TABLE IF EXISTS merchant_segment, card_segment")
    for (index,) in stored.query("SELECT indexname FROM pg_indexes WHERE indexname ~ '^orders_.*_timestamp_idx$'"):
        stored.execute(f"DROP INDEX {index}")


def several(url: str, kind: str, value: str) -> Several:
    found = drawer_tables.several(url, kind, value)
    assert found is not None
    return found


def one(url: str, number: str) -> One:
    found = drawer_tables.one(url, number)
    assert found is not None
    return found


def values(found: Found) -> list[tuple[str, str]]:
    return [(match.kind, match.value) for match in found.matches]


def at_the_end(monkeypatch: pytest.MonkeyPatch, blocks: int) -> None:
    """Makes searches without an index read only this number of blocks."""
    first = orders_queries.FIRST.replace(f"- {orders_queries.END})", f"- {blocks})")
    assert first != orders_queries.FIRST
    monkeypatch.setattr(orders_queries, "FIRST", first)


def test_each_kind_is_found(stored: Pipeline, case: Case) -> None:
    url = stored.database_url
    [(terminal, last4)] = stored.query(
        "SELECT terminal_id, card_last4 FROM orders WHERE order_id = %s", case.transaction
    )
    assert search(url, f" {case.transaction}\n", MERCHANTS).matches == [
        Match("transaction", case.transaction, last=case.time)
    ]
    newest = "SELECT max(timestamp) FROM orders WHERE {} = %s"
    [(last,)] = stored.query(newest.format("card_token"), case.card)
    assert search(url, case.card, MERCHANTS).matches == [Match("card", case.card, last4, last)]
    [(last,)] = stored.query(newest.format("terminal_id"), terminal)
    assert search(url, terminal, MERCHANTS).matches == [Match("terminal", terminal, None, last)]
    cards = stored.query(
        "SELECT 'card', card_token, card_last4, max(timestamp) FROM orders WHERE card_last4 = %s AND card_token IS NOT"
        f" NULL GROUP BY 2, 3 ORDER BY 4 DESC, 2 LIMIT {MOST}",
        last4,
    )
    for text in (last4, f"••{last4}", f"**** {last4}"):
        assert search(url, text, MERCHANTS).matches == [Match(*row) for row in cards]
    # First comes the same name, then those that begin so. Marks of the direction of writing do not count.
    found = search(url, "\u200fcoffee\u200e", MERCHANTS)
    assert values(found) == [("merchant", "Coffee Corner"), ("merchant", "Harbor Coffee")]
    assert values(search(url, "\u202b\u0643\u0627\u0641\u064a\u202c", MERCHANTS)) == [
        ("merchant", "\u0643\u0627\u0641\u064a")
    ]
    many = search(url, "m", [f"m{at}" for at in range(50)])
    assert (len(many.matches), many.left_out) == (MOST, 50 - MOST)
    # The whole table was searched.
    assert many.reach.searched is None


def test_hostile_texts_find_only_what_contains_them(stored: Pipeline) -> None:
    url = stored.database_url
    rows = stored.query("SELECT count(*) FROM orders")
    found = {text: values(search(url, text, MERCHANTS)) for text in HOSTILE}
    assert {text: one for text, one in found.items() if one} == {
        "%": [("merchant", "100% Pure")],
        "_": [("merchant", "a_b")],
    }
    assert clean(" a\0b\u200e\n c ") == "ab c"
    assert search(url, "x" * LONGEST, MERCHANTS) == Found(reach=Reach(("card_token", "terminal_id")))
    assert search(url, "nobody", MERCHANTS).matches == []
    for text in HOSTILE:
        for kind in drawer_tables.COLUMNS:
            if "\0" not in text:
                assert several(url, kind, text).rows == []
                assert drawer_tables.one(url, text) is None
    assert stored.query("SELECT count(*) FROM orders") == rows


def test_without_an_index_the_end_of_the_table_is_searched(
    stored: Pipeline, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert case
    url = stored.database_url
    at_the_end(monkeypatch, 300)
    [(first,)] = stored.query("SELECT pg_relation_size('orders') / current_setting('block_size')::int - 300")
    end = f"ctid >= '({first},0)'"
    [(searched,)] = stored.query(f"SELECT count(*) FROM orders WHERE {end}")
    [(early,)] = stored.query(
        f"SELECT card_token FROM orders GROUP BY 1 HAVING count(*) FILTER (WHERE {end}) = 0 ORDER BY 1 LIMIT 1"
    )
    [(late, count)] = stored.query(
        f"SELECT card_token, count(*) FROM orders WHERE {end} AND card_token IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
        " LIMIT 1"
    )
    [(everything,)] = stored.query("SELECT count(*) FROM orders WHERE card_token = %s", late)
    assert everything > count
    found = several(url, "card", late)
    assert (found.count, found.reach) == (count, Reach(("card_token",), searched))
    assert search(url, early, []) == Found(reach=Reach(("card_token", "terminal_id"), searched))
    said = drawer_figures.reach(found.reach)
    assert f"only the {searched:,} rows at the end of the table were searched" in said
    # The statement that the page shows makes it find all.
    stored.execute(said.split("`")[3].replace("CONCURRENTLY ", ""))
    assert several(url, "card", late).count == everything
    assert several(url, "card", late).reach == Reach()
    assert values(search(url, early, [])) == [("card", early)]
    assert drawer_figures.reach(Reach(("card_token",))) == ""


def test_every_query_reads_a_bounded_part(stored: Pipeline, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks the plans of all queries: none reads a whole table."""
    at_the_end(monkeypatch, 300)
    open_some(stored, case)
    stored.execute("CREATE INDEX ON orders (merchant, timestamp)")
    stored.execute("VACUUM ANALYZE orders")
    asked: list[tuple[str, Any]] = []
    connect = reading.connect

    def listening(url: str) -> psycopg.Connection[Any]:
        connection = connect(url)
        execute: Any = connection.execute

        def listen(query: Any, given: Any = None) -> Any:  # noqa: ANN401
            text = query.as_string(connection) if isinstance(query, sql.Composable) else query
            asked.append((text.decode() if isinstance(text, bytes) else text, given))
            return execute(query, given)

        monkeypatch.setattr(connection, "execute", listen)
        return connection

    monkeypatch.setattr(reading, "connect", listening)
    url = stored.database_url
    search(url, "4821", [])
    several(url, "card", case.card)
    several(url, "merchant", case.merchant)
    one(url, case.transaction)
    plans = []
    with connect(url) as connection:
        # A small table is cheaper to read as a whole, so its plan would say nothing of that of a large one.
        connection.execute("SET enable_seqscan = off")
        for query, given in asked:
            if re.search(r"FROM (orders|scores|labels|alerts)\b", query):
                plans += [row[0] for row in connection.execute(f"EXPLAIN {query}".encode(), given)]
    whole = "\n".join(plans)
    for table in ("orders", "scores", "labels", "alerts"):
        assert f"Seq Scan on {table}" not in whole, whole
    for part in ("Tid Range Scan on orders", "orders_merchant_timestamp_idx", "orders_pkey", "scores_order_id_key"):
        assert part in whole, whole
    assert "labels_pkey" in whole
    assert "alerts_open" in whole


def test_the_drawer_has_what_sql_says(stored: Pipeline, case: Case) -> None:
    url, ids = stored.database_url, open_some(stored, case)
    closed = open_alert(stored, "of_the_merchant", 7, state="closed", key="x", why={"merchant": case.merchant})
    anomaly = {"kind": "anomaly", "dimension": "merchant", "series": case.merchant}
    of_series = open_alert(stored, "approvals", 8, severity="critical", key="approval_rate", why=anomaly)
    for kind, column in drawer_tables.COLUMNS.items():
        [(value,)] = stored.query(f"SELECT {column} FROM orders WHERE order_id = %s", case.transaction)
        found = several(url, kind, value)
        rows = stored.query(
            "SELECT order_id, timestamp, value, card_last4, score, reasons FROM orders LEFT JOIN scores"
            f" USING (order_id) WHERE {column} = %s ORDER BY timestamp DESC LIMIT 20",
            value,
        )
        wanted = ("id", "time", "amount", "last4", "score", "reasons")
        assert [tuple(row[name] for name in wanted) for row in found.rows] == rows
        by_hour = "SELECT date_trunc('hour', timestamp), status, count(*) FROM orders WHERE {} = %s GROUP BY 1, 2"
        hours: dict[tuple[Any, str | None], int] = {}
        for quarter in found.history:
            at = (micros(quarter.start * 10**6).replace(minute=0), quarter.status)
            hours[at] = hours.get(at, 0) + quarter.transactions
        assert hours == {row[:2]: row[2] for row in stored.query(by_hour.format(column), value)}
        [(first, approved, decided)] = stored.query(
            "SELECT min(timestamp), count(*) FILTER (WHERE status = 'approved'), count(*) FILTER (WHERE status IN"
            f" ('approved', 'declined')) FROM orders WHERE {column} = %s",
            value,
        )
        said = drawer_figures.summary(found, timezone.utc)
        assert f"since {first:%Y-%m-%d %H:%M:%S}" in said
        assert f"**{approved / decided:.1%}** approved" in said
    fired = [ids["card_score"], ids["merchant_declines"]]
    assert [alert.id for alert in several(url, "card", case.card).alerts] == fired
    of_merchant = [of_series, ids["card_score"], ids["merchant_declines"], closed]
    assert [alert.id for alert in several(url, "merchant", case.merchant).alerts] == of_merchant
    assert [alert.id for alert in several(url, "terminal", "T0000017").alerts] == [ids["silent_terminal"]]
    assert [alert.id for alert in one(url, case.transaction).alerts] == fired
    assert drawer_tables.one(url, "nothing") is None


def test_a_transaction_has_every_column_and_what_is_known_of_it(stored: Pipeline, case: Case) -> None:
    url = stored.database_url
    names = [
        name
        for (name,) in stored.query(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'orders' ORDER BY ordinal_position"
        )
    ]
    texts = ", ".join(f"{name}::text" for name in names)
    [row] = stored.query(f"SELECT {texts} FROM orders WHERE order_id = %s", case.transaction)
    found = one(url, case.transaction)
    assert found.columns == dict(zip(names, row, strict=True))
    [known] = stored.query("SELECT score, ratio, model, reasons FROM scores WHERE order_id = %s", case.transaction)
    assert found.score == known
    said = drawer_figures.score(found.score)
    assert f"**{case.score:.3f}** by rules" in said
    assert said.count("\n- ") == len(known[3] or ())
    [(labelled,)] = stored.query("SELECT transaction_id FROM labels WHERE fraud ORDER BY seq NULLS LAST LIMIT 1")
    labels = stored.query(
        "SELECT source, labelled_at, fraud FROM labels WHERE transaction_id = %s ORDER BY labelled_at DESC", labelled
    )
    assert one(url, labelled).labels == labels
    assert "fraud" in drawer_figures.labels(one(url, labelled).labels, timezone.utc)
    stored.execute(
        "CREATE TABLE merchant_segment (merchant TEXT, name TEXT, valid_to TIMESTAMP);"
        "CREATE TABLE card_segment (card_token TEXT, name TEXT, valid_to TIMESTAMP);"
        "GRANT SELECT ON merchant_segment, card_segment TO ccstream_reader"
    )
    with stored.connect() as connection:
        connection.execute(
            "INSERT INTO merchant_segment VALUES (%s, 'old', now()), (%s, 'night', NULL)", [case.merchant] * 2
        )
        connection.execute("INSERT INTO card_segment VALUES (%s, 'rare', NULL)", [case.card])
    assert one(url, case.transaction).segments == {"merchant": "night", "card": "rare"}
    assert several(url, "merchant", case.merchant).segment == "night"
    assert several(url, "card", case.card).segment == "rare"


def test_days_are_those_of_the_viewer(stored: Pipeline, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    found = several(stored.database_url, "merchant", case.merchant)
    zones = ("UTC", "Asia/Kolkata", "America/New_York")
    for name, hours in [(name, hours) for name in zones for hours in (timedelta(days=3), timedelta(0))]:
        zone = ZoneInfo(name)
        monkeypatch.setattr(drawer_figures, "HOURS", hours)
        frame, width = drawer_figures.history(found.history, zone)
        local = f"timestamp AT TIME ZONE 'UTC' AT TIME ZONE '{name}'"
        rows = stored.query(
            f"SELECT date_trunc('{width}', {local}), status, count(*) FROM orders WHERE merchant = %s GROUP BY 1, 2"
            " ORDER BY 1, 2",
            case.merchant,
        )
        times = frame["time"].dt.tz_localize(None).dt.to_pydatetime()
        assert list(zip(times, frame["status"], frame["transactions"], strict=True)) == rows
    quarters = found.history
    later = [quarters[0], quarters[0]._replace(start=quarters[0].start + 40 * 86_400)]
    assert drawer_figures.history(later, timezone.utc)[1] == "day"
    much_later = [quarters[0], quarters[0]._replace(start=quarters[0].start + 400 * 86_400)]
    frame, width = drawer_figures.history(much_later, ZoneInfo("Europe/Berlin"))
    assert width == "week"
    assert set(frame["time"].dt.day_name()) == {"Monday"}
    assert frame["transactions"].sum() == 2 * quarters[0].transactions


def test_a_role_sees_what_it_may_read(stored: Pipeline, case: Case) -> None:
    assert case
    name = f"narrow-{stored.topic[-8:]}"
    stored.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'secret'")
    url = stored.database_url.replace(stored.database_url.split("//")[1].split("@")[0], f"{name}:secret")
    try:
        assert search(url, case.card, []) == Found(is_readable=False)
        assert drawer_tables.several(url, "card", case.card) is None
        assert drawer_tables.one(url, case.transaction) is None
        stored.execute(f'GRANT SELECT (order_id, timestamp, card_token) ON orders TO "{name}"')
        # The place of a row can be compared only by who may read all columns.
        assert search(url, case.card, []) == Found(is_readable=False)
        stored.execute(f'GRANT SELECT ON orders TO "{name}"')
        assert values(search(url, case.card, [])) == [("card", case.card)]
        found = several(url, "card", case.card)
        assert (found.alerts, found.has_alerts, found.rows[0]["score"]) == ([], False, None)
        assert one(url, case.transaction).score is None
        # A reader has all of it.
        stored.execute(f'GRANT ccstream_reader TO "{name}"')
        assert several(url, "card", case.card) == several(stored.database_url, "card", case.card)
    finally:
        stored.execute(f'REVOKE ALL ON orders FROM "{name}"; DROP ROLE "{name}"')


def opened(monkeypatch: pytest.MonkeyPatch, url: str, tmp_path: Path, place: str) -> AppTest:
    """Returns the page with the drawer."""
    return settled(app(monkeypatch, url, tmp_path, range="all", open=place))


def test_a_table_of_eight_columns_is_enough(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(EIGHT)
        connection.execute(
            "INSERT INTO orders SELECT 'id' || at, 'approved', 'food', at, timestamp '2026-01-05' + at * interval"
            " '1 h', 'Oslo', 'visa', 0 FROM generate_series(1, 100) AS at"
        )
    assert values(search(database, "id7", [])) == [("transaction", "id7")]
    assert search(database, "4821", []) == Found()
    assert drawer_tables.several(database, "card", "x") is None
    assert len(one(database, "id7").columns) == 8
    for place, said in (("transaction:id7", "**7\\.00** · approved"), ("card:x", "has no column `card_token`")):
        page = AppTest.from_string(DRAW.format(database), default_timeout=LIMIT)
        page.query_params["open"] = place
        assert said in texts(page.run())
        assert not page.exception


def test_the_page_opens_the_address(
    stored: Pipeline, case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = stored.database_url
    page = opened(monkeypatch, url, tmp_path, f"card:{case.card}")
    assert "None of the newest alerts is about this card" in texts(page)
    [(count,)] = stored.query("SELECT count(*) FROM orders WHERE card_token = %s", case.card)
    assert f"**{count:,}** transactions since" in texts(page)
    assert page.query_params["open"] in (f"card:{case.card}", [f"card:{case.card}"])
    page = opened(monkeypatch, url, tmp_path, "card:![x](http://example.invalid/x.png)")
    assert "There is no transaction of this card" in texts(page)
    assert "![x](" not in texts(page)
    page = opened(monkeypatch, url, tmp_path, "nonsense")
    assert r"open\=nonsense" in texts(page) or "open=nonsense" in texts(page)
    assert "open" not in page.query_params
    page = opened(monkeypatch, url, tmp_path, f"find:{case.card}")
    page.button(key="match-0").click().run()
    assert page.query_params["open"] in (f"card:{case.card}", [f"card:{case.card}"])
    assert not page.exception


def test_the_page_needs_no_analyzer(filled: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    [(number, merchant)] = filled.query("SELECT order_id, merchant FROM orders WHERE merchant IS NOT NULL LIMIT 1")
    found = several(filled.database_url, "merchant", merchant)
    assert (found.alerts, found.has_alerts, found.segment) == ([], False, None)
    assert {row["score"] for row in found.rows} == {None}
    assert one(filled.database_url, number).score is None
    page = opened(monkeypatch, filled.database_url, tmp_path, f"merchant:{merchant}")
    assert "alert" not in texts(page)
    assert not page.exception


def test_a_search_ends_at_its_time_limit(
    stored: Pipeline, case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = opened(monkeypatch, stored.database_url, tmp_path, f"card:{case.card}")
    monkeypatch.setattr(orders_tables, "TIME_LIMIT", 300)
    with stored.locked():
        with pytest.raises(psycopg.errors.QueryCanceled) as raised:
            search(stored.database_url, case.card, [])
        assert "within 5 s" in drawer.failure(raised.value)
        page.query_params["open"] = f"find:{case.card}"

        def says() -> bool:
            return "so the search was stopped" in texts(page.run())

        wait_until("the page shows it", says)
    assert "cannot be read now: gone" in drawer.failure(psycopg.OperationalError("gone\nand more"))
