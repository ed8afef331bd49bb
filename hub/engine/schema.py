"""The hub's tables on PostgreSQL: the same steps as on SQLite, and what a server has besides."""

from __future__ import annotations

from functools import cache

from hub.engine.dialect import SCHEMA, Dialect, ddl, keys_in
from hub.engine.postgres import _HUB_LOCKS, NUMBER_LOCK, PostgresConnection, unusable
from hub.merge.schema import REBUILT, STEPS
from sepe.errors import SepeError
from sepe_io.sqlite import statements

VERSION_MIN = 14

# Two-argument MAX and MIN and IIF are SQLite's; with these the server has them too.
_FOUNDATION = f"""
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE schema_step (version BIGINT NOT NULL);
INSERT INTO schema_step VALUES (0);
CREATE FUNCTION max(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT GREATEST($1, $2)';
CREATE FUNCTION min(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT LEAST($1, $2)';
CREATE FUNCTION iif(boolean, anycompatible, anycompatible) RETURNS anycompatible LANGUAGE sql IMMUTABLE
 AS 'SELECT CASE WHEN $1 THEN $2 ELSE $3 END';
CREATE FUNCTION mark_dirty() RETURNS trigger LANGUAGE plpgsql AS
 'BEGIN INSERT INTO dirty (nik) VALUES (NEW.nik) ON CONFLICT DO NOTHING; RETURN NULL; END';
CREATE SEQUENCE frame_number;
"""

# writer: see `dialect.SETTLED`. Frames are compressed already. take_numbers: the transaction gets its own number
# and its frames' in one step, so that both have the same order.
_AFTER_FIRST = f"""
ALTER TABLE frame ADD COLUMN writer xid8 NOT NULL DEFAULT pg_current_xact_id();
ALTER TABLE frame ALTER COLUMN data SET STORAGE EXTERNAL;
ALTER TABLE head SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
CREATE FUNCTION take_numbers(wanted bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE first bigint;
BEGIN
    PERFORM pg_advisory_lock({_HUB_LOCKS}, {NUMBER_LOCK});
    PERFORM pg_current_xact_id();
    first := nextval('frame_number');
    IF wanted > 1 THEN
        PERFORM setval('frame_number', first + wanted - 1);
    END IF;
    PERFORM pg_advisory_unlock({_HUB_LOCKS}, {NUMBER_LOCK});
    RETURN first;
END $$;
"""


@cache
def dialect() -> Dialect:
    """The dialect of the hub's tables."""
    found = keys_in(statement for step in STEPS for statement in statements(step))
    for table, template in REBUILT.items():
        found |= keys_in(iter([template.format(table=table)]))
    return Dialect(found)


def connect(url: str, *, read_only: bool = False) -> PostgresConnection:
    """A connection to the hub's database.

    Raises:
        InvalidInputError: the address cannot be read.
        DatabaseLostError: nobody answers there.
    """
    return PostgresConnection(url, dialect(), read_only=read_only)


def prepare(connection: PostgresConnection) -> None:
    """Make the tables, or bring them up to date. All steps that are due commit together.

    Raises:
        InvalidInputError: the server is too old, or stores text in another encoding than UTF-8.
        SepeError: the tables are of a newer program; they are left alone.
    """
    version, encoding = connection.native(
        "SELECT current_setting('server_version_num')::bigint / 10000, current_setting('server_encoding')"
    ).fetchone()
    if version < VERSION_MIN or encoding != "UTF8":
        raise unusable(
            connection.url, f"it is version {version} in {encoding}, and needs {VERSION_MIN} or later in UTF8"
        )
    if _version(connection) == len(STEPS):
        return
    with connection.transaction():
        found = _version(connection)
        if found < 0:
            connection.native(_FOUNDATION)
            found = 0
        if found > len(STEPS):
            raise SepeError(
                f"the database has schema {found} and this program knows {len(STEPS)}: "
                "it was written by a newer Sepe. Install that version; nothing was changed"
            )
        for number, step in enumerate(STEPS[found:], start=found):
            for statement in statements(step):
                for one in ddl(statement):
                    connection.native(one)
            if number == 0:
                connection.native(_AFTER_FIRST)
        connection.native("UPDATE schema_step SET version = $1", (len(STEPS),))


def is_prepared(connection: PostgresConnection) -> bool:
    """Whether the hub's tables are there."""
    return _version(connection) > 0


def _version(connection: PostgresConnection) -> int:
    """How many steps were made; -1 in a database that has nothing of ours."""
    if connection.native(f"SELECT to_regclass('{SCHEMA}.schema_step')::text").fetchone()[0] is None:
        return -1
    return int(connection.native("SELECT version FROM schema_step").fetchone()[0])
