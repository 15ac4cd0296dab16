"""The page: by Streamlit's own test runner, and by a real browser that compares its figures with SQL."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from streamlit.testing.v1 import AppTest

from ccstream import embedded
from ccstream.dashboard import queries
from ccstream.dashboard.page import describe
from conftest import ROOT, leave_out, wait_until
from services import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from conftest import Pipeline

# Streamlit's and Altair's own.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture
def filled(embedded_pipeline: Pipeline) -> Pipeline:
    """2,000 transactions over about 40 minutes of 2026-01-01."""
    flags = ("--seed", "5", "--start-time", "2026-01-01T10:00:00Z", "--rate", "max", "--count", "2000")
    embedded_pipeline.run("produce", *flags)
    embedded_pipeline.run("consume", "--until-caught-up")
    return embedded_pipeline


def app(monkeypatch: pytest.MonkeyPatch, url: str) -> AppTest:
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.chdir(ROOT)
    return AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=30)


def test_the_page_says_what_to_do(embedded_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    page = app(monkeypatch, f"postgresql://a:b@localhost:{free_port()}/c").run()
    assert not page.exception
    assert "No answer from PostgreSQL" in page.warning[0].value
    assert "a:b" not in page.warning[0].value
    page = app(monkeypatch, embedded_pipeline.database_url).run()
    assert "python consumer.py" in page.info[0].value
    embedded_pipeline.run("produce", "--count", "1", "--rate", "max")
    embedded_pipeline.run("consume", "--until-caught-up")
    embedded_pipeline.execute("DELETE FROM orders")
    page = app(monkeypatch, embedded_pipeline.database_url).run()
    assert "python producer.py" in page.info[0].value


def test_figures_and_filters(filled: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    page = app(monkeypatch, filled.database_url).run()
    assert not page.exception
    [(count, approved)] = filled.query("SELECT count(*), count(*) FILTER (WHERE status = 'approved') FROM orders")
    assert page.metric[0].value == f"{count:,}" == "2,000"
    assert page.metric[3].value == f"{approved / count:.1%}"
    page.sidebar.multiselect[0].select("food_dining").run()
    [(count, value)] = filled.query(
        "SELECT count(*), sum(value) FILTER (WHERE currency = 'USD') FROM orders WHERE category = 'food_dining'"
    )
    assert page.metric[0].value == f"{count:,}"
    assert page.metric[1].value == f"{value:,.2f}"
    page.sidebar.selectbox[0].select("Last hour").run()
    assert "No transactions match these filters" in page.info[0].value
    assert not page.exception


def test_one_snapshot(filled: Pipeline) -> None:
    pool = queries.open_pool(filled.database_url)
    try:
        everything = queries.load_snapshot(pool, queries.Filters(), None, 10)
        assert everything.totals.currency == "USD"
        for frame in (everything.series, everything.cities, everything.categories, everything.methods):
            assert frame["transactions"].sum() == 2000
        assert (everything.series["bucket"].diff().dropna() == everything.width).all()
        assert len(everything.merchants) == queries.TOP_MERCHANTS
        assert [sum(trend) for trend in everything.merchants["trend"]] == everything.merchants["transactions"].tolist()
        ids = [row[0] for row in filled.query("SELECT order_id FROM orders ORDER BY timestamp DESC LIMIT 10")]
        assert everything.latest["order_id"].tolist() == ids
        assert queries.load_choices(pool)["status"] == ["approved", "declined"]
        narrowed = queries.load_snapshot(pool, queries.Filters(statuses=("declined",)), "EUR", 10)
        assert narrowed.totals.approved == 0
        [(value,)] = filled.query("SELECT sum(value) FROM orders WHERE status = 'declined' AND currency = 'EUR'")
        assert Decimal(f"{narrowed.totals.value:.2f}") == value
    finally:
        pool.close()


def test_it_cannot_write(filled: Pipeline) -> None:
    pool = queries.open_pool(filled.database_url)
    try:
        with pool.connection() as connection, pytest.raises(Exception, match="read-only transaction"):
            connection.execute("DELETE FROM orders")
    finally:
        pool.close()


def test_a_table_made_by_somebody_else(embedded_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded_pipeline.execute(
        "CREATE TABLE orders (order_id VARCHAR(50) PRIMARY KEY, status VARCHAR(50), category VARCHAR(50), "
        "value NUMERIC(10,2), timestamp TIMESTAMP, city VARCHAR(100), payment_method VARCHAR(50), "
        "discount NUMERIC(4,2)); INSERT INTO orders (order_id) VALUES ('all null'); "
        "INSERT INTO orders VALUES ('old', 'completed', 'Books', 9, '2024-01-01', 'Paris', 'card', 0)"
    )
    embedded_pipeline.run("produce", "--count", "1", "--rate", "max")
    embedded_pipeline.run("consume", "--until-caught-up")
    page = app(monkeypatch, embedded_pipeline.database_url).run()
    assert not page.exception
    assert page.metric[0].value == "3"


def test_widths_in_words() -> None:
    assert queries.bucket_width(timedelta(minutes=50)) == timedelta(minutes=1)
    assert queries.bucket_width(timedelta(0)) == timedelta(seconds=1)
    assert [describe(timedelta(seconds=s)) for s in (1, 300, 86_400)] == ["second", "5 minutes", "day"]


@pytest.fixture
def browser_page() -> Iterator[Page]:
    """A page of Debian's Chromium."""
    path = shutil.which("chromium")
    if path is None:
        leave_out("browser", "there is no chromium (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    flags += ["--disable-background-networking", "--no-first-run"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        page = browser.new_page(viewport={"width": 1440, "height": 1600})
        yield page
        browser.close()


def number(page: Page, label: str) -> str:
    """A metric's value as a person reads it."""
    metric = page.locator('[data-testid="stMetric"]', has_text=label)
    return metric.locator('[data-testid="stMetricValue"]').inner_text()


def test_a_browser_reads_what_sql_says(filled: Pipeline, browser_page: Page) -> None:
    port = free_port()
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "streamlit",
            "run",
            "dashboard.py",
            f"--server.port={port}",
            "--server.headless=true",
        ],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": filled.database_url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until("the page is served", lambda: embedded.is_taken(port))
        browser_page.goto(f"http://localhost:{port}")
        browser_page.wait_for_selector('[data-testid="stMetricValue"]', timeout=30_000)
        [(count, approved)] = filled.query("SELECT count(*), count(*) FILTER (WHERE status = 'approved') FROM orders")
        [(value, average)] = filled.query("SELECT sum(value), avg(value) FROM orders WHERE currency = 'USD'")
        assert number(browser_page, "Transactions") == f"{count:,}"
        assert number(browser_page, "Total value (USD)") == f"{value:,.2f}"
        assert number(browser_page, "Average (USD)") == f"{average:,.2f}"
        assert number(browser_page, "Conversion rate") == f"{approved / count:.1%}"
        browser_page.wait_for_selector("canvas, svg.marks", timeout=30_000)
        assert browser_page.locator('[data-testid="stException"]').count() == 0
        # New rows show by themselves, without a reload.
        filled.run("produce", "--rate", "max", "--count", "321")
        filled.run("consume", "--until-caught-up")
        wait_until("the page follows", lambda: number(browser_page, "Transactions") == "2,321", limit=20)
        # The database goes away and comes back; so does the page.
        postgres = embedded.Postgres()
        postgres.stop()
        browser_page.wait_for_selector("text=No answer from PostgreSQL", timeout=30_000)
        postgres.start()
        browser_page.wait_for_selector('[data-testid="stMetricValue"]', timeout=30_000)
        wait_until("the figures are back", lambda: number(browser_page, "Transactions") == "2,321", limit=20)
        newest = browser_page.locator("text=Newest transaction").inner_text()
        match = re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", newest)
        assert match
        assert datetime.fromisoformat(match[0]).year >= 2026
    finally:
        server.terminate()
        server.wait()
