"""Takes the pictures of the documents from a real run: ``make screenshots``.

It starts separate services, a producer and a consumer at the runbook's rate, and then sends more rows for the page.
"""

from __future__ import annotations

import html
import math
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Literal

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from playwright.sync_api import Browser, FloatRect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from services import embedded_services, free_port  # noqa: E402

DOCS = ROOT / "docs"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
TERMINAL = """<body style="margin:0;background:#1e1e2e"><pre style="margin:0;padding:18px 22px;color:#cdd6f4;
font:14px/1.5 'DejaVu Sans Mono',monospace;white-space:pre-wrap;word-break:break-all;width:940px">{}</pre>"""


def draw(browser: Browser, name: str, command: str, lines: list[str]) -> None:
    """Draws lines of output as a terminal shows them."""
    shown = "\n".join([f"$ {command}", *lines])
    coloured = html.escape(shown).replace("✓", '<span style="color:#a6e3a1">✓</span>')
    page = browser.new_page(viewport={"width": 984, "height": 100}, device_scale_factor=2)
    page.set_content(TERMINAL.format(coloured))
    page.screenshot(path=DOCS / name, full_page=True)
    page.close()


def run(*arguments: str) -> None:
    """Runs a command of ccstream to its end."""
    subprocess.run([sys.executable, "-m", "ccstream", *arguments], check=True, stdout=subprocess.DEVNULL)


def produce(start: datetime, count: int, seed: int) -> None:
    """Sends a number of events, the first of which happens at a moment."""
    run(
        *("produce", "--quiet", "--rate", "max", "--count", str(count)),
        *("--seed", str(seed), "--start-time", start.isoformat()),
    )


def history(end: datetime) -> None:
    """Sends two hours of events up to a moment, at a rate that rises and falls, so that figures can be compared."""
    for minute in range(125):
        count = 360 + 0.6 * minute + 60 * math.sin(minute / 9)
        produce(end - timedelta(minutes=125 - minute), int(count), minute)


def shoot(
    browser: Browser, url: str, names: list[str], size: tuple[int, int], scheme: Literal["light", "dark"]
) -> None:
    """Takes a picture of the page, and another one of its trust panel."""
    page = browser.new_page(viewport={"width": size[0], "height": 3600}, color_scheme=scheme)
    page.goto(url)
    page.wait_for_selector('[data-testid="stMetricValue"]', timeout=60_000)
    page.wait_for_timeout(6000)
    clips: list[FloatRect] = [{"x": 0, "y": 0, "width": size[0], "height": size[1]}]
    if len(names) > 1:
        box = page.get_by_text("Can these figures be trusted?").bounding_box() or {"x": 0, "y": size[1]}
        clips.append({"x": box["x"] - 24, "y": box["y"] - 24, "width": size[0] - box["x"], "height": 470})
    for name, clip in zip(names, clips, strict=True):
        page.screenshot(path=DOCS / name, clip=clip)
    page.close()


def main() -> None:
    """Takes all pictures."""
    DOCS.mkdir(exist_ok=True)
    port = free_port()
    os.environ["CCSTREAM_KPI_FILE"] = str(Path(tempfile.mkdtemp()) / "columns")
    children: list[subprocess.Popen[str]] = []

    def spawn(*arguments: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        children.append(child)
        return child

    with embedded_services() as places, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        try:
            servers = places["KAFKA_BOOTSTRAP_SERVERS"]
            AdminClient({"bootstrap.servers": servers}).create_topics([NewTopic("orders_json", 1, 1)])
            time.sleep(2)
            consumer = spawn("consumer.py")
            time.sleep(5)
            producer = spawn("producer.py")
            time.sleep(9)
            outputs = []
            for child in (producer, consumer):
                child.terminate()
                outputs.append((child.communicate()[0]).splitlines())
            draw(browser, "producer.png", "python producer.py", outputs[0][:8])
            draw(browser, "consumer.png", "python consumer.py", outputs[1][:12])
            spawn("consumer.py", "--quiet")
            spawn("producer.py", "--rate", "8", "--quiet")
            history(datetime.now(timezone.utc) + timedelta(seconds=25))
            spawn("-m", "streamlit", "run", "dashboard.py", f"--server.port={port}", "--server.headless=true")
            time.sleep(20)
            url = f"http://localhost:{port}/?range=1h"
            shoot(browser, url, ["dashboard.png", "trust.png"], (1440, 2080), "light")
            shoot(browser, f"{url}&status=declined", ["dark.png"], (1440, 2080), "dark")
            shoot(browser, url, ["phone.png"], (390, 2000), "light")
        finally:
            browser.close()
            for child in children:
                if child.poll() is None:
                    child.terminate()
                    child.wait(30)


if __name__ == "__main__":
    main()
