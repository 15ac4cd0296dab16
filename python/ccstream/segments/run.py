"""Runs the segments once: reads, continues or finds them, moves members, and writes, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg

from ccstream.errors import ConfigError, PostgresError, SchemaError
from ccstream.segments import features, groups, moves, store, tables
from ccstream.segments.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from numpy.typing import NDArray

    from ccstream.segments.features import Sums
    from ccstream.segments.kinds import Kind

    Connection = psycopg.Connection[tuple[Any, ...]]

DAYS = 90
"""The length of the period without ``--days``."""
CONNECT_LIMIT = 10
"""The time limit for a connection, in seconds."""


@dataclass(frozen=True)
class Settings:
    """Holds the settings of a run.

    Attributes:
        kind: What to segment: ``merchants`` or ``cards``.
        as_of: Use transactions and labels from before this time, in UTC; None: up to the newest transaction that is not
            of the future.
        days: Use the transactions of this number of days; None: of as many as the last run, or of 90.
        segments: The number of segments; None: that of the last run, or one from 4 to 8 that is chosen.
        restart: Find new segments instead of continuing those of the last run.
    """

    kind: str = "merchants"
    as_of: datetime | None = None
    days: int | None = None
    segments: int | None = None
    restart: bool = False


@dataclass(frozen=True)
class Outcome:
    """Holds what a run found.

    Attributes:
        run: The number of the run.
        figures: Its figures.
        segments: The segments.
    """

    run: int
    figures: store.Run
    segments: list[store.Segment]


def segment(url: str, settings: Settings, progress: Callable[[str], None] = lambda _line: None) -> Outcome:
    """Runs the segments once.

    Args:
        url: The URL of the database.
        settings: The settings.
        progress: Is called with a line about each step.

    Raises:
        ConfigError: a setting does not fit the last run, or there are too few transactions.
        PostgresError: PostgreSQL or the connection to it failed.
        SchemaError: ``orders`` does not exist, or the tables cannot be created.
    """
    try:
        with psycopg.connect(
            url, connect_timeout=CONNECT_LIMIT, prepare_threshold=None, application_name="ccstream segment"
        ) as connection:
            return _run(connection, settings, progress)
    except psycopg.Error as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise PostgresError(f"segmenting failed in PostgreSQL: {lines[0]}", 4) from error


@dataclass(frozen=True)
class _Grouping:
    """Holds the segments of a run, and the scaled features of the members."""

    names: list[str]
    centres: NDArray[np.float64]
    scale: groups.Scale
    scaled: NDArray[np.float64]


def _run(connection: Connection, settings: Settings, progress: Callable[[str], None]) -> Outcome:
    kind = KINDS[settings.kind]
    if not store.has_table(connection, "orders"):
        raise SchemaError("the table orders does not exist; ccstream consume creates and fills it", 5)
    tables.begin(connection)
    last = store.last_run(connection, kind)
    as_of = settings.as_of or _newest(connection)
    if last is not None:
        _check(settings, last, as_of)
    past = None if settings.restart else last
    days = settings.days or (past.days if past else DAYS)
    progress(f"Summing up the {days} days before {as_of:%Y-%m-%d %H:%M} UTC by {kind.key}")
    sums = store.sums(connection, kind, as_of - timedelta(days=days), as_of)
    if sums is None:
        raise ConfigError(
            f"as_of: orders has no transaction with a {kind.key} in the {days} days before {as_of:%Y-%m-%d %H:%M} UTC; "
            "name another time",
            2,
        )
    progress(f"{int(sums.count.sum()):,} transactions of {len(sums):,} {kind.name} in {sums.days:.1f} days")
    grouping = _group(kind, sums, past, settings.segments)
    done = "Found" if past is None else "Continued"
    progress(f"{done} {len(grouping.names)} segments")
    members = store.members(connection, kind)
    before = _before(sums.keys, members if past else store.NOBODY)
    is_later = past is not None and as_of > past.as_of
    after = moves.move(before, groups.distances(grouping.scaled, grouping.centres), is_later=is_later)
    is_new = before.labels == moves.NEW
    figures = store.Run(
        kind=kind.name,
        as_of=as_of,
        days=days,
        founded=past.founded if past else None,
        members=len(sums),
        moved=int((~is_new & (after.labels != before.labels)).sum()),
        appeared=int(is_new.sum()),
        ended=len(set(members.keys) - set(sums.keys)),
        silhouette=groups.silhouette(grouping.scaled[features.known(sums)], grouping.centres),
    )
    run = store.add_run(connection, figures, grouping.scale)
    segments = [_describe(sums, after.labels == at, at + 1, name) for at, name in enumerate(grouping.names)]
    store.add_segments(connection, run, segments, grouping.centres)
    change = store.Change(sums.keys, before, after, grouping.names, past.founded if past else run, run, as_of)
    store.write(connection, kind, members, change)
    return Outcome(run, figures, segments)


def _newest(connection: Connection) -> datetime:
    """Returns the time up to which there are transactions, exclusive."""
    newest = store.newest(connection)
    if newest is None:
        raise ConfigError(
            "as_of: orders has no transaction from before now; produce and consume some, or name a time", 2
        )
    return newest + timedelta(microseconds=1)


def _check(settings: Settings, last: store.Past, as_of: datetime) -> None:
    """Refuses a run that cannot come after the last one."""
    if as_of < last.as_of:
        raise ConfigError(f"as_of: the last run is as of {last.as_of} UTC; name that time or a later one", 2)
    if settings.restart:
        return
    differs = {
        "days": settings.days not in {None, last.days} and f"the segments use {last.days} days",
        "segments": settings.segments not in {None, len(last.names)} and f"there are {len(last.names)} segments",
        "version": last.version != features.VERSION and "the features of the segments have other definitions now",
    }
    for name, why in differs.items():
        if why:
            raise ConfigError(f"{name}: {why}; use --restart to find new segments", 2)


def _group(kind: Kind, sums: Sums, past: store.Past | None, segments: int | None) -> _Grouping:
    """Continues the segments of the last run, or finds segments if there is none."""
    computed, weights = features.compute(sums), features.weights(sums)
    if past is not None:
        scaled = past.scale.apply(computed)
        return _Grouping(past.names, groups.continued(scaled, weights, past.centres), past.scale, scaled)
    scale = groups.Scale.of(computed, weights)
    scaled = scale.apply(computed)
    most = min(len(sums) // groups.EACH, len(np.unique(scaled, axis=0)))
    number = segments or min(groups.choose(scaled, weights, features.known(sums)), most)
    if not 1 < number <= most:
        wanted = max(number, 2)
        raise ConfigError(
            f"segments: {wanted} segments need {wanted * groups.EACH} {kind.name}, not all alike; "
            f"there are {len(sums):,}",
            2,
        )
    centres = groups.found(scaled, weights, number)
    labels, described = groups.nearest(scaled, centres), features.features_of(kind)
    apart = features.agreeing(centres - np.average(scaled, axis=0, weights=weights), described, sums, labels)
    return _Grouping(groups.names(apart, described), centres, scale, scaled)


def _before(keys: list[str], members: store.Members) -> moves.Places:
    """Returns where members were before a run."""
    at = {key: number for number, key in enumerate(members.keys)}
    found = np.array([at.get(key, -1) for key in keys], dtype=np.int64)
    # The appended value is that of members without a segment, whose index is -1.
    labels = np.append(members.places.labels, moves.NEW)[found]
    return moves.Places(labels, np.append(members.places.streaks, 0)[found])


def _describe(sums: Sums, is_mine: NDArray[np.bool_], number: int, name: str) -> store.Segment:
    count = int(is_mine.sum())
    return store.Segment(number, name, count, features.plain(sums, is_mine) if count else {})
