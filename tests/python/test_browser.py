"""Tests the page in a real browser: its figures agree with SQL, and it shows new rows."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import pytest

from ccstream import embedded
from ccstream.dashboard.figures import TOP
from conftest import at_length, fill, leave_out, make_database, score
from pipeline import make_pipeline
from services import ROOT, free_port
from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from playwright.sync_api import Browser, FloatRect, Locator, Page

    from pipeline import Pipeline

# Streamlit and Altair cause deprecation warnings, and the threads of cached engines end only with the process.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yields Debian's Chromium."""
    path = shutil.which("chromium")
    if path is None:
        leave_out("browser", "there is no chromium (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    flags += ["--disable-background-networking", "--no-first-run"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def browser_page(browser: Browser) -> Iterator[Page]:
    """Yields an empty page, which shares nothing with the pages of other tests."""
    # Drawing Streamlit's animations would take a third of the processor time.
    with browser.new_context(viewport={"width": 1440, "height": 2400}, reduced_motion="reduce") as context:
        yield context.new_page()


VALUE = ".ccs-value"
"""The selector of the values of KPIs."""


def number(page: Page, label: str) -> str:
    """Returns the value on the card of a KPI."""
    card = page.locator(".ccs-card", has=page.get_by_text(label, exact=True))
    return card.locator(".ccs-value").inner_text()


def box_of(element: Locator) -> FloatRect:
    """Returns the position and size of an element."""
    box = element.bounding_box()
    assert box is not None
    return box


@contextlib.contextmanager
def serving(pipeline: Pipeline, folder: Path) -> Iterator[int]:
    """Serves the page and yields its port."""
    port = free_port()
    flags = [f"--server.port={port}", "--server.headless=true"]
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "dashboard.py", *flags],
        cwd=ROOT,
        env={**pipeline.environment, "CCSTREAM_KPI_FILE": str(folder / "columns")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until("the page is served", lambda: embedded.is_taken(port))
        yield port
    finally:
        server.terminate()
        server.wait()


@contextlib.contextmanager
def opened(port: int, browser_page: Page) -> Iterator[Page]:
    """Yields the page in the browser, with all of the pipeline's rows. At the end it checks requests."""
    lands: list[int] = []
    hosts: set[str | None] = set()
    errors: list[str] = []
    browser_page.on("console", lambda line: errors.append(line.text))
    browser_page.on("pageerror", lambda raised: errors.append(str(raised)))
    browser_page.on("request", lambda asked: hosts.add(urlsplit(asked.url).hostname))
    browser_page.on("response", lambda got: lands.append(got.status) if "land-110m" in got.url else None)
    browser_page.goto(f"http://localhost:{port}/?range=all")
    browser_page.wait_for_selector(VALUE, timeout=LIMIT * 1000)
    # This chart is drawn last.
    browser_page.wait_for_selector(".st-key-bars-category svg.marks", timeout=LIMIT * 1000)
    yield browser_page
    # After a reload, the browser may use its cached copy.
    assert 200 in lands
    assert set(lands) <= {200, 304}
    # A picture inside the page has no host, because it is not requested by HTTP.
    assert hosts - {None} == {"localhost"}
    assert errors == []


@pytest.fixture
def page(filled: Pipeline, browser_page: Page, tmp_path: Path) -> Iterator[Page]:
    """Yields the page in the browser, with 2,000 transactions without scores."""
    with serving(filled, tmp_path) as port, opened(port, browser_page) as page:
        yield page


@pytest.fixture(scope="module")
def unchanged_port(services: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Serves 2,000 transactions without scores, for tests that change none, and yields the page's port."""
    with (
        make_database(services) as url,
        make_pipeline(services["KAFKA_BOOTSTRAP_SERVERS"], url) as pipeline,
        serving(fill(pipeline), tmp_path_factory.mktemp("unchanged")) as port,
    ):
        yield port


@pytest.fixture
def unchanged_page(unchanged_port: int, browser_page: Page) -> Iterator[Page]:
    """Yields the page of these transactions in the browser."""
    with opened(unchanged_port, browser_page) as page:
        yield page


@contextlib.contextmanager
def serving_scored(services: dict[str, str], folder: Path) -> Iterator[tuple[Pipeline, int]]:
    """Serves 20,000 scored transactions, and yields their pipeline and the page's port."""
    with (
        make_database(services) as url,
        make_pipeline(services["KAFKA_BOOTSTRAP_SERVERS"], url) as pipeline,
        serving(score(pipeline), folder) as port,
    ):
        yield pipeline, port


@pytest.fixture(scope="module")
def all_scored(services: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pipeline, int]]:
    """Serves scored transactions."""
    with serving_scored(services, tmp_path_factory.mktemp("scored")) as served:
        yield served


@pytest.fixture
def scored_page(all_scored: tuple[Pipeline, int], browser_page: Page) -> Iterator[Page]:
    """Yields the page of these transactions in the browser."""
    with opened(all_scored[1], browser_page) as page:
        page.wait_for_selector(LAST_OF_FRAUD, timeout=LIMIT * 1000)
        yield page


WIDTHS: Sequence[int] = (1440, 1280, 900, 390)
"""The widths of screens, in pixels, from a desktop to a phone."""
LAST_OF_FRAUD = ".st-key-fraud svg.marks >> nth=3"
"""The chart of the panel "Fraud" that is drawn last. The panel has four."""
CLIPPED = """() => {
    const texts = ['stHeading', 'stMarkdown', 'stCaptionContainer']
    const cards = ['.ccs-label', '.ccs-value', '.ccs-change']
    const others = ['button', 'h1, h2, h3, h4, h5, h6', 'li']
    const selectors = [...cards, ...texts.map(name => `[data-testid="${name}"]`), ...others]
    const clipped = one => one.clientWidth > 0 && one.scrollWidth > one.clientWidth + 1
    const parts = one => [one, ...one.querySelectorAll('p, div, span, label')]
    const isSeen = one => !one.closest('[data-testid="stSidebar"][data-collapsed="true"]')
    const all = [...document.querySelectorAll(selectors.join(', '))].filter(isSeen).flatMap(parts)
    return [...new Set(all.filter(clipped).map(one => `${one.tagName} ${one.className}: ${one.innerText}`))]
}"""
"""JavaScript that returns the texts that are wider than their elements."""


SETTLED = """() => !document.querySelector('[data-stale="true"]')
    && document.getAnimations().every(one => one.playState !== 'running')"""
"""Whether nothing fades: while the script runs, Streamlit shows old elements in a pale colour."""


def check_at_every_width(page: Page, last: str, dark: Sequence[int], first: str = VALUE) -> None:
    """Checks that no text is clipped, nothing is wider than the screen, and everything is accessible, in both colours.

    Args:
        page: the page.
        last: the selector of the chart that is drawn last.
        dark: the widths at which dark colours are checked, too. The layout does not depend on the colours.
        first: the selector of an element that is drawn before it.
    """
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415

    widths: dict[Literal["light", "dark"], Sequence[int]] = {"light": WIDTHS, "dark": dark}
    for scheme, width in [(scheme, width) for scheme, some in widths.items() for width in some]:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 2400})
        page.reload()
        page.wait_for_selector(first, timeout=LIMIT * 1000)
        page.wait_for_selector(last, timeout=LIMIT * 1000)
        page.wait_for_function(SETTLED, timeout=LIMIT * 1000)
        # A refresh may begin while the page is checked, and its old texts are pale for a moment.
        page.add_style_tag(content='[data-stale="true"] { opacity: 1 !important; transition: none !important }')
        at = (scheme, width)
        assert page.evaluate(CLIPPED) == [], at
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), at
        found = Axe().run(page).response["violations"]
        shown = [(one["id"], one["help"], [node["html"][:200] for node in one["nodes"]]) for one in found]
        assert shown == [], at


