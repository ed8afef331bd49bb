"""The queue's policy in a laboratory: synthetic people come without photo and KK, and no card waits for them."""

from __future__ import annotations

from pathlib import Path

from node.printing.queue import POLICY_NAME, default_policy

_WAITS = "[complete]\nwaits = true "


def print_incomplete(folder: Path) -> Path:
    """Let the office in ``folder`` print incomplete cards; the folder. A policy that is there stays as it is."""
    path = folder / POLICY_NAME
    if not path.exists():
        text = default_policy()
        assert _WAITS in text
        path.write_text(text.replace(_WAITS, "[complete]\nwaits = false"), encoding="utf-8")
    return folder
