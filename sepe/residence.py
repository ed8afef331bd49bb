"""Where a resident lives, as far as anybody said so: the place that a card bears. Never assumed."""

from __future__ import annotations

from sepe.nik import Nik
from sepe.region import Kecamatan, RegionTable
from sepe.wire.v1 import event_pb2

# Among a recording's further keys: today's kecamatan by its code, where neither KK nor NIK tell.
KECAMATAN_CODE = "kecamatan_code"


def place_of(nik: Nik, said: event_pb2.Recorded, office_code: str, regions: RegionTable) -> Kecamatan | None:
    """The kecamatan on the card; ``None``: nobody said.

    The code that was asked for goes first, then the KK's digits; a NIK of this very kecamatan tells too. Digits
    from before a region was renumbered tell only where their successor is certain (`sepe.region`).

    Args:
        office_code: the office's kecamatan.
    """
    asked = said.extra.get(KECAMATAN_CODE, "")
    found = regions.kecamatan(asked) if asked else None
    found = found or (regions.kecamatan(said.kk[:6]) if said.kk else None)
    if found is not None:
        return found
    own = regions.kecamatan(nik.kecamatan_code)
    return own if own is not None and own.code == office_code else None
