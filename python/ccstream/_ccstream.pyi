"""Contains the compiled half of ccstream. Import these names from ``ccstream``."""

from asyncio import Future
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from os import PathLike
from types import TracebackType
from typing import Any, Literal, Protocol, SupportsIndex, TypeAlias, final

import numpy as np
import numpy.typing as npt
import pandas as pd
from typing_extensions import Self

from ccstream.description import Description
from ccstream.events import WaitingKind

__version__: str

__all__ = [
    "AnalyzeSummary",
    "Analyzer",
    "Backtest",
    "Check",
    "ConsumeStatus",
    "ConsumeSummary",
    "Consumer",
    "Detection",
    "Detector",
    "FeatureHistory",
    "KeptMessage",
    "KpiAnswer",
    "KpiEngine",
    "KpiStatus",
    "ModelInfo",
    "PartitionReport",
    "PartitionState",
    "ProduceSummary",
    "Producer",
    "ReasonCount",
    "Resent",
    "VerifyReport",
    "__version__",
    "activate_model",
    "add_model",
    "aggregate",
    "backtest",
    "count_rejected",
    "diagnose",
    "feature_history",
    "list_models",
    "ping",
    "replay_rejected",
    "select_rejected",
    "shadow_model",
    "topic_ends",
    "verify",
]

_OnEvent: TypeAlias = Callable[[str, Mapping[str, Any]], object]
_Filters: TypeAlias = Mapping[str, str | Iterable[str | None] | None]
_Moment: TypeAlias = datetime | np.datetime64 | SupportsIndex
_Pairs: TypeAlias = Mapping[str, str | float] | Sequence[tuple[str, str | float]]

class _Frame(Protocol):
    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...

@final
class AnalyzeSummary:
    """Counts the messages of one run by outcome."""

    @property
    def scored(self) -> int:
        """The number of transactions that were scored."""
    @property
    def duplicate(self) -> int:
        """The number of messages whose transaction had been scored before."""
    @property
    def rejected(self) -> int:
        """The number of messages that are not valid transactions."""
    @property
    def missing(self) -> int:
        """The number of offsets that could not be read: deleted by the topic's retention, or unreadable."""
    @property
    def late(self) -> int:
        """The number of transactions that came after a later one had been scored."""
    @property
    def labels(self) -> int:
        """The number of labels that were received and stored."""
    @property
    def labels_duplicate(self) -> int:
        """The number of labels that had been received before."""
    @property
    def labels_rejected(self) -> int:
        """The number of messages that are not valid labels."""
    @property
    def labelled(self) -> int:
        """The number of labels that became due, so that scores use them."""
    @property
    def cards_forgotten(self) -> int:
        """The number of cards that were forgotten because there were more than ``cards``."""
    @property
    def merchants_forgotten(self) -> int:
        """The number of merchants that were forgotten because there were more than ``merchants``."""
    @property
    def terminals_forgotten(self) -> int:
        """The number of terminals that were forgotten because there were more than ``merchants``."""
    @property
    def alert_keys_forgotten(self) -> int:
        """The number of keys that rules of alerts have forgotten, because a rule had more than ``keys``."""
    @property
    def labels_forgotten(self) -> int:
        """The number of labels that were forgotten, because too many are due whose transactions were never scored."""
    @property
    def notifications_sent(self) -> int:
        """The number of notifications of alerts that were sent."""
    @property
    def notifications_failed(self) -> int:
        """The number of notifications of alerts that failed and are not tried again."""
    @property
    def elapsed(self) -> timedelta:
        """The time since this run took the lease."""
    @property
    def drained(self) -> bool:
        """Whether everything that was scored is committed. If not, the next run scores the rest again."""

@final
class Analyzer:
    """Scores the transactions of a topic and applies labels, in one order and each exactly once.

    Scores, labels and the offsets of both topics are committed in one transaction. The state from which scores are
    computed is stored beside it, and brought up to date from there after a crash.

    Several analyzers may run at the same time: one works, and the others wait to take over. No connection is opened
    before :meth:`run`.

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
        labels_topic: The topic of labels, which say whether a transaction was a fraud. Without this topic, scores are
            computed without labels. Default: ``KAFKA_LABELS_TOPIC``, else ``labels_json``.
        database_url: The URL of the database, as ``postgresql://user:password@host:port/database``. ``sslmode`` has the
            meaning that it has for libpq. Default: ``DATABASE_URL``, else ``kafka_db`` on ``localhost:5434``, as in
            ``docker-compose.yml``.
        model: The file of the model that scores transactions. It is added to the table ``models`` and becomes active.
            Default: the active model, or the rules if there is none.
        no_default_model: Scores by the rules where a model that comes with ccstream would score: on a new analysis of a
            stream of the simulated world. Default False.
        explain: The score, from 0 to 1, from which a score is high, so that the reasons for it are stored. Default
            ``0.5``.
        windows: The file that defines the windows in which transactions are counted. It is read again when it changes.
            Default: ``CCSTREAM_WINDOWS``, else ``windows.toml`` in the folder in which the analyzer is started, if
            there is one.
        alerts: The file that defines the rules of alerts. It is read again when it changes. Default:
            ``CCSTREAM_ALERTS``, else ``alerts.toml`` in the folder in which the analyzer is started, if there is one.
        cards: The maximum number of cards of which the analyzer remembers anything. Beyond it, those that were not used
            for the longest time are forgotten. From 1 to 100,000,000. Default 1,000,000.
        merchants: The maximum number of merchants of which the analyzer remembers anything. Beyond it, those that were
            not used for the longest time are forgotten. From 1 to 10,000,000. Default 100,000.
        batch_rows: The maximum number of transactions and labels that are written at once. From 1 to 1,000,000. Default
            20,000.
        linger: The maximum time until a score is visible, while the analyzer and the database keep up with the topic.
            Behind it by more than ``batch_rows``, the analyzer waits longer for larger batches. From 0 to 60,000 ms.
            Default 50 ms.
        patience: The maximum time that an event waits for older events of partitions without news. Events that come
            later than this are scored out of order, and counted as late. From 0 to 60,000 ms. Default 100 ms.
        until_caught_up: Exits once every partition has been read to its end. Default False.
        max_ahead: The maximum time by which an event may be ahead of this machine's clock; later events are rejected,
            as the consumer rejects them. From 0 to 4,102,444,800 s. Default 172,800 s.
        drain_limit: The maximum time that a stop waits until the events that were read are scored and committed. The
            others are read again by the next run. From 0 to 240 s. Default 30 s.
        on_event: A callable that gets an event's name (a str) and its fields (a dict), which ``ccstream.events``
            describes. It is called during :meth:`run`, on another thread. If it raises, the run stops and raises that
            exception. Default: none.

    Raises:
        ConfigError: A setting cannot be used; the message names it.
        TypeError: A setting has the wrong type, or there is no such setting.

    Example:
        >>> analyzer = ccstream.Analyzer(until_caught_up=True)
        >>> analyzer.run()
        AnalyzeSummary(scored=5000, duplicate=0, rejected=0, late=0)
    """

    def __new__(
        cls,
        *,
        # generated: parameters of kafka, analyzer
        bootstrap_servers: str | None = None,
        topic: str | None = None,
        librdkafka_options: _Pairs | None = None,
        librdkafka_options_file: str | PathLike[str] | None = None,
        labels_topic: str | None = None,
        database_url: str | None = None,
        model: str | PathLike[str] | None = None,
        no_default_model: bool = False,
        explain: float | None = None,
        windows: str | PathLike[str] | None = None,
        alerts: str | PathLike[str] | None = None,
        cards: int | None = None,
        merchants: int | None = None,
        batch_rows: int | None = None,
        linger: timedelta | None = None,
        patience: timedelta | None = None,
        until_caught_up: bool = False,
        max_ahead: timedelta | None = None,
        drain_limit: timedelta | None = None,
        # generated, to here
        on_event: _OnEvent | None = None,
    ) -> Self: ...
    def run(self) -> AnalyzeSummary:
        """Scores transactions until :meth:`stop`, or with ``until_caught_up`` until the end of both topics.

        The method releases the GIL, so other threads continue. It waits for a broker or database that is unavailable,
        and while another analyzer works. Ctrl-C stops the run, commits what was scored, and raises
        ``KeyboardInterrupt``.

        Returns:
            The counts of messages by outcome. An exception of ccstream has the counts until then in its ``summary``.

        Raises:
            ConfigError: A pooler shares PostgreSQL's sessions between its clients.
            KafkaError: The user may not read a topic, or librdkafka reports a fatal error.
            PostgresError: PostgreSQL reports an error that waiting does not resolve. Nothing of the batch is stored,
                and the next run reads it again.
            SchemaError: The tables cannot be used.
        """
    def stop(self) -> None:
        """Stops the run after committing what was scored, and returns at once.

        Any thread or signal handler may call it. A later :meth:`run` of this analyzer ends at once.
        """

