"""The compiled half of ccstream; import these names from ``ccstream``."""

from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from os import PathLike
from types import TracebackType
from typing import Any, Literal, TypeAlias, final

from typing_extensions import Self

__version__: str

__all__ = [
    "Check",
    "ConsumeSummary",
    "Consumer",
    "KeptMessage",
    "KpiAnswer",
    "KpiEngine",
    "KpiStatus",
    "PartitionReport",
    "PartitionState",
    "ProduceSummary",
    "Producer",
    "ReasonCount",
    "Resent",
    "VerifyReport",
    "__version__",
    "aggregate",
    "count_rejected",
    "diagnose",
    "ping",
    "replay_rejected",
    "select_rejected",
    "topic_ends",
    "verify",
]

_OnEvent: TypeAlias = Callable[[str, Mapping[str, Any]], object]
_Pairs: TypeAlias = Mapping[str, str | float] | Sequence[tuple[str, str | float]]

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
    def sent_again(self) -> int:
        """How often an event was sent again by a new client, as Kafka had lost track of the one before.

        At most so many more are in the topic. The other counts have each event once.
        """
    @property
    def elapsed(self) -> timedelta:
        """Since the first event."""

@final
class Producer:
    """Sends card transactions, generated or from a file, to Kafka.

    librdkafka is idempotent with ``acks=all``; a full queue slows the source, nothing is dropped.

    Args:
        bootstrap_servers: ``host:port``, several joined by commas. Default: ``KAFKA_BOOTSTRAP_SERVERS``, else
            ``localhost:9094``.
        topic: created if it is missing and the broker allows. Default: ``KAFKA_TOPIC``, else ``orders_json``.
        rate: events a second, from 0.001; ``math.inf`` for as fast as possible. Default: a random
            0.5 to 2 seconds between events.
        count: stop after so many events. Default: never, or at the file's end.
        seed: the same seed and start time give the same bytes. Default: random.
        start_time: when the first event happens, as RFC 3339 or ISO 8601 writes it (UTC where it
            names no offset). Default: each event happens now.
        replay: a CSV file, plain or gzipped, whose rows are sent instead. A row that is not valid is
            sent as it is, for the consumer to reject and explain.
        map: for a field the column that fills it, as a mapping or pairs; a column with the field's own name needs
            none.
        set: for a field its value where the file has none or leaves it empty, as a mapping or pairs.
        partitions: of the topic, where it has to be created. Default 1.
        librdkafka_options: librdkafka's own settings (TLS, SASL), as a mapping or pairs. One that ccstream sets
            itself is refused.
        on_event: called with an event's name and fields: ``connected``, ``sending``, ``sent``,
            ``not_sent`` (up to 10 events a second) and ``progress``. If it raises, the run stops and
            raises the same.

    Raises:
        ConfigError: a setting is not usable, the file cannot be read, or its columns do not fill the fields.

    Example:
        >>> Producer(rate=1000, count=5000, seed=7).run()  # doctest: +SKIP
        ProduceSummary(sent=5000, acknowledged=5000, failed=0, sent_again=0, elapsed=5.0s)
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
        map: _Pairs | None = None,
        set: _Pairs | None = None,
        partitions: int = 1,
        librdkafka_options: _Pairs | None = None,
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

    One transaction per batch holds rows, rejected messages, minute totals and offsets. Under load there is a batch
    for each connection.

    Args:
        bootstrap_servers: ``host:port``, several joined by commas. Default: ``KAFKA_BOOTSTRAP_SERVERS``, else
            ``localhost:9094``.
        topic: waited for if it is missing. Default: ``KAFKA_TOPIC``, else ``orders_json``.
        group: the consumer group; each has its own offsets. Default: ``KAFKA_GROUP_ID``, else ``ccstream``.
        database_url: where the rows go. Default: ``DATABASE_URL``, else
            ``postgresql://kafka_user:kafka_password@localhost:5434/kafka_db``. ``sslmode`` means what it means to
            libpq.
        connections: how many to PostgreSQL, 1 to 16; one more is opened for a moment where a lock is kept for
            long. Under load each writes a part of the partitions, all at the same time, since a session of
            PostgreSQL has one processor; those after the first are opened when there is such a load. Default 2.
        batch_rows: most messages that are written at once, by all connections, 1 to 1,000,000. Default 50,000.
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
        librdkafka_options: librdkafka's own settings (TLS, SASL), as a mapping or pairs. One that ccstream sets
            itself is refused.
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
        connections: int | None = None,
        batch_rows: int | None = None,
        linger: timedelta | None = None,
        until_caught_up: bool = False,
        drain_limit: timedelta | None = None,
        assignment: Literal["eager", "cooperative"] | None = None,
        always_stage: bool = False,
        synchronous_commit: bool = True,
        librdkafka_options: _Pairs | None = None,
        on_event: _OnEvent | None = None,
    ) -> Consumer: ...
    def run(self) -> ConsumeSummary:
        """Reads until :meth:`stop`, or to the end with ``until_caught_up``.

        The interpreter is detached. A broker or database that is away is waited for, but with
        ``until_caught_up`` a broker that does not answer at the start is an error. Ctrl-C stops, commits what was
        read, and raises ``KeyboardInterrupt``.

        Returns:
            What became of the messages.

        Raises:
            KafkaError: no leave to read the topic; consumers of the group with another ``assignment``; a fatal error
                of the client; with ``until_caught_up`` no broker, or no such topic.
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
    def figures(self) -> int:
        """Figures of the dashboard's engine that were compared with PostgreSQL's own."""
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

