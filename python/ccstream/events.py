"""Defines the types of the events that ``on_event`` receives and that ``--events FILE`` appends.

``on_event`` takes an event's name and its fields. Names and kinds are stable. The sentences in ``text`` and ``reason``
are for people and may change.

Example:
    >>> from typing import cast
    >>> from ccstream import events
    >>> def on_event(name, fields):
    ...     if name == "warning" and cast(events.Warned, fields)["kind"] == "gap":
    ...         print(fields["text"])
    >>> on_event("warning", {"kind": "gap", "partitions": [0], "text": "5 messages of partition 0 are missing"})
    5 messages of partition 0 are missing
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

if TYPE_CHECKING:
    from datetime import timedelta

    from ccstream import AnalyzeSummary, ConsumeSummary, ProduceSummary

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
    "orders_behind",
    "model_unusable",
    "window_refused",
    "alert_refused",
    "segments_unavailable",
    "notification_failed",
    "truth_skipped",
    "drain_limit",
    "leave_unanswered",
]

"""The kind of a warning.

- ``brokers_unreachable``: some of the cluster's brokers cannot be reached, and others can.
- ``topic_missing``: the topic does not exist; the consumer waits for it.
- ``topic_recreated``: the topic was deleted and created again, so it is read from the beginning.
- ``cluster_changed``: the cluster is a different one, so the topic is read from the beginning.
- ``log_truncated``: the log ends before the next offset, so it is read from the beginning.
- ``gap``: retention deleted messages before they were read; they are counted as missing.
- ``unreadable``: a batch could not be read and was skipped; its offsets are counted as missing.
- ``owners_killed``: several consumers in a row lost their connection to PostgreSQL at the same offset of a partition,
  as happens when each is killed, for example for lack of memory.
- ``group_silent``: the group has assigned no partition for five session timeouts.
- ``partitions_lost``: the group gave partitions to other consumers, because this one did not respond in time.
- ``taken_over``: another consumer took over a partition in PostgreSQL.
- ``position_moved``: the next offset in PostgreSQL is not the one that this consumer committed; it continues at
  PostgreSQL's offset.
- ``session_ended``: the PostgreSQL session of another consumer, probably a suspended one, was ended, because it kept
  offset rows locked.
- ``revoked_uncommitted``: partitions were revoked before everything that was read was committed; their next owner reads
  the rest again.
- ``connection_refused``: PostgreSQL refused an additional connection.
- ``orders_behind``: transactions that the analyzer has scored are not in ``orders`` yet, and could not be read
  from the topic; it waits for the consumer to store them, because it restores its state from them;
  or windows wait for them, and scores do not.
- ``model_unusable``: the active model cannot be used, so the rules score; or the shadow cannot be, so there is none.
- ``window_refused``: a definition in ``windows.toml`` is wrong, or the table of a window cannot be prepared; the window
  is not counted.
- ``alert_refused``: a rule or a target in ``alerts.toml`` is wrong; it is not used.
- ``segments_unavailable``: a window or a rule goes by the segments of merchants, and they cannot be read, or there are
  none; merchants have no segment, or keep those of before.
- ``notification_failed``: a notification of alerts was not sent; it is tried again, unless the text says otherwise.
- ``truth_skipped``: messages of the topic of truth were skipped, because they cannot be stored; the partitions are that
  topic's.
- ``drain_limit``: the run ended before everything that was read was committed; the next run reads the rest again.
- ``leave_unanswered``: Kafka did not answer when the consumer left the group.
"""

ProducerWarningKind: TypeAlias = Literal[
    "cards_overused", "sent_early", "labels_not_sent", "resume_incomplete", "command_skipped"
]
"""What a producer's warning is about.

- ``cards_overused``: the cards make so many payments a day that they show no habits.
- ``sent_early``: too many refunds, retries, labels or late messages wait, and are sent before their time.
- ``labels_not_sent``: the run ended before labels, or late and second messages, were due, or before the labels of a
  file were sent. They are not sent.
- ``resume_incomplete``: the file of ``resume`` lacks messages: the run that saved it was killed, or it cannot be saved
  during this run.
- ``command_skipped``: a line of ``control`` is no command, or a command could not be applied or recorded.
"""

WaitingKind: TypeAlias = Literal[
    "kafka_unavailable", "kafka_refused", "kafka_error", "postgres_unavailable", "postgres_silent"
]
"""The reason for which a consumer waits.

