"""Looking at an office from beside it, as its commands do."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from node.storage.position import Position
from node.storage.store import NodeStore


def position_of(folder: Path) -> Position:
    """Where the history of a node directory stands, whether or not the node runs."""
    with closing(NodeStore.open(folder, read_only=True)) as store:
        return store.position()
