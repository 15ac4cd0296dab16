"""Tests the page "Alerts" in a real browser: an analyst works with it, and PostgreSQL has what the analyst decided."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from analyst import open_alert, open_some, riskiest
from conftest import at_length
from test_alerts import event
from test_browser import (  # noqa: F401
    SETTLED,
    VALUE,
    WIDTHS,
    box_of,
    browser,
    browser_page,
    check_at_every_width,
    number,
    opened,
    serving,
    serving_scored,
)
from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from pipeline import Pipeline

# Streamlit and Altair cause deprecation warnings, and the threads of cached engines end only with the process.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

LIST, ROW, DETAIL, SILENCES = (
    ".st-key-alert-list",
    '[class*="st-key-alert-row-"]',
    ".st-key-alert-detail",
    ".st-key-silences",
)
LINK = '[data-testid="stTopNavLink"]'
LARGE = """
[[alert]]
name = "large"
kind = "transaction"
where = "amount > 100 and currency = USD"
by = ["merchant"]
severity = "critical"
cooldown = "1d"
"""


@pytest.fixture(scope="module")
def served(services: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pipeline, int]]:
    """Serves scored transactions."""
    with serving_scored(services, tmp_path_factory.mktemp("alerts")) as served:
        yield served


@pytest.fixture
def alerts(served: tuple[Pipeline, int]) -> Iterator[dict[str, int]]:
    """Yields the ids of the alerts of :func:`open_some` by rule, while there are no others."""
    pipeline = served[0]
    yield open_some(pipeline, riskiest(pipeline))
    pipeline.execute("DELETE FROM alerts; DELETE FROM alert_silences")


def rows_of(page: Page) -> Locator:
    """Returns the rows of the list."""
    return page.locator(ROW)


def select(page: Page, text: str, alert: int) -> Locator:
    """Selects the alert whose row contains a text, and returns its part of the page."""
    # The whole row is the button, to its last line.
    row = rows_of(page).filter(has_text=text).first
    # The browser loads the program of buttons last.
    row.get_by_role("button").wait_for(timeout=LIMIT * 1000)
    page.wait_for_function(SETTLED, timeout=LIMIT * 1000)
    row.click(position={"x": 40, "y": box_of(row)["height"] - 16})
    page.wait_for_url(f"**/alerts?alert={alert}", timeout=LIMIT * 1000)
    page.wait_for_selector(f".st-key-note-{alert}", timeout=LIMIT * 1000)
    return page.locator(DETAIL)


def press(page: Page, button: str, done: str) -> None:
    """Presses a button of the selected alert, and waits until the page says what was done."""
    page.locator(DETAIL).get_by_role("button", name=button, exact=True).click()
    page.wait_for_selector(f"text={done}", timeout=LIMIT * 1000)


@pytest.mark.timeout(1800)
def test_what_an_analyst_does(embedded_pipeline: Pipeline, browser_page: Page, tmp_path: Path) -> None:  # noqa: F811
    """Tests a verdict with a running analyzer, from the alert to the merchant's next score."""
    pipeline = embedded_pipeline
    pipeline.write("alerts.toml", LARGE)
    world = ("--rate", "0.1", "--start-time", "2026-01-05", "--speed", "max", "--seed", "5")
    pipeline.run("produce", *world, "--count", "400", "--quiet")
    pipeline.catch_up()
    pipeline.analyze("--no-default-model").wait_for_event("reading")
    scored = "SELECT score FROM scores WHERE order_id = %s"
    wait_until("all is scored", lambda: pipeline.query("SELECT count(*) FROM scores") == [(400,)])
    # A fraud counts for the terminal if its amount is not unusual for its card.
    [(alert, fraud, merchant, terminal, others)] = pipeline.query(
        "SELECT id, order_id, merchant, coalesce(terminal_id, ''), (SELECT count(*) FROM alerts) FROM alerts"
        " JOIN orders ON order_id = why->>'transaction' JOIN scores USING (order_id) WHERE coalesce(ratio, 1) < 2"
        " ORDER BY id LIMIT 1"
    )

    def pay(at: int) -> float:
        """Sends a small payment of a new card at the merchant, and returns its score."""
        where = {"merchant": merchant} | ({"terminal_id": terminal} if terminal else {})
        pipeline.send([event(at, f"02:00:{at}", card_token=f"new{at}", **where)])
        wait_until("it is scored", lambda: bool(pipeline.query(scored, f"{at:08}")))
        return float(pipeline.query(scored, f"{at:08}")[0][0])

    before = pay(10)
    with serving(pipeline, tmp_path) as port, opened(port, browser_page) as page:
        page.locator(".st-key-status").get_by_text(f"Open alerts: {others} critical").click()
        page.wait_for_url("**/alerts", timeout=LIMIT * 1000)
        page.get_by_label("Key").fill(merchant.upper())
        page.keyboard.press("Enter")
        wait_until("one is listed", lambda: rows_of(page).count() == 1)
        detail = select(page, merchant, alert)
        detail.get_by_label("Note").fill("called the bank")
        press(page, "Acknowledge", "The alert is acknowledged.")
        decided = "SELECT state, outcome, note FROM alerts WHERE id = %s"
        assert pipeline.query(decided, alert) == [("acknowledged", None, "called the bank")]
        detail.get_by_text("Silence", exact=True).first.click()
        detail.get_by_text("every key").click()
        detail.get_by_text("4 h", exact=True).click()
        detail.locator(f".st-key-silence-now-{alert} button").click()
        page.wait_for_selector(SILENCES, timeout=LIMIT * 1000)
        [(now,)] = pipeline.query("SELECT event_time FROM analysis")
        assert pipeline.query("SELECT rule, key, ends_at FROM alert_silences") == [
            ("large", None, now + timedelta(hours=4))
        ]
        press(page, "Fraud", "The alert is closed as fraud.")
        assert pipeline.query(decided, alert) == [("closed", "fraud", "called the bank")]
        label = "SELECT transaction_id, source, labelled_at, fraud FROM labels WHERE kafka_partition = -1"
        assert pipeline.query(label) == [(fraud, "analyst", now, True)]
        # One batch notices the label, and the next one counts it.
        pay(20)
        assert pay(30) > before + 0.5
        assert pipeline.query("SELECT count(seq) FROM labels WHERE kafka_partition = -1") == [(1,)]
        page.locator(SILENCES).get_by_role("button", name="End").click()
        page.wait_for_selector(SILENCES, state="detached", timeout=LIMIT * 1000)
        assert pipeline.query("SELECT count(*) FROM alert_silences") == [(0,)]
        page.locator(LINK, has_text="Dashboard").click()
        page.locator(".st-key-status").get_by_text(f"Open alerts: {others - 1} critical").wait_for(timeout=LIMIT * 1000)


