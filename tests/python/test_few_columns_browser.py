"""Tests in a browser that the page looks made for a table of eight columns, which a program of somebody else fills."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from test_browser import VALUE, browser, browser_page, number, serving  # noqa: F401
from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from pipeline import Pipeline

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

TABLE = """CREATE TABLE orders (order_id VARCHAR(50) PRIMARY KEY, timestamp TIMESTAMP, merchant VARCHAR(200),
    value NUMERIC(10,2), currency VARCHAR(3), status VARCHAR(50), payment_method VARCHAR(50), city VARCHAR(100))"""
ROWS = """INSERT INTO orders (order_id, timestamp, merchant, value, currency, status, payment_method, city)
    SELECT 'id' || at, timestamp '2026-01-05' + at * interval '7 s', (ARRAY['Kiosk', 'Bakery', 'Books'])[1 + at % 3],
        5 + at % 97, 'EUR', CASE WHEN at % 10 < 9 THEN 'approved' ELSE 'declined' END,
        (ARRAY['visa', 'cash'])[1 + at % 2], (ARRAY['Here', 'There'])[1 + at / 3 % 2]
    FROM generate_series({}, {}) AS at"""
ABSENT = ("(unknown)", "ategor", "ountr", "Distinct cards", "response code", "coordinates", "Currency of amounts")
"""Texts about what such a table lacks."""


@pytest.mark.timeout(1800)
def test_a_table_of_eight_columns(
    embedded_pipeline: Pipeline,
    browser_page: Page,  # noqa: F811
    tmp_path: Path,
) -> None:
    pipeline, page = embedded_pipeline, browser_page
    errors: list[str] = []
    page.on("console", lambda line: errors.append(line.text))
    page.on("pageerror", lambda raised: errors.append(str(raised)))
    pipeline.create_topic(1)
    pipeline.execute(TABLE)
    pipeline.execute(ROWS.format(1, 3000))
    with serving(pipeline, tmp_path) as port:
        # The engine needs what the consumer adds. Until then, the page says so.
        page.goto(f"http://localhost:{port}/?range=all&every=2&metric=count")
        page.wait_for_selector("text=keeps its rows", timeout=LIMIT * 1000)
        assert pipeline.query("SELECT count(*) FROM orders") == [(3000,)]
        pipeline.run("consume", "--until-caught-up")
        page.wait_for_selector(VALUE, timeout=LIMIT * 1000)
        page.wait_for_selector(".st-key-bars-city svg.marks", timeout=LIMIT * 1000)
        [(count, value, declined)] = pipeline.query(
            "SELECT count(*), sum(value) FILTER (WHERE status = 'approved'),"
            " count(*) FILTER (WHERE status = 'declined') FROM orders"
        )
        assert number(page, "Transactions") == f"{count:,}"
        assert number(page, "Value (EUR)") == f"{value:,.2f}"
        assert number(page, "Declined") == f"{declined:,}"
        wait_until("filters are left out", lambda: "Category" not in page.locator(".stSidebar").inner_text())
        told = page.locator(".stApp").inner_text()
        assert [text for text in ABSENT if text in told] == []
        columns = page.locator("[role=columnheader]").all_text_contents()
        assert not {"Category", "Country"} & set(columns)
        for chart in page.locator(".ccs-plot svg.marks").all():
            assert chart.locator(".role-mark path").count() > 1
        assert page.locator(".st-key-stack option").all_inner_texts() == ["By outcome", "By payment method"]
        assert "They include 3,000 rows of another program" in told
        # A change makes the page read the whole table again. A dimension is shown as soon as it has a value.
        pipeline.execute(ROWS.format(3001, 3500))
        pipeline.execute("UPDATE orders SET category = 'food_dining' WHERE order_id < 'id2'")
        page.wait_for_selector(".st-key-bars-category svg.marks", timeout=LIMIT * 1000)
        wait_until("it has all rows", lambda: number(page, "Transactions") == "3,500")
        assert errors == []
