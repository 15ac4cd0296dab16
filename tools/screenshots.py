"""Takes the pictures of the documents from a real run: ``make screenshots``, about twelve minutes.

It starts separate services, then the producer and the consumer as the runbook does, and then the demo. The pictures of
the page are taken while a network is out, and when the events of the last five minutes are those of the live stream.
"""

from __future__ import annotations

import contextlib
import html
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from playwright.sync_api import Browser, FloatRect, sync_playwright
from small_png import small

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from services import embedded_services, free_port  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = ROOT / "docs"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
TERMINAL = """<body style="margin:0;background:#1e1e2e"><pre style="margin:0;padding:18px 22px;color:#cdd6f4;
font:14px/1.5 'DejaVu Sans Mono',monospace;white-space:pre-wrap;word-break:break-all;width:940px">{}</pre>"""
LIVE = 540.0
"""The time, in seconds, after which the network has been out for minutes, and the history is not recent."""


def save(browser: Browser, name: str, picture: bytes) -> None:
    """Stores a picture of the documents."""
    page = browser.new_page()
    (DOCS / name).write_bytes(small(page, picture))
    page.close()


def draw(browser: Browser, name: str, command: str, lines: list[str]) -> None:
    """Draws lines of output as a terminal shows them."""
    shown = "\n".join([f"$ {command}", *lines])
    coloured = html.escape(shown).replace("✓", '<span style="color:#a6e3a1">✓</span>')
    page = browser.new_page(viewport={"width": 984, "height": 100}, device_scale_factor=1.5)
    page.set_content(TERMINAL.format(coloured))
    save(browser, name, page.screenshot(full_page=True))
    page.close()


@dataclass(frozen=True)
class Shot:
    """Describes a picture of the page.

    Attributes:
        name: the picture's file.
        address: the part of the address after ``range=``.
        last: the heading of the last panel that it shows, or the selector of the panel.
        width: the width of the browser's window.
        scheme: the colours.
        is_alone: whether it shows only that panel, and not what is above it.
    """

    name: str
    address: str
    last: str
    width: int = 1440
    scheme: Literal["light", "dark"] = "light"
    is_alone: bool = False

    def take(self, browser: Browser, port: int) -> None:
        """Takes the picture from the page on a port."""
        page = browser.new_page(viewport={"width": self.width, "height": 8000}, color_scheme=self.scheme)
        page.goto(f"http://localhost:{port}/?range={self.address}")
        page.wait_for_selector(".st-key-bars-category svg.marks", timeout=60_000)
        page.wait_for_timeout(6000)
        heading = page.get_by_role("heading", name=self.last)
        panel = page.locator('.ccs-panel, [data-testid="stVerticalBlock"]').filter(has=heading).last
        box = (page.locator(self.last) if self.last.startswith(".") else panel).bounding_box()
        if box is None:
            raise SystemExit(f"{self.name}: the page has no panel {self.last!r}")
        # The gap between two panels is 16 pixels.
        clip: FloatRect = {"x": 0, "y": 0, "width": self.width, "height": box["y"] + box["height"] + 8}
        if self.is_alone:
            clip = {"x": box["x"], "y": box["y"], "width": box["width"], "height": box["height"]}
        save(browser, self.name, page.screenshot(clip=clip))
        page.close()


SHOTS = [
    Shot("dark.png", "1h", "by category", scheme="dark"),
    Shot("dashboard.png", "7d", "Latest transactions"),
    Shot("approval.png", "1h", ".st-key-timeline", is_alone=True),
    Shot("compared.png", "24h&metric=count&compare=before&stack=payment_method", ".st-key-timeline", is_alone=True),
    Shot("changed.png", "1h", ".st-key-changes", is_alone=True),
    Shot("declined.png", "1h", ".st-key-declines", is_alone=True),
    Shot("fraud.png", "7d", "Fraud", is_alone=True),
    Shot("trust.png", "7d", "Can these figures be trusted?", is_alone=True),
    Shot("phone.png", "7d", "Busiest merchants", width=390),
]


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Runs a program of Python until the end of the block."""
    child = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield child
    finally:
        child.terminate()
        if child.stdout is not None and not child.stdout.closed:
            child.communicate()


def runbook(browser: Browser, servers: str) -> None:
    """Takes the pictures of the runbook's producer and consumer."""
    # The client must live until the topic is created.
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    admin.create_topics([NewTopic("orders_json", 1, 1)])["orders_json"].result()
    outputs = []
    with running("consumer.py") as consumer:
        time.sleep(5)
        with running("producer.py") as producer:
            time.sleep(9)
            for child in (producer, consumer):
                child.terminate()
                outputs.append(child.communicate()[0].splitlines())
    draw(browser, "producer.png", "python producer.py", outputs[0][:4])
    draw(browser, "consumer.png", "python consumer.py", outputs[1][:12])


def pages(browser: Browser) -> None:
    """Takes the pictures of the page from the demo."""
    port = free_port()
    with running("-m", "ccstream", "demo", "--dashboard-port", str(port)) as demo:
        for line in demo.stdout or ():
            if "The dashboard is at" in line:
                break
        time.sleep(LIVE)
        for shot in SHOTS:
            shot.take(browser, port)
        screens(browser, port)


def screen(browser: Browser, name: str, address: str, width: int, height: int, *, click: str = "", last: str) -> None:
    """Takes the picture of a screen.

    Args:
        browser: the browser.
        name: the picture's file.
        address: the address of the page.
        width: the width of the screen.
        height: its height.
        click: the selector of what is clicked first, in which the first match counts.
        last: the selector of what is drawn last.
    """
    page = browser.new_page(viewport={"width": width, "height": height})
    page.goto(address)
    if click:
        page.locator(click).first.click(timeout=60_000)
    page.wait_for_selector(last, timeout=60_000)
    page.wait_for_timeout(6000)
    save(browser, name, page.screenshot())
    page.close()


def screens(browser: Browser, port: int) -> None:
    """Takes the pictures of the drawer of a transaction, of a wall, and of the alert of the network that is out."""
    page = f"http://localhost:{port}/"
    row = ".st-key-latest-table button"
    screen(browser, "drawer.png", f"{page}?range=7d", 1440, 1100, click=row, last=".st-key-drawer")
    screen(browser, "wall.png", f"{page}?range=24h&kiosk=1", 1920, 1080, last=".st-key-timeline svg.marks")
    row = '[class*="st-key-alert-row-"]:has-text("network_out")'
    screen(browser, "alerts.png", f"{page}alerts", 1440, 1200, click=row, last=".st-key-alert-detail canvas")


def main() -> None:
    """Takes all pictures."""
    os.environ["CCSTREAM_KPI_FILE"] = str(Path(tempfile.mkdtemp()) / "columns")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        try:
            with embedded_services() as places:
                runbook(browser, places["KAFKA_BOOTSTRAP_SERVERS"])
            # The demo needs empty services: after later transactions, all of its history would be late.
            with embedded_services():
                pages(browser)
        finally:
            browser.close()


if __name__ == "__main__":
    main()
