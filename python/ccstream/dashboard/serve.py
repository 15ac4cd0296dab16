"""``ccstream dashboard``: serves the page, on this machine only."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import NoReturn

from ccstream.errors import ServiceError

PAGE = Path(__file__).with_name("page.py")


def check_installed() -> None:
    """Raises :class:`ServiceError` where a package that the page needs is missing."""
    for module in ("streamlit", "psycopg"):
        if importlib.util.find_spec(module) is None:
            raise ServiceError(f"the dashboard needs {module}: pip install 'ccstream[dashboard]'", 2)


def run(port: int) -> NoReturn:
    """Becomes Streamlit, which serves the page until Ctrl-C; ``.streamlit`` beside the page says where it listens.

    Args:
        port: where the page is served.

    Raises:
        ServiceError: a package is missing.
    """
    check_installed()
    served = [f"--server.port={port}", "--server.headless=true"]
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(PAGE), *served])  # noqa: S606
