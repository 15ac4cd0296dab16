"""Tests the search and the drawer in a real browser: each kind is found, by keyboard alone, and on a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from analyst import open_some, riskiest
from conftest import at_length
from test_browser import (  # noqa: F401
    SETTLED,
    VALUE,
    WIDTHS,
    box_of,
    browser,
    browser_page,
    check_at_every_width,
    opened,
    serving_scored,
)
from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator, Page

    from analyst import Case
    from pipeline import Pipeline

# Streamlit and Altair cause deprecation warnings, and the threads of cached engines end only with the process.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

DRAWER = ".st-key-drawer"
TABLE = f'{DRAWER} [data-testid="stDataFrame"]'


@pytest.fixture(scope="module")
def served(
    services: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Pipeline, int, Case, dict[str, int]]]:
    """Serves scored transactions with alerts; yields the page's port, a transaction, and the ids of the alerts."""
    with serving_scored(services, tmp_path_factory.mktemp("search")) as (pipeline, port):
        case = riskiest(pipeline)
        yield pipeline, port, case, open_some(pipeline, case)


def place(page: Page) -> str:
    """Returns what the address says is open."""
    return str(page.evaluate("new URLSearchParams(location.search).get('open') ?? ''"))


def find(page: Page, text: str) -> None:
    """Searches for a text by keyboard."""
    page.get_by_label("Search", exact=True).first.focus()
    page.keyboard.type(text)
    page.keyboard.press("Enter")


def wait_for(page: Page, wanted: str) -> Locator:
    """Waits until the address and the drawer have something, and returns the drawer."""
    wait_until(f"{wanted} is open", lambda: place(page) == wanted)
    page.wait_for_selector(f'[role="dialog"]:has-text("{wanted.partition(":")[2]}") {DRAWER}', timeout=LIMIT * 1000)
    page.wait_for_function(SETTLED, timeout=LIMIT * 1000)
    return page.locator(DRAWER)


def close(page: Page) -> None:
    """Closes the drawer by keyboard, once it is complete."""
    page.wait_for_function(SETTLED, timeout=LIMIT * 1000)
    page.keyboard.press("Escape")
    page.wait_for_selector(DRAWER, state="detached", timeout=LIMIT * 1000)
    wait_until("nothing is open", lambda: place(page) == "")


@pytest.mark.timeout(1800)
def test_each_kind_is_found_by_keyboard(
    served: tuple[Pipeline, int, Case, dict[str, int]],
    browser_page: Page,  # noqa: F811
) -> None:
    pipeline, port, case, alerts = served
    [(terminal, last4)] = pipeline.query(
        "SELECT terminal_id, card_last4 FROM orders WHERE order_id = %s", case.transaction
    )
    with opened(port, browser_page) as page:
        find(page, case.card)
        drawer = wait_for(page, f"card:{case.card}")
        [(count,)] = pipeline.query("SELECT count(*) FROM orders WHERE card_token = %s", case.card)
        assert f"{count} transactions since" in drawer.inner_text()
        close(page)
        find(page, case.merchant.upper())
        drawer = wait_for(page, f"merchant:{case.merchant}")
        wait_until("its history is drawn", lambda: drawer.locator("svg.marks .mark-rect path").count() > 5)
        assert f"{case.score:.3f}" in drawer.inner_text()
        close(page)
        find(page, terminal)
        wait_for(page, f"terminal:{terminal}")
        close(page)
        find(page, case.transaction)
        wait_for(page, f"transaction:{case.transaction}")
        close(page)
        # Several are a list, from which one is chosen.
        [(cards,)] = pipeline.query("SELECT count(DISTINCT card_token) FROM orders WHERE card_last4 = %s", last4)
        find(page, last4)
        wait_until("something is open", lambda: place(page) != "")
        wait_for(page, place(page))
        matches = page.locator(f"{DRAWER} .st-key-matches button")
        if cards > 1:
            wait_until("all are listed", lambda: matches.count() >= cards)
        close(page)
        find(page, "toys")
        wait_for(page, "find:toys")
        wait_until("they are listed", lambda: matches.count() > 3)
        name = matches.nth(2).inner_text()
        matches.nth(2).focus()
        page.keyboard.press("Enter")
        wait_until("it is open", lambda: place(page).startswith("merchant:"))
        assert place(page).removeprefix("merchant:") in name
        wait_for(page, place(page))
        close(page)
        find(page, "nobody has this name")
        wait_for(page, "find:nobody has this name")
        page.wait_for_selector(f"{DRAWER} >> text=Nothing was found", timeout=LIMIT * 1000)
        close(page)
        # An alert in the drawer leads to its page, and the browser's button back to the drawer.
        find(page, case.card)
        drawer = wait_for(page, f"card:{case.card}")
        drawer.get_by_role("link", name="card_score").press("Enter")
        page.wait_for_url(f"**/alerts?alert={alerts['card_score']}", timeout=LIMIT * 1000)
        page.wait_for_selector(".st-key-alert-detail", timeout=LIMIT * 1000)
        assert page.locator(DRAWER).count() == 0
        page.go_back()
        wait_for(page, f"card:{case.card}")


