"""Tests the page with Streamlit's test runner, and the figures that it shows."""

from __future__ import annotations

import atexit
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from streamlit.testing.v1 import AppTest

import ccstream
from ccstream import embedded
from ccstream.dashboard.custom import Custom
from ccstream.dashboard.figures import load, to_csv
from ccstream.dashboard.metrics import HELP, change_text
from ccstream.dashboard.view import View
from ccstream.dashboard.words import said
from drawn import cards, texts
from services import ROOT, free_port
from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ccstream.dashboard.figures import Figures
    from pipeline import Pipeline

# Streamlit and Altair cause deprecation warnings, and the threads of cached engines end only with the process.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes a page's engine at the end of its test. It would otherwise go on querying a database that was dropped."""
    register, closes = atexit.register, []

    def keep(function: Callable[[], object]) -> object:
        if isinstance(getattr(function, "__self__", None), ccstream.KpiEngine):
            closes.append(function)
            return function
        return register(function)

    monkeypatch.setattr(atexit, "register", keep)
    yield
    for close in closes:
        close()


def app(
    monkeypatch: pytest.MonkeyPatch, url: str, tmp_path: Path, script: str = "dashboard.py", **address: str
) -> AppTest:
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("CCSTREAM_KPI_FILE", str(tmp_path / "columns"))
    monkeypatch.chdir(ROOT)
    page = AppTest.from_file(str(ROOT / script), default_timeout=LIMIT)
    for name, value in address.items():
        page.query_params[name] = value
    return page


def settled(page: AppTest) -> AppTest:
    """Runs the page until its engine has read the database, and returns it."""

    def has_read() -> bool:
        page.run()
        texts = [one.value for one in [*page.info, *page.warning]]
        return bool(cards(page)) or any("orders" in one or "No answer" in one or "No trans" in one for one in texts)

    wait_until("the engine has read", has_read)
    assert not page.exception
    return page