@final
class FeatureHistory:
    """Holds the features of transactions, and which of them are known to be frauds.

    ``ccstream.training`` trains models from it.
    """

    @property
    def features(self) -> npt.NDArray[np.float32]:
        """The features, a row for each transaction and a column for each feature; NaN is a missing value."""
    @property
    def labels(self) -> npt.NDArray[np.bool_]:
        """Whether each transaction is known to be a fraud."""
    @property
    def times(self) -> npt.NDArray[np.int64]:
        """The times of the transactions, in microseconds since 1970 UTC."""
    @property
    def cards(self) -> npt.NDArray[np.int64]:
        """A number for the card of each transaction; 0 without a card."""
    @property
    def as_of(self) -> int:
        """The time up to which labels are known, in microseconds since 1970 UTC."""
    @property
    def maturity(self) -> int:
        """The age after which nine of ten frauds are labelled, in microseconds. It is 7 days without labels.

        Features that depend on it were computed with it.
        """
    @property
    def names(self) -> list[str]:
        """The names of the features, in the order of the columns."""
    @property
    def version(self) -> str:
        """The version of the features. A model of another version cannot be used."""

@final
class Backtest:
    """Holds the scores that a model gives to transactions of the past."""

    @property
    def ids(self) -> list[str]:
        """The ids of the transactions, as in ``orders``."""
    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """The score of each transaction: the probability that it is a fraud."""
    @property
    def labels(self) -> npt.NDArray[np.bool_]:
        """Whether each transaction is known to be a fraud, by all labels."""
    @property
    def times(self) -> npt.NDArray[np.int64]:
        """The times of the transactions, in microseconds since 1970 UTC."""
    @property
    def cards(self) -> npt.NDArray[np.int64]:
        """A number for the card of each transaction; 0 without a card."""

@final
class Detector:
    """Scores transactions in memory as the analyzer does, without Kafka and PostgreSQL.

    A detector remembers cards, merchants and terminals from one call to the next. Its scores equal the analyzer's, bit
    for bit, if it has the same model, and gets the same transactions and labels in the same order from the beginning.

    Args:
        model: The model file, as ``ccstream train`` writes it, or ``habits-2``, the model that comes with ccstream for
            streams of the simulated world. Default: None, the rules.
        cards: The maximum number of cards that are remembered. Default: 1,000,000.
        merchants: The maximum number of merchants that are remembered. Default: 100,000.

    Raises:
        ConfigError: The model or a number cannot be used.

    Example:
        >>> usual = {"card_token": "tok_1", "merchant": "Fig & Fern", "currency": "EUR"}
        >>> amounts = ["20.00", "25.00", "19.50", "22.00", "180.00"]
        >>> orders = [
        ...     {"transaction_id": f"t{day}", "timestamp": f"2026-03-0{day}T12:00:00Z", "amount": amount, **usual}
        ...     for day, amount in enumerate(amounts, 1)
        ... ]
        >>> detector = ccstream.Detector()
        >>> found = detector.score(orders)
        >>> found.scores.round(2).tolist()
        [0.0, 0.0, 0.0, 0.0, 0.96]
        >>> found.reasons[-1]
        ["8.5 times this card's usual amount", "8.4 times this merchant's usual amount"]
    """

    def __new__(
        cls, model: str | PathLike[str] | None = None, *, cards: int | None = None, merchants: int | None = None
    ) -> Self: ...
    @property
    def model(self) -> str:
        """The name of the model: that of its file without the ending, or ``rules``."""
    @property
    def feature_names(self) -> list[str]:
        """The names of the features, in the order of the columns of ``Detection.features``."""
    @property
    def transactions(self) -> int:
        """The number of transactions that were scored."""
    @property
    def late(self) -> int:
        """The number of transactions that came after one of a later time. Sort the transactions if it is not 0."""
    def score(self, transactions: Iterable[Mapping[str, Any]] | pd.DataFrame | _Frame) -> Detection:
        """Scores transactions in their order, which has to be that of their times, and remembers them.

        Labels are applied in between, each as soon as the time of the transactions has reached its own.

        Args:
            transactions: An iterable of mappings with the fields of a message, such as ``json.loads`` returns, or a
                DataFrame with these columns (pandas, polars, or others through Arrow). A missing value of a
                DataFrame is an absent field.

        Returns:
            A row for each transaction.

        Raises:
            ConfigError: A transaction is invalid, for a reason for which the consumer would reject it, or its id was
                scored before. The message has its index. No transaction of the call is scored then. It is a
                ``ValueError``.

        Example:
            >>> order = {"transaction_id": "t9", "timestamp": "2026-03-09T12:00:00Z", "amount": 12.5}
            >>> ccstream.Detector().score([order]).feature("amount").tolist()
            [12.5]
        """
    def label(self, transaction_id: str, fraud: bool = True, at: datetime | str | None = None) -> None:
        """Adds a label: from a time on, it is known whether a transaction is a fraud.

        The label is applied before the first transaction at this time or later. Of several labels of a transaction, the
        one with the latest time counts. A second label with the same time is ignored. A label of a transaction that was
        not scored yet waits for it.

        Args:
            transaction_id: The id of the transaction.
            fraud: Whether it is a fraud. Only labels of frauds and corrections are needed. Default: True.
            at: The time, as a ``datetime``, or in the format of RFC 3339 or ISO 8601; UTC unless it has an offset.
                Default: the greatest time of a transaction so far.

        Raises:
            ConfigError: The time cannot be used.

        Example:
            >>> ccstream.Detector().label("t1", at="2026-03-09T12:00:00Z")
        """

@final
class Detection:
    """Holds the scores, features and reasons of transactions that a :class:`Detector` has scored."""

    @property
    def ids(self) -> list[str]:
        """The ids of the transactions."""
    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """The score of each transaction: the probability that it is a fraud, from 0 to 1."""
    @property
    def features(self) -> npt.NDArray[np.float32]:
        """The features, a row for each transaction and a column for each feature; NaN is a missing value."""
    @property
    def times(self) -> npt.NDArray[np.int64]:
        """The times of the transactions, in microseconds since 1970 UTC."""
    @property
    def names(self) -> list[str]:
        """The names of the features, in the order of the columns."""
    @property
    def reasons(self) -> list[list[str]]:
        """The reasons for each score in words, the greatest first; at most three. Each access computes them."""
    def feature(self, name: str) -> npt.NDArray[np.float32]:
        """Returns the values of one feature, an element for each transaction; NaN is a missing value.

        Args:
            name: The name of the feature, as in ``names``.

        Raises:
            ConfigError: No feature has this name.
        """
    def explain(self, index: int) -> list[str]:
        """Returns the reasons for one score in words, the greatest first: at most three.

        Args:
            index: The index of the transaction.

        Raises:
            IndexError: There is no such transaction.
        """
    def __len__(self) -> int: ...

@final
class ProduceSummary:
    """Counts the events of one run: ``sent == acknowledged + failed`` once it has ended.

    Labels and truths are counted separately.
    """

    @property
    def sent(self) -> int:
        """The number of events that were handed to librdkafka."""
    @property
    def acknowledged(self) -> int:
        """The number of events that the broker has acknowledged, on all in-sync replicas."""
    @property
    def failed(self) -> int:
        """The number of events that could not be delivered."""
    @property
    def labels(self) -> int:
        """The number of labels that the broker has acknowledged."""
    @property
    def truths(self) -> int:
        """The number of truths that the broker has acknowledged."""
    @property
    def lost(self) -> int:
        """The number of labels and truths that could not be delivered."""
    @property
    def sent_again(self) -> int:
        """The number of times that a new client re-sent a message, because Kafka had lost the previous client's state.

        Its topic may contain up to this number of duplicates. The other counts include each message once.
        """
    @property
    def elapsed(self) -> timedelta:
        """The time from the first event to the end of the run, or until now if the run continues."""

