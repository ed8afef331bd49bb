"""Programs of the environment that tests run."""

from __future__ import annotations

import sys
from pathlib import Path


def tool(name: str) -> str:
    """The program ``name`` beside this interpreter."""
    found = Path(sys.executable).parent / name
    assert found.exists(), f"{name} is not installed: python3 run.py test"
    return str(found)
