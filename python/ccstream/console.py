"""Prints what the producer and the consumer do: each event or batch at low rates, a progress line at high rates."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING, Any

from ccstream.event_log import print_json
from ccstream.flags import worded
from ccstream.settings import WATCHABLE_RATE
from ccstream.terminal import fitted, paint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.progress import Progress, TaskID

    from ccstream import ConsumeSummary, ProduceSummary

PROGRESS_EVERY = 10.0
"""The interval between progress lines, in seconds, where the output is not a terminal."""


class Printer:
    """Prints a program's lines and flushes each of them.

    Args:
        who: the program's name, which is printed in brackets before each line.
        json: whether standard output holds only the accounting, as JSON. The lines then go to standard error.
    """

    def __init__(self, who: str, *, json: bool) -> None:
        self._who = who
        self.json = json
        self.stream = sys.stderr if json else sys.stdout

    def say(self, text: str) -> None:
        """Prints one line with the program's name before it."""
        print(paint(f"[{self._who}] {text}", self.stream), file=self.stream, flush=True)

    def overwrite(self, text: str, width: int) -> int:
        """Overwrites the previous line, which had the given width, and returns the new line's width."""
        line = fitted(f"[{self._who}] {text}")
        print("\r" + line.ljust(width), end="", file=self.stream, flush=True)
        return len(line)

    def end(self) -> None:
        """Ends an overwritten line."""
        print(file=self.stream, flush=True)


