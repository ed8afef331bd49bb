"""Where a durable commit is measured: on a disk, which /tmp may not be."""

from __future__ import annotations

from pathlib import Path


def disk() -> str | None:
    """A folder for scratch folders; ``None``: Python's own choice."""
    return "/var/tmp" if Path("/var/tmp").is_dir() else None
