"""Implements the command ``segment``."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ccstream import settings
from ccstream.errors import ConfigError
from ccstream.event_log import print_json
from ccstream.terminal import paint

if TYPE_CHECKING:
    import argparse

    from ccstream.segments import Outcome


def segment(options: argparse.Namespace) -> int:
    """Sorts merchants or cards into segments, and prints the segments."""
    # As in ccstream.learn: threads of OpenMP would spin while they wait. The library reads this when it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from ccstream import segments  # noqa: PLC0415

    chosen = segments.Settings(
        kind=options.kind,
        as_of=None if options.as_of is None else _time(options.as_of),
        days=options.days,
        segments=options.segments,
        restart=options.restart,
    )
    url = settings.unwrapped(options.database_url) if options.database_url else settings.database_url()
    outcome = segments.segment(url, chosen, (lambda _line: None) if options.json else _say)
    if options.json:
        figures, founded = outcome.figures, outcome.figures.founded or outcome.run
        known = {**vars(figures), "as_of": figures.as_of.isoformat(), "founded": founded}
        print_json({"run": outcome.run, **known, "segments": [vars(one) for one in outcome.segments]})
    else:
        _print(outcome)
    return 0


def _say(text: str) -> None:
    print(paint(text, sys.stdout), flush=True)


def _time(text: str) -> datetime:
    """Reads a time in UTC, or with an offset from UTC, as a naive datetime in UTC."""
    try:
        time = datetime.fromisoformat(text.strip().removesuffix("Z"))
    except ValueError as error:
        raise ConfigError(f"as_of: {text!r} is not a time such as 2026-10-03 or 2026-10-03T06:00:00", 2) from error
    return time.astimezone(timezone.utc).replace(tzinfo=None) if time.tzinfo else time


def _print(outcome: Outcome) -> None:
    """Prints the segments as a table, and what has changed."""
    from ccstream.tables import print_table  # noqa: PLC0415

    empty = "-"
    print_table(
        [
            "segment",
            "name",
            outcome.figures.kind,
            "a week",
            "value",
            "refunds",
            "weekend",
            "night",
            "declined",
            "fraud",
        ],
        [
            [
                one.number,
                one.name,
                one.members,
                f"{one.usual['per_week']:.2f}" if one.usual else empty,
                empty if one.usual.get("value") is None else f"{one.usual['value']:.2f}",
                *(
                    f"{100 * one.usual[name]:.1f} %" if one.usual else empty
                    for name in ("refund_share", "weekend_share", "night_share", "declined_share", "fraud_share")
                ),
            ]
            for one in outcome.segments
        ],
    )
    figures = outcome.figures
    _say(
        f"✓ Run {outcome.run}: {figures.members:,} {figures.kind}, {figures.appeared:,} new, {figures.moved:,} moved, "
        f"{figures.ended:,} ended; silhouette {figures.silhouette:.2f}"
    )