@final
class Producer:
    """Sends card transactions to Kafka, generated ones or those of a file.

    The producer is idempotent, with ``acks=all``. If its queue is full, it waits, and drops nothing. Nothing is
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
        rate: The number of events per simulated second, at least 0.001, on average over a week; ``max`` (in Python
            ``math.inf``) sends as fast as possible. Default: one event every 0.5 to 2 s, at random.
        count: The number of events after which the producer stops. Default: no limit, or the number of rows in the
            file.
        seed: The seed of the generator. Equal seeds, start times, rates and numbers of cards generate equal bytes.
            Default: random.
        start_time: The time of the first event, in the format of RFC 3339 or ISO 8601 (UTC unless it has an offset).
            Default: the current time for each event.
        backfill: The history to send first: its duration (``7d``, ``12h``), or the date at which it begins. Events of
            the current time follow it without a gap. Default: none.
        speed: The number of simulated seconds that pass per real second, beginning at ``start_time`` or ``backfill``;
            ``max`` (in Python ``math.inf``) for as many as possible. Default: 1, or ``max`` for a history.
        cards: The number of cards in the simulated world. From 1 to 1,000,000. Default: enough for two payments per
            card and day, from 5,000 to 1,000,000.
        fraud: The share of frauds that are planted among generated transactions, from 0 to 0.1. Three times as many
            transactions resemble frauds and are honest. With 0, no labels are sent. Default: 0.005, or 0 at the rate
            ``max``.
        campaign: A campaign of fraud that begins at a given time, as ``SCENARIO@TIME``, in addition to the share
            ``fraud``. TIME is a moment, or a duration after the first event. The scenarios are S1 to S7. One, or a
            sequence. Default: none.
        label_delay: The time from a transaction to its label: ``fixed:7d`` for seven days, ``lognormal:7d`` for a
            median of seven days. Default: lognormal:7d, or fixed:7d for the preset.
        resume: The file in which a run saves what it has not sent, every 5 s and at its end: labels that are not due
            yet, and late and second messages. The next run with this file sends them when they are due. Without it, a
            run that reaches its ``count`` sends them at once, and a run that is stopped does not send them. Default:
            none.
        labels_topic: The topic of labels, which report later whether a transaction was a fraud. The producer creates it
            if it does not exist. Default: ``KAFKA_LABELS_TOPIC``, else ``labels_json``.
        truth_topic: The topic of the truth about what the generator planted. The producer creates it if it does not
            exist. Default: ``KAFKA_TRUTH_TOPIC``, else ``truth_json``.
        incident: An incident in the generated world, as ``KIND@TIME+DURATION`` or ``KIND@TIME+DURATION:SUBJECT``. TIME
            is a moment, or a duration after the first event. SUBJECT is an issuer, a network or a merchant. The kinds
            are ``issuer_out``, ``network_out``, ``terminal_offline``, ``surge``, ``slow_processor``, ``duplicates`` and
            ``wrong_clock``. One, or a sequence. Default: none.
        incidents: Plants two to five incidents a week by chance in the generated world. Default False.
        malformed: The share of generated messages that are invalid, from 0 to 0.5. Each has one of 28 mistakes. Default
            ``0``.
        control: The text file whose new lines change the generated world during the run: ``rate N``, ``incident
            KIND+DURATION`` or ``incident KIND@TIME+DURATION:SUBJECT``. A line takes effect after the next event. It is
            recorded in a second file, whose name has ``.applied`` at its end, for use as ``script``. Default: none.
        script: The file with commands, each as ``after N events: COMMAND``, that change the generated world during the
            run. The file that ``control`` wrote gives equal bytes again, if the seed, the start time and all other
            settings are equal. Default: none.
        preset: The published world to generate: ``handbook`` is the Fraud Detection Handbook's. It needs a
            ``start_time``, which is midnight in UTC. Its constants can follow, as in
            ``handbook,customers=500,days=60``; they replace ``cards``, ``fraud`` and other settings of the generated
            world. The world determines the times of events; ``speed`` or the rate ``max`` determines how fast they are
            sent. Default: none, ccstream's own world is generated.
        replay: A CSV file, plain or gzipped, whose rows are sent instead of generated events. Invalid rows are sent
            too; the consumer rejects them and stores the reason. Default: none, events are generated.
        labels: A CSV file, plain or gzipped, whose rows are labels of the transactions in the file of ``replay``. Its
            columns are ``transaction_id``, ``labelled_at``, ``fraud`` (1, 0, true or false) and, optionally,
            ``source``; others are ignored. The labels are sent first, and the transactions follow once the broker has
            acknowledged all of them. A file with an invalid row is refused, and nothing is sent. Default: none.
        labels_in_order: Sends each label of the file before the first transaction at or after its ``labelled_at``,
            instead of all labels first. Labels that remain after the last transaction follow it. The file must be
            sorted by ``labelled_at``. Default False.
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
        on_event: A callable that gets an event's name (a str) and its fields (a dict), which ``ccstream.events``
            describes. It is called during :meth:`run`, on another thread. Single events are reported at a ``rate`` of
            up to 10 per second. If it raises, the run stops and raises that exception. Default: none.

    Raises:
        ConfigError: A setting cannot be used, the file cannot be read, or its columns do not fill the required fields.
        TypeError: A setting has the wrong type, or there is no such setting.

    Example:
        >>> ccstream.Producer(rate=math.inf, count=5000, seed=7).run()
        ProduceSummary(sent=5000, acknowledged=5000, failed=0, labels=0, truths=0, lost=0, sent_again=0, elapsed=...)
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
        backfill: str | None = None,
        speed: float | None = None,
        cards: int | None = None,
        fraud: float | None = None,
        campaign: str | Sequence[str] | None = None,
        label_delay: str | None = None,
        resume: str | PathLike[str] | None = None,
        labels_topic: str | None = None,
        truth_topic: str | None = None,
        incident: str | Sequence[str] | None = None,
        incidents: bool = False,
        malformed: float | None = None,
        control: str | PathLike[str] | None = None,
        script: str | PathLike[str] | None = None,
        preset: str | None = None,
        replay: str | PathLike[str] | None = None,
        labels: str | PathLike[str] | None = None,
        labels_in_order: bool = False,
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
        """Sends events until ``count``, the end of the file or :meth:`stop`, and waits for all delivery reports.

        The method releases the GIL, so other threads continue. Ctrl-C stops the run, waits for the events in
        flight, and raises ``KeyboardInterrupt``.

        Returns:
            The counts of events. Events that could not be delivered are counted as ``failed``, and raise nothing.

        Raises:
            ConfigError: The file cannot be read.
            KafkaError: No broker answers, or the topic does not exist and may not be created.
        """
    def describe(self) -> Description:
        """Describes how the events that :meth:`run` would send are distributed.

        It contacts no broker. It describes ``count`` events, or the first 500,000. Without ``start_time``, simulated
        time starts now and advances at the rate. :meth:`stop` ends it early; it then describes the events up to there.
        Ctrl-C raises ``KeyboardInterrupt``. ``on_event`` is called with the warning ``cards_overused`` alone.

        Returns:
            The figures, whose types ``ccstream.description`` defines.

        Raises:
            ConfigError: The file cannot be read.
        """
    def stop(self) -> None:
        """Stops :meth:`run` after its delivery reports, or :meth:`describe`, and returns at once.

        Any thread or signal handler may call it.
        """

@final
class ConsumeSummary:
    """Counts the messages of one run by outcome: ``consumed == stored + duplicate + rejected``."""

    @property
    def consumed(self) -> int:
        """The number of messages that were read and committed: stored, duplicate or rejected."""
    @property
    def stored(self) -> int:
        """The number of rows that were inserted into ``orders``."""
    @property
    def duplicate(self) -> int:
        """The number of messages whose id was already in ``orders``, or came earlier in the same batch."""
    @property
    def rejected(self) -> int:
        """The number of messages that became dead letters in ``rejected_events``."""
    @property
    def missing(self) -> int:
        """The number of offsets that could not be read: deleted by the topic's retention, or skipped as unreadable."""
    @property
    def rejected_by_reason(self) -> dict[str, int]:
        """The number of rejected messages for each reason."""
    @property
    def truth_stored(self) -> int:
        """The number of rows inserted into ``truth``."""
    @property
    def truth_duplicate(self) -> int:
        """The number of messages of the topic of truth whose content was in ``truth`` already."""
    @property
    def truth_skipped(self) -> int:
        """The number of messages of the topic of truth that were skipped, because they cannot be stored."""
    @property
    def truth_missing(self) -> int:
        """The number of offsets of the topic of truth that could not be read: deleted by retention, or unreadable."""
    @property
    def elapsed(self) -> timedelta:
        """The time from the assignment that preceded the first commit to the end of the run."""
    @property
    def drained(self) -> bool:
        """Whether everything that was read is committed.

        False if ``drain_limit`` ended the run earlier. The next run reads the rest again.
        """

