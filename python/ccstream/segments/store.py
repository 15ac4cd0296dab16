"""Reads what a run of the segments needs from PostgreSQL, and writes what it found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from psycopg import sql
from psycopg.types.json import Jsonb

from ccstream.declared import DECLINED
from ccstream.segments import moves, queries
from ccstream.segments.features import VERSION, Sums, features_of
from ccstream.segments.groups import Scale
from ccstream.segments.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import psycopg
    from numpy.typing import NDArray

    from ccstream.segments.kinds import Kind

    Connection = psycopg.Connection[tuple[Any, ...]]

DAY = 86_400.0
"""Seconds."""


@dataclass(frozen=True)
class Segment:
    """Describes a segment after a run.

    Attributes:
        number: Its number, from 1 on.
        name: What sets it apart.
        members: The number of its members.
        usual: The figures of its members, as :func:`ccstream.segments.features.plain` returns them.
    """

    number: int
    name: str
    members: int
    usual: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """Holds the figures of a run.

    Attributes:
        kind: What was segmented: ``merchants`` or ``cards``.
        as_of: The time before which transactions were used, in UTC.
        days: The length of the period before it, at most.
        founded: The run in which the segments were found; None for this one.
        members: The number of members.
        moved: The number of members that changed segment.
        appeared: The number of members that had no segment before.
        ended: The number of members that had no transaction in the period any more.
        silhouette: The mean silhouette of a sample of the members with at least ten transactions.
    """

    kind: str
    as_of: datetime
    days: int
    founded: int | None
    members: int
    moved: int
    appeared: int
    ended: int
    silhouette: float


@dataclass(frozen=True)
class Past:
    """Holds the last run of a kind.

    Attributes:
        as_of: Its time, in UTC.
        days: The length of its period.
        founded: The run in which its segments were found.
        version: The version of its features.
        scale: The scale of the features.
        names: The names of the segments.
        centres: Their centres.
    """

    as_of: datetime
    days: int
    founded: int
    version: str
    scale: Scale
    names: list[str]
    centres: NDArray[np.float64]


@dataclass(frozen=True)
class Members:
    """Holds the current rows of members, sorted by their keys."""

    keys: list[str]
    places: moves.Places


NOBODY = Members([], moves.Places(np.empty(0, np.int64), np.empty(0, np.int64)))


@dataclass(frozen=True)
class Change:
    """Describes what a run changed.

    Attributes:
        keys: The members of the run, sorted.
        before: Where they were before.
        after: Where they are now.
        names: The names of the segments.
        founded: The run in which the segments were found.
        run: The number of the run.
        as_of: The time of the run, in UTC.
    """

    keys: list[str]
    before: moves.Places
    after: moves.Places
    names: list[str]
    founded: int
    run: int
    as_of: datetime


def has_table(connection: Connection, name: str) -> bool:
    """Returns whether a table exists."""
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [name]).fetchone()
    return row is not None and bool(row[0])


def newest(connection: Connection) -> datetime | None:
    """Returns the time of the newest transaction that is not of the future; None without one."""
    row = connection.execute(queries.NEWEST).fetchone()
    return row[0] if row else None


def sums(connection: Connection, kind: Kind, since: datetime, as_of: datetime) -> Sums | None:
    """Sums up the transactions of each member in a period; returns None if there are none."""
    limits = {"since": since, "as_of": as_of}
    found = connection.execute(queries.period(kind), limits).fetchone()
    if found is None or found[0] is None:
        return None
    connection.execute(queries.MEMORY)
    query = queries.sums(kind, has_labels=has_table(connection, "labels"))
    rows = connection.execute(query, {**limits, "declined": list(DECLINED)}).fetchall()
    keys, *columns = zip(*rows, strict=True)
    # A new stream has fewer days than the period.
    days = max((as_of - found[0]).total_seconds() / DAY, 1.0)
    return Sums(list(keys), days, *(np.array(column, dtype=np.float64) for column in columns))


def last_run(connection: Connection, kind: Kind) -> Past | None:
    """Returns the last run of a kind; None before the first."""
    row = connection.execute(
        "SELECT as_of, days, founded, version, middle, width, run FROM segment_runs WHERE kind = %s "
        "ORDER BY run DESC LIMIT 1",
        [kind.name],
    ).fetchone()
    if row is None:
        return None
    as_of, days, founded, version, middle, width, run = row
    found = connection.execute("SELECT name, centre FROM segments WHERE run = %s ORDER BY segment", [run]).fetchall()
    scale = Scale(np.array(middle), np.array(width))
    return Past(
        as_of, days, founded, version, scale, [name for name, _ in found], np.array([centre for _, centre in found])
    )


def members(connection: Connection, kind: Kind) -> Members:
    """Returns the current members of the segments."""
    query = sql.SQL("SELECT {key}, segment, nearer_elsewhere FROM {table} WHERE valid_to IS NULL ORDER BY {key}")
    rows = connection.execute(_named(query, kind)).fetchall()
    places = moves.Places(
        np.array([row[1] - 1 for row in rows], dtype=np.int64), np.array([row[2] for row in rows], dtype=np.int64)
    )
    return Members([row[0] for row in rows], places)


def add_run(connection: Connection, run: Run, scale: Scale) -> int:
    """Adds a run, and returns its number. Without ``founded``, the run has found its segments itself."""
    row = connection.execute(
        "INSERT INTO segment_runs (kind, as_of, days, founded, version, features, middle, width, silhouette, members, "
        "moved, appeared, ended) VALUES (%(kind)s, %(as_of)s, %(days)s, coalesce(%(founded)s, 0), %(version)s, "
        "%(features)s, %(middle)s, %(width)s, %(silhouette)s, %(members)s, %(moved)s, %(appeared)s, %(ended)s) "
        "RETURNING run",
        {
            **vars(run),
            "version": VERSION,
            "features": [one.name for one in features_of(KINDS[run.kind])],
            "middle": scale.middle.tolist(),
            "width": scale.width.tolist(),
        },
    ).fetchone()
    assert row is not None  # noqa: S101 - RETURNING returns a row
    if run.founded is None:
        connection.execute("UPDATE segment_runs SET founded = run WHERE run = %s", row)
    return int(row[0])


def add_segments(connection: Connection, run: int, segments: Sequence[Segment], centres: NDArray[np.float64]) -> None:
    """Adds the segments of a run."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO segments (run, segment, name, members, centre, usual) VALUES (%s, %s, %s, %s, %s, %s)",
            [
                (run, one.number, one.name, one.members, centre.tolist(), Jsonb(one.usual))
                for one, centre in zip(segments, centres, strict=True)
            ],
        )


