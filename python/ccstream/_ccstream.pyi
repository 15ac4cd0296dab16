"""The compiled half of ccstream; import these names from ``ccstream``."""

from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from os import PathLike
from typing import Any, Literal, TypeAlias, final

__version__: str

__all__ = [
    "Check",
    "ConsumeSummary",
    "Consumer",
    "KeptMessage",
    "PartitionReport",
    "ProduceSummary",
    "Producer",
    "ReasonCount",
    "Resent",
    "VerifyReport",
    "__version__",
    "count_rejected",
    "diagnose",
    "ping",
    "replay_rejected",
    "select_rejected",
    "verify",
]

_OnEvent: TypeAlias = Callable[[str, Mapping[str, Any]], object]

@final
class ProduceSummary:
    """What was sent and what became of it. At the end ``sent == acknowledged + failed``."""

    @property
    def sent(self) -> int:
        """Events handed to librdkafka."""
    @property
    def acknowledged(self) -> int:
        """Events that the broker has, on all in-sync replicas."""
    @property
    def failed(self) -> int:
        """Events that were given up."""
    @property
    def elapsed(self) -> timedelta:
        """Since the first event."""

@final
class Producer:
    """Sends card transactions, generated or from a file, to Kafka.

    librdkafka is idempotent with ``acks=all``; a full queue slows the source, nothing is dropped.

    Args:
        bootstrap_servers: ``host:port``, several joined by commas. Default ``localhost:9094``.
        topic: created if it is missing and the broker allows. Default ``orders_json``.
        rate: events a second, from 0.001; ``math.inf`` for as fast as possible. Default: a random
            0.5 to 2 seconds between events.
        count: stop after so many events. Default: never, or at the file's end.
        seed: the same seed and start time give the same bytes. Default: random.
        start_time: when the first event happens, as RFC 3339 or ISO 8601 writes it (UTC where it
            names no offset). Default: each event happens now.
        replay: a CSV file, plain or gzipped, whose rows are sent instead. A row that is not valid is
            sent as it is, for the consumer to reject and explain.
        map: pairs of a field and the column that fills it; a column with the field's own name needs none.
        set: pairs of a field and its value where the file has none or leaves it empty.
        partitions: of the topic, where it has to be created. Default 1.
        librdkafka_options: pairs of librdkafka's own settings (TLS, SASL); one that ccstream owns is refused.
        on_event: called with an event's name and fields: ``connected``, ``sending``, ``sent``,
            ``not_sent`` (up to 10 events a second) and ``progress``. If it raises, the run stops and
            raises the same.

    Raises:
        ConfigError: a setting is not usable.

    Example:
        >>> Producer(rate=1000, count=5000, seed=7).run()  # doctest: +SKIP
        ProduceSummary(sent=5000, acknowledged=5000, failed=0, elapsed=5.0s)
    """

    def __new__(
        cls,
        *,
        bootstrap_servers: str | None = None,
        topic: str | None = None,
        rate: float | None = None,
        count: int | None = None,
        seed: int | None = None,
        start_time: str | None = None,
        replay: str | PathLike[str] | None = None,
        map: Sequence[tuple[str, str]] | None = None,
        set: Sequence[tuple[str, str]] | None = None,
        partitions: int = 1,
        librdkafka_options: Sequence[tuple[str, str]] | None = None,
        on_event: _OnEvent | None = None,
    ) -> Producer: ...
    def run(self) -> ProduceSummary:
        """Sends until the count, the file's end or :meth:`stop`; waits for every delivery report.

        The interpreter is detached. Ctrl-C stops, waits for what is under way, and raises
        ``KeyboardInterrupt``.

        Returns:
            What was sent; failed events are counted there and raise nothing.

        Raises:
            ConfigError: the file cannot be read.
            KafkaError: no broker, or no topic and no leave to create it.
        """
    def stop(self) -> None:
        """Ends :meth:`run` soon; from any thread, or a signal's handler."""

@final
class ConsumeSummary:
    """What one run did. ``consumed == stored + duplicate + rejected``."""

    @property
    def consumed(self) -> int:
        """Messages delivered and dealt with."""
    @property
    def stored(self) -> int:
        """Rows inserted into ``orders``."""
    @property
    def duplicate(self) -> int:
        """Messages whose id was there already."""
    @property
    def rejected(self) -> int:
        """Messages kept in ``rejected_events``."""
    @property
    def missing(self) -> int:
        """Messages that the broker had deleted before they were read."""
    @property
    def rejected_by_reason(self) -> dict[str, int]:
        """The rejected ones, counted by reason."""
    @property
    def elapsed(self) -> timedelta:
        """Since partitions were first assigned."""
    @property
    def drained(self) -> bool:
        """False where the drain limit ended the run with messages not committed; the next run reads them again."""

