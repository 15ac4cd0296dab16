"""What the broker says, asked beside the page so that a silent one never holds it up."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import ccstream

EVERY_SECONDS = 4.0


@dataclass(frozen=True)
class BrokerState:
    """What was heard last.

    Attributes:
        ends: the next offset of each partition; empty until there is an answer.
        down_since: when the broker was first found silent, in seconds since 1970; None where it answers.
        why: what was heard instead.
    """

    ends: dict[int, int] = field(default_factory=dict)
    down_since: float | None = None
    why: str = ""


class BrokerWatch:
    """Asks a broker every few seconds where a topic ends, in a thread of its own, as long as the process lives."""

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
