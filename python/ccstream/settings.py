"""Flags and environment variables to settings, once for every command.

A flag beats its environment variable, which beats the default.
"""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ccstream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

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


def topic() -> str:
    """``KAFKA_TOPIC`` or the default."""
    return os.environ.get("KAFKA_TOPIC") or DEFAULT_TOPIC


def add_kafka(parser: argparse.ArgumentParser, *, with_topic: bool = True) -> None:
    """Adds the flags that say where Kafka is."""
    group = parser.add_argument_group("Kafka")
    group.add_argument(
        "--bootstrap-servers",
        metavar="HOST:PORT",
        default=bootstrap_servers(),
        help="brokers, joined by commas (KAFKA_BOOTSTRAP_SERVERS; default %(default)s)",
    )
    if with_topic:
        group.add_argument(
            "--topic", metavar="NAME", default=topic(), help="the topic (KAFKA_TOPIC; default %(default)s)"
        )
    group.add_argument(
        "--kafka-option",
        metavar="KEY=VALUE",
        type=pair("KEY=VALUE"),
        action="append",
        default=[],
        help="a setting of librdkafka itself, as security.protocol=sasl_ssl; may be repeated",
    )


def add_database(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that says where PostgreSQL is."""
    parser.add_argument_group("PostgreSQL").add_argument(
        "--database-url",
        metavar="URL",
        default=database_url(),
        # The default has a password, and so has what stands in the environment: neither is printed.
        help="postgresql://user:password@host:port/database (DATABASE_URL; default: kafka_db on localhost:5434)",
    )


def pair(form: str) -> Callable[[str], tuple[str, str]]:
    """A flag's type: a name and a value around an equals sign."""

    def parse(text: str) -> tuple[str, str]:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise argparse.ArgumentTypeError(f"{text!r} is not {form}")
        return name, value

    return parse


def rate(text: str) -> float:
    """A flag's type: events a second, or ``max``, which is infinity."""
    if text == "max":
        return math.inf
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is neither events a second nor max")
    return value


def milliseconds(text: str) -> float:
    """A flag's type: a number of milliseconds, ``200`` or ``200ms``."""
    try:
        value = float(text.removesuffix("ms"))
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of milliseconds")
    return value


def count(text: str) -> int:
    """A flag's type: a whole number of at least 1, with or without separators."""
    try:
        value = int(text.replace(",", "").replace("_", ""))
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


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
