"""Moves credit-card transactions from Kafka into PostgreSQL: exactly once, at COPY speed, with dead letters.

Example:
    >>> import ccstream
    >>> ccstream.Producer(rate=1000, count=500).run().acknowledged
    500
    >>> ccstream.Consumer(until_caught_up=True).run()
    ConsumeSummary(consumed=500, stored=500, duplicate=0, rejected=0)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ccstream.errors import (
    CcstreamError,
    ConfigError,
    KafkaError,
    PostgresError,
    SchemaError,
    ServiceError,
)

if TYPE_CHECKING:
    from ccstream._ccstream import (
        Analyzer,
        AnalyzeSummary,
        Backtest,
        Check,
        Consumer,
        ConsumeStatus,
        ConsumeSummary,
        Detection,
        Detector,
        FeatureHistory,
        KeptMessage,
        KpiAnswer,
        KpiEngine,
        KpiStatus,
        ModelInfo,
        PartitionReport,
        PartitionState,
        Producer,
        ProduceSummary,
        ReasonCount,
        Resent,
        VerifyReport,
        __version__,
        activate_model,
        add_model,
        backtest,
        count_rejected,
        diagnose,
        feature_history,
        list_models,
        replay_rejected,
        select_rejected,
        shadow_model,
        topic_ends,
        verify,
    )

__all__ = [
    "AnalyzeSummary",
    "Analyzer",
    "Backtest",
    "CcstreamError",
    "Check",
    "ConfigError",
    "ConsumeStatus",
    "ConsumeSummary",
    "Consumer",
    "Detection",
    "Detector",
    "FeatureHistory",
    "KafkaError",
    "KeptMessage",
    "KpiAnswer",
    "KpiEngine",
    "KpiStatus",
    "ModelInfo",
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
    "activate_model",
    "add_model",
    "backtest",
    "count_rejected",
    "diagnose",
    "feature_history",
    "list_models",
    "replay_rejected",
    "select_rejected",
    "shadow_model",
    "topic_ends",
    "verify",
]

if not TYPE_CHECKING:  # A type checker reads the imports above, so that it can report names that do not exist.

    def __getattr__(name: str) -> object:
        """Loads the compiled extension when one of its names is first used (PEP 562).

        The modules written in Python (settings, flags, the dashboard's view) can therefore be imported without it.
        """
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module("ccstream._ccstream"), name)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        """Lists all names, including those of the extension when it is not loaded yet."""
        return sorted({*globals(), *__all__})
