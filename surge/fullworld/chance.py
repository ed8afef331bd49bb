"""One seed for everything that the product draws while a world is played, this process's own state put back after.

The product draws epochs and the names of print jobs from ``secrets`` and jitter from ``random``; both are pointed
at the seed for the length of a world. Nothing else may run in the process meanwhile that needs real secrets.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar
from unittest.mock import patch

_T = TypeVar("_T")


@contextmanager
def seeded_chance(seed: int) -> Iterator[random.Random]:
    """The world's own generator; the process draws from the same seed until the end of the block."""
    drawn = random.Random(f"drawn {seed}")
    before = random.getstate()
    random.seed(f"jitter {seed}")

    def token_bytes(nbytes: int | None = None) -> bytes:
        return drawn.randbytes(nbytes or 32)

    def token_hex(nbytes: int | None = None) -> str:
        return token_bytes(nbytes).hex()

    def choice(options: Sequence[_T]) -> _T:
        return drawn.choice(options)

    try:
        with patch.multiple(secrets, token_bytes=token_bytes, token_hex=token_hex, choice=choice):
            yield random.Random(f"world {seed}")
    finally:
        random.setstate(before)