class LiveLine:
    """Shows a line that is overwritten on a terminal, and printed every ten seconds elsewhere."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._terminal = printer.stream.isatty()
        self._shown = time.monotonic()
        self._width = 0

    def show(self, text: str) -> None:
        """Shows the text at once on a terminal. Elsewhere it shows the text only if the interval has passed."""
        if self._terminal or time.monotonic() - self._shown >= PROGRESS_EVERY:
            self.show_now(text)

    def show_now(self, text: str) -> None:
        """Shows the text at once."""
        self._shown = time.monotonic()
        if not self._terminal:
            self._printer.say(text)
            return
        self._width = self._printer.overwrite(text, self._width)

    def end(self) -> None:
        """Ends an overwritten line, so that the next output starts on a new line."""
        if self._width:
            self._printer.end()
            self._width = 0


class ProducerConsole:
    """Shows the events of a producer.

    Args:
        count: the number of events to send, if known. A terminal then shows a progress bar.
        quiet: whether to show only the accounting at the end, and warnings, which go to standard error.
        json: whether to print only the accounting, as JSON. Warnings go to standard error.
    """

    def __init__(self, count: int | None, *, quiet: bool, json: bool = False) -> None:
        self._count = count
        self._quiet = quiet or json
        self._printer = Printer("Producer", json=json)
        self._errors = Printer("Producer", json=True)
        self._line = LiveLine(self._printer)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._last: ProduceSummary | None = None

    def on_event(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Shows one event of the producer."""
        if kind == "progress":
            self._last = fields["summary"]
        if self._quiet:
            if kind == "warning":
                self._errors.say(_warning_line(fields))
            return
        if kind == "progress":
            self._progress(fields["summary"])
        if kind == "sending":
            # The line or bar that shows the progress of a history ends here.
            self.close()
        for line in _producer_lines(kind, fields):
            self._printer.say(line)

    def account(self) -> None:
        """Prints the accounting of a run that an error ended."""
        if self._last is not None:
            self.finish(self._last)

    def _progress(self, summary: ProduceSummary) -> None:
        if self._count is not None and sys.stdout.isatty():
            self._update_bar(summary.acknowledged)
            return
        self._line.show(
            f"{summary.sent:,} sent, {summary.acknowledged:,} acknowledged, {summary.failed:,} failed, "
            f"{per_second(summary.sent, summary.elapsed.total_seconds())} events/s"
        )

    def _update_bar(self, done: int) -> None:
        if self._bar is None:
            # This import is slow and needed only here.
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

            self._bar = Progress("[Producer]", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._task = self._bar.add_task("sending", total=self._count)
            self._bar.start()
        if self._task is not None:
            self._bar.update(self._task, completed=done)

    def close(self) -> None:
        """Ends the line or bar that is being drawn."""
        self._line.end()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def finish(self, summary: ProduceSummary) -> None:
        """Prints the accounting of a run."""
        self.close()
        if self._printer.json:
            print_json(summary)
            return
        seconds = summary.elapsed.total_seconds()
        self._printer.say(
            f"Sent {summary.sent:,}, acknowledged {summary.acknowledged:,}, failed {summary.failed:,} "
            f"in {seconds:.1f} s ({per_second(summary.acknowledged, seconds)} events/s)",
        )
        if summary.labels or summary.truths or summary.lost:
            self._printer.say(
                f"Acknowledged {summary.labels:,} labels and {summary.truths:,} truths beside them, "
                f"failed {summary.lost:,}"
            )
        if summary.sent_again:
            self._printer.say(
                f"! {summary.sent_again:,} events were re-sent, because Kafka no longer knew which ones it had "
                "received. The topic may contain some of them twice; the consumer stores each id once",
            )


def _warning_line(fields: Mapping[str, Any]) -> str:
    return f"! {worded(fields['text'])}"


def _producer_lines(kind: str, fields: Mapping[str, Any]) -> list[str]:
    """Returns the lines to print for one event of the producer."""
    if kind == "connected":
        lines = [f"! {fields['unreachable']}"] if fields["unreachable"] else []
        return lines + (["✓ Created the topic, which did not exist"] if fields["topic_created"] else [])
    if kind == "warning":
        return [_warning_line(fields)]
    if kind in {"resumed", "saved"}:
        counted = f"{fields['labels']:,} labels and {fields['others']:,} other messages"
        if kind == "saved":
            return [f"✓ Saved {counted} that are not due yet"]
        return [f"✓ Took {counted} that an earlier run did not send"]
    if kind == "applied":
        return [f"✓ After {fields['after']:,} events: {fields['command']}"]
    if kind == "sending":
        # A generated payload has blanks before its end, so that all have the same length.
        payload = re.sub(r" +}$", "}", fields["payload"])
        return [f"Sending transaction #{fields['number']} {payload}"]
    if kind == "sent":
        return [f"✓ Sent to partition {fields['partition']} at offset {fields['offset']}"]
    if kind == "not_sent":
        return [f"✗ Not sent: {fields['error']}"]
    return []


class ConsumerConsole:
    """Shows the events of a consumer.

    Args:
        quiet: whether to show only warnings and the accounting.
        json: whether to print only the accounting to standard output, as JSON. Warnings go to standard error.
    """

    def __init__(self, *, quiet: bool, json: bool = False) -> None:
        self._quiet = quiet or json
        self._printer = Printer("Consumer", json=json)
        self._line = LiveLine(self._printer)
        self._last_batch = 0.0
        self._watchable = True
        self._rate = Rate()
        self._failed: ConsumeSummary | None = None

    def account(self) -> None:
        """Prints the accounting of a run that an error ended."""
        if self._failed is not None:
            self.finish(self._failed)

    def on_event(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Shows one event of the consumer."""
        if kind == "failed":
            self._failed = fields["summary"]
        if kind == "batch":
            if not self._quiet:
                self._batch(fields)
            return
        text = self._text(kind, fields)
        if text and (not self._quiet or kind in {"warning", "waiting", "recovered"}):
            self._line.end()
            for line in text.splitlines():
                self._printer.say(line)

    def _text(self, kind: str, fields: Mapping[str, Any]) -> str:
        if kind == "connected_to_kafka":
            found = "" if fields["topic_found"] else "\nWaiting for the topic, which does not exist yet"
            return "✓ Connected to Kafka" + found
        if kind == "listening":
            return "Listening for messages..."
        if kind == "assigned":
            places = ", ".join(f"{partition} from offset {at}" for partition, at in fields["offsets"].items())
            return f"Reading partition {places}"
        return shared_line(kind, fields)

    def _batch(self, fields: Mapping[str, Any]) -> None:
        now = time.monotonic()
        since, self._last_batch = now - self._last_batch, now
        self._rate.add(fields["consumed"], now)
        calm = fields["consumed"] <= WATCHABLE_RATE * min(max(since, 0.1), 1)
        if calm and (self._watchable or since > 1):
            self._watchable = True
            self._line.end()
            self._printer.say(_batch_line(fields))
            return
        self._watchable = False
        self._line.show(
            f"{self._rate.per_second(now):,.0f} messages/s, lag {fields['lag']:,}, total: "
            f"{fields['total_stored']:,} stored, {fields['total_duplicate']:,} duplicate, "
            f"{fields['total_rejected']:,} rejected"
        )

    def close(self) -> None:
        """Ends the line that is being drawn."""
        self._line.end()

    def finish(self, summary: ConsumeSummary) -> None:
        """Prints the accounting of a run."""
        self.close()
        if self._printer.json:
            print_json(summary)
            return
        seconds = summary.elapsed.total_seconds()
        self._printer.say(
            f"Consumed {summary.consumed:,} = {summary.stored:,} stored + {summary.duplicate:,} duplicate "
            f"+ {summary.rejected:,} rejected in {seconds:.1f} s "
            f"({per_second(summary.consumed, seconds)} messages/s)",
        )
        if summary.missing:
            self._printer.say(
                f"  missing {summary.missing:,}: deleted by retention before they were read, or unreadable"
            )
        if summary.truth_stored or summary.truth_duplicate or summary.truth_skipped:
            self._printer.say(
                f"  truth: {summary.truth_stored:,} stored + {summary.truth_duplicate:,} duplicate "
                f"+ {summary.truth_skipped:,} skipped"
            )
        for reason, count in sorted(summary.rejected_by_reason.items(), key=lambda item: -item[1]):
            self._printer.say(f"  rejected {count:,}: {reason}")


def shared_line(kind: str, fields: Mapping[str, Any]) -> str:
    """Returns what to print for an event that the consumer and the analyzer have in common; empty if nothing."""
    if kind == "connected_to_postgres":
        lines = ["✓ Connected to PostgreSQL"]
        if fields["added_columns"]:
            lines.append(f"✓ Added to the table orders: {', '.join(fields['added_columns'])}")
        if fields["started_over"]:
            lines.append("! The table orders had lost its rows: the topic is read again from its beginning")
        return "\n".join(lines)
    if kind == "warning":
        return f"! {worded(fields['text'])}"
    if kind == "waiting":
        return f"! Waiting and retrying: {worded(fields['reason'])}"
    if kind == "recovered":
        service = "PostgreSQL" if fields["service"] == "postgres" else "Kafka"
        return f"✓ {service} is back after {fields['after'].total_seconds():.1f} s; reading continues"
    return ""


class Rate:
    """Computes the number of messages a second over the last few seconds."""

    WINDOW = 5.0

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def add(self, count: int, now: float) -> None:
        """Adds messages that arrived at ``now``, in seconds of a monotonic clock."""
        self._seen = [(at, n) for at, n in self._seen if now - at <= self.WINDOW]
        self._seen.append((now, count))

    def per_second(self, now: float) -> float:
        """Returns the rate up to ``now``. The oldest entry only marks the start of the window and is not counted."""
        if len(self._seen) < 2:  # noqa: PLR2004
            return 0.0
        return sum(n for _, n in self._seen[1:]) / max(now - self._seen[0][0], 1e-3)


def _batch_line(fields: Mapping[str, Any]) -> str:
    parts = [f"✓ Stored {fields['stored']}"]
    parts += [f"{fields[kind]} {kind}" for kind in ("duplicate", "rejected") if fields[kind]]
    took = fields["took"].total_seconds() * 1000
    return f"{', '.join(parts)} in {took:.0f} ms (total {fields['total_stored']:,}, lag {fields['lag']:,})"


def per_second(count: int, seconds: float) -> str:
    """Returns the rate of a whole run."""
    return f"{count / seconds:,.0f}" if seconds > 0 else "0"
