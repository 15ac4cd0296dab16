"""Tests the charts over time in a real browser: the usual band and what left it, alerts, zooming and switches."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from analyst import open_alert
from ccstream.dashboard.figures import STACKED
from conftest import at_length
from test_browser import (  # noqa: F401
    SETTLED,
    WIDTHS,
    all_scored,
    box_of,
    browser,
    browser_page,
    check_at_every_width,
    number,
    opened,
    serving_scored,
)
from test_timeline import ODD, START, fill_band
from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from pipeline import Pipeline

# Streamlit and Altair cause deprecation warnings, and the threads of cached engines end only with the process.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

CHART = ".st-key-timeline svg.marks >> nth=0"
VOLUME = ".st-key-timeline svg.marks >> nth=1"
LEGEND = ".st-key-timeline .ccs-legend >> nth=0"
RANGE = f"range=from-to&from={START.isoformat()}&to={(START + timedelta(hours=5)).isoformat()}"


@pytest.fixture(scope="module")
def served(services: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Serves scored transactions with a band and an alert, and yields the page's port and the alert's id."""
    with serving_scored(services, tmp_path_factory.mktemp("approval")) as (pipeline, port):
        fill_band(pipeline, 8 * 60)
        yield port, anomaly(pipeline)


def anomaly(pipeline: Pipeline) -> int:
    """Opens an alert of an anomaly of all transactions."""
    why = {"kind": "anomaly", "kpi": "approval_rate", "dimension": "all", "series": "", "observed": 0.48}
    why |= {"expected": 0.92, "low": 0.85, "high": 0.98, "basis": "days"}
    return open_alert(pipeline, "kpi", 1, key="approval_rate", why=why, opened_at=ODD[0], last_at=ODD[0])


def show(page: Page, port: int) -> None:
    """Opens the range that has the anomaly."""
    page.goto(f"http://localhost:{port}/?{RANGE}&every=2")
    page.wait_for_selector(VOLUME, timeout=LIMIT * 1000)
    page.wait_for_selector(f"{LEGEND} >> text=usual, by windows of five minutes", timeout=LIMIT * 1000)
    page.wait_for_function(SETTLED, timeout=LIMIT * 1000)


@pytest.mark.timeout(1800)
def test_what_left_the_band_is_marked(served: tuple[int, int], browser_page: Page) -> None:  # noqa: F811
    port, alert = served
    with opened(port, browser_page) as page:
        show(page, port)
        panel, chart = page.locator(".st-key-timeline"), page.locator(CHART)
        assert "1 anomaly" in panel.inner_text()
        keys = page.locator(LEGEND).inner_text().split("\n")
        assert keys == ["approval rate", "usual, by windows of five minutes", "expected", "anomaly", "alert"]
        assert chart.locator(".mark-area path").count() == 1
        diamonds = chart.locator(".mark-symbol path[aria-label*='observed']")
        assert diamonds.count() > 5
        # The volume is below the rate, on the same axis of time.
        rate, volume = (box_of(page.locator(f"{one} >> [aria-label^='X-axis']")) for one in (CHART, VOLUME))
        assert volume["y"] > rate["y"]
        assert abs(volume["x"] - rate["x"]) < 2
        assert abs(volume["width"] - rate["width"]) < 2
        # The cross-hair tells the figures of a moment, and what is usual.
        box = box_of(chart)
        page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
        tooltip = page.locator("#vg-tooltip-element.visible")
        wait_until("the tooltip is there", lambda: tooltip.count() == 1)
        assert "85.0% to 98.0%" in tooltip.inner_text()
        # The link below the chart leads to the alert, which shows the windows.
        panel.get_by_role("link", name="kpi").click()
        page.wait_for_url(f"**/alerts?alert={alert}", timeout=LIMIT * 1000)
        page.wait_for_selector(".st-key-alert-kpi svg.marks", timeout=LIMIT * 1000)
        told = page.locator(".st-key-alert-kpi").inner_text()
        assert "Approval rate of all transactions" in told
        assert "48.0%. Expected 92.0%" in told


