"""Tests Ctrl-C in a call that waits for a peer that accepts the connection and never answers."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


class SilentPeer:
    """Accepts connections on a port of this machine and never answers."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.connections.append(self._listener.accept()[0])

    def close(self) -> None:
        """Closes the listener and its connections."""
        # The accepting thread wakes up at a shutdown, but not at a close.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for one in [self._listener, *self.connections]:
            one.close()


@pytest.fixture
def peer() -> Iterator[SilentPeer]:
    made = SilentPeer()
    yield made
    made.close()


DATABASE = "database_url='postgresql://me:secret@127.0.0.1:{port}/d'"
BROKER = "bootstrap_servers='127.0.0.1:{port}'"


@pytest.mark.parametrize(
    ("call", "own_limit"),
    [
        pytest.param(f"ccstream.verify({DATABASE})", 10, id="verify"),
        pytest.param(f"ccstream.count_rejected({DATABASE})", 10, id="count_rejected"),
        pytest.param(f"ccstream.select_rejected({DATABASE})", 10, id="select_rejected"),
        pytest.param(f"ccstream.replay_rejected({DATABASE})", 10, id="replay_rejected"),
        pytest.param(f"ccstream.list_models({DATABASE})", 10, id="list_models"),
        pytest.param(f"ccstream.activate_model('rules', {DATABASE})", 10, id="activate_model"),
        pytest.param(f"ccstream.topic_ends({BROKER})", 5, id="topic_ends"),
        pytest.param(f"ccstream.diagnose({BROKER}, {DATABASE})", 5, id="diagnose"),
        pytest.param("ccstream._ccstream.ping('postgresql://me:secret@127.0.0.1:{port}/d')", 3, id="ping"),
        pytest.param(f"ccstream.KpiEngine.from_database({DATABASE}).refresh()", 10, id="refresh"),
    ],
)
def test_ctrl_c_ends_a_call_whose_peer_is_silent(peer: SilentPeer, call: str, own_limit: int) -> None:
    # The child sets its own handler, because children of tests in the background ignore Ctrl-C.
    handled = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    script = f"import signal, ccstream, ccstream._ccstream; {handled}; {call.format(port=peer.port)}"
    child = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    try:
        wait_until("it has connected", lambda: bool(peer.connections))
        child.send_signal(signal.SIGINT)
        # The call ends before its own time limit for the peer.
        _, said = child.communicate(timeout=own_limit - 1)
        assert said.endswith("KeyboardInterrupt\n"), said
        # This is the status of an uncaught KeyboardInterrupt. A crash of a remaining thread would give another.
        assert child.returncode == -signal.SIGINT
    finally:
        child.kill()
        child.wait()
