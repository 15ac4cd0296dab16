"""Implements the command ``ccstream``, which ``producer.py`` and ``consumer.py`` also call."""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import ccstream
from ccstream import flags, operate
from ccstream.analyzer_console import AnalyzerConsole
from ccstream.console import ConsumerConsole, ProducerConsole
from ccstream.errors import CcstreamError
from ccstream.event_log import EventLog, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    OnEvent: TypeAlias = Callable[[str, Mapping[str, Any]], None]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs ``ccstream COMMAND ...`` and exits with its status.

    Args:
        arguments: the arguments without the program's name. Default: those of this process.
    """
    _run(_parser(), arguments)


def _parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands. Without a command, the program prints its help."""
    parser = argparse.ArgumentParser(
        prog="ccstream",
        description=(
            "Moves card transactions from Kafka into PostgreSQL: exactly once, at COPY speed, with dead letters."
        ),
        epilog=(
            "Exit status: 0 success; 1 something failed or differs; 2 wrong settings; 3 Kafka failed; "
            "4 PostgreSQL failed; 5 the tables are unusable; 70 an internal error; 71 the system refused a resource."
        ),
    )
    parser.add_argument("--version", action="version", version=f"ccstream {ccstream.__version__}")
    parser.set_defaults(run=_help, of=None, verbose=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.add_to(commands.add_parser(name, help=command.summary, description=command.description))
    return parser


def script(name: str) -> NoReturn:
    """Runs one command as a separate program, as the runbook's scripts do.

    Args:
        name: the name of the command.
    """
    command = COMMANDS[name]
    parser = argparse.ArgumentParser(description=command.description)
    command.add_to(parser)
    _run(parser, None)


def _run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            # A terminal whose encoding lacks the check mark shows a question mark instead of failing.
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
        # The program that read our output has ended, as `head` does after its lines.
        sys.stderr.close()
        status = 1
    sys.exit(status)


@contextlib.contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Calls ``stop`` at the first SIGINT or SIGTERM. A second one ends the process at once."""

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
def _observed(console: ProducerConsole | ConsumerConsole | AnalyzerConsole, path: str | None) -> Iterator[OnEvent]:
    """Yields a callback that passes each event of a run to the file of ``--events``, if given, and to the console."""
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
    if options.describe:
        return _describe(options)
    console = ProducerConsole(options.count, quiet=options.quiet, json=options.json)
    with _observed(console, options.events) as on_event:
        producer = ccstream.Producer(**flags.given(options, "kafka", "producer"), on_event=on_event)
        with _stopped_by_signals(producer.stop):
            summary = producer.run()
    console.finish(summary)
    return 0 if summary.acknowledged == summary.sent and not summary.lost else 1


def _describe(options: argparse.Namespace) -> int:
    """Prints the shape of the events that a run would send. After a signal, it prints the shape up to there."""
    console = ProducerConsole(None, quiet=True, json=options.json)
    with _observed(console, options.events) as on_event:
        producer = ccstream.Producer(**flags.given(options, "kafka", "producer"), on_event=on_event)
        with _stopped_by_signals(producer.stop):
            shape = producer.describe()
    if options.json:
        print_json(shape)
    else:
        from ccstream import description  # noqa: PLC0415

        print(description.text(shape))
    return 0


def _consume(options: argparse.Namespace) -> int:
    console = ConsumerConsole(quiet=options.quiet, json=options.json)
    with _observed(console, options.events) as on_event:
        consumer = ccstream.Consumer(**flags.given(options, "kafka", "consumer"), on_event=on_event)
        with _stopped_by_signals(consumer.stop):
            summary = consumer.run()
    console.finish(summary)
    return 0 if summary.drained else 1


def _analyze(options: argparse.Namespace) -> int:
    console = AnalyzerConsole(quiet=options.quiet, json=options.json)
    with _observed(console, options.events) as on_event:
        analyzer = ccstream.Analyzer(**flags.given(options, "kafka", "analyzer"), on_event=on_event)
        with _stopped_by_signals(analyzer.stop):
            summary = analyzer.run()
    console.finish(summary)
    return 0 if summary.drained else 1


def _train(options: argparse.Namespace) -> int:
    from ccstream import learn  # noqa: PLC0415

    return learn.train(options)


def _backtest(options: argparse.Namespace) -> int:
    from ccstream import learn  # noqa: PLC0415

    return learn.backtest(options)


def _models(options: argparse.Namespace) -> int:
    from ccstream import learn  # noqa: PLC0415

    return learn.models(options)


def _segment(options: argparse.Namespace) -> int:
    from ccstream import segment  # noqa: PLC0415

    return segment.segment(options)


def _ended_by_ctrl_c(work: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Makes Ctrl-C end the process without a traceback. Such a command has nothing to clean up."""

    def run(options: argparse.Namespace) -> int:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        return work(options)

    return run


def _completion(options: argparse.Namespace) -> int:
    import shtab  # noqa: PLC0415

    print(shtab.complete(_parser(), options.shell))
    return 0


def _help(options: argparse.Namespace) -> int:
    parser = _parser()
    if options.of is None:
        parser.print_help()
    else:
        parser.parse_args([options.of, "--help"])
    return 0


def _up(_options: argparse.Namespace) -> int:
    from ccstream import embedded  # noqa: PLC0415

    embedded.up(print)
    return 0


def _down(_options: argparse.Namespace) -> int:
    from ccstream import embedded  # noqa: PLC0415

    embedded.down(print)
    return 0


def _demo(options: argparse.Namespace) -> int:
    from ccstream import demo  # noqa: PLC0415

    return demo.run(rate=options.rate, history=options.history, dashboard_port=options.dashboard_port)


def _dashboard(options: argparse.Namespace) -> int:
    from ccstream.dashboard import serve  # noqa: PLC0415

    serve.run(options.port)


@dataclass(frozen=True)
class Command:
    """Describes a command: its function, its summary and its flags."""

    run: Callable[[argparse.Namespace], int]
    summary: str
    add_flags: Callable[[argparse.ArgumentParser], None] | None = None

    @property
    def description(self) -> str:
        """The summary, written as a sentence."""
        return self.summary[0].upper() + self.summary[1:] + "."

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Adds the flags of this command to a parser."""
        parser.add_argument("-v", "--verbose", action="store_true", help="write a log to standard error")
        parser.set_defaults(run=self.run)
        if self.add_flags:
            self.add_flags(parser)


COMMANDS = {
    "up": Command(_up, "start the embedded broker and PostgreSQL, and wait until both answer"),
    "down": Command(_down, "stop the embedded broker and PostgreSQL"),
    "status": Command(_ended_by_ctrl_c(operate.status), "show which embedded services are running", flags.add_json),
    "demo": Command(
        _demo,
        "start the services, a producer, a consumer, an analyzer and the dashboard; Ctrl-C stops them",
        flags.add_demo,
    ),
    "dashboard": Command(_dashboard, "serve the dashboard on this machine only; Ctrl-C stops it", flags.add_dashboard),
    "produce": Command(_produce, "send card transactions to Kafka", flags.add_produce),
    "consume": Command(_consume, "read the topic into PostgreSQL, exactly once", flags.add_consume),
    "analyze": Command(_analyze, "score transactions by rules or a model, exactly once", flags.add_analyze),
    "train": Command(_train, "train a model from scored transactions and their labels", flags.add_train),
    "backtest": Command(_backtest, "score transactions of the past by rules or a model", flags.add_backtest),
    "models": Command(
        _ended_by_ctrl_c(_models),
        "list the models that can score transactions, add one, activate one, or compare one",
        flags.add_models,
    ),
    "segment": Command(
        _ended_by_ctrl_c(_segment), "sort merchants or cards into segments by how they trade", flags.add_segment
    ),
    "verify": Command(
        _ended_by_ctrl_c(operate.verify),
        "recount the rows and compare the counters and totals with them",
        flags.add_verify,
    ),
    "rejected": Command(
        _ended_by_ctrl_c(operate.rejected), "count rejected messages, show them, or replay them", flags.add_rejected
    ),
    "doctor": Command(
        _ended_by_ctrl_c(operate.doctor),
        "check the broker, the topic, the database and the privileges",
        flags.add_doctor,
    ),
    "completion": Command(_completion, "print a completion script for a shell", flags.add_completion),
    "help": Command(_help, "show this help, or the help of one command", flags.add_help),
}