def verify(*, database_url: str | None = None, counters_only: bool = False) -> VerifyReport:
    """Counts again, in one snapshot, all that the counters and totals say; exact while consumers run.

    The interpreter is detached. Ctrl-C raises ``KeyboardInterrupt`` at once, and PostgreSQL (from 14 on) gives up too.

    Args:
        database_url: Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
        counters_only: Leave out the figures of the dashboard's engine, which take the longest.

    Raises:
        PostgresError: no database.
        SchemaError: no tables yet.
    """

def diagnose(
    *,
    bootstrap_servers: str | None = None,
    topic: str | None = None,
    database_url: str | None = None,
    librdkafka_options: _Pairs | None = None,
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
    librdkafka_options: _Pairs | None = None,
) -> Resent:
    """Sends rejected messages to the topic they came from again, oldest first, and notes it.

    Raises:
        KafkaError: no broker, or it did not take every message; those that it took are noted as sent.
        PostgresError: no database.
    """

def topic_ends(
    *,
    bootstrap_servers: str | None = None,
    topic: str | None = None,
    librdkafka_options: _Pairs | None = None,
) -> dict[int, int]:
    """The offset that the next message of each partition gets; empty where there is no such topic.

    For watching: the embedded broker's word can be too low by the length of its last batch.

    Raises:
        KafkaError: no broker answers within 5 s.
    """

def aggregate(
    columns: dict[str, Any],
    by: str,
    measures: Sequence[tuple[str, str, str]],
) -> dict[str, Any]:
    """What ``ccstream.kpi.aggregate`` calls: name, column and measure of each figure."""

def ping(database_url: str) -> bool:
    """Whether the database lets us in and answers; what the embedded services wait for."""

@final
class PartitionState:
    """A partition of a group's topic, as its offset row is in the engine's snapshot."""

    @property
    def group(self) -> str:
        """The consumer group."""
    @property
    def topic(self) -> str:
        """The topic."""
    @property
    def partition(self) -> int:
        """Its number."""
    @property
    def next_offset(self) -> int:
        """The offset that is read next."""
    @property
    def consumed(self) -> int:
        """Messages delivered; ``stored + duplicate + rejected``."""
    @property
    def stored(self) -> int:
        """Rows that it brought into ``orders``."""
    @property
    def duplicate(self) -> int:
        """Messages whose id ``orders`` had."""
    @property
    def rejected(self) -> int:
        """Messages kept in ``rejected_events``."""
    @property
    def missing(self) -> int:
        """Messages that retention took before they were read."""
    @property
    def updated_at(self) -> int:
        """When it was last committed, in microseconds since 1970 UTC."""

