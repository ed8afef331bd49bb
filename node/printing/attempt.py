"""The name of an attempt: opaque to everybody, and known for its own by the ledger that drew it."""

from __future__ import annotations

import hashlib
import secrets

NAME_BYTES = 12
_DRAWN_BYTES, _MARK_BYTES = 8, 4


def attempt_name(secret: bytes) -> str:
    """A new name, 24 hexadecimal digits. ``secret``: what only copies of this ledger have."""
    drawn = secrets.token_bytes(_DRAWN_BYTES)
    return (drawn + _mark(drawn, secret)).hex()


def is_attempt_of(name: str, secret: bytes) -> bool:
    """Whether `attempt_name` drew it with this secret; by chance once in four thousand million."""
    try:
        raw = bytes.fromhex(name)
    except ValueError:
        return False
    return len(raw) == NAME_BYTES and secrets.compare_digest(_mark(raw[:_DRAWN_BYTES], secret), raw[_DRAWN_BYTES:])


def _mark(drawn: bytes, secret: bytes) -> bytes:
    return hashlib.blake2b(drawn, key=secret, digest_size=_MARK_BYTES).digest()
