"""What both engines say of their tables: names, columns, and the guard on data that was moved away."""

from __future__ import annotations

from hub.engine.dialect import SCHEMA
from hub.engine.place import is_postgres
from sepe_io.sqlite import MOVED, Connection

# A row that the other engine does not have, and the engines' own.
_OWN_COLUMNS = frozenset({"writer"})
_OWN_TABLES = ("sqlite_", "_sqlite_", "schema_step")
_CHANGES = ("INSERT", "UPDATE", "DELETE")


def names(connection: Connection) -> list[str]:
    """The hub's tables."""
    if is_postgres(connection):
        rows = connection.native(f"SELECT tablename FROM pg_tables WHERE schemaname = '{SCHEMA}' ORDER BY 1")
    else:
        rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    return [name for (name,) in rows.fetchall() if not name.startswith(_OWN_TABLES)]


def columns(connection: Connection, table: str) -> list[str]:
    """The columns of a table that both engines have."""
    found = connection.execute(f"SELECT * FROM {table} LIMIT 0").description
    return [column[0] for column in found if column[0] not in _OWN_COLUMNS]


def last_given(connection: Connection, table: str, column: str) -> int:
    """The highest number that a table gave to a row by itself, also of rows that are gone."""
    if is_postgres(connection):
        sequence = "pg_get_serial_sequence($1, $2)"
        sql = f"SELECT COALESCE(pg_sequence_last_value({sequence}::regclass), 0)"
        return int(connection.native(sql, (f"{SCHEMA}.{table}", column)).fetchone()[0])
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return 0 if row is None else int(row[0])


def give_from(connection: Connection, table: str, column: str, last: int) -> None:
    """Have a table go on above ``last``; in the caller's transaction."""
    if not last:
        return
    if is_postgres(connection):
        connection.native("SELECT setval(pg_get_serial_sequence($1, $2), $3)", (f"{SCHEMA}.{table}", column, last))
        return
    connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
    connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, last))


def give_frames_from(connection: Connection, last: int) -> None:
    """Have the log's numbers go on above ``last``; SQLite looks at the log itself."""
    if is_postgres(connection) and last:
        connection.native("SELECT setval('frame_number', $1)", (last,))


def close_off(connection: Connection) -> None:
    """Let nobody write here any more, whatever process has it open; in the caller's transaction."""
    if is_postgres(connection):
        connection.native(
            "CREATE FUNCTION refuse_moved() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION '{MOVED}'; END $$"
        )
    for table in names(connection):
        if is_postgres(connection):
            connection.native(
                f"CREATE TRIGGER moved_{table} BEFORE {' OR '.join(_CHANGES)} ON {table} FOR EACH STATEMENT"
                " EXECUTE FUNCTION refuse_moved()"
            )
            continue
        for change in _CHANGES:
            connection.execute(
                f"CREATE TRIGGER moved_{table}_{change.lower()} BEFORE {change} ON {table}"
                f" BEGIN SELECT RAISE(ABORT, '{MOVED}'); END"
            )


def is_closed_off(connection: Connection) -> bool:
    """Whether the data was moved away from here."""
    if is_postgres(connection):
        sql = f"SELECT to_regproc('{SCHEMA}.refuse_moved')::text"
        return connection.native(sql).fetchone()[0] is not None
    sql = "SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND name = 'moved_frame_insert'"
    return connection.execute(sql).fetchone() is not None
