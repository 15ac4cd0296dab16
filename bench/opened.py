"""Serves pages with Streamlit, opens them in Chromium, and measures both processes.

The clocks are those of the kernel for a whole process, with all of its threads, so they also count threads that have
ended. Chromium draws by software.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from ccstream import embedded  # noqa: E402
from services import free_port  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, CDPSession, Page

LIMIT = 120_000
"""The time limit for a page to open, in milliseconds."""
STILL = 5_000
"""A page is open when nothing was drawn for this number of milliseconds."""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
]
WATCH = """([figures, drawn]) => {
    window.opened = {drawn: 0, last: 0, shifts: []}
    const look = () => {
        const count = document.querySelectorAll(drawn).length
        if (opened.figures === undefined && document.querySelector(figures)) opened.figures = performance.now()
        if (count !== opened.drawn) Object.assign(opened, {drawn: count, last: performance.now()})
        requestAnimationFrame(look)
    }
    requestAnimationFrame(look)
    const note = one => one.hadRecentInput || opened.shifts.push([one.startTime, one.value])
    new PerformanceObserver(list => list.getEntries().forEach(note)).observe({type: 'layout-shift', buffered: true})
}"""
"""JavaScript that records when the first figure is there, when the last thing was drawn, and what has moved."""


@dataclass(frozen=True)
class Opening:
    """Holds what the opening of a page took.

    Attributes:
        figures: the time until the first figure was there, in seconds.
        drawn: the time until the last thing was drawn, in seconds.
        shift: the cumulative layout shift.
    """

    figures: float
    drawn: float
    shift: float


def processor(pid: int) -> float:
    """Returns the processor time of a process, in seconds, to the nanosecond."""
    # Linux makes the clock of another process from its id: see clock_getcpuclockid(3) and CPUCLOCK_SCHED in the kernel.
    return time.clock_gettime(~pid << 3 | 2)


def shift(shifts: list[list[float]]) -> float:
    """Returns the cumulative layout shift: the largest sum of a window of at most 5 s without a pause of 1 s."""
    most = total = began = last = 0.0
    for moment, value in shifts:
        if not total or moment - last >= 1_000 or moment - began >= 5_000:  # noqa: PLR2004
            total, began = 0.0, moment
        total, last = total + value, moment
        most = max(most, total)
    return most


@contextlib.contextmanager
def served(script: Path, **environment: str) -> Iterator[tuple[int, psutil.Process]]:
    """Serves a script of Streamlit, and yields its port and its process."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(script), f"--server.port={port}", "--server.headless=true"],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not embedded.is_taken(port):
            if server.poll() is not None:
                raise RuntimeError(f"Streamlit has ended with status {server.returncode}")
            time.sleep(0.05)
        yield port, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait()


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Runs Chromium."""
    path = shutil.which("chromium")
    if path is None:
        raise RuntimeError("there is no chromium (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Opened:
    """Holds a page that is open in a browser without other pages.

    Attributes:
        page: the page.
        server: the process that serves it.
        renderer: the process that draws it.
        session: a session with the browser's developer tools.
        sent: at each message to the server, which asks for a refresh: the processor times of server and renderer.
    """

    page: Page
    server: psutil.Process
    renderer: psutil.Process
    session: CDPSession
    sent: list[tuple[float, float]] = field(default_factory=list)

    def clocks(self) -> tuple[float, float]:
        """Returns the processor times of server and renderer, in seconds."""
        return processor(self.server.pid), processor(self.renderer.pid)

    def wait(self, seconds: float) -> None:
        """Lets time pass, in which the events of the browser are received."""
        self.page.wait_for_timeout(seconds * 1000)

    def tasks(self) -> float:
        """Returns the time that the page's main thread has spent on tasks since the opening, in seconds."""
        metrics = {one["name"]: one["value"] for one in self.session.send("Performance.getMetrics")["metrics"]}
        return float(metrics["TaskDuration"])

    def memory(self) -> tuple[float, float]:
        """Returns the memory of server and renderer, in MB."""
        return self.server.memory_info().rss / 1e6, self.renderer.memory_info().rss / 1e6


@contextlib.contextmanager
def opened(
    browser: Browser, url: str, server: psutil.Process, figures: str, drawn: str
) -> Iterator[tuple[Opened, Opening]]:
    """Opens a page in an empty profile, and yields it with what the opening took.

    Args:
        browser: a browser without other pages.
        url: the address.
        server: the process that serves it.
        figures: the selector of a figure.
        drawn: the selector of what is drawn last, such as all charts.
    """
    there: list[Opened] = []

    def sent(_: object) -> None:
        for one in there:
            one.sent.append(one.clocks())

    with browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce") as context:
        page = context.new_page()
        page.on("websocket", lambda socket: socket.on("framesent", sent))
        context.add_init_script(f"({WATCH})({[figures, drawn]!r})")
        page.goto(url)
        page.wait_for_selector(figures, timeout=LIMIT)
        page.wait_for_function(f"opened.drawn && performance.now() - opened.last > {STILL}", timeout=LIMIT)
        took: dict[str, Any] = page.evaluate("opened")
        session = context.new_cdp_session(page)
        session.send("Performance.enable")
        there.append(Opened(page, server, _renderer(browser), session))
        yield there[0], Opening(took["figures"] / 1000, took["last"] / 1000, shift(took["shifts"]))


def _renderer(browser: Browser) -> psutil.Process:
    """Returns the process that draws the only page. Chromium keeps another one in reserve, which has done less."""
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    renderers = [one for one in processes if one["type"] == "renderer"]
    return psutil.Process(int(max(renderers, key=lambda one: float(one["cpuTime"]))["id"]))
