"""Tests the panels of what has changed and why transactions were declined in a real browser: a click on a row."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from conftest import at_length, make_database
from pipeline import make_pipeline
from test_browser import (  # noqa: F401
    SETTLED,
    WIDTHS,
    box_of,
    browser,
    browser_page,
    check_at_every_width,
    number,
    serving,
)
from test_changes import START, store
from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from pipeline import Pipeline

# Streamlit and Altair cause deprecation warnings, and the threads of cached engines end only with the process.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

BEGIN = START + timedelta(days=8, hours=6)
RANGE = f"range=from-to&from={BEGIN.isoformat()}&to={(BEGIN + timedelta(hours=12)).isoformat()}".replace("+", "%2B")
MOVERS = ".st-key-changes-movers button"
TABLES = ".st-key-declines .ccs-table"
LAST = ".st-key-bars-category svg.marks"
WHERE = "timestamp >= %s AND timestamp < %s"


@pytest.fixture(scope="module")
def served(services: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pipeline, int]]:
    """Serves transactions of two weeks that differ from day to day, and yields their pipeline and the page's port."""
    with (
        make_database(services) as url,
        make_pipeline(services["KAFKA_BOOTSTRAP_SERVERS"], url) as pipeline,
        serving(store(pipeline), tmp_path_factory.mktemp("changes")) as port,
    ):
        yield pipeline, port


def show(page: Page, port: int) -> None:
    """Opens the range."""
    page.goto(f"http://localhost:{port}/?{RANGE}&every=2")
    page.wait_for_selector(MOVERS, timeout=LIMIT * 1000)
    page.wait_for_selector(LAST, timeout=LIMIT * 1000)
    page.wait_for_function(SETTLED, timeout=LIMIT * 1000)


def count(pipeline: Pipeline, dimension: str, name: str) -> str:
    """Returns the number of transactions of a value in the range, as the page shows it."""
    times = [moment.replace(tzinfo=None) for moment in (BEGIN, BEGIN + timedelta(hours=12))]
    [(found,)] = pipeline.query(
        f"SELECT count(*) FROM orders WHERE {WHERE} AND coalesce({dimension}, '(unknown)') = %s", *times, name
    )
    return f"{found:,}"


def filters(page: Page) -> dict[str, list[str]]:
    """Returns the filters in the address."""
    address = parse_qs(page.evaluate("location.search.slice(1)"))
    return {name: values for name, values in address.items() if name not in {"range", "from", "to", "every"}}


def check_filter(pipeline: Pipeline, page: Page, before: str) -> tuple[str, str]:
    """Checks that one value is the filter, that the figures are its, and that the button undoes it."""
    wait_until("the address has a filter", lambda: len(filters(page)) == 1)
    [(dimension, [name])] = filters(page).items()
    expected = count(pipeline, dimension, name)
    assert expected != before
    if expected == "0":
        # What has changed may have disappeared.
        page.wait_for_selector("text=No transactions match these filters", timeout=LIMIT * 1000)
    else:
        wait_until("it is filtered", lambda: number(page, "Transactions") == expected)
    page.get_by_role("button", name="Clear", exact=True).click()
    page.wait_for_selector(MOVERS, timeout=LIMIT * 1000)
    wait_until("nothing is filtered", lambda: number(page, "Transactions") == before)
    assert filters(page) == {}
    page.wait_for_function(SETTLED, timeout=LIMIT * 1000)
    return dimension, name


@pytest.mark.timeout(1800)
def test_a_click_on_what_changed_filters_by_it(served: tuple[Pipeline, int], browser_page: Page) -> None:  # noqa: F811
    pipeline, port = served
    show(browser_page, port)
    before = number(browser_page, "Transactions")
    texts = browser_page.locator(MOVERS).all_inner_texts()
    assert len(texts) > 2
    for at in (0, len(texts) - 1):
        # The same row is clicked again after the filter was removed.
        for _ in range(2):
            row = browser_page.locator(MOVERS).nth(at)
            assert texts[at] == row.inner_text()
            row.click()
            _, name = check_filter(pipeline, browser_page, before)
            assert name in texts[at]


@pytest.mark.timeout(1800)
def test_a_click_on_why_declined_filters_by_it(served: tuple[Pipeline, int], browser_page: Page) -> None:  # noqa: F811
    pipeline, port = served
    page = browser_page
    show(page, port)
    before = number(page, "Transactions")
    assert page.locator(TABLES).count() == 3
    clicked = []
    for at in (0, 1, 2, 0):
        page.locator(TABLES).nth(at).locator("tbody tr").first.click()
        clicked.append(check_filter(pipeline, page, before))
    assert [dimension for dimension, _ in clicked] == ["response_code", "payment_method", "country", "response_code"]
    times = [moment.replace(tzinfo=None) for moment in (BEGIN, BEGIN + timedelta(hours=12))]
    for dimension, name in clicked:
        # The first row has the most declined transactions.
        counts = pipeline.query(
            f"SELECT coalesce({dimension}, '(unknown)'), count(*) FROM orders WHERE {WHERE} AND status = 'declined'"
            " GROUP BY 1",
            *times,
        )
        assert dict(counts)[name] == max(declined for _, declined in counts)


@pytest.mark.timeout(1800)
def test_both_panels_at_every_width(served: tuple[Pipeline, int], browser_page: Page) -> None:  # noqa: F811
    show(browser_page, served[1])
    check_at_every_width(browser_page, LAST, at_length((WIDTHS[0], WIDTHS[-1]), WIDTHS), first=MOVERS)
