"""Runs Debian's PgBouncer in front of a PostgreSQL of the tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg

from keeper import KeptFolder
from services import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

START_LIMIT = 30.0
SETTINGS = """\
[databases]
{name} = host={host} port={server_port} dbname={name}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users.txt
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = 100
logfile = {folder}/log
pidfile = {folder}/pid
"""


def missing_pgbouncer() -> str:
    """Returns the missing package; empty if it is installed."""
    return "" if _program() else "Debian's pgbouncer"


def _program() -> str | None:
    return shutil.which("pgbouncer", path="/usr/sbin:" + os.environ.get("PATH", ""))


@contextlib.contextmanager
def pooled(url: str, mode: str, size: int) -> Iterator[str]:
    """Runs a pooler in a mode, with a number of server sessions, and yields the database's URL through it."""
    parts, program = urlsplit(url), _program()
    assert program
    kept = KeptFolder("ccstream-pgbouncer-")
    folder, port = kept.path, free_port()
    name = parts.path.lstrip("/")
    settings = SETTINGS.format(
        name=name, host=parts.hostname, server_port=parts.port, port=port, folder=folder, mode=mode, size=size
    )
    (folder / "settings.ini").write_text(settings)
    (folder / "users.txt").write_text(f'"{parts.username}" "{parts.password}"\n')
    # PgBouncer refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, user)
    command = [program, "--quiet", str(folder / "settings.ini")]
    process = subprocess.Popen(command, user=user, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pooled_url = parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}").geturl()
    try:
        began = time.monotonic()
        while True:
            try:
                psycopg.connect(pooled_url, autocommit=True, prepare_threshold=None).close()
                break
            except psycopg.OperationalError:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < began + START_LIMIT
                time.sleep(0.05)
        yield pooled_url
    finally:
        process.terminate()
        process.wait()
        kept.remove()
