"""Creates the tables of the segments, with comments, and lets the reading role read them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from ccstream.errors import SchemaError
from ccstream.segments.kinds import KINDS

if TYPE_CHECKING:
    from ccstream.segments.kinds import Kind

    Connection = psycopg.Connection[tuple[Any, ...]]

LOCK_KEY = int.from_bytes(b"segments", "big")
"""The key of the advisory lock that a run has, so that runs follow one another."""
READER = "ccstream_reader"
"""The role with which dashboards read."""

RUNS = """CREATE TABLE segment_runs (
    run BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind TEXT NOT NULL,
    as_of TIMESTAMP NOT NULL,
    days INTEGER NOT NULL,
    founded BIGINT NOT NULL,
    version TEXT NOT NULL,
    features TEXT[] NOT NULL,
    middle DOUBLE PRECISION[] NOT NULL,
    width DOUBLE PRECISION[] NOT NULL,
    silhouette DOUBLE PRECISION NOT NULL,
    members BIGINT NOT NULL,
    moved BIGINT NOT NULL,
    appeared BIGINT NOT NULL,
    ended BIGINT NOT NULL,
    ran_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON TABLE segment_runs IS 'ccstream: the runs of ccstream segment';
COMMENT ON COLUMN segment_runs.kind IS 'merchants or cards';
COMMENT ON COLUMN segment_runs.as_of IS 'transactions and labels from before this time were used, UTC';
COMMENT ON COLUMN segment_runs.days IS 'length of the period before as_of, at most';
COMMENT ON COLUMN segment_runs.founded IS 'the run in which the segments were found; later runs continue them';
COMMENT ON COLUMN segment_runs.version IS 'version of the definitions of the features';
COMMENT ON COLUMN segment_runs.middle IS 'what is subtracted from each feature to scale it';
COMMENT ON COLUMN segment_runs.width IS 'by what each feature is then divided; 0 for a feature that is not used';
COMMENT ON COLUMN segment_runs.silhouette IS 'mean silhouette of a sample of the members with ten transactions or more';
COMMENT ON COLUMN segment_runs.moved IS 'number of members that changed segment';
COMMENT ON COLUMN segment_runs.appeared IS 'number of members that had no segment before';
COMMENT ON COLUMN segment_runs.ended IS 'number of members that had no transaction in the period any more';
"""
SEGMENTS = """CREATE TABLE segments (
    run BIGINT NOT NULL REFERENCES segment_runs,
    segment SMALLINT NOT NULL,
    name TEXT NOT NULL,
    members BIGINT NOT NULL,
    centre DOUBLE PRECISION[] NOT NULL,
    usual JSONB NOT NULL,
    PRIMARY KEY (run, segment)
);
COMMENT ON TABLE segments IS 'ccstream: the segments after each run';
COMMENT ON COLUMN segments.segment IS 'number from 1 on; the same in all runs with the same founded in segment_runs';
COMMENT ON COLUMN segments.name IS 'what set the segment apart when it was found';
COMMENT ON COLUMN segments.centre IS 'scaled features of its centre, in the order of segment_runs.features';
COMMENT ON COLUMN segments.usual IS 'figures of its members in plain units';
"""
MEMBERS = """CREATE TABLE {table} (
    {key} TEXT COLLATE "C" NOT NULL,
    segment SMALLINT NOT NULL,
    name TEXT NOT NULL,
    founded BIGINT NOT NULL,
    valid_from TIMESTAMP NOT NULL,
    valid_to TIMESTAMP,
    run BIGINT NOT NULL,
    ended_run BIGINT,
    nearer_elsewhere SMALLINT NOT NULL DEFAULT 0,
    PRIMARY KEY ({key}, run)
);
CREATE UNIQUE INDEX {index} ON {table} ({key}) WHERE valid_to IS NULL;
COMMENT ON TABLE {table} IS {comment};
COMMENT ON COLUMN {table}.{key} IS 'as in orders';
COMMENT ON COLUMN {table}.segment IS 'number of the segment, as in segments';
COMMENT ON COLUMN {table}.name IS 'name of the segment';
COMMENT ON COLUMN {table}.founded IS 'the run in which the segment was found';
COMMENT ON COLUMN {table}.valid_from IS 'as_of of the run that assigned the segment, UTC';
COMMENT ON COLUMN {table}.valid_to IS 'as_of of the run that ended it, exclusive; NULL while it is current';
COMMENT ON COLUMN {table}.run IS 'the run that assigned the segment';
COMMENT ON COLUMN {table}.ended_run IS 'the run that ended it; NULL while it is current';
COMMENT ON COLUMN {table}.nearer_elsewhere IS
    'number of runs in a row, up to the last, in which another segment was clearly nearer';
"""


def begin(connection: Connection) -> None:
    """Waits until no other run is at work, and creates the tables that are missing.

    Raises:
        SchemaError: the role may not create the tables.
    """
    connection.execute("SET LOCAL timezone = 'UTC'")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_KEY])
    wanted = _statements()
    query = "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NULL"
    missing = {row[0] for row in connection.execute(query, [list(wanted)])}
    if missing:
        _create(connection, sql.SQL("").join(ddl for name, ddl in wanted.items() if name in missing))
    _offer_reader(connection, list(wanted))


def _create(connection: Connection, statements: sql.Composed) -> None:
    """Runs the statements that create tables."""
    try:
        with connection.transaction():
            connection.execute(statements)
    except psycopg.errors.InsufficientPrivilege as error:
        raise SchemaError(
            "the role may not create the tables of the segments; have an administrator run the following, and grant "
            f"the role SELECT, INSERT, UPDATE and DELETE on them:\n{statements.as_string(connection)}",
            5,
        ) from error


def _offer_reader(connection: Connection, names: list[str]) -> None:
    """Lets the reading role read the tables, if the role exists and the current role may."""
    row = connection.execute(
        "SELECT bool_and(has_table_privilege(r.oid, to_regclass(name), 'SELECT')) FROM pg_roles AS r, "
        "unnest(%s::text[]) AS name WHERE rolname = %s",
        [names, READER],
    ).fetchone()
    if row is None or row[0] is not False:
        return
    tables = sql.SQL(", ").join(map(sql.Identifier, names))
    with contextlib.suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
        connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(tables, sql.Identifier(READER)))


def _statements() -> dict[str, sql.Composable]:
    """Returns the statements that create each table, in order."""
    return {
        "segment_runs": sql.SQL(RUNS),
        "segments": sql.SQL(SEGMENTS),
        **{kind.table: _members(kind) for kind in KINDS.values()},
    }


def _members(kind: Kind) -> sql.Composed:
    return sql.SQL(MEMBERS).format(
        table=sql.Identifier(kind.table),
        index=sql.Identifier(f"{kind.table}_current"),
        key=sql.Identifier(kind.key),
        comment=sql.Literal(f"ccstream: the segment of each of the {kind.name}, current and past"),
    )