@final
class ConsumeStatus:
    """Describes the state of a consumer's run at one moment."""

    @property
    def state(self) -> Literal["starting", "joining", "reading", "ended", "failed"]:
        """The stage of the run: ``starting``, ``joining``, ``reading``, ``ended`` or ``failed``.

        It is ``starting`` until both services have answered, ``joining`` while the group has assigned no partition
        to this consumer, and ``failed`` if the run raised an exception.
        """
    @property
    def offsets(self) -> dict[int, int]:
        """A dict from each of this consumer's partitions to its next offset; everything before it is committed."""
    @property
    def lag(self) -> int | None:
        """The number of offsets from the committed ones to the partitions' ends, as of the last commit.

        None before the first commit.
        """
    @property
    def consumed(self) -> int:
        """The number of messages that this run has committed: ``stored + duplicate + rejected``."""
    @property
    def stored(self) -> int:
        """The number of rows that this run has inserted into ``orders``."""
    @property
    def duplicate(self) -> int:
        """The number of this run's messages whose id was already in ``orders``."""
    @property
    def rejected(self) -> int:
        """The number of this run's messages that became dead letters."""
    @property
    def missing(self) -> int:
        """The number of offsets that this run could not read: deleted by the topic's retention, or unreadable."""
    @property
    def truth_stored(self) -> int:
        """The number of rows that this run inserted into ``truth``."""
    @property
    def truth_duplicate(self) -> int:
        """The number of this run's messages of the topic of truth whose content was in ``truth`` already."""
    @property
    def truth_skipped(self) -> int:
        """The number of this run's messages of the topic of truth that were skipped, because they cannot be stored."""
    @property
    def truth_missing(self) -> int:
        """The number of offsets of the topic of truth that this run could not read."""
    @property
    def last_commit(self) -> datetime | None:
        """The time of the last commit, as an aware ``datetime`` in UTC; None before the first."""
    @property
    def waiting_for(self) -> list[WaitingKind]:
        """What is unavailable, at most one entry for each service; empty if both services answer.

        The entries are kinds of the event ``waiting``, which ``ccstream.events.WaitingKind`` lists.
        """

@final
class Consumer:
    """Reads card transactions from Kafka into PostgreSQL, exactly once.

    A batch's rows, dead letters, totals and offsets are committed in one transaction. Nothing is connected before
    :meth:`run`.

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
        truth: Also reads the topic of truth, in which a generator describes what it planted in a simulated world, and
            stores it in the table ``truth``. Default False.
        truth_topic: The topic of truth. It is read only if ``truth`` is set. Default: ``KAFKA_TRUTH_TOPIC``, else
            ``truth_json``.
        always_stage: Writes every batch through a staging table, even without duplicates, which is slower. It is meant
            for comparison. Default False.
        synchronous_commit: Waits at each commit until PostgreSQL has written it to disk, by ``synchronous_commit``. Not
            waiting is safe: after a crash of PostgreSQL, rows and offsets are lost together, and the messages are read
            again. Default True.
        on_event: A callable that gets an event's name (a str) and its fields (a dict), which ``ccstream.events``
            describes. It is called during :meth:`run`, on another thread. If it raises, the run stops and raises that
            exception. Default: none.

    Raises:
        ConfigError: A setting cannot be used; the message names it.
        TypeError: A setting has the wrong type, or there is no such setting.

    Example:
        >>> consumer = ccstream.Consumer(until_caught_up=True)
        >>> consumer.run()
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
        truth: bool = False,
        truth_topic: str | None = None,
        always_stage: bool = False,
        synchronous_commit: bool = True,
        # generated, to here
        on_event: _OnEvent | None = None,
    ) -> Consumer: ...
    def run(self) -> ConsumeSummary:
        """Reads the topic until :meth:`stop`, or with ``until_caught_up`` to its end.

        The method releases the GIL, so other threads continue. It waits for a broker or database that is
        unavailable; with ``until_caught_up``, a broker that does not answer at the start is an error instead. Ctrl-C
        stops the run, commits what was read, and raises ``KeyboardInterrupt``.

        Returns:
            The counts of messages by outcome. An exception of ccstream has the counts until then in its ``summary``.

        Raises:
            ConfigError: A pooler shares PostgreSQL's sessions between its clients, or a file that a setting names can
                no longer be used.
            KafkaError: At the start, the brokers refuse TLS or the login for 10 s; the user may not read the topic;
                other consumers of the group have another ``assignment``; a batch is unreadable, without
                ``skip_unreadable``; librdkafka reports a fatal error; or, with ``until_caught_up``, at the start no
                broker answers or the topic does not exist.
            PostgresError: PostgreSQL reports an error that waiting does not resolve. Nothing of the batch is stored,
                and the next run reads it again.
            SchemaError: The tables cannot be used; PostgreSQL refused nearly all rows of three consecutive batches with
                the same SQLSTATE; or it refused more rows than ``max_refused``.
        """
    def run_async(self) -> Future[ConsumeSummary]:
        """Starts :meth:`run` on another thread, to be awaited: ``await consumer.run_async()``.

        An event loop has to be running. Cancelling the future stops the run.

        Returns:
            A future with the result or the exception of :meth:`run`.

        Example:
            >>> async def main():
            ...     return await ccstream.Consumer(until_caught_up=True).run_async()
            >>> asyncio.run(main())
            ConsumeSummary(consumed=0, stored=0, duplicate=0, rejected=0)
        """
    def stop(self) -> None:
        """Stops the run after committing what was read, and returns at once.

        Any thread or signal handler may call it. A later :meth:`run` of this consumer ends at once.
        """
    def status(self) -> ConsumeStatus:
        """Returns the present state of the run.

        Any thread may call it, even before and after the run.

        Returns:
            A record of one moment, which does not change later.

        Example:
            >>> ccstream.Consumer().status().state
            'starting'
        """

@final
class PartitionReport:
    """Holds the counters of one partition of a group's topic, and a recount of its rows."""

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
        """The offset of the next message to read."""
    @property
    def consumed(self) -> int:
        """The counter of messages read since the first run or a start over: ``stored + duplicate + rejected``."""
    @property
    def stored(self) -> int:
        """The counter of rows inserted into ``orders`` since the first run or a start over."""
    @property
    def duplicate(self) -> int:
        """The counter of messages whose id was already in ``orders``."""
    @property
    def rejected(self) -> int:
        """The counter of messages that became dead letters."""
    @property
    def missing(self) -> int:
        """The counter of offsets that could not be read: deleted by the topic's retention, or skipped as unreadable."""
    @property
    def rows(self) -> int:
        """The recounted number of rows in ``orders`` from a partition of this number, whatever its topic and group."""
    @property
    def kept(self) -> int:
        """The recounted number of the partition's dead letters in ``rejected_events``."""