def test_the_page_at_every_width(unchanged_page: Page) -> None:
    dark = at_length(WIDTHS[:1], WIDTHS)
    check_at_every_width(unchanged_page, ".st-key-bars-payment_method svg.marks", dark)
    assert unchanged_page.locator(".st-key-fraud").count() == 0


def test_the_panel_of_fraud_at_every_width(scored_page: Page) -> None:
    check_at_every_width(scored_page, LAST_OF_FRAUD, dark=at_length((WIDTHS[0], WIDTHS[-1]), WIDTHS))


def test_the_panel_of_fraud_follows_the_analyzer(all_scored: tuple[Pipeline, int], scored_page: Page) -> None:
    scored = all_scored[0]
    panel = scored_page.locator(".st-key-fraud")
    [(count, high)] = scored.query("SELECT count(score), count(reasons) FROM scores")
    assert f"{high:,} of {count:,} transactions scored high" in panel.inner_text()
    assert "no analyzer is running" in panel.inner_text()
    [(merchant, reason)] = scored.query(
        "SELECT merchant, reasons[1] FROM scores JOIN orders USING (order_id) ORDER BY score DESC, seq DESC LIMIT 1"
    )
    first = panel.locator(".st-key-fraud-riskiest li").first.inner_text()
    assert merchant in first
    assert reason in first
    # Every chart has marks, and its axes have names.
    charts = panel.locator("svg.marks").all()
    assert len(charts) == 4
    for at, chart in enumerate(charts):
        assert chart.locator(".role-mark path").count() > 1, at
        assert chart.locator(".role-axis-label text").count() > 3, at
    scored.analyze()
    scored_page.wait_for_selector("text=an analyzer is running", timeout=LIMIT * 1000)
    scored.run("produce", "--count", "50", "--rate", "max", "--start-time", "2026-01-07T12:00:00Z")
    wait_until("the panel follows", lambda: f"of {count + 50:,} transactions" in panel.inner_text())


