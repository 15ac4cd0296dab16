"""Begins readings of the analyzer's tables. All times are in UTC.

Every reading is one read-only transaction with its role and settings limited to it, so that nothing is left in the
session behind a pooler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Mapping

TIME_LIMIT = 20_000
"""The statement timeout in milliseconds."""
SETTINGS = """SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = {};
SET LOCAL idle_in_transaction_session_timeout = '60s'; SET LOCAL timezone = 'UTC'"""
"""Begins a reading. Everything is limited to the transaction, because behind a pooler the session is shared."""
ROLE = """SELECT set_config('role', rolname, true) FROM pg_roles r WHERE rolname = 'ccstream_reader'
AND pg_has_role(r.oid, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)
AND (SELECT bool_and(has_table_privilege(r.oid, to_regclass(t), 'SELECT')) FROM unnest(%s::text[]) AS t)"""
"""Takes the reading role, if it exists, may be set, and may read the tables that exist of those given."""
THERE = """SELECT t, attname FROM unnest(%s::text[]) AS t JOIN pg_attribute ON attrelid = to_regclass(t)
WHERE attnum > 0 AND NOT attisdropped AND has_column_privilege(attrelid, attnum, 'SELECT')"""


def connect(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    """Opens a connection for one reading."""
    return psycopg.connect(url, connect_timeout=5, prepare_threshold=None, application_name="ccstream page")


def begin(
    connection: psycopg.Connection[tuple[Any, ...]], columns: Mapping[str, set[str]], limit: int = TIME_LIMIT
) -> bool:
    """Begins a reading. Returns whether the tables exist with these columns, and may be read.

    Args:
        connection: the connection, without a transaction.
        columns: the names of the tables, each with those of its columns that are needed.
        limit: the statement timeout in milliseconds.
    """
    return begin_with(connection, columns, {}, limit) is not None


def begin_with(
    connection: psycopg.Connection[tuple[Any, ...]],
    columns: Mapping[str, set[str]],
    others: Mapping[str, set[str]],
    limit: int = TIME_LIMIT,
) -> set[str] | None:
    """Begins a reading for which some tables are not necessary.

    Returns which of these others exist with their columns, and may be read; None if a necessary one does not.

    Args:
        connection: the connection, without a transaction.
        columns: the names of the necessary tables, each with those of its columns that are needed.
        others: the names of the other tables with their columns.
        limit: the statement timeout in milliseconds.
    """
    connection.execute(SETTINGS.format(limit).encode())
    connection.execute(ROLE, [list(columns)])
    found = present(connection, {**columns, **others})
    return found & others.keys() if columns.keys() <= found else None


def present(connection: psycopg.Connection[tuple[Any, ...]], columns: Mapping[str, set[str]]) -> set[str]:
    """Returns which of these tables have these columns, and may be read."""
    found = set(connection.execute(THERE, [list(columns)]).fetchall())
    return {table for table, names in columns.items() if all((table, name) in found for name in names)}