@final
class VerifyReport:
    """Reports how the counters and totals compare with a recount by SQL in one snapshot."""

    @property
    def partitions(self) -> list[PartitionReport]:
        """The reports of all partitions, ordered by group, topic and partition."""
    @property
    def cells(self) -> int:
        """The number of compared cells of ``kpi_minute`` and ``rejected_counts``."""
    @property
    def figures(self) -> int:
        """The number of the KPI engine's figures that were compared with PostgreSQL's own; 0 with ``counters_only``."""
    @property
    def foreign_rows(self) -> int:
        """The number of rows in ``orders`` that another program inserted. No counter includes them."""
    @property
    def expired_rows(self) -> int:
        """The number of stored rows that were deleted as expired: all rows of the oldest minutes, and no others."""
    @property
    def expired_before(self) -> int | None:
        """The minute before which rows have expired, in microseconds since 1970 UTC; None if none have."""
    @property
    def scores(self) -> int:
        """The number of scores that were computed again from ``orders`` and ``labels``, and compared bit for bit."""
    @property
    def scores_not_compared(self) -> int:
        """The number of scores that were not compared.

        Their transaction, or an earlier one, is not in ``orders``, or their model cannot be used.
        """
    @property
    def labels(self) -> int:
        """The number of labels that were applied again."""
    @property
    def window_rows(self) -> int:
        """The number of rows of the tables of windows that were compared with a recount."""
    @property
    def problems(self) -> list[str]:
        """Descriptions of the differences, each with both figures; empty if everything agrees."""

@final
class Check:
    """Holds the result of one check of :func:`diagnose`."""

    @property
    def name(self) -> str:
        """The subject of the check.

        One of ``broker``, ``topic``, ``database``, ``session``, ``tables``, ``privileges``, ``analysis`` (if its
        tables exist), ``windows`` and ``alerts`` (if there is a file of them) and ``versions``.
        """
    @property
    def ok(self) -> bool:
        """Whether the check passed."""
    @property
    def found(self) -> str:
        """What was found, in words."""
    @property
    def mend(self) -> str:
        """How to fix it, in words or as SQL statements; empty if the check passed."""

@final
class ReasonCount:
    """Counts the dead letters with one reason."""

    @property
    def reason(self) -> str:
        """The reason for the rejection, a stable word such as ``missing_field``."""
    @property
    def count(self) -> int:
        """The number of dead letters."""
    @property
    def replayed(self) -> int:
        """The number of dead letters that were replayed."""
    @property
    def masked(self) -> int:
        """The number of dead letters with a masked card number, which cannot be replayed."""
    @property
    def partial(self) -> int:
        """The number of other dead letters that were too large to be stored whole, which cannot be replayed."""
    @property
    def last(self) -> str:
        """The time of the last rejection to the second, in UTC, such as ``2026-01-01 10:00:00+00``."""

@final
class ModelInfo:
    """Describes a model that can score transactions, or the rules."""

    @property
    def name(self) -> str:
        """The model's name, as in the column ``model`` of ``scores``."""
    @property
    def kind(self) -> str:
        """The kind of the model: ``trees``, ``logistic`` or ``rules``."""
    @property
    def active(self) -> bool:
        """Whether the model is the active one, which scores transactions."""
    @property
    def shadow(self) -> bool:
        """Whether the model is the shadow, which scores beside the active one for comparison."""
    @property
    def added_at(self) -> str | None:
        """The time of the addition to the second, in UTC, such as ``2026-01-01 10:00:00+00``; None for the rules."""
    @property
    def as_of(self) -> str | None:
        """The time up to which labels were known in training, as ISO 8601; None if there is no card that has it."""
    @property
    def card(self) -> str | None:
        """The model's card: JSON that describes where the model comes from, and how good it is. None for the rules."""
    @property
    def problem(self) -> str | None:
        """The reason why this version of ccstream cannot use the model; None if it can."""

@final
class KeptMessage:
    """Holds one dead letter: a rejected message and the reason for its rejection."""

    @property
    def id(self) -> int:
        """The dead letter's id in ``rejected_events``."""
    @property
    def topic(self) -> str:
        """The topic from which the message came."""
    @property
    def partition(self) -> int:
        """The message's partition."""
    @property
    def offset(self) -> int:
        """The message's offset."""
    @property
    def key(self) -> bytes | None:
        """The key's first bytes, with card numbers masked, up to ``max_bytes``; None without a key."""
    @property
    def key_bytes(self) -> int | None:
        """The length of the whole key in bytes; None without a key."""
    @property
    def payload(self) -> bytes | None:
        """The payload's first bytes, with card numbers masked, up to ``max_bytes``; None for a tombstone."""
    @property
    def payload_bytes(self) -> int | None:
        """The length of the whole payload in bytes; None for a tombstone."""
    @property
    def payload_sha256(self) -> bytes | None:
        """The SHA-256 of the whole payload, with card numbers masked.

        None for a tombstone, and for a message that an earlier version stored without a hash.
        """
    @property
    def masked(self) -> bool:
        """Whether a card number was masked. Such a message cannot be replayed."""
    @property
    def partial(self) -> bool:
        """Whether the message was too large to be stored whole.

        Only the first 65,536 bytes of key and payload are stored then. Such a message cannot be replayed.
        """
    @property
    def reason(self) -> str:
        """The reason for the rejection, a stable word such as ``missing_field``."""
    @property
    def detail(self) -> str:
        """The reason for the rejection in detail, for a person."""
    @property
    def rejected_at(self) -> str:
        """The time of the rejection to the second, in UTC, such as ``2026-01-01 10:00:00+00``."""
    @property
    def replayed_at(self) -> str | None:
        """The time of the replay to the second, in UTC, such as ``2026-01-01 10:00:00+00``; None if there was none."""

@final
class Resent:
    """Counts the dead letters that were replayed, and those that were left out."""

    @property
    def sent(self) -> int:
        """The number of messages that were replayed and acknowledged by the broker."""
    @property
    def masked(self) -> int:
        """The number of messages left out because a card number in them was masked."""
    @property
    def partial(self) -> int:
        """The number of messages left out because they were too large to be stored whole."""
    @property
    def empty(self) -> int:
        """The number of messages left out because they have no payload."""
    @property
    def replayed(self) -> int:
        """The number of messages left out because they were replayed before."""

def feature_history(as_of: str, *, database_url: str | None = None) -> FeatureHistory:
    """Computes the features of all scored transactions, in the order in which they were scored.

    Features use only what was known at the time of each transaction. The function releases the GIL.

    Args:
        as_of: The time up to which labels are known, in the format of RFC 3339 or ISO 8601 (UTC unless it has an
            offset).
        database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.

    Returns:
        One row for each transaction before ``as_of``.

    Raises:
        ConfigError: The URL or the time cannot be used.
        PostgresError: The database cannot be reached or read.
        SchemaError: Scored transactions are not in ``orders``.

    Example:
        >>> history = ccstream.feature_history("2099-01-01")
        >>> history.features.shape == (len(history.times), len(history.names))
        True
    """

def list_models(*, database_url: str | None = None) -> list[ModelInfo]:
    """Lists the rules, and the models in the table ``models`` in the order in which they were added.

    Args:
        database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.

    Returns:
        A list whose first element is the rules. One element is active.

    Raises:
        ConfigError: The URL cannot be used.
        PostgresError: The database cannot be reached or read.

    Example:
        >>> {one.name: one.active for one in ccstream.list_models()}
        {'rules': True}
    """

def add_model(model: str | PathLike[str], *, database_url: str | None = None) -> str:
    """Adds a model to the table ``models``, without making it active. A model that is there already is not added again.

    Args:
        model: The model file, as ``ccstream train`` writes it.
        database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.

    Returns:
        The model's name: that of the file without its ending. If another model has this name, eight digits are
        appended.

    Raises:
        ConfigError: The file or the URL cannot be used.
        PostgresError: The database cannot be reached or written.
        SchemaError: The tables cannot be used.
    """

def activate_model(name: str, *, database_url: str | None = None) -> None:
    """Makes a model the active one. An analyzer that runs scores by it from its next batch on.

    Scores that are stored do not change.

    Args:
        name: The name of the model, or ``rules``.
        database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.

    Raises:
        ConfigError: There is no such model, this version of ccstream cannot use it, or the URL cannot be used.
        PostgresError: The database cannot be reached or written.

    Example:
        >>> ccstream.activate_model("rules")
    """

def shadow_model(name: str | None, *, database_url: str | None = None) -> None:
    """Makes a model the shadow, which scores beside the active one for comparison.

    An analyzer that runs scores by it from its next batch on, and stores the results in the column ``shadow`` of
    ``scores``. A shadow uses the features as the active model's maturity of labels gives them.

    Args:
        name: The name of the model, or None for no shadow.
        database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.

    Raises:
        ConfigError: There is no such model, it is the active one, this version of ccstream cannot use it, or the URL
            cannot be used.
        PostgresError: The database cannot be reached or written.

    Example:
        >>> ccstream.shadow_model(None)
    """

