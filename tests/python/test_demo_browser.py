"""Tests in a browser that the page's own words tell what a demo has planted: a network that is out, and a ring."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from test_browser import (  # noqa: F401
    VALUE,
    browser,
    browser_page,
    serving,
)
from test_demo import rings, store
from waiting import LIMIT

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from pipeline import Pipeline

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.mark.timeout(1800)
def test_the_page_tells_the_outage_and_the_ring(
    embedded_pipeline: Pipeline,
    browser_page: Page,  # noqa: F811
    tmp_path: Path,
) -> None:
    pipeline = embedded_pipeline
    # Yesterday has the same hour.
    outage, ring = store(pipeline, timedelta(hours=26))
    [planted] = [merchant for merchant, begins in rings(pipeline).items() if begins >= ring.replace(tzinfo=None)]
    start, end = (moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (outage.begins, outage.ends))
    with serving(pipeline, tmp_path) as port:
        page = browser_page
        page.goto(f"http://localhost:{port}/?range=from-to&from={start}&to={end}")
        page.wait_for_selector(VALUE, timeout=LIMIT * 1000)
        # Is everything well?
        page.wait_for_selector(".st-key-timeline >> text=/1 anomaly|anomaly since/", timeout=LIMIT * 1000)
        # For whom?
        changes = page.locator(".st-key-changes-movers button").all_inner_texts()
        assert any("Payment method visa: approval rate" in one for one in changes), changes
        # Why, and what does it cost?
        why = page.locator(".st-key-declines-response_code tbody tr").first.inner_text().split("\t")
        assert why[0].strip() == "Issuer unavailable (91)"
        [(declined, money)] = pipeline.query(
            "SELECT count(*), sum(value) FILTER (WHERE currency = 'USD') FROM orders WHERE response_code = '91' "
            "AND status = 'declined' AND timestamp >= %s AND timestamp < %s",
            *(moment.replace(tzinfo=None) for moment in (outage.begins, outage.ends)),
        )
        assert [one.strip() for one in why][1] == f"{declined:,}"
        assert [one.strip() for one in why][-1] == f"{money:,.2f}"
        page.goto(f"http://localhost:{port}/alerts")
        for rule, key in (("network_out", "visa"), ("card_testing", planted)):
            row = page.locator('[class*="st-key-alert-row-"]', has_text=rule).filter(has_text=key)
            row.first.wait_for(timeout=LIMIT * 1000)
