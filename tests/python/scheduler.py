"""Decides which worker of pytest-xdist runs a test."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

BROKERS = 2
"""The number of workers that run tests on Apache Kafka. Each starts a broker."""


def is_on_apache(nodeid: str) -> bool:
    """Returns whether a test runs on Apache Kafka. Its id shows it."""
    return "[apache" in nodeid


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each test to the next free worker, except for two kinds of tests.

    The tests of a file with a fixture of the module's scope go to one worker, so that the fixture is set up once.
    Other tests on Apache Kafka go to few workers. They are recognised by their ids, because xdist 3.8 does not find the
    groups of ``--dist loadgroup`` in pytest 9.2.
    """

    _groups: dict[str, str] = {}  # noqa: RUF012
    _shares: dict[str, bool] = {}  # noqa: RUF012

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file not in self._shares:
            self._shares[file] = 'scope="module"' in (self.config.rootpath / file).read_text(encoding="utf-8")
        if self._shares[file]:
            return file
        if not is_on_apache(nodeid):
            return nodeid
        return self._groups.setdefault(nodeid, f"apache-{len(self._groups) % BROKERS}")
