"""Credit-card transactions from Kafka into PostgreSQL: exactly once, at COPY speed, bad messages kept.

Example:
    >>> import ccstream
    >>> consumer = ccstream.Consumer(until_caught_up=True)  # doctest: +SKIP
    >>> consumer.run()  # doctest: +SKIP
    ConsumeSummary(consumed=100000, stored=100000, duplicate=0, rejected=0)
"""

from ccstream._ccstream import (
    Check,
    Consumer,
    ConsumeSummary,
    KeptMessage,
    KpiAnswer,
    KpiEngine,
    KpiStatus,
    PartitionReport,
    PartitionState,
    Producer,
    ProduceSummary,
    ReasonCount,
    Resent,
    VerifyReport,
    __version__,
    count_rejected,
    diagnose,
    replay_rejected,
    select_rejected,
    topic_ends,
    verify,
)
from ccstream.errors import (
    CcstreamError,
    ConfigError,
    KafkaError,
    PostgresError,
    SchemaError,
    ServiceError,
)

__all__ = [
    "CcstreamError",
    "Check",
    "ConfigError",
    "ConsumeSummary",
    "Consumer",
    "KafkaError",
    "KeptMessage",
    "KpiAnswer",
    "KpiEngine",
    "KpiStatus",
    "PartitionReport",
    "PartitionState",
    "PostgresError",
    "ProduceSummary",
    "Producer",
    "ReasonCount",
    "Resent",
    "SchemaError",
    "ServiceError",
    "VerifyReport",
    "__version__",
    "count_rejected",
    "diagnose",
    "replay_rejected",
    "select_rejected",
    "topic_ends",
    "verify",
]
