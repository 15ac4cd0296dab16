"""Decides which worker of pytest-xdist runs a test."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

BROKERS = 2
"""The number of workers that run tests on Apache Kafka. Each starts a broker, which uses the CPU even when idle."""


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each test to the next free worker, but gives tests on Apache Kafka to few workers.

    A test on Apache Kafka is recognised by its id, because xdist 3.8 does not find the groups of ``--dist loadgroup``
    in pytest 9.2.
    """

    _groups: dict[str, str] = {}  # noqa: RUF012

    def _split_scope(self, nodeid: str) -> str:
        if "[apache" not in nodeid:
            return nodeid
        return self._groups.setdefault(nodeid, f"apache-{len(self._groups) % BROKERS}")
