"""The one storage helper: version gate, durable transactions, migrations that survive a kill."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sepe.errors import SepeError
from sepe_io.sqlite import StorageBusyError, StorageDamagedError, connect, migrate, transaction, wal_is_safe

STEPS = ["CREATE TABLE a (x INTEGER);", "CREATE TABLE b (y INTEGER);\nINSERT INTO b SELECT x FROM a;"]


def journal_of(path: Path) -> str:
    return str(connect(path).execute("PRAGMA journal_mode").fetchone()[0])


def test_versions_with_the_wal_race_are_refused_wal() -> None:
    assert not wal_is_safe((3, 40, 1))
    assert not wal_is_safe((3, 51, 2))
    assert wal_is_safe((3, 51, 3))
    assert wal_is_safe(), "the bundled SQLite must be safe; see docs/adr/0003"


def test_an_old_sqlite_falls_back_to_a_rollback_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert journal_of(tmp_path / "new.db") == "wal"
    monkeypatch.setattr("sepe_io.sqlite.wal_is_safe", lambda: False)
    assert journal_of(tmp_path / "old.db") == "persist"


def test_every_commit_is_synced(tmp_path: Path) -> None:
    assert connect(tmp_path / "x.db").execute("PRAGMA synchronous").fetchone()[0] == 2


def test_an_error_inside_a_transaction_leaves_nothing_of_it(tmp_path: Path) -> None:
    connection = connect(tmp_path / "x.db")
    migrate(connection, STEPS)
    with pytest.raises(RuntimeError), transaction(connection):
        connection.execute("INSERT INTO a VALUES (1)")
        raise RuntimeError
    assert connection.execute("SELECT count(*) FROM a").fetchone()[0] == 0


def test_read_then_write_waits_for_its_turn_instead_of_failing(tmp_path: Path) -> None:
    # With a deferred BEGIN one of the two fails at once with SQLITE_BUSY_SNAPSHOT.
    migrate(connect(tmp_path / "x.db"), ["CREATE TABLE a (x INTEGER);\nINSERT INTO a VALUES (0);"])

    def count_up() -> None:
        connection = connect(tmp_path / "x.db")
        for _ in range(200):
            with transaction(connection):
                (value,) = connection.execute("SELECT x FROM a").fetchone()
                connection.execute("UPDATE a SET x = ?", (value + 1,))

    threads = [threading.Thread(target=count_up) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert connect(tmp_path / "x.db").execute("SELECT x FROM a").fetchone()[0] == 600


def test_a_lock_that_is_never_released_is_said_to_be_busy(tmp_path: Path) -> None:
    holder, waiter = connect(tmp_path / "x.db"), connect(tmp_path / "x.db")
    waiter.execute("PRAGMA busy_timeout=50")
    with transaction(holder), pytest.raises(StorageBusyError), transaction(waiter):
        pass


def test_a_file_that_is_no_database_is_said_to_be_damaged(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"<html>login</html>" * 500)
    with pytest.raises(StorageDamagedError):
        connect(tmp_path / "x.db")


def test_steps_run_once_and_in_order_and_are_noted(tmp_path: Path) -> None:
    connection = connect(tmp_path / "x.db")
    assert migrate(connection, STEPS[:1]) == 0
    connection.execute("INSERT INTO a VALUES (7)")
    assert migrate(connection, STEPS) == 1
    assert migrate(connection, STEPS) == 2
    assert connection.execute("SELECT y FROM b").fetchall() == [(7,)]
    assert connection.execute("SELECT name FROM _sqlite_migrations ORDER BY id").fetchall() == [
        ("0001",),
        ("0002",),
    ]


def test_a_file_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    connection = connect(tmp_path / "x.db")
    migrate(connection, STEPS)
    with pytest.raises(SepeError, match="newer Sepe"):
        migrate(connection, STEPS[:1])


KILLED = """
import os, sys
from pathlib import Path
from sepe_io.sqlite import connect, migrate
connection = connect(Path(sys.argv[1]))
connection.create_function("die", 0, lambda: os.kill(os.getpid(), 9))
migrate(connection, [*{steps!r}, "CREATE TABLE c (z INTEGER);\\nSELECT die();"])
"""


def test_a_kill_in_the_middle_of_a_migration_leaves_the_old_schema_and_the_next_start_resumes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.db"
    migrate(connect(path), STEPS[:1])
    code = subprocess.run([sys.executable, "-c", KILLED.format(steps=STEPS), path]).returncode
    assert code == -9
    connection = connect(path)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == 1
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert tables == {"a", "_sqlite_migrations"}
    assert migrate(connection, STEPS) == 1