def test_unchanged_parts_are_not_re_sent(unchanged_page: Page) -> None:
    page = unchanged_page
    sizes: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: sizes.append(len(frame))))
    page.goto(page.url + "&every=2")
    page.wait_for_selector(".st-key-bars-payment_method svg.marks", timeout=LIMIT * 1000)
    page.wait_for_timeout(5000)
    first = sizes.copy()
    page.wait_for_timeout(8000)
    refreshes = sizes[len(first) :]
    # A chart or table takes some thousand bytes. A reference to an unchanged one takes one or two hundred.
    assert max(first) > 5000
    assert len(refreshes) > 50
    assert max(refreshes) < 1000


def bars(page: Page) -> tuple[list[str], list[float]]:
    """Returns the names of the categories and the lengths of their bars at one moment, from the top."""

    def from_top(what: str, value: str) -> str:
        of = f"chart.querySelectorAll(`{what}`)"
        return f"[...{of}].map(one => [one.getBoundingClientRect().y, one.{value}]).sort((a, b) => a[0] - b[0])"

    names = from_top("[aria-label^='Y-axis'] .role-axis-label text", "textContent")
    lengths = from_top(".mark-rect.role-mark path", "getBoundingClientRect().width")
    chart = page.locator(".st-key-bars-category svg.marks")
    found: list[list[tuple[float, Any]]] = chart.evaluate(f"chart => [{names}, {lengths}]")
    return [name for _, name in found[0]], [length for _, length in found[1]]


