"""Settings and dimensions, as the Rust crates declare them. ``make generate`` writes this file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """A setting of a constructor, a command and an environment variable.

    Attributes:
        name: Python's keyword.
        kind: what is taken for it: text, choice, moment, file, whole, rate, span, switch or pairs.
        choices: the texts of a choice.
        doc: what it means.
        range: its least and greatest value; None for an end that is open.
        unit: what its numbers count: s or ms, or nothing.
        variable: the environment variable.
        shown: the placeholder of its value in the flag's help.
        flag: the flag.
        unset: what becomes of it without a value, in words.
        default: the default.
    """

    name: str
    kind: str
    choices: tuple[str, ...]
    doc: str
    range: tuple[int, int | None] | None
    unit: str
    variable: str | None
    shown: str
    flag: str
    unset: str
    default: str | bool | None

    def number(self, value: str | int) -> str:
        """A number of it with its unit."""
        text = f"{int(value):,}" if str(value).isdigit() else str(value)
        return f"{text} {self.unit}".strip()

    def fallback(self, quote: str) -> str:
        """What holds where it is not given, its variable set aside."""
        if self.unset:
            return self.unset.replace("`", quote)
        if isinstance(self.default, bool):
            return str(self.default)
        if self.kind in {"whole", "span"}:
            return self.number(str(self.default))
        return f"{quote}{self.default}{quote}"


SETTINGS: dict[str, tuple[Setting, ...]] = {
    "consumer": (
        Setting(
            name="group",
            kind="text",
            choices=(),
            doc="The consumer group; each has its own offsets.",
            range=None,
            unit="",
            variable="KAFKA_GROUP_ID",
            shown="NAME",
            flag="--group",
            unset="",
            default="ccstream",
        ),
        Setting(
            name="database_url",
            kind="text",
            choices=(),
            doc="The database, as `postgresql://user:password@host:port/database`. `sslmode` means what it means to libpq.",
            range=None,
            unit="",
            variable="DATABASE_URL",
            shown="URL",
            flag="--database-url",
            unset="`kafka_db` on `localhost:5434`, as `docker-compose.yml` has it",
            default="postgresql://kafka_user:kafka_password@localhost:5434/kafka_db",
        ),
        Setting(
            name="connections",
            kind="whole",
            choices=(),
            doc="The number of connections to PostgreSQL. Under load each writes a part of the partitions, at the same time, because a session of PostgreSQL has one processor. Those after the first are opened under such a load; one more is opened for a moment where a lock is held for long.",
            range=(1, 16),
            unit="",
            variable=None,
            shown="N",
            flag="--connections",
            unset="",
            default="2",
        ),
        Setting(
            name="batch_rows",
            kind="whole",
            choices=(),
            doc="The greatest number of messages that are written at once, by all connections.",
            range=(1, 1000000),
            unit="",
            variable=None,
            shown="N",
            flag="--batch-rows",
            unset="",
            default="50000",
        ),
        Setting(
            name="batch_bytes",
            kind="whole",
            choices=(),
            doc="The greatest number of bytes of encoded rows and dead letters that are written at once.",
            range=(1, 268435456),
            unit="",
            variable=None,
            shown="N",
            flag="--batch-bytes",
            unset="",
            default="10485760",
        ),
        Setting(
            name="linger",
            kind="span",
            choices=(),
            doc="The longest time before a message is visible, while the database keeps up.",
            range=(0, 60000),
            unit="ms",
            variable=None,
            shown="MS",
            flag="--linger",
            unset="",
            default="200",
        ),
        Setting(
            name="until_caught_up",
            kind="switch",
            choices=(),
            doc="Ends once every partition has been read to its end.",
            range=None,
            unit="",
            variable=None,
            shown="N",
            flag="--until-caught-up",
            unset="",
            default=False,
        ),
        Setting(
            name="drain_limit",
            kind="span",
            choices=(),
            doc="The longest time that a stop, or a revoked partition, waits until what was read is committed. What is not committed by then is dropped, and read again by the next consumer.",
            range=(0, 240),
            unit="s",
            variable=None,
            shown="S",
            flag="--drain-limit",
            unset="",
            default="30",
        ),
        Setting(
            name="assignment",
            kind="choice",
            choices=("eager", "cooperative"),
            doc="How a group hands partitions on, the same for all its members: `eager` assigns all of them at every change, `cooperative` moves only those that must.",
            range=None,
            unit="",
            variable=None,
            shown="N",
            flag="--assignment",
            unset="",
            default="eager",
        ),
        Setting(
            name="session_timeout",
            kind="span",
            choices=(),
            doc="The time after which the group takes a consumer that it does not hear of for dead. Apache Kafka allows 6 seconds and more, by default.",
            range=(1, 300),
            unit="s",
            variable=None,
            shown="S",
            flag="--session-timeout",
            unset="",
            default="6",
        ),
        Setting(
            name="always_stage",
            kind="switch",
            choices=(),
            doc="Writes every batch by way of a staging table, with duplicates or without: slower, for comparison.",
            range=None,
            unit="",
            variable=None,
            shown="N",
            flag="--always-stage",
            unset="",
            default=False,
        ),
        Setting(
            name="synchronous_commit",
            kind="switch",
            choices=(),
            doc="Waits for PostgreSQL's disk at each commit, as its `synchronous_commit` does. It is safe not to: rows and offsets are lost together, and read again.",
            range=None,
            unit="",
            variable=None,
            shown="N",
            flag="--no-synchronous-commit",
            unset="",
            default=True,
        ),
    ),
    "engine": (
        Setting(
            name="database_url",
            kind="text",
            choices=(),
            doc="The database, as `postgresql://user:password@host:port/database`.",
            range=None,
            unit="",
            variable="DATABASE_URL",
            shown="N",
            flag="--database-url",
            unset="`kafka_db` on `localhost:5434`, as `docker-compose.yml` has it",
            default="postgresql://kafka_user:kafka_password@localhost:5434/kafka_db",
        ),
        Setting(
            name="max_rows",
            kind="whole",
            choices=(),
            doc="The greatest number of rows held, about 20 bytes each; the oldest are evicted first.",
            range=(65536, None),
            unit="",
            variable="CCSTREAM_KPI_ROWS",
            shown="N",
            flag="--max-rows",
            unset="",
            default="20000000",
        ),
        Setting(
            name="max_days",
            kind="whole",
            choices=(),
            doc="Holds only rows of that number of days, by their own time; they are evicted in blocks of 65,536.",
            range=(1, 1000000),
            unit="",
            variable=None,
            shown="N",
            flag="--max-days",
            unset="all",
            default=None,
        ),
        Setting(
            name="interval",
            kind="span",
            choices=(),
            doc="The time between two readings of the database.",
            range=(10, 86400000),
            unit="ms",
            variable=None,
            shown="N",
            flag="--interval",
            unset="",
            default="500",
        ),
        Setting(
            name="file",
            kind="file",
            choices=(),
            doc="Where the columns are kept, so that the next start reads only what is new.",
            range=None,
            unit="",
            variable=None,
            shown="N",
            flag="--file",
            unset="nowhere",
            default=None,
        ),
    ),
    "kafka": (
        Setting(
            name="bootstrap_servers",
            kind="text",
            choices=(),
            doc="The brokers, `host:port` joined by commas.",
            range=None,
            unit="",
            variable="KAFKA_BOOTSTRAP_SERVERS",
            shown="HOST:PORT",
            flag="--bootstrap-servers",
            unset="",
            default="localhost:9094",
        ),
        Setting(
            name="topic",
            kind="text",
            choices=(),
            doc="The topic. The producer creates a missing one where the broker allows it; the consumer waits for it.",
            range=None,
            unit="",
            variable="KAFKA_TOPIC",
            shown="NAME",
            flag="--topic",
            unset="",
            default="orders_json",
        ),
        Setting(
            name="librdkafka_options",
            kind="pairs",
            choices=(),
            doc="Settings of librdkafka itself (TLS, SASL, buffers), as `security.protocol=sasl_ssl`; one that ccstream sets itself is refused.",
            range=None,
            unit="",
            variable=None,
            shown="KEY=VALUE",
            flag="--kafka-option",
            unset="none",
            default=None,
        ),
    ),
    "producer": (
        Setting(
            name="rate",
            kind="rate",
            choices=(),
            doc="Events a second, from 0.001; `max` (in Python `math.inf`) for as fast as possible.",
            range=None,
            unit="",
            variable=None,
            shown="N",
            flag="--rate",
            unset="one every 0.5 to 2 s, at random",
            default=None,
        ),
        Setting(
            name="count",
            kind="whole",
            choices=(),
            doc="The number of events to stop after.",
            range=None,
            unit="",
            variable=None,
            shown="N",
            flag="--count",
            unset="no end, or the file's end",
            default=None,
        ),
        Setting(
            name="seed",
            kind="whole",
            choices=(),
            doc="The same seed and start time give the same bytes.",
            range=None,
            unit="",
            variable=None,
            shown="S",
            flag="--seed",
            unset="random",
            default=None,
        ),
        Setting(
            name="start_time",
            kind="moment",
            choices=(),
            doc="When the first event happens, as RFC 3339 or ISO 8601 writes it (UTC where it names no offset).",
            range=None,
            unit="",
            variable=None,
            shown="T",
            flag="--start-time",
            unset="each event happens now",
            default=None,
        ),
        Setting(
            name="replay",
            kind="file",
            choices=(),
            doc="A CSV file, plain or gzipped, whose rows are sent instead. A row that is not valid is sent as it is, for the consumer to reject and explain.",
            range=None,
            unit="",
            variable=None,
            shown="FILE",
            flag="--replay",
            unset="events are generated",
            default=None,
        ),
        Setting(
            name="map",
            kind="pairs",
            choices=(),
            doc="The column of the file that fills a field; a column with the field's own name needs none.",
            range=None,
            unit="",
            variable=None,
            shown="FIELD=COLUMN",
            flag="--map",
            unset="none",
            default="",
        ),
        Setting(
            name="set",
            kind="pairs",
            choices=(),
            doc="The value of a field where the file has none or leaves it empty.",
            range=None,
            unit="",
            variable=None,
            shown="FIELD=VALUE",
            flag="--set",
            unset="none",
            default="",
        ),
        Setting(
            name="partitions",
            kind="whole",
            choices=(),
            doc="The topic's partitions, where it has to be created.",
            range=(1, 65535),
            unit="",
            variable=None,
            shown="N",
            flag="--partitions",
            unset="",
            default="1",
        ),
        Setting(
            name="drain_limit",
            kind="span",
            choices=(),
            doc="The longest time that a stop waits for the broker to acknowledge the events in flight.",
            range=(0, 240),
            unit="s",
            variable=None,
            shown="S",
            flag="--drain-limit",
            unset="",
            default="10",
        ),
    ),
}
"""The settings of each part."""

DIMENSIONS = {
    "category": "Category",
    "city": "City",
    "country": "Country",
    "merchant": "Merchant",
    "payment_method": "Payment method",
    "status": "Status",
    "currency": "Currency",
    "entry_mode": "Entry mode",
    "response_code": "Response code",
    "risk": "Risk flag",
}
"""Each dimension that can be filtered by, and what the page calls it."""
