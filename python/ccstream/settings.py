"""Environment variables and defaults, once for the commands, the dashboard and the extension.

For an argument that is not given the extension calls :func:`bootstrap_servers`, :func:`database_url`, :func:`group`
or :func:`topic`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ccstream.errors import ConfigError

DEFAULT_BOOTSTRAP_SERVERS = "localhost:9094"
DEFAULT_TOPIC = "orders_json"
DEFAULT_GROUP = "ccstream"
DEFAULT_DATABASE_URL = "postgresql://kafka_user:kafka_password@localhost:5434/kafka_db"

MAX_PORT = 65535
WATCHABLE_RATE = 10.0
"""Events a second up to which each is shown by itself."""


def bootstrap_servers() -> str:
    """``KAFKA_BOOTSTRAP_SERVERS`` or the default."""
    return os.environ.get("KAFKA_BOOTSTRAP_SERVERS") or DEFAULT_BOOTSTRAP_SERVERS


def database_url() -> str:
    """``DATABASE_URL`` or the default."""
    return os.environ.get("DATABASE_URL") or DEFAULT_DATABASE_URL


def group() -> str:
    """``KAFKA_GROUP_ID`` or the default."""
    return os.environ.get("KAFKA_GROUP_ID") or DEFAULT_GROUP


def topic() -> str:
    """``KAFKA_TOPIC`` or the default."""
    return os.environ.get("KAFKA_TOPIC") or DEFAULT_TOPIC


def kpi_rows() -> int:
    """``CCSTREAM_KPI_ROWS``, how many rows the dashboard holds in memory, or 20 million.

    Raises:
        ConfigError: it is no number.
    """
    text = os.environ.get("CCSTREAM_KPI_ROWS") or "20000000"
    if not text.isdigit():
        raise ConfigError(f"CCSTREAM_KPI_ROWS: {text!r} is no number of rows", 2)
    return int(text)


def kpi_file(url: str) -> Path:
    """Where the dashboard keeps its rows for the next start: ``CCSTREAM_KPI_FILE``, or a file in the user's cache."""
    if named := os.environ.get("CCSTREAM_KPI_FILE"):
        return Path(named).absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    # The same file with another password.
    place = re.sub(r":[^:@/]*@|password=[^\s&]*", "@", url)
    return Path(cache) / "ccstream" / f"{sha256(place.encode()).hexdigest()[:16]}.columns"


@dataclass(frozen=True)
class Address:
    """Where a local service listens.

    Attributes:
        host: as the setting names it.
        port: 1 to 65535.
    """

    host: str
    port: int

    @property
    def is_local(self) -> bool:
        """Whether it is this machine."""
        return self.host in {"localhost", "127.0.0.1", "::1"}


def broker_address() -> Address:
    """The first broker of ``KAFKA_BOOTSTRAP_SERVERS``.

    Raises:
        ConfigError: it is not ``host:port``.
    """
    first = bootstrap_servers().split(",")[0].strip()
    host, _, port = first.rpartition(":")
    if not (host and port.isdigit() and 0 < int(port) <= MAX_PORT):
        raise ConfigError(f"KAFKA_BOOTSTRAP_SERVERS: {first!r} is not host:port", 2)
    return Address(host, int(port))


@dataclass(frozen=True)
class Database:
    """The parts of ``DATABASE_URL`` that an embedded server is made from."""

    address: Address
    user: str
    password: str
    name: str


def database() -> Database:
    """The parts of ``DATABASE_URL``.

    Raises:
        ConfigError: it is not a URL with user, password, host, port and database.
    """
    parts = urlsplit(database_url())
    name = parts.path.lstrip("/")
    try:
        port = parts.port or 5432
    except ValueError:
        port = 0
    if not (parts.hostname and parts.username and parts.password and name and port):
        raise ConfigError(
            "DATABASE_URL: an embedded server needs postgresql://user:password@localhost:port/database", 2
        )
    return Database(Address(parts.hostname, port), unquote(parts.username), unquote(parts.password), unquote(name))