@pytest.mark.timeout(1800)
def test_a_note_and_a_selection_outlive_refreshes(
    served: tuple[Pipeline, int],
    alerts: dict[str, int],
    browser_page: Page,  # noqa: F811
) -> None:
    pipeline, port = served
    alert, page = alerts["card_score"], browser_page
    page.goto(f"http://localhost:{port}/alerts")
    wait_until("all are listed", lambda: rows_of(page).count() == 3)
    detail = select(page, "has a score of", alert)
    note = detail.get_by_label("Note")
    note.fill("called the ")
    newer = open_alert(pipeline, "another", 100, key="a newer one", severity="critical")
    wait_until("the list follows", lambda: "a newer one" in page.locator(LIST).inner_text())
    pipeline.execute(f"UPDATE alerts SET count = 7 WHERE id = {alert}")
    wait_until("the alert follows", lambda: "7 times since" in detail.inner_text())
    assert note.input_value() == "called the "
    assert f"alert={alert}" in page.url
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    note.press_sequentially("bank")
    press(page, "Acknowledge", "The alert is acknowledged.")
    assert pipeline.query("SELECT note FROM alerts WHERE id = %s", alert) == [("called the bank",)]
    # The address has the selection, so it is there in another visit.
    page.reload()
    page.wait_for_selector(f".st-key-note-{alert}", timeout=LIMIT * 1000)
    wait_until("the note is there", lambda: note.input_value() == "called the bank")
    assert pipeline.query("SELECT state FROM alerts WHERE id = %s", newer) == [("open",)]


