"""Defines the exceptions of ccstream. Each message says what happened, to what, and what to do.

A message names settings by their Python names, in backticks; a command shows its flags instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ccstream._ccstream import ConsumeSummary


class CcstreamError(Exception):
    """Every exception that ccstream defines is a subclass of this class.

    Attributes:
        exit_code: the exit status of a command that ends with this error: 1 for an embedded service, 2 for settings and
            files, 3 for Kafka, 4 for PostgreSQL, 5 for the tables, 70 for an internal error, 71 if the operating system
            refused a resource.
        summary: what a consumer's run had committed before the error; None for every other error.
    """

    summary: ConsumeSummary | None = None

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ConfigError(CcstreamError, ValueError):
    """A setting, an argument or a file cannot be used."""


class KafkaError(CcstreamError, ConnectionError):
    """Kafka or the connection to it failed."""


class PostgresError(CcstreamError, ConnectionError):
    """PostgreSQL or the connection to it failed with an error that waiting does not resolve."""


class SchemaError(CcstreamError):
    """The tables cannot be used, ``verify`` or a KPI engine found none, or PostgreSQL refused too many rows."""


class ServiceError(CcstreamError):
    """An embedded service could not be started or stopped."""
