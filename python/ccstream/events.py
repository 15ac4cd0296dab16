"""The fields of each event that ``on_event`` is called with, by the event's name.

Example:
    >>> def on_event(name: str, fields: Mapping[str, Any]) -> None:
    ...     if name == "batch":
    ...         batch = cast("events.Batch", fields)
    ...         print(batch["stored"], "rows in", batch["took"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from ccstream import ProduceSummary

__all__ = [
    "CONSUMER_EVENTS",
    "PRODUCER_EVENTS",
    "Assigned",
    "Batch",
    "Connected",
    "ConnectedToKafka",
    "ConnectedToPostgres",
    "Listening",
    "NotSent",
    "Progress",
    "Recovered",
    "Sending",
    "Sent",
    "Waiting",
    "Warned",
]


class Connected(TypedDict):
    """The broker answered the producer; ``topic_created`` where the topic was missing."""

    topic_created: bool


class Sending(TypedDict):
    """An event goes to librdkafka, at up to 10 a second: its number from 0, and its JSON."""

    number: int
    payload: str


class Sent(TypedDict):
    """The broker has the event, at this place."""

    partition: int
    offset: int


class NotSent(TypedDict):
    """The broker does not have the event, and why."""

    error: str


class Progress(TypedDict):
    """The counts so far, four times a second above 10 events a second, and at the end."""

    summary: ProduceSummary


class ConnectedToKafka(TypedDict):
    """The broker answered the consumer. Without the topic, the topic is waited for."""

    topic_found: bool


class ConnectedToPostgres(TypedDict):
    """PostgreSQL answered, and the tables are there.

    ``created_orders``: the table ``orders`` was missing. ``added_columns``: what the table lacked. ``started_over``:
    ``orders`` was new while offsets were there, so that the topic is read from its beginning.
    """

    created_orders: bool
    added_columns: list[str]
    started_over: bool


class Listening(TypedDict):
    """The consumer joins its group; no fields."""


class Assigned(TypedDict):
    """The group assigned partitions: for each the offset that it is read from."""

    offsets: dict[int, int]


class Batch(TypedDict):
    """A batch is committed: its counts, and with ``total_`` those of the run.

    ``lag``: messages that Kafka has and PostgreSQL does not have yet, as of the last fetch. ``took``: the duration of
    the transaction.
    """

    consumed: int
    stored: int
    duplicate: int
    rejected: int
    missing: int
    total_consumed: int
    total_stored: int
    total_duplicate: int
    total_rejected: int
    total_missing: int
    lag: int
    took: timedelta


class Warned(TypedDict):
    """The event ``warning``: something that a person should know; nothing is lost."""

    text: str


class Waiting(TypedDict):
    """PostgreSQL or Kafka is unavailable, and is tried until it is back."""

    reason: str


class Recovered(TypedDict):
    """What was waited for is back, after this time."""

    after: timedelta


PRODUCER_EVENTS: Mapping[str, type] = {
    "connected": Connected,
    "sending": Sending,
    "sent": Sent,
    "not_sent": NotSent,
    "progress": Progress,
}
"""The events of :class:`ccstream.Producer`."""
CONSUMER_EVENTS: Mapping[str, type] = {
    "connected_to_kafka": ConnectedToKafka,
    "connected_to_postgres": ConnectedToPostgres,
    "listening": Listening,
    "assigned": Assigned,
    "batch": Batch,
    "warning": Warned,
    "waiting": Waiting,
    "recovered": Recovered,
}
"""The events of :class:`ccstream.Consumer`."""
