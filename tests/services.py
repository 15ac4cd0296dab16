"""An embedded PostgreSQL and broker of the tests' own, on free ports, with data that goes at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ccstream import embedded

if TYPE_CHECKING:
    from collections.abc import Iterator


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def free_places() -> Iterator[dict[str, str]]:
    """Free ports and an empty folder for both services, as environment variables."""
    folder = Path(tempfile.mkdtemp(prefix="ccstream-tests-"))
    # As root, PostgreSQL runs as another user, who must get there.
    folder.chmod(0o755)
    try:
        yield {
            "CCSTREAM_HOME": str(folder / "home"),
            "KAFKA_BOOTSTRAP_SERVERS": f"localhost:{free_port()}",
            "DATABASE_URL": f"postgresql://kafka_user:kafka_password@localhost:{free_port()}/kafka_db",
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def embedded_services() -> Iterator[dict[str, str]]:
    """Both services, running; the environment variables that lead to them, set here as well."""
    with free_places() as variables:
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        started = []
        try:
            started = embedded.up(lambda _line: None)
            yield variables
        finally:
            for service in reversed(started):
                service.stop()
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