def backtest(
    model: str | PathLike[str] | None,
    *,
    start: str | None = None,
    end: str | None = None,
    database_url: str | None = None,
) -> Backtest:
    """Scores transactions of the past by a model, each with the labels that were known at its time.

    The scores are those that the analyzer would have given, bit for bit. The function releases the GIL.

    Args:
        model: The model file, or the name of a model in the table ``models``; None for the rules.
        start: The time from which transactions are scored, in the format of RFC 3339 or ISO 8601. Default: none.
        end: The time before which transactions are scored. Default: none.
        database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.

    Returns:
        The scores.

    Raises:
        ConfigError: The model, the URL or a time cannot be used.
        PostgresError: The database cannot be reached or read.
        SchemaError: Scored transactions are not in ``orders``.

    Example:
        >>> ccstream.backtest(None, start="2026-01-01")
        Backtest(5000 transactions)
    """

def verify(*, database_url: str | None = None, counters_only: bool = False, analysis: bool = True) -> VerifyReport:
    """Compares the counters and totals with a recount of the rows, in one snapshot. Consumers may run meanwhile.

    The function releases the GIL. Ctrl-C raises ``KeyboardInterrupt`` at once, and PostgreSQL 14 or later
    cancels the query.

    Args:
        database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
        counters_only: Leaves out the figures of the KPI engine, which take long. Default False.
        analysis: Computes all scores and the state of the analysis again, where its tables exist. Default True.

    Returns:
        The counters and their recount. Differences raise nothing: they are in the report's ``problems``.

    Raises:
        ConfigError: The URL cannot be used.
        PostgresError: The database cannot be reached or read.
        SchemaError: The tables do not exist yet, or cannot be used.

    Example:
        >>> ccstream.verify().problems
        []
    """

def diagnose(
    *,
    bootstrap_servers: str | None = None,
    topic: str | None = None,
    database_url: str | None = None,
    librdkafka_options: _Pairs | None = None,
    librdkafka_options_file: str | PathLike[str] | None = None,
    windows: str | PathLike[str] | None = None,
    alerts: str | PathLike[str] | None = None,
) -> list[Check]:
    """Checks broker, topic, database, sessions, tables, privileges and versions, and changes nothing.

    The function releases the GIL. It waits at most 5 s for the broker and 10 s for the database. Ctrl-C
    raises ``KeyboardInterrupt`` within a second.

    Args:
        bootstrap_servers: The brokers, ``host:port`` joined by commas. Default: ``KAFKA_BOOTSTRAP_SERVERS``, else
            ``localhost:9094``.
        topic: The topic. Default: ``KAFKA_TOPIC``, else ``orders_json``.
        database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
        librdkafka_options: Settings of librdkafka itself (TLS, SASL), as a mapping or pairs. Default:
            ``CCSTREAM_KAFKA_*``, else none.
        librdkafka_options_file: A file of such settings, which nobody else may read. Default: ``KAFKA_OPTIONS_FILE``,
            else none.
        windows: The file of the analyzer's windows. Default: ``CCSTREAM_WINDOWS``, else ``windows.toml`` in the current
            folder, if there is one.
        alerts: The file of the analyzer's alerts. Default: ``CCSTREAM_ALERTS``, else ``alerts.toml`` in the current
            folder, if there is one.

    Returns:
        A list of checks, in the order in which the pipeline needs their subjects. A service that cannot be reached
        raises nothing: its check is not ``ok``, and checks that depend on it are left out.

    Raises:
        ConfigError: A setting of Kafka cannot be used.

    Example:
        >>> [check.name for check in ccstream.diagnose() if check.ok]
        ['broker', 'topic', 'database', 'session', 'tables', 'privileges', 'versions']
    """

def count_rejected(*, database_url: str | None = None) -> list[ReasonCount]:
    """Counts the dead letters by reason, the most frequent first.

    Args:
        database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.

    Returns:
        A list with one count for each reason; empty if nothing was rejected.

    Raises:
        ConfigError: The URL cannot be used.
        PostgresError: The database cannot be reached or read, or has no tables yet.

    Example:
        >>> {one.reason: one.count for one in ccstream.count_rejected()}
        {'missing_field': 3, 'invalid_json': 1}
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
        id: Selects only the dead letter with this id. Default: any.
        reason: Selects only dead letters with this reason. Default: any.
        limit: The maximum number of messages. Default: all.
        max_bytes: The maximum number of bytes of each key and payload. Default: 65,536, which is all that is stored.

    Returns:
        A list of the selected messages.

    Raises:
        ConfigError: The URL cannot be used.
        PostgresError: The database cannot be reached or read, or has no tables yet.

    Example:
        >>> [one.payload for one in ccstream.select_rejected(reason="invalid_json", limit=1)]
        [b'{broken']
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
    """Replays dead letters: sends them to the topics from which they came, oldest first, and records when.

    The dead letters stay in ``rejected_events``. If the consumer rejects a replayed message again, it becomes another
    dead letter. The function releases the GIL. Ctrl-C raises ``KeyboardInterrupt`` within a second; up to 500
    messages may still be sent after it.

    Args:
        database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
        bootstrap_servers: The brokers, ``host:port`` joined by commas. Default: ``KAFKA_BOOTSTRAP_SERVERS``, else
            ``localhost:9094``.
        id: Selects only the dead letter with this id. Default: any.
        reason: Selects only dead letters with this reason. Default: any.
        librdkafka_options: Settings of librdkafka itself (TLS, SASL), as a mapping or pairs. Default:
            ``CCSTREAM_KAFKA_*``, else none.
        librdkafka_options_file: A file of such settings, which nobody else may read. Default: ``KAFKA_OPTIONS_FILE``,
            else none.

    Returns:
        The number of replayed messages, and the numbers of those left out for each reason.

    Raises:
        ConfigError: A setting cannot be used.
        KafkaError: The broker cannot be reached, or did not acknowledge every message. Those that it acknowledged are
            recorded as replayed.
        PostgresError: The database cannot be reached, read or written, or has no tables yet.

    Example:
        >>> ccstream.replay_rejected(reason="missing_field").sent
        3
    """

def topic_ends(
    *,
    bootstrap_servers: str | None = None,
    topic: str | None = None,
    librdkafka_options: _Pairs | None = None,
    librdkafka_options_file: str | PathLike[str] | None = None,
) -> dict[int, int]:
    """Asks the broker for the end offset of each partition of a topic.

    The offsets are meant for monitoring: those of the embedded broker can be too low by its last batch. The
    function releases the GIL. Ctrl-C raises ``KeyboardInterrupt`` within a second.

    Args:
        bootstrap_servers: The brokers, ``host:port`` joined by commas. Default: ``KAFKA_BOOTSTRAP_SERVERS``, else
            ``localhost:9094``.
        topic: The topic. Default: ``KAFKA_TOPIC``, else ``orders_json``.
        librdkafka_options: Settings of librdkafka itself (TLS, SASL), as a mapping or pairs. Default:
            ``CCSTREAM_KAFKA_*``, else none.
        librdkafka_options_file: A file of such settings, which nobody else may read. Default: ``KAFKA_OPTIONS_FILE``,
            else none.

    Returns:
        A dict from each partition to the offset that its next message gets; empty if the topic does not exist.

    Raises:
        ConfigError: A setting cannot be used.
        KafkaError: No broker answers within 5 s.

    Example:
        >>> ccstream.topic_ends()
        {0: ...}
    """

def aggregate(
    keys: npt.NDArray[np.int64],
    measures: Sequence[tuple[npt.NDArray[Any] | None, str]],
) -> tuple[npt.NDArray[np.int64], list[npt.NDArray[np.float64]]]:
    """Groups rows and computes measures of each group. Use ``ccstream.kpi.aggregate``, which calls this function.

    Args:
        keys: The group of each row, as a contiguous array of int64 of length n.
        measures: Pairs of a column and a measure's name. A column is a contiguous array of int64 or float64 of length
            n; None for the measure ``count``.

    Returns:
        The groups (int64, ascending), and for each measure an array with a figure for each group (float64).

    Raises:
        ConfigError: A column or a measure cannot be used.

    Example:
        >>> keys, cents = np.array([2, 1, 2]), np.array([100, 250, 50])
        >>> groups, (counts, sums) = aggregate(keys, [(None, "count"), (cents, "sum")])
        >>> groups.tolist(), counts.tolist(), sums.tolist()
        ([1, 2], [1.0, 2.0], [250.0, 150.0])
    """

def ping(database_url: str) -> bool:
    """Checks whether a database accepts the login and answers a query, each within 3 s.

    Args:
        database_url: The database's URL.

    Returns:
        Whether it does.

    Raises:
        ConfigError: The URL cannot be used.
    """

@final
class PartitionState:
    """Holds the offset row of one partition of a group's topic, as of the engine's snapshot."""

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
        """The offset of the next message to read."""
    @property
    def consumed(self) -> int:
        """The number of messages read since the first run or a start over: ``stored + duplicate + rejected``."""
    @property
    def stored(self) -> int:
        """The number of rows inserted into ``orders``."""
    @property
    def duplicate(self) -> int:
        """The number of messages whose id was already in ``orders``."""
    @property
    def rejected(self) -> int:
        """The number of messages that became dead letters."""
    @property
    def missing(self) -> int:
        """The number of offsets that could not be read: deleted by the topic's retention, or skipped as unreadable."""
    @property
    def updated_at(self) -> int:
        """The time of the partition's last commit, in microseconds since 1970 UTC."""