- ``kafka_unavailable``: no broker answers.
- ``kafka_refused``: the brokers refuse TLS or the login.
- ``kafka_error``: Kafka answers with a temporary error.
- ``postgres_unavailable``: PostgreSQL cannot be reached, or answers with a temporary error.
- ``postgres_silent``: PostgreSQL has not answered for 20 s, although the connection is open.
"""

Service: TypeAlias = Literal["kafka", "postgres"]
"""A service that the consumer needs."""


class ConnectedToKafka(TypedDict):
    """The event ``connected_to_kafka``: a broker answered."""

    topic_found: bool
    """Whether the topic exists; if it does not, the consumer waits for it."""


class ConnectedToPostgres(TypedDict):
    """The event ``connected_to_postgres``: PostgreSQL answered, and the tables exist."""

    created_orders: bool
    """Whether this run created the table ``orders``."""
    added_columns: list[str]
    """The columns that were added to an existing table ``orders``."""
    started_over: bool
    """Whether every partition is read again from its beginning, because ``orders`` had lost the rows that the offsets
    count."""


class Listening(TypedDict):
    """The event ``listening``: the consumer joins the group."""


class Assigned(TypedDict):
    """The event ``assigned``: the consumer starts to read partitions."""

    offsets: dict[int, int]
    """For each partition, the offset from which it is read."""


class Revoked(TypedDict):
    """The event ``revoked``: the group took partitions from this consumer."""

    partitions: list[int]


class Warned(TypedDict):
    """The event ``warning``: something that a person should know."""

    kind: WarningKind
    partitions: list[int]
    """The partitions that the warning is about; empty if it is not about single partitions."""
    text: str
    """The warning as a sentence."""


class Batch(TypedDict):
    """The event ``batch``: a batch is committed. ``consumed == stored + duplicate + rejected``."""

    consumed: int
    stored: int
    duplicate: int
    rejected: int
    missing: int
    total_consumed: int
    """Each of the totals counts from the start of the run."""
    total_stored: int
    total_duplicate: int
    total_rejected: int
    total_missing: int
    offsets: dict[int, int]
    """For each partition of the batch, the next offset after those that are committed."""
    lag: int
    """The number of messages that Kafka has and PostgreSQL does not have yet, as of the last fetch."""
    took: timedelta
    """The duration of the transaction."""


class Truth(TypedDict):
    """``truth``: a batch of the topic of truth is committed. Only a consumer with ``truth`` reports it."""

    stored: int
    """The number of rows inserted into ``truth``."""
    duplicate: int
    """The number of messages whose content was in ``truth`` already."""
    skipped: int
    """The number of messages that cannot be stored. A warning ``truth_skipped`` follows, which names the first 20."""
    missing: int
    """The number of offsets that could not be read."""
    total_stored: int
    """The totals count since the start of the run."""
    total_duplicate: int
    total_skipped: int
    total_missing: int


class Waiting(TypedDict):
    """The event ``waiting``: a service is unavailable. The consumer retries until it is available again."""

    kind: WaitingKind
    sqlstate: str | None
    """PostgreSQL's SQLSTATE, if it sent one."""
    reason: str
    """The reason as a sentence."""


class Recovered(TypedDict):
    """The event ``recovered``: a service is available again."""

    service: Service
    after: timedelta
    """The duration for which the service was unavailable."""


class Ended(TypedDict):
    """The event ``ended``: the run ended without an error."""

    summary: ConsumeSummary


class Failed(TypedDict):
    """The event ``failed``: the run ended with an error, which ``run()`` raises."""

    exit_code: int
    error: str
    summary: ConsumeSummary
    """What was committed before the error."""


class Connected(TypedDict):
    """The event ``connected``: a broker answered the producer, and the topic exists."""

    topic_created: bool
    unreachable: str | None
    """A sentence that names the brokers that cannot be reached; None if all can."""


class ProducerWarned(TypedDict):
    """``warning``, of a producer: something a person should know. Nothing is lost."""

    kind: ProducerWarningKind
    text: str
    """The same as a sentence."""


class Resumed(TypedDict):
    """The event ``resumed``: the file of ``resume`` had messages that an earlier run did not send.

    This run sends them when they are due.
    """

    labels: int
    """The number of labels."""
    others: int
    """The number of other messages."""


class Saved(TypedDict):
    """The event ``saved``: the run ended, and the file of ``resume`` has the messages that it did not send."""

    labels: int
    """The number of labels."""
    others: int
    """The number of other messages."""


class Applied(TypedDict):
    """The event ``applied``: a command of ``control`` or ``script`` changed the generated world."""

    after: int
    """The number of generated events that were sent before the command."""
    command: str


class Sending(TypedDict):
    """The event ``sending``: a transaction is handed to Kafka.

    ``sending``, ``sent`` and ``not_sent`` are emitted only at rates up to 10 transactions a second.
    """

    number: int
    """The transaction's number in this run, from 0."""
    payload: str


