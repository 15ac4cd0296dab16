"""Implements ``ccstream dashboard``, which serves the page on this machine only."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import NoReturn

from ccstream.errors import ServiceError

PAGE = Path(__file__).with_name("page.py")


def check_installed() -> None:
    """Checks that the packages that the page needs are installed.

    Raises:
        ServiceError: a package is missing.
    """
    for module in ("streamlit", "psycopg"):
        if importlib.util.find_spec(module) is None:
            raise ServiceError(f"the dashboard needs {module}: pip install 'ccstream[dashboard]'", 2)


def run(port: int) -> NoReturn:
    """Replaces this process by Streamlit, which serves the page until Ctrl-C.

    The file ``.streamlit/config.toml`` beside the page sets the address at which Streamlit listens.

    Args:
        port: the port to listen on.

    Raises:
        ServiceError: a package is missing.
    """
    check_installed()
    served = [f"--server.port={port}", "--server.headless=true"]
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(PAGE), *served])  # noqa: S606