@final
class KpiStatus:
    """Describes the state of a :class:`KpiEngine` at one moment."""

    @property
    def rows(self) -> int:
        """The number of rows in memory."""
    @property
    def loaded(self) -> float:
        """The share of the table that has been read, from 0 to 1; 1 once the engine follows the table."""
    @property
    def snapshot_at(self) -> int | None:
        """The time of the snapshot that answers describe, in microseconds since 1970 UTC, by PostgreSQL's clock.

        None before the first one.
        """
    @property
    def trouble(self) -> str | None:
        """The reason why the engine cannot follow the database, in words; None while it can.

        The figures of the last snapshot stay available meanwhile.
        """
    @property
    def trouble_for(self) -> timedelta | None:
        """The time for which the engine has been unable to follow the database; None while it can."""
    @property
    def no_tables(self) -> bool:
        """Whether the trouble is that the consumer has not created the tables yet."""
    @property
    def unusable(self) -> bool:
        """Whether the trouble is that the tables cannot be used; ``trouble`` says how to fix them."""
    @property
    def foreign_rows(self) -> int:
        """The number of rows that another program inserted, as of the last full reload. All answers include them."""
    @property
    def odd_amounts(self) -> int:
        """The number of rows whose amount is not a number of cents: NaN, or beyond 64 bits.

        Answers count them as rows without an amount.
        """
    @property
    def first_at(self) -> int | None:
        """The earliest event time of a row in memory, in microseconds since 1970 UTC; None without rows."""
    @property
    def last_at(self) -> int | None:
        """The latest event time of a row in memory, in microseconds since 1970 UTC; None without rows."""
    @property
    def dropped_until(self) -> int | None:
        """The event time after which all rows are in memory, in microseconds since 1970 UTC.

        None while no row has been evicted.
        """
    @property
    def folded(self) -> list[str]:
        """The dimensions whose rarest names are counted together as ``(others)``, to stay within ``max_bytes``.

        If ``card`` is among them, the numbers of distinct cards are too low.
        """
    @property
    def lacking_rows(self) -> int:
        """The number of rows that consumers stored but the table lacks, without ``expired_rows``."""
    @property
    def expired_rows(self) -> int:
        """The number of stored rows that were deleted as expired: all rows of the oldest minutes, and no others."""
    @property
    def reloads(self) -> int:
        """The number of times that the whole table was read."""
    @property
    def outdated(self) -> bool:
        """Whether rows were changed or deleted whose old values are still counted.

        The engine then reads the whole table again, but not too often: after a reload that took 1 s, it waits 20 s
        for the next one.
        """
    @property
    def reload(self) -> str | None:
        """Reason for the most recent full reload, in words; None before the first."""
    @property
    def rows_from_file(self) -> int:
        """The number of rows that were read from the column file at the start."""
    @property
    def bytes(self) -> int:
        """The memory that the columns take, in bytes."""
    @property
    def consumers(self) -> int:
        """The number of consumers with a session in the database."""
    @property
    def no_consumer_since(self) -> int | None:
        """The time since which no consumer has had a session, in microseconds since 1970 UTC; None while one has.

        The last commit counts as that time.
        """
    @property
    def role(self) -> str | None:
        """The role with whose privileges the engine reads; None for the user's own, in read-only transactions."""
    @property
    def rejected(self) -> list[tuple[str, int]]:
        """The number of dead letters by reason, as pairs, the most frequent first."""
    @property
    def latency_ms(self) -> list[int] | None:
        """The latency of events from their own time until they were stored: p50, p95 and p99 in milliseconds.

        It includes the events stored in the last five minutes. Each figure is at most an eighth too high. None
        without events.
        """
    @property
    def latency_events(self) -> int:
        """The number of events in ``latency_ms``."""
    @property
    def partitions(self) -> list[PartitionState]:
        """The offset rows of the snapshot, ordered by group, topic and partition."""

@final
class KpiAnswer:
    """Holds the answer to :meth:`KpiEngine.query`. All amounts are in cents; ``ccstream.kpi.units`` converts them.

    ``answer["category"]`` returns the grouping ``category`` as a dict of columns of one length n. It raises
    ``KeyError`` if the query had no such grouping. Every grouping has the following columns:

    ``key`` identifies the groups. For a dimension it is a list of names, with None for an absent one. For ``time`` it
    is an array of the buckets' starts (``datetime64[us]``, UTC). For ``hour_of_week`` it is an array of hours (int64; 0
    is Monday from 0:00 to 1:00). For ``amount`` it is an array of the bins' lower edges in cents (int64).

    ``count`` is the number of rows (int64).

    Every grouping but a trend also has ``amounts``, the number of rows with an amount in the currency (int64), ``sum``
    in cents (int64), and ``mean`` in cents (float64; NaN without amounts).

    ``time`` also has ``end``, the buckets' exclusive ends (as ``key``), and ``rate``, in rows per second (float64).
    ``place`` also has ``country`` (a list), ``latitude`` and ``longitude`` (degrees, float64; NaN if unknown).

    A trend also has ``time``, the starts of m buckets (``datetime64[us]``, UTC), and ``counts``, the number of rows by
    group and bucket (uint32, n by m).

    The measure ``approved`` adds ``approved``, ``decided``, ``declined`` and ``risky`` (int64), ``approved_share``,
    which is ``approved / decided`` (float64; NaN if none are decided), and the money that moved, in cents (int64):
    ``value`` is the sum of the amounts of purchases, which are approved rows with an amount of at least 0, and
    ``purchases`` is their number; ``refunds`` is the sum of approved amounts below 0, as a positive number. ``min`` or
    ``max`` adds both (cents, float64). ``p50``, ``p95`` or ``p99`` adds all three (cents, float64, within 1 %).
    ``cards`` adds the number of distinct cards (int64).

    ``other_groups``, ``other_count`` and ``other_sum`` (int), and ``other_value`` with the measure ``approved``,
    describe the groups that are not among the ``top``. For ``time``, ``other_count`` is the number of rows without a
    time.

    Example:
        >>> answer = engine.query(by={"category": ["p95"]}, top=3)
        >>> answer.keys(), len(answer["category"]["key"]), answer["category"]["p95"].dtype
        (['category'], 3, dtype('float64'))
    """

    @property
    def at(self) -> int:
        """The time of the snapshot that the answer describes, in microseconds since 1970 UTC, by PostgreSQL's clock."""
    @property
    def start(self) -> int | None:
        """Start of the range (inclusive), in microseconds since 1970 UTC; None for all of time."""
    @property
    def end(self) -> int | None:
        """End of the range (exclusive), in microseconds since 1970 UTC; None for all of time."""
    @property
    def width(self) -> timedelta | None:
        """The width of the time buckets; None if the query has none.

        A bucket in which the clocks change may be longer or shorter.
        """
    @property
    def currency(self) -> str | None:
        """The currency of all amounts in the answer; None for the amounts of rows without a currency."""
    @property
    def totals(self) -> dict[str, Any]:
        """The figures of all rows in the range, as a dict.

        ``count`` (rows), ``amounts`` (rows with an amount in the currency), ``approved``, ``decided``, ``declined``,
        ``risky``, ``purchases`` (approved rows with an amount of at least 0) and ``cards`` (distinct) are int. ``sum``,
        ``value`` (of purchases), ``refunds`` (of approved amounts below 0, as a positive number), ``min``, ``max``,
        ``p50``, ``p95`` and ``p99`` are int, in cents and exact (as ``percentile_disc``). ``mean`` (cents),
        ``approved_share`` (``approved / decided``, 0 to 1) and ``rate`` (rows per second of the range) are float. A
        figure is None if there is nothing to measure; ``rate`` is also None for all of time.
        """
    @property
    def before(self) -> dict[str, Any] | None:
        """The figures of the preceding range of equal length, as in :attr:`totals`.

        None unless the query had ``before=True``.
        """
    def __getitem__(self, name: str, /) -> dict[str, Any]:
        """Returns the columns of a grouping, which the description of the class lists.

        Raises:
            KeyError: The query had no such grouping.
        """
    def to_pandas(self, name: str | None = None) -> pd.DataFrame:
        """Returns a grouping as a pandas DataFrame. This requires pandas.

        Args:
            name: The grouping's name. Default: the only one.

        Returns:
            A DataFrame with the columns of ``answer[name]``, indexed by its ``key``. The index has the grouping's name.
            Times are in the query's time zone. For a trend, the values are the counts, with a column for each bucket.
            The frame's ``attrs`` are ``other_groups``, ``other_count`` and ``other_sum``, and ``other_value`` with the
            measure ``approved``.

        Raises:
            ConfigError: pandas is not installed, or no name is given although the answer does not have exactly one
                grouping.
            KeyError: The query had no such grouping.

        Example:
            >>> frame = engine.query(by={"category": ["p95"]}).to_pandas()
            >>> frame.index.name, kpi.units(frame["p95"]).dtype
            ('category', dtype('float64'))
        """
    def keys(self) -> list[str]:
        """Lists the names of the groupings, in the order of the query."""

