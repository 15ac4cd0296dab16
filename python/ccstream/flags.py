"""Defines the flags of every command. A flag overrides its environment variable, which overrides the default."""

from __future__ import annotations

import argparse
import math
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ccstream import settings
from ccstream.declared import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccstream.declared import Setting

MAX_SPAN = 1e9
"""Durations in flags must be below this number, so that they fit into a ``timedelta``."""
DEMO_EVENTS = 730_000
"""The most events in the history of the demo, unless its length is given. At 1.2 a second they are a week."""


class Once(argparse.Action):
    """Stores a flag's value and refuses a second one. argparse alone would silently drop the first."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,  # noqa: ANN401
        _option: str | None = None,
    ) -> None:
        """Stores one value."""
        given = vars(namespace).setdefault("given_flags", set())
        if self.dest in given:
            raise argparse.ArgumentError(self, f"given twice, the second time as {values!r}; give it once")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


class Pairs(argparse.Action):
    """Collects a flag's pairs of a name and a value, and refuses a second value for the same name."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,  # noqa: ANN401
        _option: str | None = None,
    ) -> None:
        """Adds one pair."""
        pairs = [*(getattr(namespace, self.dest) or []), values]
        if len({name for name, _ in pairs}) < len(pairs):
            raise argparse.ArgumentError(self, f"{values[0]} is given twice; give it once")
        setattr(namespace, self.dest, pairs)


def add_kafka(parser: argparse.ArgumentParser, *, with_topic: bool = True) -> None:
    """Adds the flags for the connection to Kafka."""
    group = parser.add_argument_group("Kafka")
    for setting in SETTINGS["kafka"]:
        if with_topic or setting.name != "topic":
            add(group, setting)


def add_database(parser: argparse.ArgumentParser) -> None:
    """Adds the flag for the connection to PostgreSQL."""
    add(parser.add_argument_group("PostgreSQL"), settings.named("database_url"))


def add(parser: argparse.ArgumentParser | argparse._ArgumentGroup, setting: Setting) -> None:
    """Adds the flag of a setting. Without the flag, its value is None."""
    first = setting.doc.replace("`", "").split(". ")[0]
    # A name such as PostgreSQL keeps its capitals.
    is_name = any(letter.isupper() for letter in first.split()[0][1:])
    meaning = (first if is_name else first[0].lower() + first[1:]).removesuffix(".")
    if setting.range is not None:
        least, most = setting.range
        meaning += f", {least:,} or more" if most is None else f", {least:,} to {most:,}"
        meaning += f" {setting.unit}".rstrip()
    known: dict[str, Any] = {"dest": setting.name, "default": None, "action": Once}
    if setting.kind == "switch":
        if setting.default:
            meaning = f"turns off the default, by which ccstream {meaning}"
        known |= {"action": "store_const", "const": not setting.default}
        parser.add_argument(setting.flag, help=escaped(meaning), **known)
        return
    default = setting.fallback("")
    by_default = f"{setting.variable}; default {default}" if setting.variable else f"default {default}"
    if setting.kind == "texts":
        known |= {"action": "append"}
        by_default = "may be repeated"
    elif setting.kind == "pairs":
        known |= {"action": Pairs, "type": pair(setting.shown)}
        by_default = f"{setting.variable}; may be repeated" if setting.variable else "may be repeated"
    elif setting.choices:
        known["choices"] = setting.choices
    elif setting.kind in TYPES:
        known["type"] = TYPES[setting.kind](setting)
    if not setting.choices:
        known["metavar"] = setting.shown
    parser.add_argument(setting.flag, help=escaped(f"{meaning} ({by_default})"), **known)


def worded(text: str) -> str:
    """Replaces the names of settings in a message of the crates, which are in backticks, by their flags.

    Example:
        >>> worded("name another in `database_url`")
        'name another in --database-url'
    """
    flags_by_name = {setting.name: setting.flag for part in SETTINGS.values() for setting in part}
    return re.sub(r"`(\w+)`", lambda found: flags_by_name.get(found[1], found[0]), text)


def escaped(text: str) -> str:
    """Escapes a text for argparse, which would read a percent sign as the start of a format."""
    return text.replace("%", "%%")


def given(options: argparse.Namespace, *parts: str) -> dict[str, Any]:
    """Returns the settings of the given parts that were set by a flag, as arguments for a constructor.

    Example:
        >>> import argparse
        >>> given(argparse.Namespace(topic="mine", bootstrap_servers=None), "kafka")
        {'topic': 'mine'}
    """
    names = [setting.name for part in parts for setting in SETTINGS[part]]
    return {name: value for name in names if (value := getattr(options, name, None)) is not None}