@final
class Consumer:
    """Reads card transactions from Kafka into PostgreSQL, exactly once.

    One transaction per batch holds rows, rejected messages, minute totals and offsets.

    Args:
        bootstrap_servers: ``host:port``, several joined by commas. Default ``localhost:9094``.
        topic: Default ``orders_json``; waited for if it is missing.
        group: the consumer group; each has its own offsets. Default ``ccstream``.
        database_url: Default ``postgresql://kafka_user:kafka_password@localhost:5434/kafka_db``.
            ``sslmode`` means what it means to libpq.
        batch_rows: most messages in one transaction, 1 to 1,000,000. Default 50,000.
        linger: a message waits at most this long before it is visible, while the database keeps up,
            up to a minute. Default 200 ms.
        until_caught_up: return once every partition has been read to its end.
        drain_limit: how long a stop, or the giving up of partitions, waits until what was read is
            committed, up to four minutes; then it is dropped, and read again by whoever is next. Default 30 s.
        assignment: how a group hands partitions on, the same for all its members: ``"eager"`` deals
            all anew at every change, ``"cooperative"`` moves only those that must. Default ``"eager"``.
        always_stage: write every batch by way of a staging table, repeats or not: slower, for
            comparison. Default False.
        synchronous_commit: PostgreSQL's setting; False is safe here too, since rows and offsets are
            lost together and read again. Default True.
        librdkafka_options: pairs of librdkafka's own settings (TLS, SASL); one that ccstream owns is refused.
        on_event: called with an event's name and fields: ``connected_to_kafka``,
            ``connected_to_postgres``, ``listening``, ``assigned``, ``batch``, ``warning``, ``waiting``
            and ``recovered``. If it raises, the run stops and raises the same.

    Raises:
        ConfigError: a setting is not usable.

    Example:
        >>> Consumer(until_caught_up=True).run()  # doctest: +SKIP
        ConsumeSummary(consumed=5000, stored=5000, duplicate=0, rejected=0)
    """

    def __new__(
        cls,
        *,
        bootstrap_servers: str | None = None,
        topic: str | None = None,
        group: str | None = None,
        database_url: str | None = None,
        batch_rows: int | None = None,
        linger: timedelta | None = None,
        until_caught_up: bool = False,
        drain_limit: timedelta | None = None,
        assignment: Literal["eager", "cooperative"] | None = None,
        always_stage: bool = False,
        synchronous_commit: bool = True,
        librdkafka_options: Sequence[tuple[str, str]] | None = None,
        on_event: _OnEvent | None = None,
    ) -> Consumer: ...
    def run(self) -> ConsumeSummary:
        """Reads until :meth:`stop`, or to the end with ``until_caught_up``.

        The interpreter is detached. A broker or database that is away is waited for. Ctrl-C stops,
        commits what was read, and raises ``KeyboardInterrupt``.

        Returns:
            What became of the messages.

        Raises:
            KafkaError: no leave to read the topic, or it does not exist (with ``until_caught_up``).
            PostgresError: an error that no waiting mends; nothing of that batch is stored, nothing is lost.
            SchemaError: the tables cannot be used, or PostgreSQL refuses more than 100 rows of one batch for
                the same reason.
        """
    def run_async(self) -> Future[ConsumeSummary]:
        """The same, to be awaited; call it where an event loop runs. Cancelling it stops the run."""
    def stop(self) -> None:
        """Ends the run soon, after committing what was read; from any thread, or a signal's handler."""

@final
class PartitionReport:
    """One partition of a group's topic: its counters, and the same counted again."""

    @property
    def group(self) -> str:
        """The consumer group."""
    @property
    def topic(self) -> str:
        """The topic."""
    @property
    def partition(self) -> int:
        """The partition."""
    @property
    def next_offset(self) -> int:
        """The offset that is read next."""
    @property
    def consumed(self) -> int:
        """Messages delivered, ever."""
    @property
    def stored(self) -> int:
        """Rows inserted, ever."""
    @property
    def duplicate(self) -> int:
        """Messages whose id was there already."""
    @property
    def rejected(self) -> int:
        """Messages kept."""
    @property
    def missing(self) -> int:
        """Messages that the broker had deleted before they were read."""
    @property
    def rows(self) -> int:
        """Rows in ``orders`` that came from a partition of this number."""
    @property
    def kept(self) -> int:
        """Its messages in ``rejected_events``."""

