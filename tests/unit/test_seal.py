"""What was sealed opens with the hub's key, with nothing else, and only unchanged."""

import pytest

from sepe.attach import SEALING_BYTES
from sepe.errors import InvalidInputError, PeerProtocolError
from sepe_io.keys import Signer
from sepe_io.seal import SealingKey, is_sealed_to, seal, seed_of

PICTURE = bytes(range(256)) * 40


def new_hub() -> SealingKey:
    return SealingKey.of_seed(seed_of(Signer.generate()))


def test_what_was_sealed_opens_to_the_same_bytes() -> None:
    hub = new_hub()
    sealed = seal(PICTURE, hub.public_key)
    assert len(sealed) == len(PICTURE) + SEALING_BYTES
    assert is_sealed_to(sealed, hub.public_key)
    assert PICTURE[:64] not in sealed
    assert hub.open(sealed) == PICTURE


def test_the_same_picture_is_never_sealed_to_the_same_bytes() -> None:
    hub = new_hub()
    assert seal(PICTURE, hub.public_key) != seal(PICTURE, hub.public_key)


def test_a_restored_hub_opens_what_was_sealed_before() -> None:
    signer = Signer.generate()
    assert (
        SealingKey.of_seed(seed_of(signer)).public_key
        == SealingKey.of_seed(seed_of(Signer.of(signer.key))).public_key
    )
    assert SealingKey.of_seed(seed_of(signer)).public_key != signer.public_key


def test_another_hub_cannot_open_it() -> None:
    sealed = seal(PICTURE, new_hub().public_key)
    with pytest.raises(PeerProtocolError, match="other_sealing_key"):
        new_hub().open(sealed)


@pytest.mark.parametrize("place", [12, 25, 60, -1])
def test_one_changed_bit_anywhere_breaks_the_seal(place: int) -> None:
    hub = new_hub()
    sealed = bytearray(seal(PICTURE, hub.public_key))
    sealed[place] ^= 1
    with pytest.raises(PeerProtocolError):
        hub.open(bytes(sealed))


@pytest.mark.parametrize("data", [b"", b"sepe-seal-1\0", PICTURE])
def test_what_was_never_sealed_is_told(data: bytes) -> None:
    with pytest.raises(PeerProtocolError, match="not_sealed"):
        new_hub().open(data)


@pytest.mark.parametrize("key", [b"", b"short", bytes(32)])
def test_nothing_is_sealed_to_a_key_that_is_none(key: bytes) -> None:
    with pytest.raises(InvalidInputError):
        seal(PICTURE, key)
