"""A table of rows as the bytes of a SQLite database file, made from arrays.

Binding nine values costs Python more than SQLite needs to store them: 5.6 µs a row, and 1.8 when the statement is
``INSERT … SELECT`` from a table that is there already. So a large batch is laid out here as the file that SQLite
would have written, in SQLite's documented and frozen format (https://www.sqlite.org/fileformat2.html), and
attached. While SQLite then reads it, Python's lock is free, and a thread beside the writer can prove the next
batch.

A page holds 64 KiB. Page 1 is written by SQLite itself and names the table; page 2 is its root. Each row is one
cell: payload length, row number, record header, eight 8-byte numbers, the pointers. Lengths that differ from row
to row are written as varints of two bytes, also where one would do.
"""

from __future__ import annotations

import struct
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hub.engine.rows import NUMBER_COLUMNS, HeadRows
from sepe.head import REF
from sepe_io.sqlite import connect

TABLE = "head_row"
# More pointers of one row than that do not fit a cell's two-byte lengths, and are one row in a million.
REFS_MAX = 1000
# Row numbers are varints of three bytes from here on.
_FIRST_ROW = 1 << 14
ROWS_MAX = (1 << 21) - _FIRST_ROW
_PAGE_BYTES = 1 << 16
_PAGE_HEADER = struct.Struct(">BHHHB")
_INTERIOR_HEADER = struct.Struct(">BHHHBI")
_LEAF, _INTERIOR = 0x0D, 0x05
_INT64_TYPE = 6
# Header length, nine types of which the last has two bytes.
_RECORD_HEADER_BYTES = 1 + len(NUMBER_COLUMNS) + 2
_CELL = np.dtype(
    [
        ("payload_bytes", ">u2"),
        ("row", "u1", 3),
        ("types", "u1", 1 + len(NUMBER_COLUMNS)),
        ("refs_type", ">u2"),
        ("numbers", ">i8", len(NUMBER_COLUMNS)),
    ]
)
assert _CELL.itemsize % 8 == 0


def table_image(rows: HeadRows) -> bytes:
    """A database file whose only table, `TABLE`, holds these rows in their order.

    At least one and at most `ROWS_MAX` rows, none with over `REFS_MAX` pointers.
    """
    assert 0 < len(rows) <= ROWS_MAX
    cells, ends = _cells(rows)
    pages, last_rows = _leaves(cells, ends)
    if len(pages) > 1:
        pages.insert(0, _root(last_rows))
    first = bytearray(_first_page())
    first[28:32] = struct.pack(">I", 1 + len(pages))
    return b"".join((first, *pages))


def _cells(rows: HeadRows) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All rows as cells end to end, and where each ends."""
    count = len(rows)
    fixed = np.empty(count, _CELL)
    refs_bytes = rows.ref_counts * REF.size
    fixed["payload_bytes"] = _varint2(_RECORD_HEADER_BYTES + 8 * len(NUMBER_COLUMNS) + refs_bytes)
    row = np.arange(_FIRST_ROW, _FIRST_ROW + count)
    fixed["row"] = np.stack((0x80 | row >> 14, 0x80 | row >> 7 & 0x7F, row & 0x7F), axis=1)
    fixed["types"] = _INT64_TYPE
    fixed["types"][:, 0] = _RECORD_HEADER_BYTES
    # The type of a blob is twelve and twice its length.
    fixed["refs_type"] = _varint2(12 + 2 * refs_bytes)
    for place, column in enumerate(rows.numbers):
        fixed["numbers"][:, place] = column
    # Cells are whole words of eight bytes: ten, and one for each pointer.
    words = np.empty((count, 2), np.int64)
    words[:, 0], words[:, 1] = _CELL.itemsize // 8, rows.ref_counts
    is_fixed = np.repeat(np.tile(np.array((True, False)), count), words.ravel())
    cells = np.empty(len(is_fixed), np.uint64)
    cells[is_fixed] = fixed.view(np.uint64)
    cells[~is_fixed] = rows.refs.astype("<u8", copy=False).view(np.uint64)
    return cells.view(np.uint8), np.cumsum(_CELL.itemsize + refs_bytes)


def _leaves(cells: NDArray[np.uint8], ends: NDArray[np.int64]) -> tuple[list[bytes], list[int]]:
    """The pages that hold the cells, and the number of each page's last row."""
    pages: list[bytes] = []
    last_rows: list[int] = []
    # A page also has two bytes for the place of each cell.
    room = ends + 2 * np.arange(1, len(ends) + 1)
    first = begin = used = 0
    while first < len(ends):
        stop = int(np.searchsorted(room, used + _PAGE_BYTES - _PAGE_HEADER.size, side="right"))
        data = cells[begin : int(ends[stop - 1])].tobytes()
        content = _PAGE_BYTES - len(data)
        starts = np.concatenate(((begin,), ends[first : stop - 1])) - begin + content
        head = _PAGE_HEADER.pack(_LEAF, 0, stop - first, content, 0) + starts.astype(">u2").tobytes()
        pages.append(head + bytes(content - len(head)) + data)
        last_rows.append(_FIRST_ROW + stop - 1)
        first, begin, used = stop, int(ends[stop - 1]), int(room[stop - 1])
    return pages, last_rows


def _root(last_rows: list[int]) -> bytes:
    """The page above the leaves, which begin at page 3."""
    cells = [
        struct.pack(">I", 3 + index) + bytes((0x80 | row >> 14, 0x80 | row >> 7 & 0x7F, row & 0x7F))
        for index, row in enumerate(last_rows[:-1])
    ]
    data = b"".join(cells)
    content = _PAGE_BYTES - len(data)
    head = _INTERIOR_HEADER.pack(_INTERIOR, 0, len(cells), content, 0, 2 + len(last_rows))
    head += b"".join(struct.pack(">H", content + 7 * index) for index in range(len(cells)))
    return head + bytes(content - len(head)) + data


def _varint2(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers under 2**14 as varints of two bytes."""
    return (0x80 | numbers >> 7) << 8 | numbers & 0x7F


@cache
def _first_page() -> bytes:
    """The page that SQLite itself writes for a database with this one table."""
    columns = ", ".join(f"{name} INTEGER" for name in NUMBER_COLUMNS)
    with tempfile.TemporaryDirectory(prefix="sepe-") as scratch:
        path = Path(scratch) / "image"
        connection = connect(path)
        try:
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
            connection.execute(f"CREATE TABLE {TABLE} ({columns}, refs BLOB)")
            connection.execute("VACUUM")
        finally:
            connection.close()
        return path.read_bytes()[:_PAGE_BYTES]
