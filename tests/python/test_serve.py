"""Tests that only this machine can reach the page, from whatever folder it is started."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from ccstream.dashboard import serve
from ccstream.embedded import is_taken
from services import free_port
from waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = {
    "ccstream dashboard": ["ccstream", "dashboard", "--port={port}"],
    "streamlit run": ["streamlit", "run", str(serve.PAGE), "--server.headless=true", "--server.port={port}"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_listens_on_this_machine_alone(name: str, tmp_path: Path) -> None:
    port = free_port()
    command = [part.format(port=port) for part in COMMANDS[name]]
    child = subprocess.Popen(
        [sys.executable, "-m", *command],
        # Neither the project's nor the user's Streamlit settings are in this folder.
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until("the page is served", lambda: is_taken(port))
        found = [(one.pid, one.laddr) for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
        listens = {(pid, address.ip) for pid, address in found if address and address.port == port}
        assert listens
        assert listens <= {(child.pid, "127.0.0.1"), (child.pid, "::1")}
    finally:
        child.terminate()
        child.wait()
