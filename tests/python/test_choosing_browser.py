"""Tests in a browser what a viewer does with charts: clicks, several values, the keyboard, the cross-hair, tooltips."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from test_browser import (  # noqa: F401
    all_scored,
    box_of,
    browser,
    browser_page,
    number,
    opened,
    serving_scored,
)
from test_timeline_browser import CHART, VOLUME
from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from pipeline import Pipeline

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def bar(page: Page, dimension: str, name: str) -> Locator:
    """Returns the mark of a value."""
    return page.locator(f".st-key-bars-{dimension} path[aria-label*='{dimension.replace('_', ' ')}: {name}']").first


def filters(page: Page, dimension: str) -> list[str]:
    """Returns the values that the address filters by."""
    return parse_qs(str(page.evaluate("location.search.slice(1)"))).get(dimension, [])


def opacity(page: Page, dimension: str, name: str) -> float:
    return float(bar(page, dimension, name).get_attribute("opacity") or 1)


@pytest.mark.timeout(1800)
def test_clicks_choose_and_undo(
    all_scored: tuple[Pipeline, int],  # noqa: F811
    browser_page: Page,  # noqa: F811
) -> None:
    pipeline, port = all_scored
    counts = dict(pipeline.query("SELECT category, count(*) FROM orders GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3"))
    first, second, third = counts
    with opened(port, browser_page) as page:
        every = number(page, "Transactions")
        bar(page, "category", first).click()
        wait_until("it is chosen", lambda: number(page, "Transactions") == f"{counts[first]:,}")
        assert filters(page, "category") == [first]
        # The others stay in the chart, and are pale.
        wait_until("others are pale", lambda: opacity(page, "category", second) < 1)
        assert opacity(page, "category", first) == 1
        bar(page, "category", second).click(modifiers=["Control"])
        both = counts[first] + counts[second]
        wait_until("both are chosen", lambda: number(page, "Transactions") == f"{both:,}")
        assert filters(page, "category") == [first, second]
        wait_until("a third one is pale", lambda: opacity(page, "category", third) < 1)
        bar(page, "category", first).click(modifiers=["Control"])
        wait_until("one is left", lambda: number(page, "Transactions") == f"{counts[second]:,}")
        bar(page, "category", second).click()
        wait_until("nothing is chosen", lambda: number(page, "Transactions") == every)
        wait_until("nothing is pale", lambda: opacity(page, "category", first) == 1)
        assert filters(page, "category") == []


@pytest.mark.timeout(1800)
def test_a_keyboard_chooses(
    all_scored: tuple[Pipeline, int],  # noqa: F811
    browser_page: Page,  # noqa: F811
) -> None:
    pipeline, port = all_scored
    [(_, _), (second, count)] = pipeline.query(
        "SELECT payment_method, count(*) FROM orders GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 2"
    )
    with opened(port, browser_page) as page:
        every = number(page, "Transactions")
        page.locator('.st-key-bars-payment_method path[tabindex="0"]').focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        wait_until("it is chosen", lambda: number(page, "Transactions") == f"{count:,}")
        assert filters(page, "payment_method") == [second]
        # The mark keeps the focus while the chart is updated.
        page.keyboard.press("Enter")
        wait_until("nothing is chosen", lambda: number(page, "Transactions") == every)


@pytest.mark.timeout(1800)
def test_a_click_on_the_map_and_on_a_kpi(
    all_scored: tuple[Pipeline, int],  # noqa: F811
    browser_page: Page,  # noqa: F811
) -> None:
    pipeline, port = all_scored
    [(city, count)] = pipeline.query("SELECT city, count(*) FROM orders GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1")
    with opened(port, browser_page) as page:
        # Other circles may be above the middle of this one.
        page.locator(f".st-key-world path[aria-label*='city: {city}']").first.dispatch_event("click")
        wait_until("it is chosen", lambda: number(page, "Transactions") == f"{count:,}")
        assert filters(page, "city") == [city]
        page.locator(".st-key-clear button").click()
        wait_until("nothing is chosen", lambda: filters(page, "city") == [])
        page.locator("button.ccs-card", has_text="Declined").click()
        page.wait_for_url("**metric=declined**", timeout=LIMIT * 1000)
        page.get_by_role("heading", name="Declined per").wait_for(timeout=LIMIT * 1000)
        page.locator('.ccs-card[aria-pressed="true"]', has_text="Declined").wait_for(timeout=LIMIT * 1000)


@pytest.mark.timeout(1800)
def test_one_cross_hair_is_in_all_charts_of_time_and_lives_through_refreshes(
    all_scored: tuple[Pipeline, int],  # noqa: F811
    browser_page: Page,  # noqa: F811
) -> None:
    pipeline, port = all_scored
    with opened(port, browser_page) as page:
        page.goto(page.url + "&every=2")
        page.wait_for_selector(VOLUME, timeout=LIMIT * 1000)
        # The last bucket has the newest transactions.
        area = page.locator(f"{VOLUME} >> .mark-rect path").last
        box = box_of(area)
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        tooltip = page.locator("#vg-tooltip-element.visible")
        wait_until("the tooltip is there", lambda: tooltip.count() == 1)
        crosses = [page.locator(f"{chart} >> .mark-rule.role-mark line") for chart in (CHART, VOLUME)]
        wait_until("the cross-hair is in both", lambda: [cross.count() for cross in crosses] == [1, 1])
        told = tooltip.inner_text()
        pipeline.run("produce", "--count", "40", "--rate", "max", "--start-time", newest(pipeline))
        pipeline.run("consume", "--until-caught-up")
        wait_until("the tooltip has the new figures", lambda: tooltip.all_inner_texts() not in ([], [told]))
        page.wait_for_timeout(6000)
        assert tooltip.count() == 1


def newest(pipeline: Pipeline) -> str:
    """Returns a time just after the newest transaction."""
    [(time,)] = pipeline.query('SELECT to_char(max(timestamp), \'YYYY-MM-DD"T"HH24:MI:SS"Z"\') FROM orders')
    return str(time)
