"""The flags of every command. A flag beats its environment variable, which beats the default."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from ccstream import settings

if TYPE_CHECKING:
    from collections.abc import Callable


def add_kafka(parser: argparse.ArgumentParser, *, with_topic: bool = True) -> None:
    """Adds the flags that say where Kafka is."""
    group = parser.add_argument_group("Kafka")
    group.add_argument(
        "--bootstrap-servers",
        metavar="HOST:PORT",
        default=settings.bootstrap_servers(),
        help="brokers, joined by commas (KAFKA_BOOTSTRAP_SERVERS; default %(default)s)",
    )
    if with_topic:
        group.add_argument(
            "--topic", metavar="NAME", default=settings.topic(), help="the topic (KAFKA_TOPIC; default %(default)s)"
        )
    group.add_argument(
        "--kafka-option",
        metavar="KEY=VALUE",
        type=pair("KEY=VALUE"),
        action="append",
        default=[],
        help="a setting of librdkafka itself, as security.protocol=sasl_ssl; may be repeated",
    )


def add_database(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that says where PostgreSQL is."""
    parser.add_argument_group("PostgreSQL").add_argument(
        "--database-url",
        metavar="URL",
        default=settings.database_url(),
        # The default has a password, and so has what stands in the environment: neither is printed.
        help="postgresql://user:password@host:port/database (DATABASE_URL; default: kafka_db on localhost:5434)",
    )


def pair(form: str) -> Callable[[str], tuple[str, str]]:
    """A flag's type: a name and a value around an equals sign."""

    def parse(text: str) -> tuple[str, str]:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise argparse.ArgumentTypeError(f"{text!r} is not {form}")
        return name, value

    return parse


def rate(text: str) -> float:
    """A flag's type: events a second, or ``max``, which is infinity."""
    if text == "max":
        return math.inf
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is neither events a second nor max")
    return value


def duration(unit: str, word: str) -> Callable[[str], float]:
    """A flag's type: a number of the unit, as ``200`` or ``200ms``.

    Args:
        unit: how it is written behind the number, where it is.
        word: its name for people.
    """

    def parse(text: str) -> float:
        try:
            value = float(text.removesuffix(unit))
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of {word}")
        return value

    return parse


def count(text: str) -> int:
    """A flag's type: a whole number of at least 1, with or without separators."""
    try:
        value = int(text.replace(",", "").replace("_", ""))
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


def add_events(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that says where events go."""
    parser.add_argument("--events", metavar="FILE", help="append each event to a file, as one line of JSON")


def add_produce(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``produce``."""
    parser.add_argument(
        "--rate",
        type=rate,
        metavar="N",
        help="events a second, or max (default: one every 0.5 to 2 s)",
    )
    parser.add_argument("--count", type=count, metavar="N", help="stop after N events")
    parser.add_argument("--seed", type=int, metavar="S", help="the same seed and start time give the same bytes")
    parser.add_argument("--start-time", metavar="T", help="when the first event happens (default: each happens now)")
    parser.add_argument("--replay", metavar="FILE", help="send the rows of a CSV file, plain or gzipped, instead")
    parser.add_argument(
        "--map",
        type=pair("FIELD=COLUMN"),
        metavar="FIELD=COLUMN",
        action="append",
        help="which column of the file fills a field; may be repeated",
    )
    parser.add_argument(
        "--set",
        type=pair("FIELD=VALUE"),
        metavar="FIELD=VALUE",
        action="append",
        help="a field's value where the file has none or leaves it empty; may be repeated",
    )
    parser.add_argument(
        "--partitions",
        type=count,
        metavar="N",
        default=1,
        help="of the topic, if it is missing (default 1)",
    )
    parser.add_argument("--quiet", action="store_true", help="print only the last line")
    add_events(parser)
    add_kafka(parser)


def add_consume(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``consume``."""
    parser.add_argument(
        "--group",
        metavar="NAME",
        default=settings.group(),
        help="the consumer group (KAFKA_GROUP_ID; default %(default)s)",
    )
    parser.add_argument(
        "--connections",
        type=count,
        metavar="N",
        help="connections to PostgreSQL, 1 to 16, among which partitions are shared under load (default 2)",
    )
    parser.add_argument(
        "--batch-rows",
        type=count,
        metavar="N",
        help="most messages that are written at once (default 50,000)",
    )
    parser.add_argument(
        "--linger",
        type=duration("ms", "milliseconds"),
        metavar="MS",
        help="longest wait of a lone message (default 200)",
    )
    parser.add_argument(
        "--until-caught-up",
        action="store_true",
        help="read to the end of every partition, print the accounting, exit",
    )
    parser.add_argument(
        "--drain-limit",
        type=duration("s", "seconds"),
        metavar="S",
        help="longest wait, at a stop or when partitions are given up, for what was read to be committed (default 30)",
    )
    parser.add_argument(
        "--assignment",
        choices=("eager", "cooperative"),
        help="deal all partitions anew at every change of the group, or move only those that must (default eager)",
    )
    parser.add_argument(
        "--always-stage",
        action="store_true",
        help="write every batch by way of a staging table, repeats or not: slower, for comparison",
    )
    parser.add_argument(
        "--no-synchronous-commit",
        action="store_true",
        help="do not wait for PostgreSQL's disk: safe here, rows and offsets are lost together and read again",
    )
    parser.add_argument("--quiet", action="store_true", help="print only warnings and the accounting")
    add_events(parser)
    add_kafka(parser)
    add_database(parser)


def add_verify(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``verify``."""
    parser.add_argument(
        "--counters-only", action="store_true", help="leave out the dashboard's figures, which take the longest"
    )
    add_database(parser)


def add_rejected(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``rejected``."""
    parser.add_argument("--reason", metavar="REASON", help="only messages of this reason")
    parser.add_argument("--id", type=count, metavar="N", help="only this message")
    parser.add_argument("--show", action="store_true", help="show the messages, with their payloads")
    parser.add_argument("--limit", type=count, metavar="N", default=20, help="show at most N (default 20)")
    parser.add_argument("--replay", action="store_true", help="send them to their topic again")
    add_kafka(parser, with_topic=False)
    add_database(parser)


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``doctor``."""
    add_kafka(parser)
    add_database(parser)


def add_demo(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``demo``."""
    parser.add_argument("--rate", type=rate, metavar="N", default=20.0, help="events a second, or max (default 20)")
    parser.add_argument("--dashboard-port", type=count, metavar="PORT", default=8501, help="default %(default)s")