def pair(form: str) -> Callable[[str], tuple[str, str]]:
    """Returns a flag's type that reads a name and a value, joined by an equals sign."""

    def parse(text: str) -> tuple[str, str]:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise argparse.ArgumentTypeError(f"{text!r} is not {form}")
        return name, value

    return parse


def rate(text: str) -> float:
    """Reads a flag's value: a number above 0, or ``max``, which becomes infinity."""
    if text == "max":
        return math.inf
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number above 0 nor max")
    return value


def share(text: str) -> float:
    """A flag's type: a share, from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def span(setting: Setting) -> Callable[[str], timedelta]:
    """Returns a flag's type that reads a duration in the setting's unit, such as ``200`` or ``200ms``."""
    unit = {"ms": timedelta(milliseconds=1), "s": timedelta(seconds=1)}[setting.unit]
    words = {"ms": "milliseconds", "s": "seconds"}[setting.unit]

    def parse(text: str) -> timedelta:
        try:
            value = float(text.removesuffix(setting.unit))
        except ValueError:
            value = math.nan
        if not 0 <= value < MAX_SPAN:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of {words}")
        return value * unit

    return parse


def length(text: str) -> timedelta:
    """Reads a flag's value: a number of days, hours or minutes, such as ``7d``, ``12h`` or ``30m``."""
    units = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
    found = re.fullmatch(r"(\d{1,4})([dhm])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days, hours or minutes, such as 7d")
    return int(found[1]) * units[found[2]]


def count(text: str) -> int:
    """Reads a flag's value: a whole number of at least 1, with or without thousands separators."""
    return whole(text, 1)


def whole(text: str, least: int = 0) -> int:
    """Reads a flag's value: a whole number of at least ``least``, with or without thousands separators."""
    try:
        value = int(text.replace(",", "").replace("_", ""))
    except ValueError:
        value = -1
    if value < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return value


def limit(text: str) -> int | str:
    """Reads a flag's value: a whole number, or ``all``."""
    return text if text == "all" else whole(text)


TYPES: dict[str, Callable[[Setting], Callable[[str], Any]]] = {
    "whole": lambda setting: count if setting.range is not None and setting.range[0] > 0 else whole,
    "limit": lambda _: limit,
    "rate": lambda _: rate,
    "share": lambda _: share,
    "span": span,
}
"""For each kind of setting whose value is not text, a function that returns the flag's type."""