class Sent(TypedDict):
    """The event ``sent``: Kafka has acknowledged the transaction."""

    partition: int
    offset: int


class NotSent(TypedDict):
    """The event ``not_sent``: Kafka did not accept the transaction."""

    error: str


class Progress(TypedDict):
    """The event ``progress``: the counts of the run so far.

    It is emitted four times a second at rates above 10 transactions a second, and once at the end of every run.
    """

    summary: ProduceSummary


class Standby(TypedDict):
    """The event ``standby``: another analyzer is working, and this one waits to take over."""


class Leased(TypedDict):
    """The event ``leased``: this analyzer works from now on."""

    seq: int
    """The number of transactions that were scored before, and of labels that were applied."""
    model: str
    """The name of the model that scores, or ``rules``."""


class Restored(TypedDict):
    """The event ``restored``: the state of cards and merchants is again that of the last commit."""

    folded: int
    """The number of transactions and labels that were read again."""
    took: timedelta


class ModelChanged(TypedDict):
    """The event ``model``: another model scores from now on."""

    name: str
    """The name of the model, or ``rules``."""


class Reading(TypedDict):
    """The event ``reading``: the analyzer reads the topic of the events."""


class LostLease(TypedDict):
    """The event ``lost_lease``: another analyzer has taken over."""


class Scored(TypedDict):
    """The event ``scored``: a batch of transactions and labels is committed."""

    scored: int
    duplicate: int
    """The number of messages whose transaction had been scored before."""
    rejected: int
    missing: int
    total_scored: int
    """Each of the totals counts from the start of the run."""
    total_duplicate: int
    total_rejected: int
    total_missing: int
    labelled: int
    """The number of labels that became due since the last batch."""
    total_labelled: int
    late: int
    """The number of transactions so far that came after a later one had been scored."""
    greatest_score: float | None
    """The greatest score of the batch; None if it has no transaction."""
    greatest_id: str | None
    """The ``order_id`` of that transaction."""
    seq: int
    """The number of transactions that were scored, and of labels that were applied, since the first run."""
    lag: int
    """The number of messages that are not scored yet, as of the last fetch."""
    took: timedelta
    """The duration of the transaction."""


class AlertOpened(TypedDict):
    """The event ``alert``: a rule of ``alerts.toml`` has opened an alert, which is in the table ``alerts``."""

    rule: str
    """The name of the rule."""
    version: int
    """The version of the rule."""
    key: str | None
    """The card, merchant or other key that the alert is about; None for a rule without a key."""
    severity: Literal["info", "warning", "critical"]
    seq: int
    """The place in the order at which it was opened."""
    text: str
    """Why, in words."""
    runbook: str
    """Where to read what to do; empty if nowhere."""


class AnalyzerEnded(TypedDict):
    """The event ``ended`` of an analyzer: the run ended without an error."""

    summary: AnalyzeSummary


class AnalyzerFailed(TypedDict):
    """The event ``failed`` of an analyzer: the run ended with an error, which ``run()`` raises."""

    exit_code: int
    error: str
    summary: AnalyzeSummary
    """What was committed before the error."""


CONSUMER_EVENTS: dict[str, type] = {
    "connected_to_kafka": ConnectedToKafka,
    "connected_to_postgres": ConnectedToPostgres,
    "listening": Listening,
    "assigned": Assigned,
    "revoked": Revoked,
    "warning": Warned,
    "batch": Batch,
    "truth": Truth,
    "waiting": Waiting,
    "recovered": Recovered,
    "ended": Ended,
    "failed": Failed,
}
"""The type of each consumer event, by the event's name."""

PRODUCER_EVENTS: dict[str, type] = {
    "connected": Connected,
    "warning": ProducerWarned,
    "resumed": Resumed,
    "saved": Saved,
    "applied": Applied,
    "sending": Sending,
    "sent": Sent,
    "not_sent": NotSent,
    "progress": Progress,
}
"""The type of each producer event, by the event's name."""

ANALYZER_EVENTS: dict[str, type] = {
    "connected_to_postgres": ConnectedToPostgres,
    "standby": Standby,
    "leased": Leased,
    "restored": Restored,
    "model": ModelChanged,
    "reading": Reading,
    "warning": Warned,
    "scored": Scored,
    "waiting": Waiting,
    "lost_lease": LostLease,
    "alert": AlertOpened,
    "ended": AnalyzerEnded,
    "failed": AnalyzerFailed,
}
"""The type of each analyzer event, by the event's name."""
