"""What all node commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from node.storage.store import NodeStore

Dir = Annotated[Path, typer.Argument(metavar="DIR", help="The node's directory.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

EXIT_PART = 1
EXIT_USAGE = 2
EXIT_BUSY = 3


@contextmanager
def opened(folder: Path) -> Iterator[NodeStore]:
    """The node's store, closed at the end."""
    store = NodeStore.open(folder)
    try:
        yield store
    finally:
        store.close()


def print_json(document: object) -> None:
    """One JSON document on stdout, whatever encoding the terminal has."""
    write_line(json.dumps(document, ensure_ascii=False, indent=2))


def write_line(text: str) -> None:
    """A line of data on stdout as UTF-8, flushed."""
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace") + b"\n")
    sys.stdout.buffer.flush()


def note(text: str) -> None:
    """A line for the person, on stderr."""
    print(text, file=sys.stderr, flush=True)


def print_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as they need to be; numbers to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[index]) for row in [list(heads), *cells]) for index in range(len(heads))]
    for row, source in [(list(heads), heads), *zip(cells, rows, strict=True)]:
        line = "  ".join(
            cell.rjust(width) if isinstance(value, int) else cell.ljust(width)
            for cell, value, width in zip(row, source, widths, strict=True)
        )
        write_line(line.rstrip())
