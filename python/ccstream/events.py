"""The types of events: what ``on_event`` is called with, and what ``--events FILE`` appends.

``on_event`` takes an event's name and its fields. Names and kinds are stable; the sentences beside them are for people
and may change.

Example:
    >>> from typing import cast
    >>> from ccstream import events
    >>> def on_event(name, fields):
    ...     if name == "warning" and cast(events.Warned, fields)["kind"] == "gap":
    ...         print(fields["text"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

if TYPE_CHECKING:
    from datetime import timedelta

    from ccstream import ConsumeSummary, ProduceSummary

WarningKind: TypeAlias = Literal[
    "brokers_unreachable",
    "topic_missing",
    "topic_recreated",
    "cluster_changed",
    "log_truncated",
    "gap",
    "unreadable",
    "owners_killed",
    "group_silent",
    "partitions_lost",
    "taken_over",
    "position_moved",
    "session_ended",
    "revoked_uncommitted",
    "connection_refused",
    "drain_limit",
    "leave_unanswered",
]
"""What a warning is about.

- ``brokers_unreachable``: some of the cluster's brokers cannot be reached, and others can.
- ``topic_missing``: the topic does not exist; the consumer waits for it.
- ``topic_recreated``, ``cluster_changed``, ``log_truncated``: partitions are read from the beginning, because the topic
  was deleted and created again, the cluster is a different one, or the log ends before the next offset.
- ``gap``: retention deleted messages before they were read; they are counted as missing.
- ``unreadable``: a batch cannot be read, and was left out; its offsets are counted as missing.
- ``owners_killed``: the last consumers of a partition ended at the offset that is next as if killed.
- ``group_silent``: the group assigned no partition for long.
- ``partitions_lost``: the group gave partitions to others, as it had heard nothing of this consumer.
- ``taken_over``: another consumer took a partition over in PostgreSQL.
- ``position_moved``: PostgreSQL's offset is not where this consumer left it; it reads on from there.
- ``session_ended``: a session of a consumer that did not answer was ended, since it kept partitions locked.
- ``revoked_uncommitted``: partitions were revoked before all that was read was committed; others read it again.
- ``connection_refused``: PostgreSQL refused an additional connection.
- ``drain_limit``: the run ended before all that was read was committed; the next run reads it again.
- ``leave_unanswered``: Kafka did not answer when the consumer left the group.
"""

WaitingKind: TypeAlias = Literal[
    "kafka_unavailable", "kafka_refused", "kafka_error", "postgres_unavailable", "postgres_silent"
]
"""What is waited for: no broker answers, the brokers refuse TLS or the login, Kafka answers with an error that passes,
PostgreSQL cannot be reached or refuses with an error that passes, or PostgreSQL does not answer over a connection that
is open."""

Service: TypeAlias = Literal["kafka", "postgres"]
"""A service that the consumer needs."""


class ConnectedToKafka(TypedDict):
    """``connected_to_kafka``: the broker answered."""

    topic_found: bool
    """Without the topic, the consumer waits for it."""


class ConnectedToPostgres(TypedDict):
    """``connected_to_postgres``: PostgreSQL answered, and the tables exist."""

    created_orders: bool
    added_columns: list[str]
    """Columns that were added to a table ``orders`` that existed."""
    started_over: bool
    """``orders`` is new and offsets were not: every partition is read from the beginning again."""


class Listening(TypedDict):
    """``listening``: the consumer joins the group."""


class Assigned(TypedDict):
    """``assigned``: partitions are read."""

    offsets: dict[int, int]
    """By partition, the offset from which it is read."""


class Revoked(TypedDict):
    """``revoked``: partitions are not this consumer's any more."""

    partitions: list[int]


class Warned(TypedDict):
    """``warning``: something a person should know. Nothing is lost."""

    kind: WarningKind
    partitions: list[int]
    """The partitions that it concerns; empty where it concerns all."""
    text: str
    """The same as a sentence."""


class Batch(TypedDict):
    """``batch``: a batch is committed. ``consumed == stored + duplicate + rejected``."""

    consumed: int
    stored: int
    duplicate: int
    rejected: int
    missing: int
    total_consumed: int
    """This and the other totals: since the start of the run."""
    total_stored: int
    total_duplicate: int
    total_rejected: int
    total_missing: int
    offsets: dict[int, int]
    """By partition of the batch, the offset up to which it is committed."""
    lag: int
    """Messages that Kafka has and PostgreSQL does not have yet, as of the last fetch."""
    took: timedelta
    """The duration of the transaction."""


class Waiting(TypedDict):
    """``waiting``: a service is unavailable. It is retried until it is back."""

    kind: WaitingKind
    sqlstate: str | None
    """PostgreSQL's SQLSTATE, if it sent one."""
    reason: str
    """The same as a sentence."""


class Recovered(TypedDict):
    """``recovered``: a service is back."""

    service: Service
    after: timedelta
    """How long it was unavailable."""


class Ended(TypedDict):
    """``ended``: the run ended as it should."""

    summary: ConsumeSummary


class Failed(TypedDict):
    """``failed``: the run ended with an error, which ``run()`` raises."""

    exit_code: int
    error: str
    summary: ConsumeSummary
    """What was committed before."""


class Connected(TypedDict):
    """``connected``: the broker answered a producer, and the topic exists."""

    topic_created: bool
    unreachable: str | None
    """Which brokers of several cannot be reached, in words."""


class Sending(TypedDict):
    """``sending``: an event is handed to Kafka. This and the next two come at up to 10 events a second."""

    number: int
    """From 0."""
    payload: str


class Sent(TypedDict):
    """``sent``: Kafka has the event."""

    partition: int
    offset: int


class NotSent(TypedDict):
    """``not_sent``: Kafka does not have the event."""

    error: str


class Progress(TypedDict):
    """``progress``: how far the producer is, four times a second above 10 events a second, and at the end."""

    summary: ProduceSummary


CONSUMER_EVENTS: dict[str, type] = {
    "connected_to_kafka": ConnectedToKafka,
    "connected_to_postgres": ConnectedToPostgres,
    "listening": Listening,
    "assigned": Assigned,
    "revoked": Revoked,
    "warning": Warned,
    "batch": Batch,
    "waiting": Waiting,
    "recovered": Recovered,
    "ended": Ended,
    "failed": Failed,
}
"""A consumer's events by name."""

PRODUCER_EVENTS: dict[str, type] = {
    "connected": Connected,
    "sending": Sending,
    "sent": Sent,
    "not_sent": NotSent,
    "progress": Progress,
}
"""A producer's events by name."""