@final
class VerifyReport:
    """Counters and totals against a recount by SQL, in one snapshot."""

    @property
    def partitions(self) -> list[PartitionReport]:
        """By group, topic and partition."""
    @property
    def cells(self) -> int:
        """Cells of ``kpi_minute`` that were compared."""
    @property
    def foreign_rows(self) -> int:
        """Rows of ``orders`` that another program inserted; no counter knows them."""
    @property
    def problems(self) -> list[str]:
        """What disagrees, with both figures; empty where everything agrees."""

@final
class Check:
    """One thing that :func:`diagnose` looked at."""

    @property
    def name(self) -> str:
        """``broker``, ``topic``, ``database``, ``tables``, ``privileges`` or ``versions``."""
    @property
    def ok(self) -> bool:
        """Whether it is as it must be."""
    @property
    def found(self) -> str:
        """What was found."""
    @property
    def mend(self) -> str:
        """What to do about it; empty where nothing is."""

@final
class ReasonCount:
    """Rejected messages of one reason."""

    @property
    def reason(self) -> str:
        """The reason."""
    @property
    def count(self) -> int:
        """How many are kept."""
    @property
    def replayed(self) -> int:
        """How many were sent again."""
    @property
    def masked(self) -> int:
        """How many hold a masked card number, and so cannot be."""
    @property
    def last(self) -> str:
        """When the last one came."""

@final
class KeptMessage:
    """One rejected message."""

    @property
    def id(self) -> int:
        """Its number in ``rejected_events``."""
    @property
    def topic(self) -> str:
        """The topic it came from."""
    @property
    def partition(self) -> int:
        """Its partition."""
    @property
    def offset(self) -> int:
        """Its offset."""
    @property
    def key(self) -> bytes | None:
        """Its key, card numbers masked."""
    @property
    def payload(self) -> bytes | None:
        """Its payload, card numbers masked; None for a tombstone."""
    @property
    def masked(self) -> bool:
        """Whether a card number was masked."""
    @property
    def reason(self) -> str:
        """Why it was rejected."""
    @property
    def detail(self) -> str:
        """The same for a person."""
    @property
    def rejected_at(self) -> str:
        """When."""
    @property
    def replayed_at(self) -> str | None:
        """When it was sent again, if it was."""

@final
class Resent:
    """What became of rejected messages that were to be sent again."""

    @property
    def sent(self) -> int:
        """The broker has them again."""
    @property
    def masked(self) -> int:
        """Left out: a card number in them was masked."""
    @property
    def empty(self) -> int:
        """Left out: they have no payload."""
    @property
    def replayed(self) -> int:
        """Left out: they were sent again before."""

def verify(*, database_url: str | None = None) -> VerifyReport:
    """Counts again, in one snapshot, all that the counters and totals say; exact while consumers run.

    Raises:
        PostgresError: no database.
        SchemaError: no tables yet.
    """

def diagnose(
    *,
    bootstrap_servers: str | None = None,
    topic: str | None = None,
    database_url: str | None = None,
    librdkafka_options: Sequence[tuple[str, str]] | None = None,
) -> list[Check]:
    """Looks at broker, topic, database, tables, privileges and versions; changes nothing.

    Raises:
        ConfigError: a setting is not usable.
    """

def count_rejected(*, database_url: str | None = None) -> list[ReasonCount]:
    """Counts the rejected messages by reason, the most frequent first."""

def select_rejected(
    *,
    database_url: str | None = None,
    id: int | None = None,
    reason: str | None = None,
    limit: int | None = None,
) -> list[KeptMessage]:
    """The rejected messages of an id or a reason, or all, the newest first, at most ``limit``."""

def replay_rejected(
    *,
    database_url: str | None = None,
    bootstrap_servers: str | None = None,
    id: int | None = None,
    reason: str | None = None,
    librdkafka_options: Sequence[tuple[str, str]] | None = None,
) -> Resent:
    """Sends rejected messages to the topic they came from again, oldest first, and notes it.

    Raises:
        KafkaError: no broker, or it did not take every message; then none is noted as sent.
        PostgresError: no database.
    """

def ping(database_url: str) -> bool:
    """Whether the database lets us in and answers; what the embedded services wait for."""