def test_the_page_says_what_to_do(embedded_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = settled(app(monkeypatch, f"postgresql://a:b@localhost:{free_port()}/c", tmp_path))
    assert "No answer from PostgreSQL" in page.warning[0].value
    assert "a:b" not in page.warning[0].value
    page = settled(app(monkeypatch, embedded_pipeline.database_url, tmp_path))
    assert "python consumer.py" in page.info[0].value
    embedded_pipeline.run("produce", "--count", "1", "--rate", "max")
    embedded_pipeline.run("consume", "--until-caught-up")
    embedded_pipeline.execute("DELETE FROM orders")

    def says(word: str) -> bool:
        return any(word in one.value for one in page.run().info)

    wait_until("the producer is named", lambda: says("python producer.py"))


@pytest.mark.parametrize("script", ["dashboard.py", "python/ccstream/dashboard/page.py"])
def test_nothing_is_drawn_above_the_title(
    filled: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str
) -> None:
    # `ccstream demo` runs the page's file directly, and Streamlit draws each bare string in the file that it runs.
    page = settled(app(monkeypatch, filled.database_url, tmp_path, script, range="all"))
    assert page.markdown[0].value.startswith("#### ccstream")


def test_figures_and_filters(filled: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = settled(app(monkeypatch, filled.database_url, tmp_path, range="all", bogus="1", latest="7"))
    notes = [one.value for one in page.caption]
    assert any("bogus" in note for note in notes)
    assert any("latest=7" in note for note in notes)
    [(count, approved)] = filled.query("SELECT count(*), count(*) FILTER (WHERE status = 'approved') FROM orders")
    assert cards(page)[0].value == f"{count:,}" == "2,000"
    # Nobody has a segment, so there is nothing to choose.
    offered = {one.key for one in page.multiselect}
    assert "only_issuer" in offered
    assert "only_segment" not in offered
    assert cards(page)[1].value == f"{approved / count:.1%}"
    # The events are months old.
    assert "at least 5 % stored over a day late" in texts(page)
    assert "From event to stored, in the last 5 min: at least 50 % over a day late\n" in texts(page)
    page.multiselect(key="only_category").select("food_dining").run()
    [(count, value)] = filled.query(
        "SELECT count(*), sum(value) FILTER (WHERE currency = 'USD' AND status = 'approved' AND value >= 0) "
        "FROM orders WHERE category = 'food_dining'"
    )
    assert cards(page)[0].value == f"{count:,}"
    assert cards(page)[2].value == f"{value:,.2f}"
    assert page.query_params["category"] in ("food_dining", ["food_dining"])
    page.session_state["range"] = "1h"
    page.run()
    assert any("No transactions match" in one.value for one in page.info)
    assert not page.exception


def test_markup_in_data_is_shown_as_text(filled: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    odd = "![x](http://example.invalid/x.png)"
    filled.send([b'{"order_id": "1", "value": "<script>"}'])
    filled.run("consume", "--until-caught-up")
    page = app(monkeypatch, filled.database_url, tmp_path, range="all", status=odd, every=odd, kpi=f"{odd}~count~")
    page = settled(page)
    shown = [one.value for one in [*page.caption, *page.markdown]]
    assert any("example" in one for one in shown)
    assert not any("![x](" in one for one in shown)
    assert any("No transactions match" in one.value for one in page.info)
    page.button(key="clear").click().run()
    labels = [metric.label for metric in cards(page)]
    assert labels[len(HELP)] == odd
    assert cards(page)[0].value == "2,000"
    # A rejected message is shown as text.
    [(reason, detail)] = filled.query("SELECT reason, detail FROM rejected_events")
    page.session_state["reason"] = reason
    page.run()
    assert not page.exception
    assert '"<script>"' in texts(page)
    assert detail in texts(page)


def test_a_password_is_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for url in (
        f"postgresql://localhost:{free_port()}/c?user=a&password=s3cret",
        f"host=localhost port={free_port()} user=a password=s3cret dbname=c",
    ):
        page = settled(app(monkeypatch, url, tmp_path))
        assert "s3cret" not in "".join(one.value for one in [*page.warning, *page.code, *page.caption, *page.markdown])
    monkeypatch.setenv("CCSTREAM_KPI_ROWS", "many")
    page = app(monkeypatch, f"postgresql://localhost:{free_port()}/c", tmp_path).run()
    # The page escapes Markdown.
    assert r"CCSTREAM\_KPI\_ROWS=many" in page.error[0].value
    assert not page.exception


def test_a_start_without_the_database_shows_the_file(
    filled: Pipeline, postgres: embedded.Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ccstream.KpiEngine.from_database(filled.database_url, file=tmp_path / "columns") as engine:
        assert engine.refresh()
    postgres.stop()
    try:
        page = settled(app(monkeypatch, filled.database_url, tmp_path, range="all"))
        assert cards(page)[0].value == "2,000"
        wait_until("a warning", lambda: any("has been unavailable" in one.value for one in page.run().warning))
        assert not page.exception
    finally:
        postgres.start()


def test_buckets_that_are_not_whole(embedded_pipeline: Pipeline) -> None:
    start = (datetime.now(timezone.utc) - timedelta(minutes=6)).isoformat()
    embedded_pipeline.run("produce", "--rate", "max", "--count", "5000", "--start-time", start)
    embedded_pipeline.run("consume", "--until-caught-up")
    embedded_pipeline.execute("UPDATE orders SET timestamp = now() AT TIME ZONE 'UTC' - random() * interval '6 min'")
    with ccstream.KpiEngine.from_database(embedded_pipeline.database_url) as engine:
        wait_until("it is read", lambda: engine.refresh() and engine.status.loaded == 1)
        figures = load(engine, View(span="5m"), timezone.utc)
        assert figures.series["whole"].tolist() == [False, *[True] * (len(figures.series) - 2), False]
        assert len(figures.metrics[0].trend) == len(figures.series) - 2 >= 58
        assert figures.metrics[0].trend == figures.series["transactions"].tolist()[1:-1]
        assert {len(trend) for trend in figures.merchants["trend"] if trend} == {len(figures.series) - 2}
        everything = load(engine, View(span="all"), timezone.utc)
        assert everything.series["whole"].tolist()[1:-1] == [True] * (len(everything.series) - 2)


def test_amounts_of_one_currency(filled: Pipeline) -> None:
    with ccstream.KpiEngine.from_database(filled.database_url) as engine:
        assert engine.refresh()
        figures = load(engine, View(span="all"), timezone.utc, [Custom("Euros", "sum", "currency = EUR")])
        [(usd, eur)] = filled.query(
            "SELECT count(*) FILTER (WHERE currency = 'USD'), sum(value) FILTER (WHERE currency = 'EUR') FROM orders"
        )
        assert (figures.amounts, figures.currency) == (usd, "USD")
        assert (figures.metrics[-1].label, figures.metrics[-1].number) == ("Euros (EUR)", float(eur))
        assert load(engine, View(span="all", filters={"currency": ("EUR",)}), timezone.utc).currency == "EUR"
        only = load(engine, View(span="all", filters={"currency": ("EUR",)}, money="USD"), timezone.utc)
        assert only.merchants["value"].isna().all()
        [custom] = [Custom("=1+1", "count")]
        lines = to_csv(load(engine, View(span="all"), timezone.utc, [custom])).splitlines()
        assert any(line.startswith("metric,'=1+1,") for line in lines)


def test_one_refresh_agrees_with_sql(filled: Pipeline) -> None:
    with ccstream.KpiEngine.from_database(filled.database_url) as engine:
        assert engine.refresh()
        figures = load(engine, View(span="all"), timezone.utc)
        assert (figures.currency, figures.count) == ("USD", 2000)
        for frame in (figures.series, figures.places, figures.categories, figures.methods, figures.week):
            assert frame["transactions"].sum() == 2000
        assert figures.width
        assert (figures.series["time"].diff().dropna() == figures.width).all()
        merchants = figures.merchants.iloc[:12]
        assert [sum(trend) for trend in merchants["trend"]] == merchants["transactions"].tolist()
        declined = View(span="all", filters={"status": ("declined",)}, money="EUR")
        figures = load(engine, declined, timezone.utc, [Custom("Big", "sum", "amount > 50 and country != US")])
        # What was declined moved no money.
        assert [one.value for one in figures.metrics[2:4]] == ["0.00", "0.00"]
        [(value,)] = filled.query(
            "SELECT sum(value) FROM orders WHERE status = 'declined' AND currency = 'EUR' AND value > 50 "
            "AND country IS DISTINCT FROM 'US'"
        )
        assert (figures.metrics[-1].label, figures.metrics[-1].value) == ("Big (EUR)", f"{value:,.2f}")
        assert "time,2026-01-01" in to_csv(figures)


def test_value_is_money_that_moved(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    event = (
        '{{"order_id":"{}","amount":{},"timestamp":"2026-01-05T10:00:0{}Z","currency":"EUR",'
        '"status":"{}","merchant":"{}"}}'
    )
    rows = [
        (10, "approved", "A"),
        (0.5, "settled", "A"),
        (-4, "approved", "A"),
        (-3, "declined", "A"),
        (7, "declined", "A"),
        (-1, "Paid", "B"),
        (9, "pending", "B"),
        (2, "failed", "C"),
    ]
    pipeline.send([event.format(n, amount, n, *rest).encode() for n, (amount, *rest) in enumerate(rows)])
    pipeline.catch_up()
    with ccstream.KpiEngine.from_database(pipeline.database_url) as engine:
        assert engine.refresh()
        customs = [
            Custom("Refund rate", "count", "amount < 0", of=""),
            Custom("Lost", "sum", "status = declined", of="amount >= 0 and status != pending", good=-1),
            Custom("Nothing", "count", "status = approved", of="merchant = nobody"),
            Custom("Purchase", "average"),
        ]
        figures = load(engine, View(span="all"), timezone.utc, customs)
        shown = {one.label: one for one in figures.metrics}
        assert (shown["Value (EUR)"].value, shown["Refunds (EUR)"].value) == ("10.50", "5.00")
        assert shown["Refund rate"].value == "37.5%"
        # 4 of the declined amounts are left of 7 - 3, and all amounts of at least 0 but the pending one are 19.5.
        assert (shown["Lost"].number, shown["Lost"].good) == (4 / 19.5, -1)
        assert (shown["Nothing"].value, shown["Nothing"].trend) == ("-", [])
        assert shown["Purchase (EUR)"].value == "5.25"
        merchants = figures.merchants.set_index("merchant")["value"]
        assert merchants.to_dict() == {"A": 10.5, "B": 0, "C": 0}
        assert figures.series["value"].sum() == 10.5
        assert figures.series["refunds"].sum() == 5
        # A slice without a purchase has no average, and one without an amount has no value.
        only = load(engine, View(span="all", filters={"merchant": ("C",)}), timezone.utc)
        assert [one.value for one in only.metrics[2:5]] == ["0.00", "0.00", "1"]
        assert said(*only.sizes).startswith("Average purchase -; half are at most 2.00")
        dollars = load(engine, View(span="all", money="USD"), timezone.utc)
        assert [one.value for one in dollars.metrics[2:4]] == ["-", "-"]


def test_changes_are_against_the_time_before(filled: Pipeline) -> None:
    with ccstream.KpiEngine.from_database(filled.database_url) as engine:
        assert engine.refresh()
        [(begin, middle)] = filled.query(
            "SELECT min(timestamp), percentile_disc(0.4) WITHIN GROUP (ORDER BY timestamp) FROM orders"
        )
        length = middle - begin

        def shown(start: datetime, end: datetime) -> Figures:
            utc = [moment.replace(tzinfo=timezone.utc) for moment in (start, end)]
            return load(engine, View(span="from-to", start=utc[0], end=utc[1]), timezone.utc)

        changes = [metric.change for metric in shown(middle, middle + length).metrics]
        found = []
        for start in (begin, middle):
            [row] = filled.query(
                "SELECT count(*), avg((status = 'approved')::int)::float8 FROM orders "
                "WHERE timestamp >= %s AND timestamp < %s",
                start,
                start + length,
            )
            found.append(row)
        (before, share_before), (now, share) = found
        assert now > 0 < before
        assert changes[0] == change_text("count", now, before)
        assert changes[1] == change_text("approved_share", share, share_before)
        # A period that begins before the first row is incomplete, so nothing is compared with it.
        longer = middle + length + timedelta(seconds=1)
        assert {metric.change for metric in shown(middle, longer).metrics} == {None}


def test_a_table_made_by_somebody_else(
    embedded_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    embedded_pipeline.execute(
        "CREATE TABLE orders (order_id VARCHAR(50) PRIMARY KEY, status VARCHAR(50), category VARCHAR(50), "
        "value NUMERIC(10,2), timestamp TIMESTAMP, city VARCHAR(100), payment_method VARCHAR(50), "
        "discount NUMERIC(4,2)); INSERT INTO orders (order_id) VALUES ('all null'); "
        "INSERT INTO orders VALUES ('old', 'completed', 'Books', 9, '1970-01-01', 'Paris', 'card', 0); "
        "INSERT INTO orders VALUES ('new', 'x', '<script>alert(1)</script>', 9, '2027-01-01', 'مدينة', '''; --', 0)"
    )
    embedded_pipeline.run("produce", "--count", "1", "--rate", "max")
    embedded_pipeline.run("consume", "--until-caught-up")
    page = settled(app(monkeypatch, embedded_pipeline.database_url, tmp_path, range="all"))
    assert cards(page)[0].value == "4"
    page.session_state["range"] = "1h"
    page.run()
    assert cards(page)[0].value == "1"
    assert not page.exception
    with ccstream.KpiEngine.from_database(embedded_pipeline.database_url) as engine:
        assert engine.refresh()
        hour = load(engine, View(span="1h"), timezone.utc)
        assert hour.series["time"].max() - hour.series["time"].min() <= timedelta(hours=1)
        everything = load(engine, View(span="all"), timezone.utc)
        assert (everything.count, everything.untimed) == (4, 1)
        assert "(unknown)" in everything.categories["category"].tolist()
        unknown = load(engine, View(span="all", filters={"category": ("(unknown)",)}), timezone.utc)
        assert unknown.count == 1


def of(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **address: str) -> AppTest:
    """Returns the page for the pipeline's topic and group."""
    monkeypatch.setenv("KAFKA_TOPIC", pipeline.topic)
    monkeypatch.setenv("KAFKA_GROUP_ID", pipeline.topic)
    return app(monkeypatch, pipeline.database_url, tmp_path, "dashboard.py", **address)


def shows(page: AppTest, part: str) -> None:
    """Waits until the page shows a text."""

    def is_there() -> bool:
        page.run()
        assert not page.exception
        return part in texts(page)

    wait_until(f"the page shows {part!r}", is_there, state=lambda: texts(page))


@pytest.mark.parametrize(
    ("create", "part"),
    [
        ("CREATE TABLE orders (order_id VARCHAR(50) PRIMARY KEY) PARTITION BY HASH (order_id)", "a partitioned table"),
        ("CREATE VIEW orders AS SELECT 'x' AS order_id", "a view"),
        (
            "CREATE TABLE orders (order_id VARCHAR(50) PRIMARY KEY); ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
            "row level security",
        ),
    ],
)
def test_tables_that_cannot_be_used_are_named_everywhere(
    embedded_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, create: str, part: str
) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    pipeline.execute(create)
    assert part in pipeline.run("consume", "--until-caught-up", status=5)
    assert part in pipeline.run("verify", status=5)
    assert part in pipeline.run("doctor", status=1)
    page = app(monkeypatch, pipeline.database_url, tmp_path)
    shows(page, part)
    assert "There is no table" not in texts(page)
    assert "No answer from PostgreSQL" not in texts(page)
    assert not cards(page)


def test_row_security_that_is_turned_on_later_is_noticed(
    filled: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = settled(of(filled, monkeypatch, tmp_path, range="all"))
    filled.execute("ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
    shows(page, "row level security")
    assert "The tables have been unusable" in texts(page)
    # The page still shows the earlier figures.
    assert cards(page)[0].value == "2,000"
    filled.execute("ALTER TABLE orders DISABLE ROW LEVEL SECURITY")
    shows(page, "every message is accounted for")


def test_deleted_rows_are_counted_as_gone(filled: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = settled(of(filled, monkeypatch, tmp_path, range="all"))
    shows(page, "every message is accounted for")
    [(lost,)] = filled.query("SELECT count(*) FROM orders WHERE timestamp < date_trunc('minute', timestamp) + '1 s'")
    assert lost > 0
    filled.execute("DELETE FROM orders WHERE timestamp < date_trunc('minute', timestamp) + interval '1 s'")
    shows(page, f"{lost:,} rows that were stored are no longer in orders")
    assert "Another program" not in texts(page)


def test_old_rows_that_were_deleted_are_no_trouble(
    embedded_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pipeline = embedded_pipeline
    for start in ("2026-01-05T10:00:00Z", "2026-01-06T10:00:00Z"):
        pipeline.run("produce", "--rate", "max", "--count", "50", "--quiet", "--start-time", start)
    pipeline.catch_up()
    pipeline.execute("DELETE FROM orders WHERE timestamp < '2026-01-06'")
    page = settled(of(pipeline, monkeypatch, tmp_path, range="all"))
    shows(page, "50 rows from before 2026-01-06")
    assert "every message is accounted for" in texts(page)
    output = pipeline.run("verify")
    assert "50 rows from before 2026-01-06 10:00 UTC were stored and have been deleted" in output
    # There are no recent rows, so the page shows the date of the newest ones.
    shows(app(monkeypatch, pipeline.database_url, tmp_path), "the newest are from 2026-01-06")


def test_a_clock_that_is_ahead_is_asked_about(
    embedded_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pipeline = embedded_pipeline
    ahead = datetime.now(timezone.utc) + timedelta(hours=5, minutes=30, seconds=50)
    pipeline.run("produce", "--rate", "max", "--count", "1", "--quiet", "--start-time", ahead.isoformat())
    pipeline.catch_up()
    page = settled(of(pipeline, monkeypatch, tmp_path, range="all"))
    shows(page, "5 h 30 min ahead of the database's clock")
    assert "local times without an offset" in texts(page)


def test_the_trust_panel_is_of_one_group(filled: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    filled.catch_up(environment={"KAFKA_GROUP_ID": "another"})
    page = settled(of(filled, monkeypatch, tmp_path, range="all"))
    ours = "consumed 2,000 = stored 2,000 + duplicate 0 + rejected 0"
    shows(page, ours)
    assert "group another, topic" in texts(page)
    assert "Other groups or topics (1)" in texts(page)
    assert "consumed 4,000" not in texts(page)


def test_words_of_a_status_are_known_in_any_case(
    embedded_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    words = ["COMPLETED", "Approved", "succeeded", "DECLINED"]
    event = '{{"order_id":"{}","amount":10,"timestamp":"2026-01-05T10:00:00Z","currency":"{}","status":"{}"}}'
    pipeline.send([event.format(n, "eur" if n == 2 else "EUR", word).encode() for n, word in enumerate(words)])
    pipeline.catch_up()
    page = settled(of(pipeline, monkeypatch, tmp_path, range="all"))
    assert [cards(page)[at].value for at in (1, 4)] == ["75.0%", "1"]
    assert cards(page)[2].value == "30.00"
    pipeline.execute("UPDATE orders SET status = 'on hold'")
    wait_until("it is read again", lambda: cards(page.run())[1].value == "-")
    assert cards(page)[4].value == "-"
