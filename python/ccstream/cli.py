"""The command ``ccstream``, and what ``producer.py`` and ``consumer.py`` call."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import ccstream
from ccstream import flags, settings
from ccstream.console import ConsumerConsole, ProducerConsole
from ccstream.errors import CcstreamError
from ccstream.event_log import EventLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    OnEvent: TypeAlias = Callable[[str, Mapping[str, Any]], None]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs ``ccstream COMMAND ...`` and exits with its status.

    Args:
        arguments: without the program's name. Default: the process's own.
    """
    parser = argparse.ArgumentParser(
        prog="ccstream",
        description="Card transactions from Kafka into PostgreSQL: exactly once, at COPY speed, bad messages kept.",
        epilog="Exit status: 0 done, 1 something failed or differs, 2 settings, 3 Kafka, 4 PostgreSQL, 5 tables.",
    )
    parser.add_argument("--version", action="version", version=f"ccstream {ccstream.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        command.add_to(commands.add_parser(name, help=command.summary, description=command.description))
    _run(parser, arguments)


def script(name: str) -> NoReturn:
    """Runs one command as a program of its own, as the runbook's scripts do.

    Args:
        name: the command's.
    """
    command = COMMANDS[name]
    parser = argparse.ArgumentParser(description=command.description)
    command.add_to(parser)
    _run(parser, None)


def _run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            # A terminal that knows no check mark shows a question mark, and goes on.
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.ERROR,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        status = options.run(options)
    except CcstreamError as error:
        print(f"{parser.prog}: {flags.worded(str(error))}", file=sys.stderr)
        status = error.exit_code
    except BrokenPipeError:
        # Whoever read our output is gone, as head is after its lines.
        sys.stderr.close()
        status = 1
    sys.exit(status)


@contextlib.contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM stop gently; a second one ends the process as usual."""

    def handle(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _observed(console: ProducerConsole | ConsumerConsole, path: str | None) -> Iterator[OnEvent]:
    """Yields what takes a run's events: the console, after the file of ``--events`` where there is one."""
    log = None if path is None else EventLog(path)

    def on_event(name: str, fields: Mapping[str, Any]) -> None:
        if log is not None:
            log.on_event(name, fields)
        console.on_event(name, fields)

    try:
        yield on_event
    except CcstreamError:
        console.account()
        raise
    finally:
        console.close()
        if log is not None:
            log.close()


def _produce(options: argparse.Namespace) -> int:
    console = ProducerConsole(options.count, quiet=options.quiet)
    with _observed(console, options.events) as on_event:
        producer = ccstream.Producer(**flags.given(options, "kafka", "producer"), on_event=on_event)
        with _stopped_by_signals(producer.stop):
            summary = producer.run()
    console.finish(summary)
    return 0 if summary.acknowledged == summary.sent else 1


def _consume(options: argparse.Namespace) -> int:
    console = ConsumerConsole(quiet=options.quiet)
    with _observed(console, options.events) as on_event:
        consumer = ccstream.Consumer(**flags.given(options, "kafka", "consumer"), on_event=on_event)
        with _stopped_by_signals(consumer.stop):
            summary = consumer.run()
    console.finish(summary)
    return 0 if summary.drained else 1


def _end_at_ctrl_c() -> None:
    """Lets Ctrl-C end the process without a traceback: one call runs, and there is nothing to clean up."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _verify(options: argparse.Namespace) -> int:
    _end_at_ctrl_c()
    report = ccstream.verify(database_url=options.database_url, counters_only=options.counters_only)
    from ccstream.tables import print_table  # noqa: PLC0415

    print_table(
        [
            "group",
            "topic",
            "partition",
            "next",
            "consumed",
            "stored",
            "duplicate",
            "rejected",
            "missing",
            "rows",
            "kept",
        ],
        [
            [
                *(one.group, one.topic, one.partition, one.next_offset, one.consumed, one.stored),
                *(one.duplicate, one.rejected, one.missing, one.rows, one.kept),
            ]
            for one in report.partitions
        ],
    )
    if report.foreign_rows:
        print(f"{report.foreign_rows:,} rows of orders came from another program and are in no counter.")
    for problem in report.problems:
        print(f"✗ {problem}")
    if report.problems:
        return 1
    rows = sum({one.partition: one.rows for one in report.partitions}.values())
    figures = "" if options.counters_only else f" and {report.figures:,} figures of the dashboard"
    print(
        f"✓ consumed = stored + duplicate + rejected in every partition; {rows:,} rows, "
        f"{report.cells:,} cells of kpi_minute{figures} agree with a recount"
    )
    return 0


def _rejected(options: argparse.Namespace) -> int:
    _end_at_ctrl_c()
    if options.replay:
        resent = ccstream.replay_rejected(
            database_url=options.database_url,
            bootstrap_servers=options.bootstrap_servers,
            id=options.id,
            reason=options.reason,
            librdkafka_options=options.librdkafka_options,
            librdkafka_options_file=options.librdkafka_options_file,
        )
        print(f"Sent {resent.sent:,} again; what becomes of them the consumer says.")
        for count, why in (
            (resent.masked, "a card number in them was masked, so they are not what they were"),
            (resent.partial, "they were too large to be kept whole"),
            (resent.empty, "they have no payload"),
            (resent.replayed, "they were sent again before"),
        ):
            if count:
                print(f"Left out {count:,}: {why}.")
        return 0
    if options.show or options.id is not None:
        messages = ccstream.select_rejected(
            database_url=options.database_url,
            id=options.id,
            reason=options.reason,
            limit=options.limit,
            max_bytes=SHOWN_BYTES,
        )
        for message in messages:
            _show(message)
        if not messages:
            print("No such message.")
        return 0
    from ccstream.tables import print_table  # noqa: PLC0415

    counts = [
        one
        for one in ccstream.count_rejected(database_url=options.database_url)
        if options.reason in {None, one.reason}
    ]
    if not counts:
        print("No message was rejected.")
        return 0
    print_table(
        ["reason", "count", "sent again", "masked", "in part", "last"],
        [[one.reason, one.count, one.replayed, one.masked, one.partial, one.last] for one in counts],
    )
    print("Show them with --show (and --reason or --id), send them again with --replay.")
    return 0


def _show(message: ccstream.KeptMessage) -> None:
    again = f", sent again {message.replayed_at}" if message.replayed_at else ""
    print(f"#{message.id} {message.reason}: {message.detail}")
    print(f"  {message.topic}, partition {message.partition}, offset {message.offset}, {message.rejected_at}{again}")
    if message.key is not None:
        print(f"  key: {_printable(message.key, message.key_bytes)}")
    print(f"  payload: {'none' if message.payload is None else _printable(message.payload, message.payload_bytes)}")
    if message.payload_sha256 is not None and message.partial:
        print(f"  SHA-256 of the payload: {message.payload_sha256.hex()}")
    for is_so, why in ((message.masked, "a card number in it was masked"), (message.partial, "it is kept in part")):
        if is_so:
            print(f"  It cannot be replayed: {why}.")


def _printable(data: bytes, length: int | None) -> str:
    """The head of some bytes, and their length, as one line that cannot move the cursor or colour the screen."""
    text = json.dumps(data.decode("utf-8", "backslashreplace"), ensure_ascii=False)[1:-1]
    more = f"... ({length:,} bytes)" if length is not None and length > len(data) else ""
    return text.replace('\\"', '"') + more


def _doctor(options: argparse.Namespace) -> int:
    _end_at_ctrl_c()
    checks = ccstream.diagnose(
        bootstrap_servers=options.bootstrap_servers,
        topic=options.topic,
        database_url=options.database_url,
        librdkafka_options=options.librdkafka_options,
        librdkafka_options_file=options.librdkafka_options_file,
    )
    for check in checks:
        print(f"{'✓' if check.ok else '✗'} {check.name}: {check.found}")
        if check.mend:
            print(f"    {flags.worded(check.mend)}")
    warnings = _embedded_warnings(options.database_url)
    for line in warnings:
        print(f"✗ embedded: {line}" if line == warnings[0] else f"  {line}")
    return 0 if all(check.ok for check in checks) and not warnings else 1


def _embedded_warnings(url: str | None) -> list[str]:
    """What is wrong with the embedded PostgreSQL's data, where it is the database in question."""
    from ccstream import embedded  # noqa: PLC0415

    with contextlib.suppress(ccstream.CcstreamError):
        if url in {None, settings.database_url()}:
            return embedded.Postgres().warnings()
    return []


def _up(_options: argparse.Namespace) -> int:
    from ccstream import embedded  # noqa: PLC0415

    embedded.up(print)
    return 0


def _down(_options: argparse.Namespace) -> int:
    from ccstream import embedded  # noqa: PLC0415

    embedded.down(print)
    return 0


def _status(_options: argparse.Namespace) -> int:
    from ccstream import embedded  # noqa: PLC0415

    return 0 if embedded.status(print) else 1


def _demo(options: argparse.Namespace) -> int:
    from ccstream import demo  # noqa: PLC0415

    return demo.run(rate=options.rate, dashboard_port=options.dashboard_port)


def _dashboard(options: argparse.Namespace) -> int:
    from ccstream.dashboard import serve  # noqa: PLC0415

    serve.run(options.port)


@dataclass(frozen=True)
class Command:
    """A command: what it runs, what it says of itself, its flags."""

    run: Callable[[argparse.Namespace], int]
    summary: str
    add_flags: Callable[[argparse.ArgumentParser], None] | None = None

    @property
    def description(self) -> str:
        """The summary as a sentence."""
        return self.summary[0].upper() + self.summary[1:] + "."

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Makes a parser this command's."""
        parser.add_argument("-v", "--verbose", action="store_true", help="log what happens, to standard error")
        parser.set_defaults(run=self.run)
        if self.add_flags:
            self.add_flags(parser)


SHOWN_BYTES = 2_000
"""Bytes of a dead letter's key and payload that are read and shown."""

COMMANDS = {
    "up": Command(_up, "start the embedded broker and PostgreSQL, and return when both answer"),
    "down": Command(_down, "stop the embedded broker and PostgreSQL"),
    "status": Command(_status, "say which embedded services run"),
    "demo": Command(_demo, "start everything, with a dashboard; Ctrl-C ends it", flags.add_demo),
    "dashboard": Command(_dashboard, "serve the dashboard on this machine; Ctrl-C ends it", flags.add_dashboard),
    "produce": Command(_produce, "send card transactions to Kafka", flags.add_produce),
    "consume": Command(_consume, "read the topic into PostgreSQL, exactly once", flags.add_consume),
    "verify": Command(_verify, "count again what the counters and totals say", flags.add_verify),
    "rejected": Command(_rejected, "list rejected messages, show them, or send them again", flags.add_rejected),
    "doctor": Command(_doctor, "look at broker, topic, database and privileges", flags.add_doctor),
}
