"""Tests in a browser what depends on the viewer: the time zone, a wall, a phone, and a tab that nobody can see."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from test_browser import (  # noqa: F401
    CLIPPED,
    SETTLED,
    all_scored,
    box_of,
    browser,
    browser_page,
    number,
    opened,
    page,
    serving_scored,
)
from test_timeline_browser import CHART
from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from pipeline import Pipeline

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

HALF_DAY = "range=from-to&from=2026-01-05T00:00:00&to=2026-01-05T12:00:00"
"""The first half of the first day that has transactions, in UTC."""
HIDE = """hidden => {
    Object.defineProperty(document, 'hidden', {value: hidden, configurable: true})
    Object.defineProperty(document, 'visibilityState', {value: hidden ? 'hidden' : 'visible', configurable: true})
    document.dispatchEvent(new Event('visibilitychange'))
}"""
"""JavaScript that makes a page believe that its tab is hidden, because a browser without windows hides none."""
LOWEST = """() => Math.max(...[...document.querySelectorAll('.stMain [data-testid="stElementContainer"]')]
    .map(one => one.getBoundingClientRect().bottom))"""
"""JavaScript that returns where the lowest element of a page ends, in pixels from the top of the screen."""
BROKEN = """cells => cells.flatMap(cell => {
    const text = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT).nextNode()
    return [...(text?.data ?? '').matchAll(/\\S+/g)].filter(word => {
        const range = document.createRange()
        range.setStart(text, word.index)
        range.setEnd(text, word.index + word[0].length)
        return new Set([...range.getClientRects()].map(box => box.top)).size > 1
    }).map(word => word[0])
})"""
"""JavaScript that returns the words that are broken over several lines."""


@pytest.fixture
def new_york(browser: Browser) -> Iterator[Page]:  # noqa: F811
    """Yields an empty page of a viewer in New York."""
    size = {"width": 1440, "height": 2400}
    with browser.new_context(viewport=size, reduced_motion="reduce", timezone_id="America/New_York") as context:  # type: ignore[arg-type]
        yield context.new_page()


def axis(page: Page) -> str:  # noqa: F811
    """Describes the axis of time of the large chart."""
    return page.locator(f"{CHART} >> [aria-label^='X-axis']").first.get_attribute("aria-label") or ""


def start(page: Page) -> str:  # noqa: F811
    """Returns the time in the field in which a range begins."""
    parts = page.locator(".st-key-from [role=spinbutton]").evaluate_all("all => all.map(one => one.textContent)")
    return "-".join(part.rjust(2, "0") for part in parts)


def hours(page: Page) -> dict[int, int]:  # noqa: F811
    """Returns the numbers of transactions by hour that the heat map shows."""
    labels = page.locator(".st-key-week path[aria-label*='hour']").evaluate_all(
        "all => all.map(one => one.getAttribute('aria-label'))"
    )
    cells = [dict(part.split(": ") for part in label.split("; ")) for label in labels]
    return {int(cell["hour"]): int(cell["transactions"].replace(",", "")) for cell in cells}


@pytest.mark.timeout(1800)
def test_times_are_local_or_in_utc(all_scored: tuple[Pipeline, int], new_york: Page) -> None:  # noqa: F811
    pipeline, port = all_scored
    of_hours = (
        "SELECT extract(hour FROM timestamp AT TIME ZONE 'UTC' AT TIME ZONE '{}')::int, count(*) FROM orders WHERE "
        "timestamp >= '2026-01-05' AND timestamp < '2026-01-05 12:00' GROUP BY 1"
    )
    zones = {zone: dict(pipeline.query(of_hours.format(zone))) for zone in ("America/New_York", "UTC")}
    with opened(port, new_york) as page:  # noqa: F811
        page.goto(f"http://localhost:{port}/?{HALF_DAY}&metric=count")
        wait_until("hours are local", lambda: hours(page) == zones["America/New_York"])
        assert start(page) == "2026-01-04-19-00"
        assert axis(page) == "X-axis titled 'time' for a time scale with values from 19:00 to 07:00"
        assert "(America/New_York)" in page.locator(".stMain").inner_text()
        count = number(page, "Transactions")
        page.get_by_role("radio", name="UTC").click()
        page.wait_for_url("**zone=utc**", timeout=LIMIT * 1000)
        wait_until("hours are in UTC", lambda: hours(page) == zones["UTC"])
        assert start(page) == "2026-01-05-00-00"
        assert axis(page) == "X-axis titled 'time (UTC)' for a utc scale with values from 00:00 to 12:00"
        assert "(UTC)" in page.locator(".stMain").inner_text()
        # The range is still the same.
        assert number(page, "Transactions") == count
        assert parse_qs(urlsplit(page.url).query)["from"] == ["2026-01-05T00:00:00+00:00"]
        # The tooltip has the time of the axis.
        box = box_of(page.locator(CHART))
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        tooltip = page.locator("#vg-tooltip-element.visible")
        wait_until("the tooltip is there", lambda: tooltip.count() == 1)
        assert any(f"2026-01-05 {hour}:" in tooltip.inner_text() for hour in ("05", "06"))
        # It remains so on the page of alerts, and after a reload.
        page.get_by_role("link", name="Alerts", exact=True).click()
        page.wait_for_url("**/alerts?zone=utc", timeout=LIMIT * 1000)
        page.get_by_role("link", name="Dashboard").click()
        # The address of the page of alerts has the zone, too, and a reload would be one of that page.
        page.wait_for_url(re.compile(r"/\?.*zone=utc"), timeout=LIMIT * 1000)
        page.reload()
        wait_until("hours are in UTC again", lambda: hours(page) == zones["UTC"])
        page.get_by_role("radio", name="America/New_York").click()
        wait_until("hours are local again", lambda: hours(page) == zones["America/New_York"])
        assert start(page) == "2026-01-04-19-00"
        assert "zone" not in page.url


@pytest.mark.timeout(1800)
def test_a_zoom_ends_at_the_same_range_in_another_zone(
    all_scored: tuple[Pipeline, int],  # noqa: F811
    new_york: Page,
) -> None:
    port = all_scored[1]
    with opened(port, new_york) as page:  # noqa: F811
        page.goto(f"http://localhost:{port}/?{HALF_DAY}&metric=count")
        page.wait_for_selector(CHART, timeout=LIMIT * 1000)
        page.wait_for_function(SETTLED, timeout=LIMIT * 1000)
        before, address = number(page, "Transactions"), parse_qs(urlsplit(page.url).query)
        box = box_of(page.locator(CHART))
        page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 100)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 100, steps=5)
        page.mouse.up()
        page.get_by_role("button", name="Back").wait_for(timeout=LIMIT * 1000)
        wait_until("it is zoomed", lambda: number(page, "Transactions") != before)
        zoomed = number(page, "Transactions")
        page.get_by_role("radio", name="UTC").click()
        page.wait_for_url("**zone=utc**", timeout=LIMIT * 1000)
        assert number(page, "Transactions") == zoomed
        page.get_by_role("button", name="Back").click()
        wait_until("it is as before", lambda: number(page, "Transactions") == before)
        assert parse_qs(urlsplit(page.url).query) == address | {"zone": ["utc"]}
        assert start(page) == "2026-01-05-00-00"


@pytest.mark.timeout(1800)
def test_a_hidden_tab_pauses(all_scored: tuple[Pipeline, int], browser_page: Page) -> None:  # noqa: F811
    port = all_scored[1]
    frames: list[int] = []
    browser_page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(len(frame))))

    def is_silent() -> bool:
        before = len(frames)
        browser_page.wait_for_timeout(6000)
        return len(frames) == before

    for place in ("?range=all&every=2", "alerts"):
        browser_page.goto(f"http://localhost:{port}/{place}")
        browser_page.wait_for_selector("text=ccstream ·", timeout=LIMIT * 1000)
        assert not is_silent()
        browser_page.evaluate(HIDE, True)  # noqa: FBT003
        wait_until("it pauses", is_silent)
        browser_page.evaluate(HIDE, False)  # noqa: FBT003
        wait_until("it continues", lambda: not is_silent())


@pytest.mark.timeout(1800)
def test_a_page_is_up_to_date_when_it_is_seen_again(filled: Pipeline, page: Page) -> None:  # noqa: F811
    page.evaluate(HIDE, True)  # noqa: FBT003
    filled.run("produce", "--rate", "max", "--count", "321")
    filled.run("consume", "--until-caught-up")
    page.evaluate(HIDE, False)  # noqa: FBT003
    wait_until("the page follows", lambda: number(page, "Transactions") == "2,321")


@pytest.mark.timeout(1800)
def test_a_wall_shows_one_part_after_the_other(
    all_scored: tuple[Pipeline, int],  # noqa: F811
    browser_page: Page,  # noqa: F811
) -> None:
    pipeline, port = all_scored
    [(count,)] = pipeline.query("SELECT count(*) FROM orders")
    with opened(port, browser_page) as page:  # noqa: F811
        page.set_viewport_size({"width": 1920, "height": 1080})
        page.get_by_role("button", name="Wall").click()
        page.wait_for_url("**kiosk=1**", timeout=LIMIT * 1000)
        page.goto(f"http://localhost:{port}/?range=7d&kiosk=1&turn=5&every=2")
        page.wait_for_selector("text=No transactions in this time range", timeout=LIMIT * 1000)
        page.goto(f"http://localhost:{port}/?range=all&kiosk=1&turn=5&every=2")
        main = page.locator(".stMain")
        main.wait_for(timeout=LIMIT * 1000)
        # Each part has a heading that no other has. Nothing has to be scrolled.
        wanted = {"Approval rate per hour", "Why declined", "Approval rate by city", "Open alerts"}
        seen: set[str] = set()

        def has_seen_all() -> bool:
            told = main.inner_text()
            now = {one for one in wanted if one in told}
            if page.evaluate(SETTLED):
                assert page.evaluate(CLIPPED) == [], now
                assert page.evaluate(LOWEST) <= 1080, now
                assert main.evaluate("main => main.scrollWidth <= main.clientWidth"), now
                seen.update(now)
            if "Distinct cards" in told and len(now) == 1:
                assert f"{count:,}" in told
            page.wait_for_timeout(500)
            return seen == wanted

        wait_until("all parts were shown", has_seen_all)
        for hidden in ("stSidebar", "stHeader"):
            assert page.locator(f"[data-testid={hidden}]").is_hidden()
        page.keyboard.press("Escape")
        page.locator("[data-testid=stSidebar]").wait_for(timeout=LIMIT * 1000)
        wait_until("the address says so", lambda: "kiosk" not in page.evaluate("location.search"))
        page.wait_for_selector(".st-key-bars-category svg.marks", timeout=LIMIT * 1000)
        assert number(page, "Transactions") == f"{count:,}"


@pytest.mark.timeout(1800)
def test_everything_is_within_reach_on_a_phone(
    all_scored: tuple[Pipeline, int],  # noqa: F811
    new_york: Page,
) -> None:
    pipeline, port = all_scored
    [(count,)] = pipeline.query("SELECT count(*) FROM orders")
    with opened(port, new_york) as page:  # noqa: F811
        page.set_viewport_size({"width": 390, "height": 844})
        page.reload()
        page.wait_for_selector(".st-key-bars-category svg.marks", timeout=LIMIT * 1000)
        page.wait_for_function(SETTLED, timeout=LIMIT * 1000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        # The figures of the list about trust are on the screen from left to right.
        rows = page.locator("li", has_text="Rows in memory").locator("b")
        assert rows.inner_text() == f"{count:,}"
        box = box_of(rows)
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        # No word of a table is broken.
        cells = page.locator(".st-key-declines td.ccs-text")
        assert cells.count() > 5
        assert cells.evaluate_all(BROKEN) == []
        # The side bar opens, and its settings can be changed.
        page.locator("[data-testid=stExpandSidebarButton]").click()
        page.get_by_role("radio", name="UTC").click()
        page.wait_for_url("**zone=utc**", timeout=LIMIT * 1000)
        page.get_by_role("link", name="Alerts", exact=True).click()
        page.wait_for_url("**/alerts**", timeout=LIMIT * 1000)