def add_events(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that names a file for events."""
    parser.add_argument(
        "--events", action=Once, metavar="FILE", help="append each event to this file, as one line of JSON"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that makes a command print JSON."""
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Adds the argument of ``completion``."""
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell to print a script for")


def add_help(parser: argparse.ArgumentParser) -> None:
    """Adds the argument of ``help``."""
    parser.add_argument("of", nargs="?", metavar="COMMAND", help="the command to explain")


def add_produce(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``produce``."""
    for setting in SETTINGS["producer"]:
        add(parser, setting)
    parser.add_argument(
        "--describe",
        action="store_true",
        help="send nothing, and print how the first events (--count, or 500,000) are distributed",
    )
    parser.add_argument(
        "--quiet", action="store_true", help="print only the accounting at the end, and warnings to standard error"
    )
    parser.add_argument(
        "--json", action="store_true", help="print only the accounting, as JSON; with --describe, its figures"
    )
    add_events(parser)
    add_kafka(parser)


def add_consume(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``consume``."""
    _add_reading(parser, "consumer")


def add_analyze(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``analyze``."""
    _add_reading(parser, "analyzer")


def _add_reading(parser: argparse.ArgumentParser, part: str) -> None:
    """Adds the flags of a command that reads from Kafka and writes to PostgreSQL."""
    for setting in SETTINGS[part]:
        if setting.name != "database_url":
            add(parser, setting)
    parser.add_argument("--quiet", action="store_true", help="print only warnings and the accounting")
    parser.add_argument(
        "--json", action="store_true", help="print only the accounting, as JSON; warnings go to standard error"
    )
    add_events(parser)
    add_kafka(parser)
    add_database(parser)


def add_train(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``train``."""
    parser.add_argument(
        "--as-of",
        action=Once,
        metavar="T",
        required=True,
        help="use the labels and transactions from before this time, in UTC",
    )
    parser.add_argument("--out", action=Once, metavar="FILE", required=True, help="the model file to write")
    parser.add_argument(
        "--kind",
        action=Once,
        choices=("trees", "logistic"),
        help="the kind of model (default: trees if 500 frauds are known, logistic if 300 are)",
    )
    parser.add_argument(
        "--seed", action=Once, type=whole, metavar="S", default=1, help="the seed of the model (default 1)"
    )
    add_database(parser)


def add_backtest(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``backtest``."""
    parser.add_argument(
        "--model",
        action=Once,
        metavar="FILE|NAME",
        default="rules",
        help="the model file, or the name of a model in the database (default rules, which need no file)",
    )
    parser.add_argument("--from", action=Once, dest="start", metavar="T", help="score transactions from this time on")
    parser.add_argument("--to", action=Once, dest="end", metavar="T", help="score transactions before this time")
    parser.add_argument(
        "--out", action=Once, metavar="FILE", help="write a CSV file with the columns transaction_id and score"
    )
    add_database(parser)


def add_models(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``models``."""
    parser.add_argument(
        "action",
        nargs="?",
        choices=("list", "add", "activate", "shadow"),
        default="list",
        help="list the models, add one without activating it, activate one, or let one score beside the active one "
        "for comparison (default list)",
    )
    parser.add_argument(
        "model",
        nargs="?",
        metavar="FILE|NAME",
        help="the file to add, or the name to activate or to make the shadow (none: no shadow)",
    )
    add_json(parser)
    add_database(parser)


def add_verify(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``verify``."""
    parser.add_argument(
        "--counters-only", action="store_true", help="do not recount the dashboard's figures, which takes long"
    )
    parser.add_argument("--no-analysis", action="store_true", help="do not compute the scores of the analysis again")
    add_json(parser)
    add_database(parser)


def add_segment(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``segment``."""
    parser.add_argument(
        "--of",
        action=Once,
        dest="kind",
        choices=("merchants", "cards"),
        default="merchants",
        help="what to sort into segments (default merchants)",
    )
    parser.add_argument(
        "--as-of",
        action=Once,
        metavar="T",
        help="use the labels and transactions from before this time, in UTC (default: up to the newest transaction)",
    )
    parser.add_argument(
        "--days",
        action=Once,
        type=count,
        metavar="N",
        help="use the transactions of this number of days (default: as in the last run, or 90)",
    )
    parser.add_argument(
        "--segments",
        action=Once,
        type=lambda text: whole(text, 2),
        metavar="N",
        help="the number of segments (default: as in the last run, or the best of 4 to 8)",
    )
    parser.add_argument("--restart", action="store_true", help="find new segments instead of continuing the last ones")
    add_json(parser)
    add_database(parser)


def add_rejected(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``rejected``."""
    parser.add_argument(
        "--reason", action=Once, metavar="REASON", help="only messages that were rejected for this reason"
    )
    parser.add_argument("--id", action=Once, type=count, metavar="N", help="only the message with this id")
    parser.add_argument("--show", action="store_true", help="show the messages with their payloads")
    parser.add_argument("--limit", action=Once, type=count, metavar="N", default=20, help="show at most N (default 20)")
    parser.add_argument("--replay", action="store_true", help="re-send the messages to their topic")
    add_json(parser)
    add_kafka(parser, with_topic=False)
    add_database(parser)


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``doctor``."""
    add_json(parser)
    add_kafka(parser)
    add_database(parser)
    parser.add_argument(
        "--windows",
        action=Once,
        metavar="FILE",
        help="the file of the analyzer's windows (CCSTREAM_WINDOWS; default windows.toml, if there is one)",
    )
    parser.add_argument(
        "--alerts",
        action=Once,
        metavar="FILE",
        help="the file of the analyzer's alerts (CCSTREAM_ALERTS; default alerts.toml, if there is one)",
    )


def add_demo(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``demo``."""
    parser.add_argument(
        "--rate",
        type=rate,
        metavar="N",
        default=1.2,
        help="events a second, or max for as fast as possible and without history (default %(default)s)",
    )
    parser.add_argument(
        "--history",
        type=length,
        metavar="LENGTH",
        help=f"the history to send first, such as 12h, or 0d for none (default 7d, at most {DEMO_EVENTS:,} events)",
    )
    parser.add_argument(
        "--dashboard-port",
        type=count,
        metavar="PORT",
        default=8501,
        help="the port of the dashboard (default %(default)s)",
    )


def add_dashboard(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``dashboard``."""
    parser.add_argument(
        "--port", type=count, metavar="PORT", default=8501, help="the port to listen on (default %(default)s)"
    )
