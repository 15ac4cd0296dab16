"""Asks the broker for the topic's end in a separate thread, so that a silent broker never blocks the page."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import ccstream

EVERY_SECONDS = 4.0


@dataclass(frozen=True)
class BrokerState:
    """Holds the broker's most recent answer.

    Attributes:
        ends: the end offset of each partition; empty before the first answer.
        down_since: the time of the first failed request, in seconds since 1970; None while the broker answers.
        why: the error of the last request; empty while the broker answers.
    """

    ends: dict[int, int] = field(default_factory=dict)
    down_since: float | None = None
    why: str = ""


class BrokerWatch:
    """Asks a broker for a topic's end every few seconds, in a separate thread, until the process ends."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._servers, self._topic = bootstrap_servers, topic
        self.state = BrokerState()
        threading.Thread(target=self._watch, name="ccstream-broker", daemon=True).start()

    def _watch(self) -> None:
        while True:
            try:
                self.state = BrokerState(ccstream.topic_ends(bootstrap_servers=self._servers, topic=self._topic))
            except ccstream.CcstreamError as error:
                since = self.state.down_since or time.time()
                self.state = BrokerState(self.state.ends, since, str(error))
            time.sleep(EVERY_SECONDS)
