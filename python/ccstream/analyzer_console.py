"""Prints what the analyzer does: each batch at low rates, a progress line at high rates."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ccstream.console import LiveLine, Printer, Rate, per_second, shared_line
from ccstream.event_log import print_json
from ccstream.settings import WATCHABLE_RATE
from ccstream.terminal import harmless

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccstream import AnalyzeSummary


class AnalyzerConsole:
    """Shows the events of an analyzer.

    Args:
        quiet: whether to show only alerts, warnings and the accounting.
        json: whether to print only the accounting to standard output, as JSON. Alerts and warnings go to standard
            error.
    """

    def __init__(self, *, quiet: bool, json: bool = False) -> None:
        self._quiet = quiet or json
        self._printer = Printer("Analyzer", json=json)
        self._line = LiveLine(self._printer)
        self._last_batch = 0.0
        self._rate = Rate()
        self._failed: AnalyzeSummary | None = None

    def account(self) -> None:
        """Prints the accounting of a run that an error ended."""
        if self._failed is not None:
            self.finish(self._failed)

    def on_event(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Shows one event of the analyzer."""
        if kind == "failed":
            self._failed = fields["summary"]
        if kind == "scored":
            if not self._quiet:
                self._batch(fields)
            return
        text = _text(kind, fields)
        if text and (not self._quiet or kind in {"alert", "warning", "waiting", "lost_lease"}):
            self._line.end()
            for line in text.splitlines():
                self._printer.say(line)

    def _batch(self, fields: Mapping[str, Any]) -> None:
        now = time.monotonic()
        since, self._last_batch = now - self._last_batch, now
        self._rate.add(fields["scored"], now)
        if not any(fields[kind] for kind in ("scored", "duplicate", "rejected", "missing", "labelled")):
            return  # the batch has only labels that are not due
        if fields["scored"] <= WATCHABLE_RATE * min(max(since, 0.1), 1):
            self._line.end()
            self._printer.say(_batch_line(fields))
            return
        self._line.show(
            f"{self._rate.per_second(now):,.0f} transactions/s, lag {fields['lag']:,}, total: "
            f"{fields['total_scored']:,} scored, {fields['total_labelled']:,} labels due"
        )

    def close(self) -> None:
        """Ends the line that is being drawn."""
        self._line.end()

    def finish(self, summary: AnalyzeSummary) -> None:
        """Prints the accounting of a run."""
        self.close()
        if self._printer.json:
            print_json(summary)
            return
        seconds = summary.elapsed.total_seconds()
        self._printer.say(
            f"Scored {summary.scored:,} in {seconds:.1f} s ({per_second(summary.scored, seconds)} transactions/s); "
            f"{summary.duplicate:,} duplicate, {summary.rejected:,} rejected, {summary.late:,} late"
        )
        self._printer.say(
            f"  labels: {summary.labels:,} received, {summary.labels_duplicate:,} duplicate, "
            f"{summary.labels_rejected:,} rejected; {summary.labelled:,} became due"
        )
        forgotten = {
            "cards": summary.cards_forgotten,
            "merchants": summary.merchants_forgotten,
            "terminals": summary.terminals_forgotten,
            "labels without a transaction": summary.labels_forgotten,
            "keys of alerts": summary.alert_keys_forgotten,
        }
        if any(forgotten.values()):
            counts = ", ".join(f"{count:,} {what}" for what, count in forgotten.items() if count)
            self._printer.say(f"  forgotten beyond the limits: {counts}")
        if summary.notifications_sent or summary.notifications_failed:
            self._printer.say(
                f"  notifications of alerts: {summary.notifications_sent:,} sent, "
                f"{summary.notifications_failed:,} failed"
            )
        if summary.missing:
            self._printer.say(
                f"  missing {summary.missing:,}: deleted by retention before they were read, or unreadable"
            )


def _text(kind: str, fields: Mapping[str, Any]) -> str:
    if kind == "standby":
        return "Another analyzer is working; waiting to take over"
    if kind == "leased":
        return f"✓ Scoring with {fields['model']}; {fields['seq']:,} transactions and labels so far"
    if kind == "restored":
        seconds = fields["took"].total_seconds()
        return f"✓ Restored the state in {seconds:.1f} s; {fields['folded']:,} transactions and labels were read again"
    if kind == "model":
        return f"✓ Scoring with {fields['name']} from now on"
    if kind == "reading":
        return "Reading transactions..."
    if kind == "lost_lease":
        return "! Another analyzer has taken the lease; waiting to take over"
    if kind == "alert":
        where = f" (see {fields['runbook']})" if fields["runbook"] else ""
        return harmless(f"! Alert {fields['rule']} ({fields['severity']}): {fields['text']}{where}")
    return shared_line(kind, fields)


def _batch_line(fields: Mapping[str, Any]) -> str:
    parts = [f"✓ Scored {fields['scored']}"]
    parts += [f"{fields[kind]} {kind}" for kind in ("duplicate", "rejected") if fields[kind]]
    if fields["labelled"]:
        parts.append(f"{fields['labelled']} labels became due")
    if fields["greatest_score"] is not None:
        parts.append(f"highest score {fields['greatest_score']:.3f}")
    return f"{', '.join(parts)} (total {fields['total_scored']:,}, lag {fields['lag']:,})"