@final
class KpiEngine:
    """Holds the rows of ``orders`` in memory, about 20 bytes each, and answers queries from there.

    All figures are exact, except percentiles of groups, which are within 1 %. A thread reads the table, newest rows
    first, and then follows it, one snapshot of the database at a time. Any thread may call any method.

    A repeated query visits only rows that are new since the last time and, if ``last`` moves its range, rows that have
    left the range. With ``cards``, ``min`` or ``max`` of a dimension, a moved range is visited completely.

    The engine notices deleted and changed rows by PostgreSQL's statistics. A hot standby and a server with
    ``track_counts = off`` have none, so there the engine continues to count such rows with their old values.

    Example:
        >>> with ccstream.KpiEngine.from_database() as engine:
        ...     ready = engine.refresh()
        ...     answer = engine.query(by={"category": ["p95"]}, last=timedelta(days=1), top=5)
        >>> ready, answer.totals["count"], len(answer["category"]["key"])
        (True, 5000, 5)
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
        """Starts an engine, which reads the table in the background, and returns at once; :meth:`refresh` waits for it.

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
            ConfigError: A setting cannot be used; the message names it.
            TypeError: A setting has the wrong type, or there is no such setting.
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
        """Answers a query from the last snapshot.

        Args:
            filters: A mapping from dimensions, which :data:`ccstream.kpi.DIMENSIONS` lists, to the selected value or an
                iterable of values. The value None selects rows without one; ``risk`` has the values ``"true"`` and
                ``"false"``, and ``segment`` the names of the merchants' current segments. Default: every row.
            min_amount: The minimum amount (inclusive) in units of the currency, with at most two decimals: a number, a
                ``Decimal`` or a text. Default: any.
            max_amount: The maximum amount (inclusive), like ``min_amount``. Default: any.
            last: The length of a range that ends at the snapshot, as a ``timedelta``. Its first and last time buckets
                may be partly outside the range. Default: all of time, unless ``start`` and ``end`` are given.
            start: The start of the range (inclusive); requires ``end``. It is an aware ``datetime``, a naive one in
                UTC, a ``datetime64`` as in answers, or an int of microseconds since 1970 UTC.
            end: The end of the range (exclusive), like ``start``.
            by: A dict from groupings to lists of additional measures. A grouping is a dimension, ``place`` (city and
                country with coordinates), ``time``, ``hour_of_week``, ``amount`` (bins whose edges are 1, 2 and 5 times
                powers of ten), or ``trend:`` followed by a dimension (counts by time). Measures are ``min``, ``max``,
                ``p50``, ``p95``, ``p99``, ``cards`` and ``approved``. Default: no groupings, only totals.
            currency: The currency of all amounts; ``""`` for amounts of rows without a currency. Default: the currency
                with the most rows.
            width: The width of a time bucket, as a ``timedelta``. Default: the smallest round width that makes at most
                about 60 buckets.
            tz: The time zone of time buckets and of ``hour_of_week``, as a ``tzinfo`` such as
                ``zoneinfo.ZoneInfo("Europe/Berlin")``. Buckets start at local midnight and at multiples of ``width``
                after it. A bucket in which the clocks change is longer or shorter: a day may have 23 or 25 hours. If
                the clocks change by a multiple of ``width``, every bucket keeps its width, and an hour that occurs
                twice has separate buckets. Offsets before 1970 and after 2100 are those of these years. Default: UTC.
            before: Whether to measure the preceding range of equal length too. Default False.
            top: The maximum number of groups of each dimension, those with the most rows. Default: all.

        Returns:
            The figures, all from one snapshot of the database.

        Raises:
            ConfigError: The query cannot be answered; the message names the argument and the reason.
            TypeError: An argument has the wrong type.

        Example:
            >>> day = engine.query(filters={"status": "declined"}, last=timedelta(days=1))
            >>> day.totals["approved_share"]
            0.0
        """
    def latest(
        self,
        count: int = 10,
        *,
        filters: _Filters | None = None,
        min_amount: str | float | Decimal | None = None,
        max_amount: str | float | Decimal | None = None,
    ) -> dict[str, list[Any]]:
        """Returns the most recently stored rows, newest first.

        Args:
            count: The maximum number of rows. Default 10.
            filters: The selected values of each dimension, as for :meth:`query`. Default: every row.
            min_amount: The minimum amount, as for :meth:`query`. Default: any.
            max_amount: The maximum amount, as for :meth:`query`. Default: any.

        Returns:
            A dict of lists of one length: ``time`` (event times in microseconds since 1970 UTC), ``cents``, and one for
            each dimension that :data:`ccstream.kpi.DIMENSIONS` lists. Unknown values are None.

        Raises:
            ConfigError: A filter cannot be used.

        Example:
            >>> rows = engine.latest(2, filters={"status": "approved"})
            >>> rows["status"]
            ['approved', 'approved']
        """
    def values(self, dimension: str) -> list[str | None]:
        """Lists the values of a dimension that rows in memory have.

        Args:
            dimension: The dimension's name, as in ``filters``.

        Returns:
            The values in alphabetical order, followed by None if some row has no value.

        Raises:
            ConfigError: There is no such dimension.

        Example:
            >>> "approved" in engine.values("status")
            True
        """
    @property
    def status(self) -> KpiStatus:
        """The engine's present state."""
    def refresh(self, timeout: timedelta | None = None) -> bool:
        """Takes a new snapshot of the database and waits until answers are from it.

        The first time, it waits until all rows are read. The method releases the GIL. Ctrl-C raises
        ``KeyboardInterrupt`` within a second; the engine continues to read.

        Args:
            timeout: The longest time to wait, as a ``timedelta``. Default 60 s.

        Returns:
            True if answers are from the new snapshot; False after the timeout, or if the engine is closed. The first
            answers after a timeout include only the rows that have been read until then.

        Raises:
            PostgresError: The database cannot be reached or read. The figures of the last snapshot stay available.
            SchemaError: The tables do not exist yet, or cannot be used.

        Example:
            >>> engine.refresh(timeout=timedelta(seconds=30))
            True
        """
    def close(self) -> None:
        """Stops following the database, and writes the column file if there is one.

        The engine continues to answer queries from the last snapshot.
        """
    def __enter__(self) -> Self:
        """."""
    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _trace: TracebackType | None,
        /,
    ) -> None: ...
