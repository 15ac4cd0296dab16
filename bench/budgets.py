"""Measures the budgets of the page in a browser, beside an empty page of Streamlit. ``bench/page.py`` runs it.

Both pages are opened in turns in an empty profile of Chromium. A refresh is what the processes did from one request of
the browser to the next, without what they did in the same time with the empty page open. Transactions arrive meanwhile,
20 a second. The database's cost is that of all of its processes, without that of the same time without a page.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg

from ccstream import embedded
from opened import ROOT, chromium, opened, served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from opened import Opened, Opening

FIGURES = '.ccs-value, [data-testid="stMetricValue"]'
"""The selector of a figure, of the page and of the empty one."""
DRAWN = "svg.marks, canvas"
"""The selector of everything that is drawn: charts and tables."""
EMPTY = 'import streamlit as st\nst.metric("One", 1)\nst.bar_chart({"a": [1, 2]})\n'
"""The script of the empty page. It has one figure and one chart, because Streamlit loads both parts on demand."""
OPENINGS, REFRESHES = 5, 30
"""The number of times that a page is opened, and of refreshes that are measured."""
SETTLE = 30
"""The seconds for which a page is open before its refreshes are measured."""
EARLY = 5 * 60
"""The moment of the first measurement of memory, in seconds after the opening."""


@contextlib.contextmanager
def arriving() -> Iterator[None]:
    """Lets 20 transactions a second arrive.

    They have a separate topic, because a fetch from the embedded broker takes longer in a large topic.
    """
    command = [sys.executable, "-m", "ccstream"]
    programs = [["consume", "--quiet", "--topic", "live"], ["produce", "--rate", "20", "--quiet", "--topic", "live"]]
    children = [subprocess.Popen([*command, *program], stdout=subprocess.DEVNULL) for program in programs]
    try:
        time.sleep(6)
        yield
    finally:
        for child in children:
            child.terminate()
            child.wait()


def refreshes(page: Opened, every: float) -> dict[str, float]:
    """Returns medians of refreshes in milliseconds of processor time, and the shares of a core.

    Args:
        page: a page that is open for a while.
        every: the interval between two refreshes, in seconds; of a page without refreshes, the interval to measure.
    """
    page.sent.clear()
    began, clocks, tasks = time.perf_counter(), page.clocks(), page.tasks()
    marks = [clocks]
    while len(page.sent) <= REFRESHES and len(marks) <= REFRESHES:
        page.wait(every)
        if not page.sent:
            marks.append(page.clocks())
    marks = page.sent or marks
    took, after, more = time.perf_counter() - began, page.clocks(), page.tasks() - tasks
    steps = [[(b[at] - a[at]) * 1000 for a, b in pairwise(marks)] for at in (0, 1)]
    return {
        "server, ms": statistics.median(steps[0]),
        "renderer, ms": statistics.median(steps[1]),
        "refreshes": len(steps[0]),
        "server, share of a core": (after[0] - clocks[0]) / took,
        "renderer, share of a core": (after[1] - clocks[1]) / took,
        "main thread, share of a core": more / took,
    }


def memory(page: Opened, minutes: float) -> dict[str, float]:
    """Returns the memory of server and renderer after five minutes and after a number of minutes, in MB."""
    page.wait(EARLY)
    early = page.memory()
    page.wait(max(0.0, minutes * 60 - EARLY))
    late = page.memory()
    return {
        "server, early": early[0],
        "server, late": late[0],
        "renderer, early": early[1],
        "renderer, late": late[1],
    }


def _openings(browser: Browser, pages: dict[str, tuple[str, psutil.Process]]) -> dict[str, dict[str, float]]:
    """Opens pages in turns. Returns the medians in seconds, and the largest shift, of each."""
    found: dict[str, list[Opening]] = {name: [] for name in pages}
    for _ in range(OPENINGS):
        for name, (url, server) in pages.items():
            with opened(browser, url, server, FIGURES, DRAWN) as (_, took):
                found[name].append(took)
    return {
        name: {
            "figures, s": statistics.median(one.figures for one in some),
            "drawn, s": statistics.median(one.drawn for one in some),
            "shift": max(one.shift for one in some),
        }
        for name, some in found.items()
    }


def in_browser(spans: list[str], minutes: float) -> dict[str, Any]:
    """Measures opening, refreshing and memory of the page and of an empty one.

    Args:
        spans: the time ranges of the page, as in its address. Memory is measured with the first one.
        minutes: for how long a page is open while its memory is measured.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "empty.py"
        script.write_text(EMPTY)
        with served(script) as (empty_port, empty), served(ROOT / "dashboard.py") as (port, server):
            pages = {"empty": (f"http://localhost:{empty_port}/", empty)}
            pages |= {span: (f"http://localhost:{port}/?range={span}", server) for span in spans}
            with chromium() as browser, arriving():
                # The first page makes the server read all rows.
                with opened(browser, pages[spans[0]][0] + "&every=2", server, FIGURES, DRAWN) as (page, _):
                    page.page.wait_for_selector("text=exact.", timeout=10 * 60_000)
                found: dict[str, Any] = {"opening": _openings(browser, pages), "refresh": {}}
                for name, (url, process) in pages.items():
                    for every in (2, 5):
                        address = url if name == "empty" else f"{url}&every={every}"
                        with opened(browser, address, process, FIGURES, DRAWN) as (page, _):
                            page.wait(SETTLE)
                            found["refresh"][f"{name}, {every} s"] = refreshes(page, every)
                with opened(browser, pages[spans[0]][0] + "&every=2", server, FIGURES, DRAWN) as (page, _):
                    found["memory"] = {"minutes": minutes, **memory(page, minutes)}
    return found


def database_time() -> float:
    """Returns the processor time of all processes of PostgreSQL so far, in seconds."""
    data = embedded.Postgres().data
    server = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
    # The server's own figures include its children that have ended.
    found = sum(server.cpu_times()[:4])
    for child in server.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += sum(child.cpu_times()[:2])
    return found


def transactions() -> int:
    """Returns the number of transactions that the database has committed or rolled back."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("SELECT pg_stat_clear_snapshot()")
        [[count]] = connection.execute(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        ).fetchall()
    return int(count)


def in_database(counts: list[int], seconds: float) -> list[dict[str, float]]:
    """Measures what pages of one process cost the database.

    Args:
        counts: the numbers of pages, in turn. Without a page, the cost is that of the transactions that arrive.
        seconds: for how long each number is measured.
    """
    found = []
    with arriving():
        for count in counts:
            code = f"import sys; sys.path[:0] = ['bench', 'tests']; import page; page.Pages({count}).refresh(1e9)"
            pages = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL)
            # By then, all rows are read and everything that is created once is there.
            time.sleep(60)
            before, spent, began = transactions(), database_time(), time.perf_counter()
            time.sleep(seconds)
            took = time.perf_counter() - began
            if pages.poll() is not None:
                raise RuntimeError(f"{count} pages have ended")
            found.append(
                {
                    "pages": count,
                    "transactions / s": (transactions() - before) / took,
                    "processor, share of a core": (database_time() - spent) / took,
                }
            )
            pages.terminate()
            pages.wait()
    return found


def measure(rows: int, spans: list[str], minutes: float) -> dict[str, Any]:
    """Measures all budgets with the rows that the table ``orders`` has."""
    return {
        "rows": rows,
        **in_browser(spans, minutes),
        "database": in_database([0, 1, 20], max(60.0, minutes * 6)),
    }
