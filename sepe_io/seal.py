"""Sealing to the hub: whoever seals cannot open again, so a sealed attachment on a lost laptop tells nothing.

X25519 with a fresh key for each attachment, HKDF-SHA256, ChaCha20-Poly1305 (the shape of RFC 9180's base mode):

    "sepe-seal-1\\0" | hub's key id (8) | ephemeral public key (32) | ciphertext | tag (16)

The content key is used once, so the nonce is zero. Both public keys go into the key derivation and the whole head
is authenticated. The attachment's own SHA-256 stays outside; the hub compares it after opening.

The hub's sealing key is first derived from its signing key and then kept on its own: a hub that was restored, from
whatever backup, or that changed its signing key, opens what was sealed to it before.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sepe.attach import SEALING_BYTES
from sepe.errors import InvalidInputError, PeerProtocolError
from sepe_io.keys import KEY_ID_BYTES, Signer, key_id_of

MAGIC = b"sepe-seal-1\0"
PUBLIC_KEY_BYTES = 32
_HEAD_BYTES = len(MAGIC) + KEY_ID_BYTES + PUBLIC_KEY_BYTES
_TAG_BYTES = 16
_NONCE = bytes(12)
assert SEALING_BYTES == _HEAD_BYTES + _TAG_BYTES


class SealingKey:
    """The hub's private half."""

    def __init__(self, key: X25519PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key().public_bytes_raw()

    @classmethod
    def of_seed(cls, seed: bytes) -> SealingKey:
        """From 32 secret bytes, such as `seed_of`."""
        return cls(X25519PrivateKey.from_private_bytes(seed))

    def open(self, sealed: bytes) -> bytes:
        """What was sealed.

        Raises:
            PeerProtocolError: ``not_sealed``, ``other_sealing_key`` or ``broken_seal``.
        """
        if len(sealed) < SEALING_BYTES or not sealed.startswith(MAGIC):
            raise PeerProtocolError("not_sealed")
        head, body = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:]
        if head[len(MAGIC) : -PUBLIC_KEY_BYTES] != key_id_of(self.public_key):
            raise PeerProtocolError("other_sealing_key")
        ephemeral = head[-PUBLIC_KEY_BYTES:]
        try:
            shared = self._key.exchange(X25519PublicKey.from_public_bytes(ephemeral))
            return _cipher(shared, ephemeral, self.public_key).decrypt(_NONCE, body, head)
        except (InvalidTag, ValueError) as exc:
            raise PeerProtocolError("broken_seal") from exc


def seed_of(signer: Signer) -> bytes:
    """The secret of the sealing key that belongs to a hub's signing key."""
    return _derive(signer.key.private_bytes_raw(), salt=b"", info=b"sepe-sealing-key-1")


def seal(plain: bytes, public_key: bytes) -> bytes:
    """``plain``, openable only by the holder of the X25519 ``public_key``; `SEALING_BYTES` longer.

    Raises:
        InvalidInputError: it is no such key.
    """
    ephemeral = X25519PrivateKey.generate()
    try:
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public_key))
    except ValueError as exc:
        raise InvalidInputError("a sealing key is an X25519 public key", field="sealing_key") from exc
    public = ephemeral.public_key().public_bytes_raw()
    head = MAGIC + key_id_of(public_key) + public
    return head + _cipher(shared, public, public_key).encrypt(_NONCE, plain, head)


def is_sealed_to(sealed: bytes, public_key: bytes) -> bool:
    """Whether the head says so; only opening proves it."""
    return sealed.startswith(MAGIC + key_id_of(public_key))


def sha256_of(data: bytes) -> bytes:
    """The name of an attachment, plain or sealed."""
    return hashlib.sha256(data).digest()


def _cipher(shared: bytes, ephemeral: bytes, public_key: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(_derive(shared, salt=ephemeral + public_key, info=MAGIC))


def _derive(secret: bytes, *, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt or None, info=info).derive(secret)