@pytest.mark.timeout(1800)
def test_dragging_zooms_and_a_double_click_goes_back(
    all_scored: tuple[Pipeline, int],  # noqa: F811
    browser_page: Page,  # noqa: F811
) -> None:
    pipeline, port = all_scored
    with opened(port, browser_page) as page:
        before = number(page, "Transactions")
        box = box_of(page.locator(CHART))
        left, right, middle = box["x"] + box["width"] * 0.4, box["x"] + box["width"] * 0.7, box["y"] + 100
        page.mouse.move(left, middle)
        page.mouse.down()
        page.mouse.move(right, middle, steps=5)
        page.mouse.up()
        page.wait_for_url("**range=from-to**", timeout=LIMIT * 1000)
        address = parse_qs(urlsplit(page.url).query)
        [(count,)] = pipeline.query(
            "SELECT count(*) FROM orders WHERE timestamp >= %s AND timestamp < %s",
            *(datetime.fromisoformat(address[name][0]).replace(tzinfo=None) for name in ("from", "to")),
        )
        wait_until("the figures are those of the zoom", lambda: number(page, "Transactions") == f"{count:,}")
        assert f"{count:,}" != before
        page.get_by_role("button", name="Back").wait_for(timeout=LIMIT * 1000)
        page.wait_for_selector(CHART)
        box = box_of(page.locator(CHART))
        page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + 100)
        page.wait_for_url("**range=all**", timeout=LIMIT * 1000)
        wait_until("the figures are those of before", lambda: number(page, "Transactions") == before)
        assert page.get_by_role("button", name="Back").count() == 0


@pytest.mark.timeout(1800)
def test_a_switch_changes_what_all_charts_show(
    all_scored: tuple[Pipeline, int],  # noqa: F811
    browser_page: Page,  # noqa: F811
) -> None:
    pipeline, port = all_scored
    [(category, value)] = pipeline.query(
        "SELECT category, sum(value) FROM orders WHERE status = 'approved' AND value >= 0 AND currency = 'USD' "
        "AND category = (SELECT category FROM orders GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1) GROUP BY 1"
    )
    with opened(port, browser_page) as page:
        page.get_by_role("radio", name="Value").click()
        page.wait_for_url("**metric=value**", timeout=LIMIT * 1000)
        for heading in ("Value per", "Value by category"):
            page.get_by_role("heading", name=heading).wait_for(timeout=LIMIT * 1000)
        bar = page.locator(f".st-key-bars-category path[aria-label*='category: {category}']")
        bar.first.wait_for(timeout=LIMIT * 1000)
        # The label has the number as the axis shows it, in thousands.
        label = re.search(r"value: ([\d.]+)k", bar.first.get_attribute("aria-label") or "")
        assert label
        assert float(label[1]) * 1000 == pytest.approx(float(value), rel=1e-4)
        page.locator(".st-key-stack select").select_option("By payment method")
        page.wait_for_url("**stack=payment_method**", timeout=LIMIT * 1000)
        page.wait_for_selector(".st-key-timeline .ccs-legend >> text=Visa", timeout=LIMIT * 1000)
        names = page.locator(".st-key-timeline .ccs-legend").last.inner_text().split("\n")
        [(networks,)] = pipeline.query("SELECT count(DISTINCT payment_method) FROM orders")
        assert len(names) == min(networks, STACKED) + (networks > STACKED) + 1


@pytest.mark.timeout(1800)
def test_the_chart_at_every_width(served: tuple[int, int], browser_page: Page) -> None:  # noqa: F811
    port, alert = served
    dark = at_length((WIDTHS[0], WIDTHS[-1]), WIDTHS)
    show(browser_page, port)
    check_at_every_width(browser_page, VOLUME, dark, first=f"{LEGEND} >> text=anomaly")
    browser_page.goto(f"http://localhost:{port}/alerts?alert={alert}")
    check_at_every_width(browser_page, ".st-key-alert-kpi svg.marks", dark, first=".st-key-alert-detail")
