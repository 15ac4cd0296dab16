"""Reads settings from the environment, for the parts written in Python: the page, the demo, the embedded services.

The settings are declared in Rust; ``ccstream.declared`` lists them.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ccstream.declared import SETTINGS, Setting
from ccstream.errors import ConfigError

MAX_PORT = 65535
WATCHABLE_RATE = 10.0
"""Each event is shown on its own line up to this number of events a second."""


def named(name: str) -> Setting:
    """Returns the setting with a name.

    Raises:
        KeyError: no setting has that name.
    """
    for settings in SETTINGS.values():
        for setting in settings:
            if setting.name == name:
                return setting
    raise KeyError(name)


def value(name: str) -> str:
    """Returns a setting's value from the environment, or its default.

    Raises:
        KeyError: no setting has that name.
    """
    setting = named(name)
    return os.environ.get(setting.variable or "") or str(setting.default)


def unwrapped(text: str) -> str:
    """Removes white space and quotes around a text, as the crates do.

    Example:
        >>> unwrapped(' "localhost:9094" ')
        'localhost:9094'
    """
    text = text.strip()
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return unwrapped(text[1:-1]) if quoted else text


def bootstrap_servers() -> str:
    """Returns ``KAFKA_BOOTSTRAP_SERVERS`` or the default."""
    return unwrapped(value("bootstrap_servers"))


def database_url() -> str:
    """Returns ``DATABASE_URL``, the content of the file that ``DATABASE_URL_FILE`` names, or the default.

    Raises:
        ConfigError: both variables are set, or the file cannot be read.
    """
    file = os.environ.get("DATABASE_URL_FILE")
    if not file:
        return unwrapped(value("database_url"))
    if os.environ.get("DATABASE_URL"):
        raise ConfigError("database_url: both DATABASE_URL and DATABASE_URL_FILE are set; unset one")
    try:
        return unwrapped(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"database_url: DATABASE_URL_FILE={file} cannot be read: {error}") from error


def group() -> str:
    """Returns ``KAFKA_GROUP_ID`` or the default."""
    return value("group")


def topic() -> str:
    """Returns ``KAFKA_TOPIC`` or the default."""
    return value("topic")


def kpi_file(url: str) -> Path:
    """Returns the file in which the dashboard saves its rows for the next start.

    This is ``CCSTREAM_KPI_FILE``, or a file in the user's cache folder whose name depends on the database.
    """
    if named := os.environ.get("CCSTREAM_KPI_FILE"):
        return Path(named).absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    # A changed password must not change the file.
    place = re.sub(r":[^:@/]*@|password=[^\s&]*", "@", url)
    return Path(cache) / "ccstream" / f"{sha256(place.encode()).hexdigest()[:16]}.columns"


@dataclass(frozen=True)
class Address:
    """Holds the address at which a local service listens.

    Attributes:
        host: the host, as the setting names it.
        port: the port, 1 to 65535.
    """

    host: str
    port: int

    @property
    def is_local(self) -> bool:
        """Whether the host is this machine."""
        return self.host in {"localhost", "127.0.0.1", "::1"}


def broker_address() -> Address:
    """Returns the address of the first broker in ``KAFKA_BOOTSTRAP_SERVERS``.

    Raises:
        ConfigError: the first broker is not written as ``host:port``.
    """
    first = bootstrap_servers().split(",")[0].strip()
    host, _, port = first.rpartition(":")
    if not (host and port.isdigit() and 0 < int(port) <= MAX_PORT):
        raise ConfigError(f"KAFKA_BOOTSTRAP_SERVERS: {first!r} is not host:port", 2)
    return Address(host, int(port))


@dataclass(frozen=True)
class Database:
    """Holds the parts of ``DATABASE_URL`` from which an embedded server is created."""

    address: Address
    user: str
    password: str
    name: str


def database() -> Database:
    """Splits ``DATABASE_URL`` into its parts.

    Raises:
        ConfigError: the URL lacks its user, password, host or database, or its port is not a number.
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