@final
class KpiStatus:
    """How a :class:`KpiEngine` stands: a record of one moment."""

    @property
    def rows(self) -> int:
        """Rows in memory."""
    @property
    def loaded(self) -> float:
        """Share of the table that has been read, 0 to 1; 1 once it is followed."""
    @property
    def snapshot_at(self) -> int | None:
        """The moment that answers are true for, by PostgreSQL's clock, in microseconds since 1970 UTC."""
    @property
    def trouble(self) -> str | None:
        """What keeps the engine from following; the figures stay as they were."""
    @property
    def trouble_for(self) -> timedelta | None:
        """How long that has been so."""
    @property
    def no_tables(self) -> bool:
        """Whether the trouble is that the consumer has not made the tables yet."""
    @property
    def foreign_rows(self) -> int:
        """Rows that another program inserted, as of the last full reading; they are counted in every answer."""
    @property
    def odd_amounts(self) -> int:
        """Rows whose amount is no number of cents (NaN, or beyond 64 bits); they count as rows without one."""
    @property
    def first_at(self) -> int | None:
        """The earliest time of a row that is here, in microseconds since 1970 UTC."""
    @property
    def dropped_until(self) -> int | None:
        """What happened after this is all here, in microseconds since 1970 UTC; None: everything is."""
    @property
    def lacking_rows(self) -> int:
        """Rows that consumers stored and the table does not have: somebody removed them."""
    @property
    def reloads(self) -> int:
        """How often the whole table was read."""
    @property
    def outdated(self) -> bool:
        """Rows were changed or deleted that are still counted as they were.

        The whole table is read again for it, but not all the time: after a reading of 1 s no sooner than 20 s later.
        """
    @property
    def reload(self) -> str | None:
        """Why it was the last time."""
    @property
    def rows_from_file(self) -> int:
        """Rows that came from the column file at the start."""
    @property
    def bytes(self) -> int:
        """Memory that the columns take, in bytes."""
    @property
    def consumers(self) -> int:
        """Consumers that have a session at the database."""
    @property
    def no_consumer_since(self) -> int | None:
        """Since when there is none, in microseconds since 1970 UTC: the time of the last commit."""
    @property
    def role(self) -> str | None:
        """The role whose rights the engine reads with; None: the user's own, in read-only transactions."""
    @property
    def rejected(self) -> list[tuple[str, int]]:
        """Rejected messages by reason, the most frequent first."""
    @property
    def latency_ms(self) -> list[int] | None:
        """From event to stored in milliseconds: p50, p95 and p99 of the last five minutes; None without events.

        Each is at most an eighth too high.
        """
    @property
    def latency_events(self) -> int:
        """How many events these are."""
    @property
    def partitions(self) -> list[PartitionState]:
        """The offset rows of the snapshot."""

@final
class KpiAnswer:
    """What :meth:`KpiEngine.query` found. Money is in integer cents everywhere."""

    @property
    def at(self) -> int:
        """The moment of the database that it is true for, in microseconds since 1970 UTC."""
    @property
    def start(self) -> int | None:
        """From when, in microseconds since 1970 UTC; None for all of time."""
    @property
    def end(self) -> int | None:
        """Before when."""
    @property
    def width(self) -> timedelta | None:
        """Of a bucket of time; None where the query has none."""
    @property
    def currency(self) -> str | None:
        """Whose amounts were added up; None: those of rows that name none."""
    @property
    def totals(self) -> dict[str, Any]:
        """Figures of all rows.

        ``count``, ``amounts`` (rows with an amount in the currency), ``approved``, ``with_status``, ``declined``,
        ``risky``, ``cards`` (different ones) as int; ``sum``, ``min``, ``max``, ``p50``, ``p95``, ``p99`` in cents as
        int, exact (``percentile_disc``); ``mean`` in cents, ``approved_share`` (of those with a status, 0 to 1) and
        ``rate`` (rows a second of the range) as float. None where there is nothing to take it of.
        """
    @property
    def before(self) -> dict[str, Any] | None:
        """The same of the range of equal length before, if asked for."""
    def __getitem__(self, name: str, /) -> dict[str, Any]:
        """A grouping's columns, all of one length n.

        ``key``: the names as a list (None: unknown), the beginnings of buckets as ``datetime64[us]`` (UTC), hours of
        the week (int64, 0 is Monday 0 to 1 o'clock) or the lower edges of amounts in cents (int64). ``count``,
        ``amounts`` (rows with an amount in the currency), ``sum`` (cents): int64. ``mean`` (cents), of time ``rate``:
        float64, NaN for none. If one of them was asked for: ``approved``, ``with_status``, ``declined``, ``risky``:
        int64, ``approved_share``: float64. If asked for: ``min``, ``max``, ``p50``, ``p95``, ``p99`` (cents, float64;
        percentiles within 1 %) and ``cards`` (int64). Of places: ``country``, ``latitude`` and ``longitude``
        (degrees, float64). Of a trend: ``time`` (``datetime64[us]``, length m) and ``counts`` (uint32, n by m). What is
        not among the ``top``: ``other_groups``, ``other_count``, ``other_sum`` as int; of time, ``other_count`` are the
        rows without a time.

        Raises:
            KeyError: it was not asked for.
        """
    def keys(self) -> list[str]:
        """The groupings."""