@pytest.mark.timeout(1800)
def test_a_browser_reads_what_sql_says(filled: Pipeline, postgres: embedded.Postgres, page: Page) -> None:
    [(count, approved)] = filled.query("SELECT count(*), count(*) FILTER (WHERE status = 'approved') FROM orders")
    [(value, refunds)] = filled.query(
        "SELECT sum(value) FILTER (WHERE value >= 0), coalesce(-sum(value) FILTER (WHERE value < 0), 0) FROM orders "
        "WHERE currency = 'USD' AND status = 'approved'"
    )
    assert number(page, "Transactions") == f"{count:,}"
    assert number(page, "Value (USD)") == f"{value:,.2f}"
    assert number(page, "Refunds (USD)") == f"{refunds:,.2f}"
    assert number(page, "Approval rate") == f"{approved / count:.1%}"
    assert page.locator('[data-testid="stException"]').count() == 0
    # New rows appear without a reload.
    filled.run("produce", "--rate", "max", "--count", "321")
    filled.run("consume", "--until-caught-up")
    wait_until("the page follows", lambda: number(page, "Transactions") == "2,321")
    # While the database is unavailable, the page keeps its figures and shows a warning, which then disappears.
    postgres.stop()
    page.wait_for_selector("text=PostgreSQL has been unavailable", timeout=LIMIT * 1000)
    assert number(page, "Transactions") == "2,321"
    postgres.start()
    page.wait_for_selector("text=PostgreSQL has been unavailable", state="detached", timeout=LIMIT * 1000)
    assert number(page, "Transactions") == "2,321"
    # A click on the longest bar of the categories filters by that category, and changes the address.
    [(category, rows)] = filled.query("SELECT category, count(*) FROM orders GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1")
    mark = page.locator(f".st-key-bars-category path[aria-label*='category: {category}']").first

    def is_filtered() -> bool:
        # The warning above the chart has just disappeared, so the chart may move away from the click. Then click again.
        if f"category={category}" not in page.url:
            mark.click()
            page.wait_for_timeout(3000)
        return number(page, "Transactions") == f"{rows:,}"

    wait_until("it is filtered", is_filtered)
    assert f"category={category}" in page.url
    # On a small laptop, the last column of the table of merchants is visible without scrolling.
    page.set_viewport_size({"width": 1280, "height": 900})
    merchants = page.locator(".st-key-merchants .ccs-table")
    wait_until("the page is narrower", lambda: box_of(merchants)["width"] < 380)
    assert merchants.evaluate("table => table.scrollWidth <= table.clientWidth")
    # On a phone, two metrics fit side by side, and nothing is wider than the screen.
    page.set_viewport_size({"width": 390, "height": 900})
    cards = page.locator(".ccs-card")
    wait_until("two fit", lambda: len({round(box["y"]) for box in map(box_of, cards.all()[:4])}) == 2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.reload()
    page.wait_for_selector(VALUE, timeout=LIMIT * 1000)
    assert number(page, "Transactions") == f"{rows:,}"


@pytest.mark.timeout(1800)
def test_bars_stay_in_order_while_rows_come(filled: Pipeline, page: Page) -> None:
    filled.consume("--quiet")
    filled.produce(100, 360_000, "--seed", "6")
    wait_until("rows come", lambda: filled.count() > 2500)
    page.goto(page.url.replace("range=all", "range=5m&metric=count"))
    page.wait_for_selector(".st-key-bars-category svg.marks", timeout=LIMIT * 1000)
    orders = set()

    def is_over() -> bool:
        names, lengths = bars(page)
        orders.add(tuple(names))
        assert len(lengths) == len(names)
        assert lengths[:TOP] == sorted(lengths[:TOP], reverse=True), names
        assert [name for name in names if name.endswith(" others")] == names[TOP:]
        page.wait_for_timeout(300)
        is_long = filled.count() >= 6000
        if is_long:
            # The order might never change by chance, so these events make the second category the first.
            filled.send([of_category(names[1]) for _ in range(50)])
        return is_long and len(orders) > 1

    wait_until("their order changes", is_over)


def of_category(name: str) -> bytes:
    """Returns an event of a category with the current time."""
    event = {"transaction_id": uuid.uuid4().hex, "amount": 1, "timestamp": int(time.time() * 1000), "category": name}
    return json.dumps(event).encode()
