"""What every hub command needs: the directory, the clock, and output for people or for scripts."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.merge.store import HubStore
from sepe.ids import HUB_NODE
from sepe_io import logs
from sepe_io.sqlite import translated

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The hub's directory.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
PARTLY = 1


def now_ms() -> int:
    """This machine's clock, milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@contextmanager
def opened(directory: Path, *, projected: bool = False) -> Iterator[HubStore]:
    """The hub's store; with ``projected`` its cases are up to date."""
    logs.set_up("WARNING")
    with HubStore.open(directory) as store, translated():
        if projected:
            store.project()
        yield store


def emit(document: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(document, ensure_ascii=False, indent=2))


def emit_line(document: Any) -> None:
    """One JSON line on stdout."""
    print(json.dumps(document, ensure_ascii=False))


def say(text: str) -> None:
    """A line for people about what is going on: stderr."""
    print(text, file=sys.stderr)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as their widest cell."""
    cells = [[str(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def masked(nik: str) -> str:
    """A 16-digit NIK as a list may show it."""
    return nik[:6] + "*" * (len(nik) - 6)


def is_own(node: str) -> bool:
    """Whether an event was written by a hub."""
    return node == HUB_NODE
