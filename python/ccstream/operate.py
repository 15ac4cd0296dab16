"""Implements verify, rejected, doctor and status. Each prints text, or one JSON document with ``--json``."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import ccstream
from ccstream import flags, settings
from ccstream.event_log import plain, print_json
from ccstream.terminal import paint
from ccstream.times import minute

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

SHOWN_BYTES = 2_000
"""The number of bytes that are read and shown of a dead letter's key, and of its payload."""


def verify(options: argparse.Namespace) -> int:
    """Runs ``ccstream verify`` and returns its exit status: 1 if something differs."""
    report = ccstream.verify(
        database_url=options.database_url, counters_only=options.counters_only, analysis=not options.no_analysis
    )
    status = 1 if report.problems else 0
    if options.json:
        print_json({"ok": status == 0, **plain(report)})
        return status
    _print_partitions(report.partitions)
    if report.foreign_rows:
        print(f"{report.foreign_rows:,} rows of orders were inserted by another program; no counter includes them.")
    if report.expired_before is not None:
        print(
            f"{report.expired_rows:,} rows from before {minute(report.expired_before)} UTC were stored and have been "
            "deleted since, as a retention policy does. Only the other rows are compared."
        )
    if report.scores_not_compared:
        print(
            f"{report.scores_not_compared:,} scores are not compared: their transaction, or an earlier one, is not in "
            "orders, or their model cannot be used."
        )
    for problem in report.problems:
        print(paint(f"✗ {problem}"))
    if report.problems:
        return status
    rows = sum({one.partition: one.rows for one in report.partitions}.values())
    figures = "" if options.counters_only else f" and {report.figures:,} figures of the dashboard"
    print(
        paint(
            f"✓ consumed = stored + duplicate + rejected in every partition; {rows:,} rows, "
            f"{report.cells:,} cells of kpi_minute{figures} agree with a recount"
        )
    )
    if report.scores:
        print(
            paint(
                f"✓ {report.scores:,} scores and the state of the analysis agree, bit for bit, with a computation from "
                f"orders and {report.labels:,} labels"
            )
        )
    if report.window_rows:
        print(paint(f"✓ {report.window_rows:,} rows of windows agree with a recount from scores and orders"))
    return status


def _print_partitions(partitions: Sequence[ccstream.PartitionReport]) -> None:
    """Prints one table for each group and topic. Their names may be long, so they are not columns."""
    from ccstream.tables import print_table  # noqa: PLC0415

    names = ("next_offset", "consumed", "stored", "duplicate", "rejected", "missing", "rows", "kept")
    for group, topic in sorted({(one.group, one.topic) for one in partitions}):
        print(f"group {group}, topic {topic}")
        theirs = [one for one in partitions if (one.group, one.topic) == (group, topic)]
        print_table(
            ["part", "next", *names[1:-1], "dead"],
            [[one.partition, *(getattr(one, name) for name in names)] for one in theirs],
            [line for one in theirs for line in _account(one)],
        )


def _account(one: ccstream.PartitionReport) -> list[str]:
    """Returns the counters of one partition as lines for a narrow terminal."""
    return [
        f"partition {one.partition}, next offset {one.next_offset:,}",
        f"  consumed {one.consumed:,}",
        f"    = stored {one.stored:,} + duplicate {one.duplicate:,} + rejected {one.rejected:,}",
        f"  missing {one.missing:,}, rows {one.rows:,}, dead letters {one.kept:,}",
    ]


def rejected(options: argparse.Namespace) -> int:
    """Runs ``ccstream rejected`` and returns its exit status."""
    if options.replay:
        return _replay(options)
    if options.show or options.id is not None:
        messages = ccstream.select_rejected(
            database_url=options.database_url,
            id=options.id,
            reason=options.reason,
            limit=options.limit,
            max_bytes=SHOWN_BYTES,
        )
        if options.json:
            print_json({"messages": messages})
            return 0
        for message in messages:
            _show(message)
        if not messages:
            print("No such message in rejected_events.")
        return 0
    counts = [
        one
        for one in ccstream.count_rejected(database_url=options.database_url)
        if options.reason in {None, one.reason}
    ]
    if options.json:
        print_json({"counts": counts})
        return 0
    if not counts:
        print("No message was rejected.")
        return 0
    from ccstream.tables import print_table  # noqa: PLC0415

    print_table(
        ["reason", "count", "replayed", "masked", "partial", "last"],
        [[one.reason, one.count, one.replayed, one.masked, one.partial, one.last] for one in counts],
    )
    print("To show the messages, add --show (and --reason or --id). To replay them, add --replay.")
    return 0


