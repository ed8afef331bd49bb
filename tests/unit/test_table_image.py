"""A table image must be what SQLite itself would have written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.engine import embedded
from hub.engine.image import REFS_MAX, TABLE, table_image
from hub.engine.rows import NUMBER_COLUMNS, HeadRows
from hub.merge.schema import REBUILT
from sepe_io.sqlite import connect, transaction


def made(count: int, refs_max: int, seed: int) -> HeadRows:
    """Rows of random numbers, ascending by NIK."""
    rng = np.random.default_rng(seed)
    niks = np.cumsum(rng.integers(1, 10**16 // (count + 1), count))
    others = [rng.integers(-1, 1 << 62, count) for _ in NUMBER_COLUMNS[1:]]
    ref_counts = rng.integers(0, refs_max + 1, count)
    refs = rng.integers(0, 1 << 63, int(ref_counts.sum())).astype(np.uint64)
    return HeadRows((niks, *others), refs, ref_counts)


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 3000), refs_max=st.sampled_from([0, 1, 7, 8, 200]), seed=st.integers(0, 99))
def test_sqlite_finds_an_image_whole_and_reads_the_rows_that_went_in(
    tmp_path_factory: pytest.TempPathFactory, count: int, refs_max: int, seed: int
) -> None:
    rows = made(count, refs_max, seed)
    path = tmp_path_factory.mktemp("image") / "rows"
    path.write_bytes(table_image(rows))
    connection = connect(path, read_only=True)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute(f"SELECT * FROM {TABLE}").fetchall() == rows.tuples()
    connection.close()


def test_rows_by_image_and_row_by_row_add_up_alike_and_no_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_MEMORY", tmp_path / "memory")
    (tmp_path / "memory").mkdir()
    batches = [made(900, 3, 1), made(900, 3, 1), made(30, REFS_MAX + 50, 2), made(1200, 2, 3)]
    found = []
    for rows_min in (1, 10**9):
        monkeypatch.setattr(embedded, "IMAGE_ROWS_MIN", rows_min)
        connection = connect(tmp_path / f"{rows_min}.db")
        connection.execute(REBUILT["head"].format(table="head").strip().rstrip(";"))
        # More batches in one transaction than can be attached at once, and some after it.
        with transaction(connection):
            for rows in batches * 3:
                embedded.write_heads(connection, rows, "head")
        with transaction(connection):
            embedded.write_heads(connection, batches[3], "head")
        found.append(connection.execute("SELECT * FROM head").fetchall())
        assert not list((tmp_path / "memory").iterdir())
        connection.close()
    assert found[0] == found[1]


def test_a_hub_that_merges_all_day_never_runs_out_of_names_for_its_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bound(*_: object) -> None:
        pytest.fail("a large batch was bound value by value")

    connection = connect(tmp_path / "hub.db")
    connection.execute(REBUILT["head"].format(table="head").strip().rstrip(";"))
    monkeypatch.setattr(embedded, "_write_few", bound)
    for number in range(40):
        with transaction(connection):
            embedded.write_heads(connection, made(900, 3, number), "head")
    with pytest.raises(ZeroDivisionError), transaction(connection):
        embedded.write_heads(connection, made(900, 3, 40), "head")
        1 / 0  # noqa: B018 - any error
    assert [name for _, name, _ in connection.execute("PRAGMA database_list")] == ["main"]
    connection.close()


def test_without_room_for_an_image_the_rows_are_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def __init__(self, handle: int, mode: str) -> None:
            os.close(handle)

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def write(self, data: bytes) -> None:
            raise OSError(errno.ENOSPC, "no space left on device")

    rows = made(2000, 2, 7)
    monkeypatch.setattr(embedded, "_MEMORY", tmp_path)
    monkeypatch.setattr(os, "fdopen", Full)
    connection = connect(tmp_path / "hub.db")
    connection.execute(REBUILT["head"].format(table="head").strip().rstrip(";"))
    with transaction(connection):
        embedded.write_heads(connection, rows, "head")
    assert connection.execute("SELECT * FROM head").fetchall() == rows.tuples()
    assert not list(tmp_path.glob("sepe-heads-*"))
    connection.close()
