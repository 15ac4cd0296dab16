"""Which worker of pytest-xdist a test goes to."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

BROKERS = 2
"""Workers that run tests on Apache Kafka: every one starts a broker, which takes processor time even while it waits."""


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each test to the next worker that is free, but those on Apache Kafka to few workers.

    A test on Apache Kafka is known by its id: xdist 3.8 does not find the groups of ``--dist loadgroup`` in pytest 9.2.
    """

    _groups: dict[str, str] = {}  # noqa: RUF012

    def _split_scope(self, nodeid: str) -> str:
        if "[apache" not in nodeid:
            return nodeid
        return self._groups.setdefault(nodeid, f"apache-{len(self._groups) % BROKERS}")