@pytest.mark.timeout(1800)
def test_a_phone_and_the_keyboard_suffice(
    served: tuple[Pipeline, int],
    alerts: dict[str, int],
    browser_page: Page,  # noqa: F811
) -> None:
    pipeline, port = served
    alert, page = alerts["merchant_declines"], browser_page
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(f"http://localhost:{port}/alerts?alert={alerts['card_score']}")
    # The selected alert replaces the list.
    page.wait_for_selector(DETAIL, timeout=LIMIT * 1000)
    wait_until("the list is hidden", lambda: not page.locator(LIST).is_visible())
    page.get_by_text("Back to the list").click()
    wait_until("the list is shown", lambda: page.locator(LIST).is_visible() and page.locator(DETAIL).count() == 0)
    page.locator(f".st-key-alert-{alert} button").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/alerts?alert={alert}", timeout=LIMIT * 1000)
    noise = page.locator(DETAIL).get_by_role("button", name="Noise")
    noise.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("text=The alert is closed as noise", timeout=LIMIT * 1000)
    assert pipeline.query("SELECT outcome FROM alerts WHERE id = %s", alert) == [("noise",)]


@pytest.mark.timeout(1800)
def test_filters_are_there_after_a_visit_of_the_other_page(
    served: tuple[Pipeline, int],
    alerts: dict[str, int],
    browser_page: Page,  # noqa: F811
) -> None:
    pipeline, port = served
    assert alerts
    [(rows,)] = pipeline.query("SELECT count(*) FROM orders WHERE category = 'food_dining'")
    with opened(port, browser_page) as page:
        page.get_by_role("combobox", name="Category").click()
        page.get_by_role("option", name="Food and dining").click()
        wait_until("it is filtered", lambda: number(page, "Transactions") == f"{rows:,}")
        page.locator(LINK, has_text="Alerts").click()
        wait_until("all are listed", lambda: rows_of(page).count() == 3)
        page.get_by_label("Key").fill("TOK_")
        page.keyboard.press("Enter")
        wait_until("one is listed", lambda: rows_of(page).count() == 1)
        page.locator(LINK, has_text="Dashboard").click()
        page.wait_for_selector(VALUE, timeout=LIMIT * 1000)
        wait_until("it is filtered again", lambda: number(page, "Transactions") == f"{rows:,}")
        assert "category=food_dining" in page.url
        page.locator(LINK, has_text="Alerts").click()
        page.wait_for_selector(ROW, timeout=LIMIT * 1000)
        assert rows_of(page).count() == 1
        assert page.get_by_label("Key").input_value() == "TOK_"


@pytest.mark.timeout(1800)
def test_the_page_of_alerts_at_every_width(
    served: tuple[Pipeline, int],
    alerts: dict[str, int],
    browser_page: Page,  # noqa: F811
) -> None:
    pipeline, port = served
    long = "a-very-long-key-without-a-single-space-" * 5
    open_alert(pipeline, "name_of_a_rule_that_is_as_long_as_possible", 90, key=long, why_text=f"{long} has fired")
    pipeline.execute("INSERT INTO alert_silences (rule, key, ends_at, note) VALUES ('noisy', 'a.b*c', '2099-1-1', 'x')")
    dark = at_length((WIDTHS[0], WIDTHS[-1]), WIDTHS)
    browser_page.goto(f"http://localhost:{port}/alerts")
    check_at_every_width(browser_page, SILENCES, dark, first=ROW)
    browser_page.goto(f"http://localhost:{port}/alerts?alert={alerts['card_score']}")
    check_at_every_width(browser_page, f"{DETAIL} canvas >> nth=0", dark, first=DETAIL)
