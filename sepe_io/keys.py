"""A node's signing key: Ed25519, one file, made once at ``node init``."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from google.protobuf.message import Message

from sepe.errors import SepeError
from sepe_io.files import replace_file

KEY_ID_BYTES = 8
# "S" and "U" in the first ten bits.
_SEED_HEAD = bytes([18 << 3 | 20 >> 2, (20 & 3) << 6])


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs what one node sends."""

    key: Ed25519PrivateKey
    public_key: bytes
    key_id: bytes

    @classmethod
    def of(cls, key: Ed25519PrivateKey) -> Signer:
        public = key.public_key().public_bytes_raw()
        return cls(key, public, key_id_of(public))

    @classmethod
    def generate(cls) -> Signer:
        return cls.of(Ed25519PrivateKey.generate())

    def sign(self, data: bytes) -> bytes:
        return self.key.sign(data)


def key_id_of(public_key: bytes) -> bytes:
    """The short name of a public key: the first 8 bytes of its SHA-256."""
    return hashlib.sha256(public_key).digest()[:KEY_ID_BYTES]


def nats_name(public_key: bytes) -> str:
    """The public key as NATS writes a user's ("nkey"): the letter U and 55 more."""
    tagged = bytes([20 << 3]) + public_key
    return base64.b32encode(tagged + binascii.crc_hqx(tagged, 0).to_bytes(2, "little")).rstrip(b"=").decode()


def nats_seed(signer: Signer) -> str:
    """The private key as NATS writes a user's: the letters SU and 56 more."""
    tagged = _SEED_HEAD + signer.key.private_bytes_raw()
    return base64.b32encode(tagged + binascii.crc_hqx(tagged, 0).to_bytes(2, "little")).rstrip(b"=").decode()


def is_nats_seed(text: str) -> bool:
    """Whether ``text`` is whole and says of itself that it is a user's private key."""
    try:
        data = base64.b32decode(text + "=" * (-len(text) % 8))
    except ValueError:
        return False
    is_whole = binascii.crc_hqx(data[:-2], 0).to_bytes(2, "little") == data[-2:]
    return is_whole and data.startswith(_SEED_HEAD) and len(data) == len(_SEED_HEAD) + 32 + 2


def verify(public_key: bytes, signature: bytes, data: bytes) -> bool:
    """Whether ``signature`` over ``data`` is by the holder of ``public_key``."""
    try:
        _public_key(public_key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


# A hub of the whole country has some 8,000 keys; making one from its bytes is a sixth of a check.
@lru_cache(maxsize=10_000)
def _public_key(public_key: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public_key)


class KeyFile:
    """A signing key in a file that another process may replace: `signer` is the one that lies there now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._look()
        self._signer = load(path)

    @property
    def signer(self) -> Signer:
        """The key of this moment; the last good one while the file cannot be read."""
        seen = self._look()
        if seen != self._seen:
            with suppress(SepeError):
                self._signer, self._seen = load(self._path), seen
        return self._signer

    def _look(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0)
        return (found.st_mtime_ns, found.st_ino)


def signed_part(request: Message, *signatures: str) -> bytes:
    """What a request signs: the message without its signatures, the fields of these names."""
    copy = type(request)()
    copy.CopyFrom(request)
    for name in signatures or ("signature",):
        copy.ClearField(name)
    return copy.SerializeToString(deterministic=True)


def save(signer: Signer, path: Path) -> None:
    """Write the key readable by its owner alone. An existing file is never overwritten (FileExistsError)."""
    data = signer.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    save_secret(data, path)


def save_secret(data: bytes, path: Path) -> None:
    """A new file that its owner alone may read, on the disk when this returns.

    Raises:
        FileExistsError: there is one; it is left alone.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_secret(data: bytes, path: Path) -> None:
    """Like `save_secret`, in place of what is there: a reader sees the old file or the new one."""
    replace_file(path, data)


def load(path: Path) -> Signer:
    """The key of `save`.

    Raises:
        SepeError: the file is missing or not an Ed25519 key.
    """
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as exc:
        raise SepeError(f"the signing key {path.name} cannot be read: {exc}") from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise SepeError(f"the signing key {path.name} is not an Ed25519 key")
    return Signer.of(key)