@final
class KpiEngine:
    """The rows of ``orders`` in memory, about 20 bytes each: any question is answered from them at once, exactly.

    A thread reads the table, newest rows first, and then follows it, one snapshot of the database at a time.
    A question asked again costs the rows that came since, and where ``last`` moves on those that left; but with
    ``cards``, ``min`` or ``max`` of a dimension in such a range all of its rows. Every method may be called from any
    thread.

    Rows that somebody deletes or changes are noticed by PostgreSQL's statistics, which a hot standby and a server
    with ``track_counts = off`` do not keep: there they stay as they were.

    Example:
        >>> with ccstream.KpiEngine.from_database() as engine:
        ...     engine.refresh()
        ...     answer = engine.query(by={"category": ["p95"]}, last=timedelta(days=1), top=5)
        ...     print(answer.totals["count"], answer["category"]["key"])
    """

    @staticmethod
    def from_database(
        database_url: str | None = None,
        *,
        max_rows: int | None = None,
        max_days: int | None = None,
        interval: timedelta | None = None,
        file: str | PathLike[str] | None = None,
    ) -> KpiEngine:
        """Begins to read; returns at once.

        Args:
            database_url: default ``DATABASE_URL``, else
                ``postgresql://kafka_user:kafka_password@localhost:5434/kafka_db``.
            max_rows: at most so many rows are held, the oldest leave first. Default 20,000,000, at least 65,536.
            max_days: only rows of so many days, by their own time; they leave in blocks of 65,536. Default: all.
            interval: between two looks at the database. Default 0.5 s, at least 10 ms.
            file: where the columns are kept, so that the next start reads only what is new. Default: nowhere.

        Raises:
            ConfigError: a setting cannot be.
        """
    def query(
        self,
        *,
        filters: Mapping[str, Sequence[str | None]] | None = None,
        min_amount: str | float | Decimal | None = None,
        max_amount: str | float | Decimal | None = None,
        last: timedelta | None = None,
        start: int | None = None,
        end: int | None = None,
        by: dict[str, list[str]] | None = None,
        currency: str | None = None,
        width: timedelta | None = None,
        utc_offset: int | None = None,
        before: bool = False,
        top: int | None = None,
    ) -> KpiAnswer:
        """Answers from the last snapshot.

        Args:
            filters: for a dimension (``category``, ``city``, ``country``, ``merchant``, ``payment_method``,
                ``status``, ``currency``, ``entry_mode``, ``risk``: ``"true"`` or ``"false"``) the values that count;
                None is an absent one.
            min_amount: no amounts below, in units of the currency, at most two decimals.
            max_amount: none above.
            last: only the last so long before the snapshot. The first and the last bucket are then in part outside.
            start: only from this on, in microseconds since 1970 UTC; with ``end``.
            end: only before this.
            by: groupings, each with the measures wanted beyond the usual ones: a dimension, ``place`` (city and
                country with their coordinates), ``time``, ``hour_of_week``, ``amount`` (bins of 1, 2, 5), or
                ``trend:`` and a dimension (counts by time). Measures: ``min``, ``max``, ``p50``, ``p95``, ``p99``,
                ``cards``, ``approved``.
            currency: whose amounts are added up; ``""``: those without one. Default: the one that most rows have.
            width: of a bucket of time. Default: the least easily read one that makes some 60 at most.
            utc_offset: seconds east of UTC, for hours of the week and for where days begin. Default 0.
            before: totals of the range of equal length before, too.
            top: of each dimension only so many groups with the most rows. Default: all.

        Raises:
            ConfigError: it cannot be asked, and why.
        """
    def latest(
        self,
        count: int = 10,
        *,
        filters: Mapping[str, Sequence[str | None]] | None = None,
        min_amount: str | float | Decimal | None = None,
        max_amount: str | float | Decimal | None = None,
    ) -> dict[str, list[Any]]:
        """The rows that came last, the newest first.

        Returns:
            Lists of one length: ``time`` (microseconds since 1970 UTC), ``cents``, ``currency``, ``merchant``,
            ``category``, ``city``, ``country``, ``payment_method``, ``status``; None where unknown.
        """
    def values(self, dimension: str) -> list[str | None]:
        """The names that a dimension has, in the order of the alphabet; then None, for unknown."""
    @property
    def status(self) -> KpiStatus:
        """How it stands."""
    def refresh(self, timeout: timedelta | None = None) -> bool:
        """Reads the database now and waits until answers are of that moment; the first time, until all rows are read.

        Ctrl-C raises ``KeyboardInterrupt`` at once; the engine goes on reading.

        Args:
            timeout: the longest wait. Default 60 s.

        Returns:
            False where it took longer; answers are then of the rows that have been read so far.

        Raises:
            PostgresError: the database cannot be reached or read. The rows of the last reading stay.
            SchemaError: there are no tables yet.
        """
    def close(self) -> None:
        """Ends following; writes the file, if there is one. Answers stay as they are."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _trace: TracebackType | None,
        /,
    ) -> None: ...