@pytest.mark.timeout(1800)
def test_the_drawer_leads_from_a_card_to_a_transaction_and_on(
    served: tuple[Pipeline, int, Case, dict[str, int]],
    browser_page: Page,  # noqa: F811
) -> None:
    pipeline, port, case, _ = served
    page = browser_page
    rows = pipeline.query(
        "SELECT order_id FROM orders WHERE card_token = %s ORDER BY timestamp DESC LIMIT 2", case.card
    )
    page.goto(f"http://localhost:{port}/?range=all&every=2&open=card:{case.card}")
    drawer = wait_for(page, f"card:{case.card}")
    page.wait_for_selector(f"{TABLE} canvas", timeout=LIMIT * 1000)
    # The drawer remains, although the page behind it has refreshed and the table was scrolled to.
    status = page.locator(".st-key-status")
    before = status.inner_text()
    wait_until("the page refreshes", lambda: status.inner_text() != before)
    assert drawer.is_visible()
    page.locator(f"{TABLE} canvas").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+Space")
    drawer = wait_for(page, f"transaction:{rows[1][0]}")
    [(terminal,)] = pipeline.query("SELECT terminal_id FROM orders WHERE order_id = %s", rows[1][0])
    [(merchant,)] = pipeline.query("SELECT merchant FROM orders WHERE order_id = %s", rows[1][0])
    assert merchant in drawer.inner_text()
    drawer.get_by_role("button", name=merchant).press("Enter")
    wait_for(page, f"merchant:{merchant}")
    page.go_back()
    wait_for(page, f"transaction:{rows[1][0]}").get_by_role("button", name=terminal).click()
    wait_for(page, f"terminal:{terminal}")
    # The address opens it again, and nothing of it is in the filters.
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    wait_for(page, f"terminal:{terminal}")
    assert page.get_by_text("which is not").count() == 0
    page.locator('[role="dialog"]').get_by_role("button", name="Close").click()
    page.wait_for_selector(DRAWER, state="detached", timeout=LIMIT * 1000)
    wait_until("nothing is open", lambda: place(page) == "")
    assert "range=all" in page.url


@pytest.mark.timeout(1800)
def test_a_phone_has_the_search(
    served: tuple[Pipeline, int, Case, dict[str, int]],
    browser_page: Page,  # noqa: F811
) -> None:
    _, port, case, _ = served
    page = browser_page
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"http://localhost:{port}/?range=all")
    page.wait_for_selector(VALUE, timeout=LIMIT * 1000)
    box = page.get_by_label("Search", exact=True).first
    # It is on the first screen, and needs no side bar.
    assert box_of(box)["y"] < 200
    box.fill(case.merchant)
    page.get_by_role("button", name="Search", exact=True).click()
    drawer = wait_for(page, f"merchant:{case.merchant}")
    assert box_of(drawer)["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    close(page)


@pytest.mark.timeout(1800)
def test_the_drawer_at_every_width(
    served: tuple[Pipeline, int, Case, dict[str, int]],
    browser_page: Page,  # noqa: F811
) -> None:
    _, port, case, _ = served
    dark = at_length((WIDTHS[0], WIDTHS[-1]), WIDTHS)
    for what, last in (
        (f"merchant:{case.merchant}", f"{TABLE} canvas >> nth=0"),
        (f"transaction:{case.transaction}", f"{TABLE} canvas >> nth=0"),
        ("find:toys", f"{DRAWER} .st-key-matches button >> nth=3"),
    ):
        browser_page.goto(f"http://localhost:{port}/?range=all&open={quote(what)}")
        check_at_every_width(browser_page, last, dark, first=DRAWER)