def _replay(options: argparse.Namespace) -> int:
    resent = ccstream.replay_rejected(
        database_url=options.database_url,
        bootstrap_servers=options.bootstrap_servers,
        id=options.id,
        reason=options.reason,
        librdkafka_options=options.librdkafka_options,
        librdkafka_options_file=options.librdkafka_options_file,
    )
    if options.json:
        print_json({"replayed": resent})
        return 0
    print(f"Messages re-sent: {resent.sent:,}. The consumer reads them again; its accounting shows the outcome.")
    for count, why in (
        (resent.masked, "a card number in them was masked, so the original payload is lost"),
        (resent.partial, "they were too large, so only a part of each is stored"),
        (resent.empty, "they have no payload"),
        (resent.replayed, "they were replayed before"),
    ):
        if count:
            print(f"Messages skipped: {count:,}, because {why}.")
    return 0


def _show(message: ccstream.KeptMessage) -> None:
    again = f", replayed {message.replayed_at}" if message.replayed_at else ""
    print(f"#{message.id} {message.reason}: {message.detail}")
    print(f"  {message.topic}, partition {message.partition}, offset {message.offset}, {message.rejected_at}{again}")
    if message.key is not None:
        print(f"  key: {_printable(message.key, message.key_bytes)}")
    print(f"  payload: {'none' if message.payload is None else _printable(message.payload, message.payload_bytes)}")
    if message.payload_sha256 is not None and message.partial:
        print(f"  SHA-256 of the payload: {message.payload_sha256.hex()}")
    for is_so, why in (
        (message.masked, "a card number in it was masked"),
        (message.partial, "only a part of it is stored"),
    ):
        if is_so:
            print(f"  It cannot be replayed: {why}.")


def _printable(data: bytes, length: int | None) -> str:
    """Returns bytes as one line of text without control characters, and their full length if they are cut off."""
    text = json.dumps(data.decode("utf-8", "backslashreplace"), ensure_ascii=False)[1:-1]
    more = f"... ({length:,} bytes)" if length is not None and length > len(data) else ""
    return text.replace('\\"', '"') + more


def doctor(options: argparse.Namespace) -> int:
    """Runs ``ccstream doctor`` and returns its exit status: 1 if something has to be fixed."""
    checks = ccstream.diagnose(
        bootstrap_servers=options.bootstrap_servers,
        topic=options.topic,
        database_url=options.database_url,
        librdkafka_options=options.librdkafka_options,
        librdkafka_options_file=options.librdkafka_options_file,
        windows=options.windows,
        alerts=options.alerts,
    )
    warnings = _embedded_warnings(options.database_url)
    status = 0 if all(check.ok for check in checks) and not warnings else 1
    if options.json:
        found = [{**plain(check), "mend": flags.worded(check.mend)} for check in checks]
        print_json({"ok": status == 0, "checks": found, "embedded": warnings})
        return status
    for check in checks:
        print(paint(f"{'✓' if check.ok else '✗'} {check.name}: {check.found}"))
        if check.mend:
            print(f"    {flags.worded(check.mend)}")
    for line in warnings:
        print(paint(f"✗ embedded: {line}") if line == warnings[0] else f"  {line}")
    return status


def _embedded_warnings(url: str | None) -> list[str]:
    """Returns what is wrong with the embedded PostgreSQL's data, if that is the database to check."""
    from ccstream import embedded  # noqa: PLC0415

    with contextlib.suppress(ccstream.CcstreamError):
        if url in {None, settings.database_url()}:
            return embedded.Postgres().warnings()
    return []


def status(options: argparse.Namespace) -> int:
    """Runs ``ccstream status`` and returns its exit status: 1 if a service does not answer."""
    from ccstream import embedded  # noqa: PLC0415

    states = embedded.states()
    fine = all(one.answers for one in states)
    if options.json:
        print_json({"ok": fine, "services": [plain(one) for one in states]})
    else:
        for one in states:
            print(paint(str(one)))
    return 0 if fine else 1
