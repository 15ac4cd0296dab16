"""The compiled half of ccstream; import these names from ``ccstream``."""

from asyncio import Future
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from os import PathLike
from types import TracebackType
from typing import Any, Literal, SupportsIndex, TypeAlias, final

import numpy as np
import numpy.typing as npt
import pandas as pd
from typing_extensions import Self

from ccstream.events import WaitingKind

__version__: str

__all__ = [
    "Check",
    "ConsumeStatus",
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
_Filters: TypeAlias = Mapping[str, str | Iterable[str | None] | None]
_Moment: TypeAlias = datetime | np.datetime64 | SupportsIndex
_Pairs: TypeAlias = Mapping[str, str | float] | Sequence[tuple[str, str | float]]

@final
class ProduceSummary:
    """What was sent and what became of it: ``sent == acknowledged + failed`` at the end."""

    @property
    def sent(self) -> int:
        """Events handed to librdkafka."""
    @property
    def acknowledged(self) -> int:
        """Events that the broker has, on all in-sync replicas."""
    @property
    def failed(self) -> int:
        """Events that the broker does not have."""
    @property
    def sent_again(self) -> int:
        """How often an event was re-sent by a new client, because Kafka had lost track of the one before.

        The topic may hold that number of duplicates. The other counts include each event once.
        """
    @property
    def elapsed(self) -> timedelta:
        """The time since the first event."""

@final
class Producer:
    """Sends card transactions, generated or from a file, to Kafka.

    librdkafka is idempotent with ``acks=all``; a full queue slows the source, and nothing is dropped. Nothing is
    connected before :meth:`run`.

    Args:
        bootstrap_servers: The brokers as ``host:port``, separated by commas. Default: ``KAFKA_BOOTSTRAP_SERVERS``, else
            ``localhost:9094``.
        topic: The name of the topic. If it does not exist, the producer creates it, provided that the broker allows
            that, and the consumer waits for it. Default: ``KAFKA_TOPIC``, else ``orders_json``.
        librdkafka_options: Settings of librdkafka (TLS, SASL, buffers), such as ``security.protocol=sasl_ssl``. Those
            that ccstream sets itself are refused. Set passwords by variables, such as ``sasl.password`` by
            ``CCSTREAM_KAFKA_SASL_PASSWORD``, because other users can read a command line. A mapping, or pairs. Default:
            ``CCSTREAM_KAFKA_*``, else none.
        librdkafka_options_file: A file with settings of librdkafka, one ``key=value`` in each line. Only its owner may
            be able to read it. Settings that are also given otherwise override those in the file. Default:
            ``KAFKA_OPTIONS_FILE``, else none.
        rate: The number of events per second, at least 0.001; ``max`` (in Python ``math.inf``) sends as fast as
            possible. Default: one event every 0.5 to 2 s, at random.
        count: The number of events after which the producer stops. Default: no limit, or the number of rows in the
            file.
        seed: The seed of the generator. Equal seeds and start times generate equal bytes. Default: random.
        start_time: The time of the first event, in the format of RFC 3339 or ISO 8601 (UTC unless it has an offset).
            Default: the current time for each event.
        replay: A CSV file, plain or gzipped, whose rows are sent instead of generated events. Invalid rows are sent
            too; the consumer rejects them and stores the reason. Default: none, events are generated.
        map: The column of the file that fills a field. A column that has the name of the field fills it by default. A
            mapping, or pairs. Default: none.
        set: The value of a field if the file has no column for it, or the cell is empty. A mapping, or pairs. Default:
            none.
        tokenize: The fields, separated by commas, whose values in the file are replaced by tokens. An example is
            ``card_token`` if the file has card numbers, which are never sent. Equal values get equal tokens. Default:
            none.
        token_key_file: The file with the key for tokens, which has 16 bytes or more. Only its owner may be able to read
            it. Default: none.
        partitions: The number of partitions of the topic, if the producer creates it. From 1 to 65,535. Default 1.
        drain_limit: The maximum time that a stop waits for the broker to acknowledge events in flight. From 0 to 240 s.
            Default 10 s.
        on_event: Called with an event's name and its fields, which ``ccstream.events`` describes: ``connected``,
            ``sending``, ``sent``, ``not_sent`` (up to 10 events a second) and ``progress``. If it raises, the run stops
            and raises the same.

    Raises:
        ConfigError: A setting is not usable, the file cannot be read, or its columns do not fill the fields.

    Example:
        >>> ccstream.Producer(rate=1000, count=5000, seed=7).run()  # doctest: +SKIP
        ProduceSummary(sent=5000, acknowledged=5000, failed=0, sent_again=0, elapsed=5.0s)
    """

    def __new__(
        cls,
        *,
        # generated: parameters of kafka, producer
        bootstrap_servers: str | None = None,
        topic: str | None = None,
        librdkafka_options: _Pairs | None = None,
        librdkafka_options_file: str | PathLike[str] | None = None,
        rate: float | None = None,
        count: int | None = None,
        seed: int | None = None,
        start_time: str | None = None,
        replay: str | PathLike[str] | None = None,
        map: _Pairs | None = None,
        set: _Pairs | None = None,
        tokenize: str | None = None,
        token_key_file: str | PathLike[str] | None = None,
        partitions: int | None = None,
        drain_limit: timedelta | None = None,
        # generated, to here
        on_event: _OnEvent | None = None,
    ) -> Producer: ...
    def run(self) -> ProduceSummary:
        """Sends until the count, the file's end or :meth:`stop`; waits for every delivery report.

        The interpreter is detached. Ctrl-C stops, waits for the events in flight, and raises ``KeyboardInterrupt``.

        Returns:
            What was sent; failed events are counted there and raise nothing.

        Raises:
            ConfigError: The file cannot be read.
            KafkaError: No broker answers, or the topic does not exist and may not be created.
        """
    def stop(self) -> None:
        """Ends :meth:`run` soon, after its delivery reports; may be called from any thread or a signal's handler."""

@final
class ConsumeSummary:
    """What one run did: ``consumed == stored + duplicate + rejected``."""

    @property
    def consumed(self) -> int:
        """Messages delivered, each of them stored, duplicate or rejected."""
    @property
    def stored(self) -> int:
        """Rows inserted into ``orders``."""
    @property
    def duplicate(self) -> int:
        """Messages whose id was in ``orders`` already."""
    @property
    def rejected(self) -> int:
        """Messages kept as dead letters in ``rejected_events``."""
    @property
    def missing(self) -> int:
        """Offsets that could not be read: deleted by the topic's retention, or left out as unreadable."""
    @property
    def rejected_by_reason(self) -> dict[str, int]:
        """The number of rejected messages for each reason."""
    @property
    def elapsed(self) -> timedelta:
        """The time since partitions were first assigned."""
    @property
    def drained(self) -> bool:
        """False where the drain limit ended the run with messages not committed; the next run reads them again."""

@final
class ConsumeStatus:
    """The state of a consumer's run: a record of one moment."""

    @property
    def state(self) -> Literal["starting", "joining", "reading", "ended", "failed"]:
        """How far the run has come.

        ``"starting"`` until both services have answered, ``"joining"`` while the group has assigned no partition,
        ``"reading"``, then ``"ended"``, or ``"failed"`` if it raised.
        """
    @property
    def offsets(self) -> dict[int, int]:
        """This consumer's partitions, and the offset up to which each is committed."""
    @property
    def lag(self) -> int | None:
        """Messages that Kafka has and PostgreSQL does not have yet, as of the last commit; None before one."""
    @property
    def consumed(self) -> int:
        """Messages delivered and dealt with since the start."""
    @property
    def stored(self) -> int:
        """Rows inserted into ``orders`` since the start."""
    @property
    def duplicate(self) -> int:
        """Messages since the start whose id was there already."""
    @property
    def rejected(self) -> int:
        """Messages since the start that are in ``rejected_events``."""
    @property
    def missing(self) -> int:
        """Messages since the start that the broker had deleted before they were read."""
    @property
    def last_commit(self) -> datetime | None:
        """When the last batch was committed, in UTC; None before one."""
    @property
    def waiting_for(self) -> list[WaitingKind]:
        """What is unavailable, at most one entry for each service; empty where both answer."""

@final
class Consumer:
    """Reads card transactions from Kafka into PostgreSQL, exactly once.

    One transaction per batch holds rows, dead letters, minute totals and offsets. Under load there is a batch for each
    connection. Nothing is connected before :meth:`run`.

    Args:
        bootstrap_servers: The brokers as ``host:port``, separated by commas. Default: ``KAFKA_BOOTSTRAP_SERVERS``, else
            ``localhost:9094``.
        topic: The name of the topic. If it does not exist, the producer creates it, provided that the broker allows
            that, and the consumer waits for it. Default: ``KAFKA_TOPIC``, else ``orders_json``.
        librdkafka_options: Settings of librdkafka (TLS, SASL, buffers), such as ``security.protocol=sasl_ssl``. Those
            that ccstream sets itself are refused. Set passwords by variables, such as ``sasl.password`` by
            ``CCSTREAM_KAFKA_SASL_PASSWORD``, because other users can read a command line. A mapping, or pairs. Default:
            ``CCSTREAM_KAFKA_*``, else none.
        librdkafka_options_file: A file with settings of librdkafka, one ``key=value`` in each line. Only its owner may
            be able to read it. Settings that are also given otherwise override those in the file. Default:
            ``KAFKA_OPTIONS_FILE``, else none.
        group: The name of the consumer group. Each group has separate offsets. Default: ``KAFKA_GROUP_ID``, else
            ``ccstream``.
        database_url: The URL of the database, as ``postgresql://user:password@host:port/database``. ``sslmode`` has the
            meaning that it has for libpq. Default: ``DATABASE_URL``, else ``kafka_db`` on ``localhost:5434``, as in
            ``docker-compose.yml``.
        connections: The maximum number of connections to PostgreSQL. Under load, all of them write at the same time,
            each a part of the partitions, because a session of PostgreSQL uses only one processor. Connections after
            the first are opened under such load. One more is opened briefly if another session holds a lock for long.
            From 1 to 16. Default 2.
        batch_rows: The maximum number of messages that are written at once, by all connections together. From 1 to
            1,000,000. Default 50,000.
        batch_bytes: The maximum number of bytes of encoded rows and dead letters that are written at once. From 1 to
            268,435,456. Default 10,485,760.
        linger: The maximum time until a message that was read is visible, while the database keeps up. From 0 to 60,000
            ms. Default 200 ms.
        start_over: Reads the topic from its beginning again if ``orders`` has none of the rows that were stored,
            instead of exiting. Default False.
        skip_unreadable: Skips a batch that librdkafka cannot decode, counts its offsets as missing and logs a warning,
            instead of exiting. Default False.
        until_caught_up: Exits once every partition has been read to its end. Default False.
        drain_limit: The maximum time that a stop, or the revocation of a partition, waits until the messages that were
            read are committed. Messages that are not committed by then are dropped, and the next consumer reads them
            again. From 0 to 240 s. Default 30 s.
        assignment: How a group reassigns partitions: ``eager`` revokes and assigns all of them at every change,
            ``cooperative`` moves only those that must. All members of a group need the same value. Default ``eager``.
        session_timeout: The time without a heartbeat after which the group considers a consumer dead. By default,
            Apache Kafka allows 6 seconds or more. From 1 to 300 s. Default 6 s.
        max_ahead: The maximum time by which an event may be ahead of this machine's clock; later events are rejected.
            Events in the far future would distort results: the totals of their minutes are never removed, and figures
            of the last hours end with the latest event. From 0 to 4,102,444,800 s. Default 172,800 s.
        max_refused: The maximum number of rows refused by PostgreSQL (by a constraint or trigger of yours) that one run
            stores as dead letters. One more ends the run; ``all`` sets no limit. Default: no limit, unless nearly all
            rows of three consecutive batches are refused with the same SQLSTATE.
        always_stage: Writes every batch through a staging table, even without duplicates, which is slower. It is meant
            for comparison. Default False.
        synchronous_commit: Waits at each commit until PostgreSQL has written it to disk, by ``synchronous_commit``. Not
            waiting is safe: after a crash of PostgreSQL, rows and offsets are lost together, and the messages are read
            again. Default True.
        on_event: Called with an event's name and its fields, which ``ccstream.events`` describes:
            ``connected_to_kafka``, ``connected_to_postgres``, ``listening``, ``assigned``, ``batch``, ``warning``,
            ``waiting`` and ``recovered``. If it raises, the run stops and raises the same.

    Raises:
        ConfigError: A setting is not usable; the message names it.

    Example:
        >>> ccstream.Consumer(until_caught_up=True).run()  # doctest: +SKIP
        ConsumeSummary(consumed=5000, stored=5000, duplicate=0, rejected=0)
    """

    def __new__(
        cls,
        *,
        # generated: parameters of kafka, consumer
        bootstrap_servers: str | None = None,
        topic: str | None = None,
        librdkafka_options: _Pairs | None = None,
        librdkafka_options_file: str | PathLike[str] | None = None,
        group: str | None = None,
        database_url: str | None = None,
        connections: int | None = None,
        batch_rows: int | None = None,
        batch_bytes: int | None = None,
        linger: timedelta | None = None,
        start_over: bool = False,
        skip_unreadable: bool = False,
        until_caught_up: bool = False,
        drain_limit: timedelta | None = None,
        assignment: Literal["eager", "cooperative"] | None = None,
        session_timeout: timedelta | None = None,
        max_ahead: timedelta | None = None,
        max_refused: int | Literal["all"] | None = None,
        always_stage: bool = False,
        synchronous_commit: bool = True,
        # generated, to here
        on_event: _OnEvent | None = None,
    ) -> Consumer: ...
    def run(self) -> ConsumeSummary:
        """Reads until :meth:`stop`, or to the end with ``until_caught_up``.

        The interpreter is detached. A broker or database that is unavailable is waited for; but with
        ``until_caught_up`` a broker that does not answer at the start is an error. Ctrl-C stops, commits what was read,
        and raises ``KeyboardInterrupt``.

        Returns:
            What became of the messages. An exception has it, up to then, as ``summary``.

        Raises:
            KafkaError: The topic may not be read; consumers of the group have another ``assignment``; the client had a
                fatal error; with ``until_caught_up``, no broker answers or there is no such topic.
            PostgresError: An error that waiting does not resolve. Nothing of that batch is stored, and nothing is lost.
            SchemaError: The tables cannot be used; PostgreSQL refused nearly all rows of three batches in a row for the
                same reason; or it refused more rows than ``max_refused``.
        """
    def run_async(self) -> Future[ConsumeSummary]:
        """Starts :meth:`run`, to be awaited: ``await consumer.run_async()``.

        It is called where an event loop runs. Cancelling the task stops the run.

        Returns:
            A future of what :meth:`run` returns; it raises the same.
        """
    def stop(self) -> None:
        """Ends the run soon, after committing what was read; may be called from any thread or a signal's handler."""
    def status(self) -> ConsumeStatus:
        """Tells where the run is now; may be called from any thread, also before and after the run."""

@final
class PartitionReport:
    """The counters of one partition of a group's topic, and the same counted in the tables."""

    @property
    def group(self) -> str:
        """The consumer group."""
    @property
    def topic(self) -> str:
        """The topic."""
    @property
    def partition(self) -> int:
        """The partition's number."""
    @property
    def next_offset(self) -> int:
        """The offset that is read next."""
    @property
    def consumed(self) -> int:
        """Messages delivered since the first run; ``stored + duplicate + rejected``."""
    @property
    def stored(self) -> int:
        """Rows inserted since the first run, by the counter."""
    @property
    def duplicate(self) -> int:
        """Messages whose id was in ``orders`` already."""
    @property
    def rejected(self) -> int:
        """Dead letters, by the counter."""
    @property
    def missing(self) -> int:
        """Offsets that could not be read: deleted by the topic's retention, or left out as unreadable."""
    @property
    def rows(self) -> int:
        """Rows in ``orders`` that came from a partition of this number, counted."""
    @property
    def kept(self) -> int:
        """The partition's dead letters in ``rejected_events``, counted."""

@final
class VerifyReport:
    """The counters and totals compared with a recount by SQL, in one snapshot."""

    @property
    def partitions(self) -> list[PartitionReport]:
        """Each partition's report, by group, topic and partition."""
    @property
    def cells(self) -> int:
        """The number of cells of ``kpi_minute`` that were compared."""
    @property
    def figures(self) -> int:
        """The number of the engine's figures that were compared with PostgreSQL's own; 0 with ``counters_only``."""
    @property
    def foreign_rows(self) -> int:
        """Rows of ``orders`` that another program inserted, and that no counter includes."""
    @property
    def expired_rows(self) -> int:
        """Rows that were stored and are gone as old rows are: all of the oldest minutes, and no others."""
    @property
    def expired_before(self) -> int | None:
        """The minute before which they are gone, in microseconds since 1970 UTC; None where none are."""
    @property
    def problems(self) -> list[str]:
        """What disagrees, one text each, with both figures; empty where everything agrees."""

@final
class Check:
    """One thing that :func:`diagnose` inspected."""

    @property
    def name(self) -> str:
        """What was inspected: ``broker``, ``topic``, ``database``, ``tables``, ``privileges`` or ``versions``."""
    @property
    def ok(self) -> bool:
        """Whether it is as it must be."""
    @property
    def found(self) -> str:
        """What was found, in words."""
    @property
    def mend(self) -> str:
        """What to do about it, in words; empty where nothing has to be done."""

@final
class ReasonCount:
    """The dead letters of one reason, counted."""

    @property
    def reason(self) -> str:
        """Why they were rejected."""
    @property
    def count(self) -> int:
        """The number of them."""
    @property
    def replayed(self) -> int:
        """The number of them that were replayed."""
    @property
    def masked(self) -> int:
        """The number of them that hold a masked card number, and so cannot be replayed."""
    @property
    def partial(self) -> int:
        """The number of the others that were too large to be kept whole, and so cannot be replayed."""
    @property
    def last(self) -> str:
        """When the last one was rejected, as PostgreSQL writes it, to the second."""

@final
class KeptMessage:
    """One dead letter: a rejected message, and why it was."""

    @property
    def id(self) -> int:
        """Its number in ``rejected_events``."""
    @property
    def topic(self) -> str:
        """The topic that it came from."""
    @property
    def partition(self) -> int:
        """Its partition."""
    @property
    def offset(self) -> int:
        """Its offset."""
    @property
    def key(self) -> bytes | None:
        """Its key, with card numbers masked, up to ``max_bytes``; None without one."""
    @property
    def key_bytes(self) -> int | None:
        """The length of the whole key in bytes; None without one."""
    @property
    def payload(self) -> bytes | None:
        """Its payload, with card numbers masked, up to ``max_bytes``; None for a tombstone."""
    @property
    def payload_bytes(self) -> int | None:
        """The length of the whole payload in bytes; None for a tombstone."""
    @property
    def payload_sha256(self) -> bytes | None:
        """The SHA-256 of the whole payload, with card numbers masked.

        None for a tombstone, and for a message that a version without hashes kept.
        """
    @property
    def masked(self) -> bool:
        """Whether a card number was masked. Such a message cannot be replayed."""
    @property
    def partial(self) -> bool:
        """Whether it was too large to be kept whole.

        The first 65,536 bytes of key and payload are kept then. Such a message cannot be replayed.
        """
    @property
    def reason(self) -> str:
        """Why it was rejected, as a word that programs can compare."""
    @property
    def detail(self) -> str:
        """Why it was rejected, in detail."""
    @property
    def rejected_at(self) -> str:
        """When it was rejected, as PostgreSQL writes it, to the second."""
    @property
    def replayed_at(self) -> str | None:
        """When it was replayed, as PostgreSQL writes it, to the second; None if it never was."""

@final
class Resent:
    """What became of the dead letters that were to be replayed."""

    @property
    def sent(self) -> int:
        """Messages that the broker has now."""
    @property
    def masked(self) -> int:
        """Messages left out because a card number in them was masked."""
    @property
    def partial(self) -> int:
        """Messages left out because they were too large to be kept whole."""
    @property
    def empty(self) -> int:
        """Messages left out because they have no payload."""
    @property
    def replayed(self) -> int:
        """Messages left out because they were replayed before."""

def verify(*, database_url: str | None = None, counters_only: bool = False) -> VerifyReport:
    """Counts everything again in one snapshot: while consumers run, too.

    The interpreter is detached. Ctrl-C raises ``KeyboardInterrupt`` at once, and PostgreSQL (from 14 on) cancels the
    count.

    Args:
        database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
        counters_only: Leaves out the figures of the dashboard's engine, which take the longest. Default False.

    Returns:
        The counters beside their recount. Differences are in its ``problems``, and raise nothing.

    Raises:
        ConfigError: The URL is not usable.
        PostgresError: The database cannot be reached or read.
        SchemaError: There are no tables yet.

    Example:
        >>> ccstream.verify().problems  # doctest: +SKIP
        []
    """

def diagnose(
    *,
    bootstrap_servers: str | None = None,
    topic: str | None = None,
    database_url: str | None = None,
    librdkafka_options: _Pairs | None = None,
    librdkafka_options_file: str | PathLike[str] | None = None,
) -> list[Check]:
    """Inspects broker, topic, database, tables, privileges and versions; changes nothing.

    The interpreter is detached. A silent broker takes 5 s, a silent database 10 s. Ctrl-C raises ``KeyboardInterrupt``
    at once.

    Args:
        bootstrap_servers: The brokers, ``host:port`` joined by commas. Default: ``KAFKA_BOOTSTRAP_SERVERS``, else
            ``localhost:9094``.
        topic: The topic. Default: ``KAFKA_TOPIC``, else ``orders_json``.
        database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
        librdkafka_options: librdkafka's own settings (TLS, SASL), as a mapping or pairs.
        librdkafka_options_file: A file of such settings, which nobody else may read.

    Returns:
        The checks, in the order in which the parts are needed. What cannot be reached is a check that is not ``ok``.

    Raises:
        ConfigError: A setting of Kafka is not usable.

    Example:
        >>> [check.name for check in ccstream.diagnose() if not check.ok]  # doctest: +SKIP
        ['topic']
    """

def count_rejected(*, database_url: str | None = None) -> list[ReasonCount]:
    """Counts the dead letters by reason, the most frequent first.

    Args:
        database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.

    Returns:
        One count for each reason; empty where nothing was rejected.

    Raises:
        ConfigError: The URL is not usable.
        PostgresError: The database cannot be reached or read, or has no tables yet.

    Example:
        >>> {one.reason: one.count for one in ccstream.count_rejected()}  # doctest: +SKIP
        {'missing_field': 3}
    """

def select_rejected(
    *,
    database_url: str | None = None,
    id: int | None = None,
    reason: str | None = None,
    limit: int | None = None,
    max_bytes: int | None = None,
) -> list[KeptMessage]:
    """Reads dead letters, the newest first.

    Args:
        database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
        id: Only the one with this number. Default: any.
        reason: Only those of this reason. Default: any.
        limit: The greatest number of messages. Default: all.
        max_bytes: The greatest number of bytes of each key and payload. Default: the 65,536 that are kept.

    Returns:
        The messages.

    Raises:
        ConfigError: The URL is not usable.
        PostgresError: The database cannot be reached or read, or has no tables yet.

    Example:
        >>> [one.detail for one in ccstream.select_rejected(reason="missing_field", limit=1)]  # doctest: +SKIP
        ['amount is missing']
    """

def replay_rejected(
    *,
    database_url: str | None = None,
    bootstrap_servers: str | None = None,
    id: int | None = None,
    reason: str | None = None,
    librdkafka_options: _Pairs | None = None,
    librdkafka_options_file: str | PathLike[str] | None = None,
) -> Resent:
    """Replays dead letters: sends them to the topic that they came from, oldest first, and notes when.

    They stay in ``rejected_events``. One that is rejected once more becomes another dead letter; one that is valid now
    is stored by the consumer. The interpreter is detached. Ctrl-C raises ``KeyboardInterrupt`` within a second; up to
    500 messages may still be sent after it.

    Args:
        database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
        bootstrap_servers: The brokers, ``host:port`` joined by commas. Default: ``KAFKA_BOOTSTRAP_SERVERS``, else
            ``localhost:9094``.
        id: Only the one with this number. Default: any.
        reason: Only those of this reason. Default: any.
        librdkafka_options: librdkafka's own settings (TLS, SASL), as a mapping or pairs.
        librdkafka_options_file: A file of such settings, which nobody else may read.

    Returns:
        The number of messages sent, and the numbers of those left out, by cause.

    Raises:
        ConfigError: A setting is not usable.
        KafkaError: The broker cannot be reached, or did not take every message. Those that it took are noted as
            replayed.
        PostgresError: The database cannot be reached or read, or has no tables yet.

    Example:
        >>> ccstream.replay_rejected(reason="missing_field").sent  # doctest: +SKIP
        3
    """

def topic_ends(
    *,
    bootstrap_servers: str | None = None,
    topic: str | None = None,
    librdkafka_options: _Pairs | None = None,
    librdkafka_options_file: str | PathLike[str] | None = None,
) -> dict[int, int]:
    """Asks the broker where each partition of a topic ends.

    It is for watching: the embedded broker's answer can be too low by the length of its last batch. The interpreter is
    detached. Ctrl-C raises ``KeyboardInterrupt`` within a second.

    Args:
        bootstrap_servers: The brokers, ``host:port`` joined by commas. Default: ``KAFKA_BOOTSTRAP_SERVERS``, else
            ``localhost:9094``.
        topic: The topic. Default: ``KAFKA_TOPIC``, else ``orders_json``.
        librdkafka_options: librdkafka's own settings (TLS, SASL), as a mapping or pairs.
        librdkafka_options_file: A file of such settings, which nobody else may read.

    Returns:
        For each partition the offset that its next message gets; empty where there is no such topic.

    Raises:
        ConfigError: A setting is not usable.
        KafkaError: No broker answers within 5 s.

    Example:
        >>> ccstream.topic_ends()  # doctest: +SKIP
        {0: 5000}
    """

def aggregate(
    keys: npt.NDArray[np.int64],
    measures: Sequence[tuple[npt.NDArray[Any] | None, str]],
) -> tuple[npt.NDArray[np.int64], list[npt.NDArray[np.float64]]]:
    """Groups rows and measures them, for ``ccstream.kpi.aggregate``.

    Args:
        keys: The group of each row: a contiguous array of int64.
        measures: For each figure a contiguous array of int64 or float64 (None for ``count``) and what to measure of it.

    Returns:
        The groups (int64, in rising order) and the figures of each measure (float64).

    Raises:
        ConfigError: A column or a measure is not usable.
    """

def ping(database_url: str) -> bool:
    """Asks a database for a sign of life, for at most 3 s; the embedded services wait with it.

    Args:
        database_url: The database.

    Returns:
        Whether it accepts the user and answers.

    Raises:
        ConfigError: The URL is not usable.
    """

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
        """The partition's number."""
    @property
    def next_offset(self) -> int:
        """The offset that is read next."""
    @property
    def consumed(self) -> int:
        """Messages delivered; ``stored + duplicate + rejected``."""
    @property
    def stored(self) -> int:
        """Rows that the partition brought into ``orders``."""
    @property
    def duplicate(self) -> int:
        """Messages whose id was in ``orders`` already."""
    @property
    def rejected(self) -> int:
        """Dead letters."""
    @property
    def missing(self) -> int:
        """Offsets that could not be read: deleted by the topic's retention, or left out as unreadable."""
    @property
    def updated_at(self) -> int:
        """When the partition was last committed, in microseconds since 1970 UTC."""

@final
class KpiStatus:
    """The state of a :class:`KpiEngine`: a record of one moment."""

    @property
    def rows(self) -> int:
        """Rows in memory."""
    @property
    def loaded(self) -> float:
        """The share of the table that has been read, 0 to 1; 1 once the table is followed."""
    @property
    def snapshot_at(self) -> int | None:
        """The moment that answers are true for, in microseconds since 1970 UTC, by PostgreSQL's clock.

        None before the first reading.
        """
    @property
    def trouble(self) -> str | None:
        """Why the database cannot be followed, in words; the figures stay as they were. None while it is followed."""
    @property
    def trouble_for(self) -> timedelta | None:
        """How long the database could not be followed; None while it is."""
    @property
    def no_tables(self) -> bool:
        """Whether the trouble is that the consumer has not created the tables yet."""
    @property
    def unusable(self) -> bool:
        """Whether the trouble is that the tables are there and cannot be used: ``trouble`` has what fixes them."""
    @property
    def foreign_rows(self) -> int:
        """Rows that another program inserted, as of the last full reading; every answer counts them."""
    @property
    def odd_amounts(self) -> int:
        """Rows whose amount is not a number of cents (NaN, or beyond 64 bits); they count as rows without one."""
    @property
    def first_at(self) -> int | None:
        """The earliest time of a row in memory, in microseconds since 1970 UTC; None without rows."""
    @property
    def last_at(self) -> int | None:
        """The latest time of a row in memory, in microseconds since 1970 UTC; None without rows."""
    @property
    def dropped_until(self) -> int | None:
        """The time after which every row is in memory, in microseconds since 1970 UTC; None: all rows are."""
    @property
    def folded(self) -> list[str]:
        """Dimensions whose rarest names are counted together as ``(others)``, as ``max_bytes`` has no room for them.

        ``card`` among them means that numbers of cards are too low.
        """
    @property
    def lacking_rows(self) -> int:
        """Rows that consumers stored and the table does not have, but for ``expired_rows``."""
    @property
    def expired_rows(self) -> int:
        """Rows that were stored and are gone as old rows are: all of the oldest minutes, and no others."""
    @property
    def reloads(self) -> int:
        """How often the whole table was read."""
    @property
    def outdated(self) -> bool:
        """Whether rows were changed or deleted that are still counted as they were.

        The whole table is read again for it, but not all the time: after a reading of 1 s, no sooner than 20 s
        later.
        """
    @property
    def reload(self) -> str | None:
        """Reason for the most recent full reload, in words; None before the first."""
    @property
    def rows_from_file(self) -> int:
        """Rows that were read from the column file at the start."""
    @property
    def bytes(self) -> int:
        """Memory that the columns take, in bytes."""
    @property
    def consumers(self) -> int:
        """Consumers that have a session at the database."""
    @property
    def no_consumer_since(self) -> int | None:
        """The time of the last commit, in microseconds since 1970 UTC; None while a consumer has a session."""
    @property
    def role(self) -> str | None:
        """The role whose rights the engine reads with; None: the user's own, in read-only transactions."""
    @property
    def rejected(self) -> list[tuple[str, int]]:
        """Dead letters: pairs of a reason and their number, the most frequent first."""
    @property
    def latency_ms(self) -> list[int] | None:
        """Latency from event to stored in milliseconds: p50, p95 and p99 of the last five minutes.

        Each is at most an eighth too high. None without events.
        """
    @property
    def latency_events(self) -> int:
        """The number of events that ``latency_ms`` is of."""
    @property
    def partitions(self) -> list[PartitionState]:
        """The offset rows of the snapshot, by group, topic and partition."""

@final
class KpiAnswer:
    """The answer to :meth:`KpiEngine.query`. Money is in cents everywhere; ``ccstream.kpi.units`` converts it.

    ``answer["category"]`` is the grouping ``category``: a dict of columns, all of one length n. A grouping that was not
    asked for is a ``KeyError``. The columns are:

    ``key``: the names as a list (None: unknown), the beginnings of buckets as ``datetime64[us]`` (UTC), hours of the
    week (int64, 0 is Monday 0 to 1 o'clock) or the lower edges of amounts in cents (int64).

    ``count``, ``amounts`` (rows with an amount in the currency) and ``sum`` (cents): int64. ``mean`` (cents): float64,
    NaN for none. By time, ``rate`` (rows a second, float64) and ``end``, the ends of buckets (as ``key``, exclusive).

    If one of them was asked for: ``approved``, ``decided``, ``declined`` and ``risky`` (int64), ``approved_share``
    (float64).

    If asked for: ``min``, ``max``, ``p50``, ``p95`` and ``p99`` (cents, float64; percentiles within 1 %), ``cards``
    (distinct, int64).

    By place: ``country`` (a list), ``latitude`` and ``longitude`` (degrees, float64).

    Of a trend: ``time`` (``datetime64[us]``, length m) and ``counts`` (uint32, n by m).

    ``other_groups``, ``other_count`` and ``other_sum`` (int) are of what is not among the ``top``. By time,
    ``other_count`` is the number of rows without a time.

    Example:
        >>> answer = engine.query(by={"category": ["p95"]})  # doctest: +SKIP
        >>> dict(zip(answer["category"]["key"], answer["category"]["count"].tolist()))  # doctest: +SKIP
        {'groceries': 1200, 'travel': 300}
    """

    @property
    def at(self) -> int:
        """The moment of the database that it is true for, in microseconds since 1970 UTC."""
    @property
    def start(self) -> int | None:
        """The beginning of the range, in microseconds since 1970 UTC; None for all of time."""
    @property
    def end(self) -> int | None:
        """End of the range (exclusive), in microseconds since 1970 UTC; None for all of time."""
    @property
    def width(self) -> timedelta | None:
        """The width of a bucket of time; None where the query has no buckets.

        A bucket in which the clocks change may be longer or shorter.
        """
    @property
    def currency(self) -> str | None:
        """The currency whose amounts were added up; None: the amounts of rows that name no currency."""
    @property
    def totals(self) -> dict[str, Any]:
        """The figures of all rows of the range.

        ``count``, ``amounts`` (rows with an amount in the currency), ``approved``, ``decided``, ``declined``,
        ``risky`` and ``cards`` (distinct) are int. ``sum``, ``min``, ``max``, ``p50``, ``p95`` and ``p99`` are int, in
        cents and exact (``percentile_disc``). ``mean`` (cents), ``approved_share`` (of ``decided``, 0 to 1)
        and ``rate`` (rows a second of the range) are float. None where there is nothing to measure.
        """
    @property
    def before(self) -> dict[str, Any] | None:
        """The same figures of the range of equal length before; None unless the query asked for them."""
    def __getitem__(self, name: str, /) -> dict[str, Any]:
        """A grouping's columns, all of one length n.

        ``key``: the names as a list (None: unknown), the beginnings of buckets as ``datetime64[us]`` (UTC), hours of
        the week (int64, 0 is Monday 0 to 1 o'clock) or the lower edges of amounts in cents (int64). ``count``,
        ``amounts`` (rows with an amount in the currency), ``sum`` (cents): int64. ``mean`` (cents), of time ``rate``:
        float64, NaN for none; of time ``end``, as ``key``. If one of them was asked for: ``approved``, ``decided``,
        ``declined``, ``risky``: int64, ``approved_share``: float64. If asked for: ``min``, ``max``, ``p50``, ``p95``,
        ``p99`` (cents, float64; percentiles within 1 %) and ``cards`` (int64). Of places: ``country``, ``latitude`` and
        ``longitude`` (degrees, float64). Of a trend: ``time`` (``datetime64[us]``, length m) and ``counts`` (uint32, n
        by m). What is not among the ``top``: ``other_groups``, ``other_count``, ``other_sum`` as int; of time,
        ``other_count`` are the rows without a time.

        Raises:
            KeyError: it was not asked for.
        """
    def to_pandas(self, name: str | None = None) -> pd.DataFrame:
        """Returns a grouping as a pandas DataFrame, which needs pandas.

        The columns are those of ``answer[name]``, indexed by its ``key``. Times are in the query's time zone. The frame
        of a trend has the counts, with a column for each bucket. ``attrs`` has ``other_groups``, ``other_count`` and
        ``other_sum``.

        Args:
            name: The grouping. Default: the only one.

        Returns:
            A DataFrame, whose index is named like the grouping.

        Raises:
            ConfigError: pandas is not installed; or no name is given for an answer that has not one grouping.
            KeyError: The grouping was not asked for.

        Example:
            >>> engine.query(by={"category": ["p95"]}).to_pandas()["p95"].map(kpi.units)  # doctest: +SKIP
        """
    def keys(self) -> list[str]:
        """Names the groupings, in the order of the query."""

@final
class KpiEngine:
    """Holds the rows of ``orders`` in memory, about 20 bytes each, and answers any question from them at once, exactly.

    A thread reads the table, newest rows first, and then follows it, one snapshot of the database at a time. A question
    that is asked again costs the rows that came since, and where ``last`` moves on also those that left; but with
    ``cards``, ``min`` or ``max`` of a dimension in such a range, all of its rows. Every method may be called from any
    thread.

    Rows that somebody deletes or changes are noticed by PostgreSQL's statistics. A hot standby and a server with
    ``track_counts = off`` do not keep those: there such rows stay as they were.

    Example:
        >>> with ccstream.KpiEngine.from_database() as engine:  # doctest: +SKIP
        ...     engine.refresh()
        ...     answer = engine.query(by={"category": ["p95"]}, last=timedelta(days=1), top=5)
        ...     print(answer.totals["count"], answer["category"]["key"])
    """

    @staticmethod
    def from_database(
        # generated: parameters of engine
        database_url: str | None = None,
        *,
        max_rows: int | None = None,
        max_bytes: int | None = None,
        max_days: int | None = None,
        interval: timedelta | None = None,
        file: str | PathLike[str] | None = None,
        # generated, to here
    ) -> KpiEngine:
        """Begins to read the table, and returns at once; :meth:`refresh` waits.

        Args:
            database_url: The URL of the database, as ``postgresql://user:password@host:port/database``. Default:
                ``DATABASE_URL``, else ``kafka_db`` on ``localhost:5434``, as in ``docker-compose.yml``.
            max_rows: The maximum number of rows held, about 20 bytes each; the oldest are evicted first. At least
                65,536. Default: ``CCSTREAM_KPI_ROWS``, else 20,000,000.
            max_bytes: The maximum number of bytes of the rows, the names and the counts of queries together. Beyond it,
                the oldest rows are evicted, and the rarest names are counted together as ``(others)``. At least
                8,388,608. Default: ``CCSTREAM_KPI_MEMORY``, else 1,073,741,824.
            max_days: The maximum age of rows in days, by their timestamps. Older rows are evicted in blocks of 65,536.
                From 1 to 1,000,000. Default: all.
            interval: The time between two reads of the database. From 10 to 86,400,000 ms. Default 500 ms.
            file: The file in which the columns are saved, so that the next start reads only new rows. Default: none.

        Returns:
            An engine, to be closed with :meth:`close` or ``with``.

        Raises:
            ConfigError: A setting is not usable.
        """
    def query(
        self,
        *,
        filters: _Filters | None = None,
        min_amount: str | float | Decimal | None = None,
        max_amount: str | float | Decimal | None = None,
        last: timedelta | None = None,
        start: _Moment | None = None,
        end: _Moment | None = None,
        by: dict[str, list[str]] | None = None,
        currency: str | None = None,
        width: timedelta | None = None,
        tz: tzinfo | None = None,
        before: bool = False,
        top: int | None = None,
    ) -> KpiAnswer:
        """Answers from the last snapshot.

        Args:
            filters: For a dimension, which :data:`ccstream.kpi.DIMENSIONS` lists, the value that counts, or a list of
                them; None is an absent one, and ``risk`` is ``"true"`` or ``"false"``. Default: every row.
            min_amount: The least amount, in units of the currency, with at most two decimals. Default: any.
            max_amount: The greatest amount, likewise. Default: any.
            last: The length of a range that ends with the snapshot. Its first and last bucket are then in part outside.
            start: The beginning of the range, given with ``end``: an aware ``datetime``; a naive one, which is UTC; a
                ``datetime64``, as in answers; or microseconds since 1970 UTC.
            end: The end of the range, exclusive, likewise.
            by: Groupings, each with the measures wanted beyond the usual ones. A grouping is a dimension, ``place``
                (city and country with their coordinates), ``time``, ``hour_of_week``, ``amount`` (bins of 1, 2, 5), or
                ``trend:`` and a dimension (counts by time). Measures are ``min``, ``max``, ``p50``, ``p95``, ``p99``,
                ``cards`` and ``approved``. Default: totals alone.
            currency: The currency whose amounts are added up; ``""``: amounts without one. Default: the one of most
                rows.
            width: The width of a bucket of time. Default: the smallest easily read one that makes about 60 buckets at
                most.
            tz: The time zone of buckets and of ``hour_of_week``, such as ``zoneinfo.ZoneInfo("Europe/Berlin")``.
                Buckets begin at local midnight and at multiples of ``width`` after it. A bucket in which the clocks
                change is longer or shorter: a day has 23 or 25 hours. If they change by a multiple of ``width``, every
                bucket keeps its width, and an hour that comes twice has separate buckets each time. Offsets before 1970
                and after 2100 are those of these years. Default: UTC.
            before: Measures the range of equal length before, too. Default False.
            top: The number of groups of each dimension, those with the most rows. Default: all.

        Returns:
            The figures of one moment of the database.

        Raises:
            ConfigError: The question cannot be asked; the message names the argument and why.

        Example:
            >>> hour = engine.query(filters={"status": "declined"}, last=timedelta(hours=1))  # doctest: +SKIP
            >>> hour.totals["count"]  # doctest: +SKIP
            12
        """
    def latest(
        self,
        count: int = 10,
        *,
        filters: _Filters | None = None,
        min_amount: str | float | Decimal | None = None,
        max_amount: str | float | Decimal | None = None,
    ) -> dict[str, list[Any]]:
        """Returns the rows that were stored last, the newest first.

        Args:
            count: The greatest number of rows. Default 10.
            filters: The values of each dimension that count, as :meth:`query` takes them. Default: every row.
            min_amount: The least amount, in units of the currency, with at most two decimals. Default: any.
            max_amount: The greatest amount, likewise. Default: any.

        Returns:
            Lists of one length: ``time`` (microseconds since 1970 UTC), ``cents``, and one for each dimension that
            :data:`ccstream.kpi.DIMENSIONS` lists; None where unknown.

        Raises:
            ConfigError: A filter cannot be used.

        Example:
            >>> engine.latest(2)["merchant"]  # doctest: +SKIP
            ['Blue Bottle Coffee', 'Whole Foods']
        """
    def values(self, dimension: str) -> list[str | None]:
        """Lists the values that a dimension has, in alphabetical order, then None if some row has none.

        Args:
            dimension: Its name, as in ``filters``.

        Returns:
            The values.

        Raises:
            ConfigError: There is no such dimension.

        Example:
            >>> engine.values("status")  # doctest: +SKIP
            ['approved', 'declined', None]
        """
    @property
    def status(self) -> KpiStatus:
        """The engine's state at this moment."""
    def refresh(self, timeout: timedelta | None = None) -> bool:
        """Reads the database now and waits until answers are of that moment; the first time, until all rows are read.

        The interpreter is detached. Ctrl-C raises ``KeyboardInterrupt`` at once; the engine goes on reading.

        Args:
            timeout: The longest wait. Default 60 s.

        Returns:
            False where it took longer; answers are then of the rows that have been read so far.

        Raises:
            PostgresError: The database cannot be reached or read. The rows of the last reading stay.
            SchemaError: There are no tables yet.

        Example:
            >>> engine.refresh()  # doctest: +SKIP
            True
        """
    def close(self) -> None:
        """Ends following; writes the file, if there is one. Answers stay as they are."""
    def __enter__(self) -> Self:
        """."""
    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _trace: TracebackType | None,
        /,
    ) -> None: ...
