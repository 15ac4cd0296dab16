"""The exceptions of ccstream. Each message says what happened, where, and what to do.

A message has settings by their names, in backticks; a command shows its flags instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ccstream._ccstream import ConsumeSummary


class CcstreamError(Exception):
    """Anything that ccstream raises.

    Attributes:
        exit_code: the exit status of the command line for this error: 2 settings and files,
            3 Kafka, 4 PostgreSQL, 5 the tables' shape, 70 an error within ccstream, 71 a refusal of the operating
            system.
        summary: what a consumer's run committed before; None for every other error.
    """

    summary: ConsumeSummary | None = None

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ConfigError(CcstreamError, ValueError):
    """A setting or a file is not usable."""


class KafkaError(CcstreamError, ConnectionError):
    """Kafka, or the way to it, failed."""


class PostgresError(CcstreamError, ConnectionError):
    """PostgreSQL, or the way to it, failed in a way that waiting does not mend."""


class SchemaError(CcstreamError):
    """The tables are there but not as they must be, or not there where they are only read."""


class ServiceError(CcstreamError):
    """An embedded service could not be started or stopped."""