def write(connection: Connection, kind: Kind, members: Members, change: Change) -> None:
    """Ends the rows of members that moved or are not there any more, and adds those of their new segments.

    Args:
        connection: The connection, in a transaction.
        kind: The kind of the members.
        members: The current rows before the run.
        change: What the run changed.
    """
    labels, keys = change.after.labels, np.array(change.keys, dtype=object)
    is_moved = change.before.labels != labels
    ended = set(members.keys) - set(change.keys) | (set(members.keys) & set(keys[is_moved]))
    _end(connection, kind, sorted(ended), change)
    query = sql.SQL("COPY {table} ({key}, segment, name, founded, run, valid_from) FROM STDIN")
    with connection.cursor() as cursor, cursor.copy(_named(query, kind)) as copy:
        for key, label in zip(keys[is_moved], labels[is_moved].tolist(), strict=True):
            copy.write_row((key, label + 1, change.names[label], change.founded, change.run, change.as_of))
    is_counted = ~is_moved & (change.before.streaks != change.after.streaks)
    query = sql.SQL(
        "UPDATE {table} AS t SET nearer_elsewhere = n.runs FROM unnest(%s::text[], %s::smallint[]) AS n (key, runs) "
        "WHERE t.{key} = n.key AND t.valid_to IS NULL"
    )
    connection.execute(_named(query, kind), [keys[is_counted].tolist(), change.after.streaks[is_counted].tolist()])


def _end(connection: Connection, kind: Kind, keys: Sequence[str], change: Change) -> None:
    """Ends current rows. One that began at the same time was valid for no time, and remains for who goes by runs."""
    query = sql.SQL("UPDATE {table} SET valid_to = %s, ended_run = %s WHERE {key} = ANY(%s) AND valid_to IS NULL")
    connection.execute(_named(query, kind), [change.as_of, change.run, keys])


def _named(query: sql.SQL, kind: Kind) -> sql.Composed:
    return query.format(table=sql.Identifier(kind.table), key=sql.Identifier(kind.key))
