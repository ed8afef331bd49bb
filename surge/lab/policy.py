"""The queue's policy in a laboratory: synthetic people come without photo and KK, and no card waits for them."""

from __future__ import annotations

from pathlib import Path

from node.printing.queue import POLICY_NAME, default_policy
from sepe_io.files import replace_file

_WAITS = "[complete]\nwaits = true "


def print_incomplete(folder: Path) -> Path:
    """Let the office in ``folder`` print incomplete cards; the folder. A policy that is there stays as it is."""
    path = folder / POLICY_NAME
    if not path.exists():
        text = default_policy()
        assert _WAITS in text
        # Synced: laboratories cut the power.
        replace_file(path, text.replace(_WAITS, "[complete]\nwaits = false").encode())
    return folder
