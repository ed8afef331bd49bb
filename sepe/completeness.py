"""What must be known before a numbered blank is spent on a card, and what is confirmed first.

A KTP-el with a grey face and dashes is a valid card that nobody can use; a card of the wrong place or sex is a
blank gone. Both wait where it is cheap: before the blank. Papers are on plain sheets and wait for nothing.
"""

from __future__ import annotations

from datetime import date

from sepe.nik import Nik
from sepe.products import birthday, is_ever_married
from sepe.stock import BLANK_PRODUCTS
from sepe.wire.v1 import event_pb2

PHOTO, RESIDENCE, BIRTH_PLACE, PLACE = "photo", "kk_or_address", "birth_place", "kecamatan"
NIK_DATE, NIK_SEX, YOUNG_MARRIAGE = "nik_birth_date_differs", "nik_sex_differs", "married_under_19"
# UU 16/2019: marriage from 19 on, earlier only by a court's leave.
MARRIAGE_AGE_YEARS = 19


def lacking(product: str, said: event_pb2.Recorded, *, has_place: bool) -> tuple[str, ...]:
    """What a card wants and nobody gave, in the order in which it is asked for; empty: nothing.

    Args:
        said: everything that is known of the resident, the newest over the oldest.
        has_place: it is known in which kecamatan he lives (`sepe.residence`).
    """
    if product not in BLANK_PRODUCTS:
        return ()
    found = []
    if product == "ktp-el":
        if not said.photo_sha256:
            found.append(PHOTO)
        if not (said.kk or said.address):
            found.append(RESIDENCE)
        if not said.birth_place:
            found.append(BIRTH_PLACE)
    if not has_place:
        found.append(PLACE)
    return tuple(found)


def doubts(product: str, nik: Nik, said: event_pb2.Recorded, today: date) -> tuple[str, ...]:
    """What of the data does not fit together, so that a person confirms it before the blank is spent."""
    if product not in BLANK_PRODUCTS:
        return ()
    found = []
    try:
        born = date.fromisoformat(said.birth_date)
    except ValueError:
        return (NIK_DATE,)
    if born not in nik.birth_date_candidates:
        found.append(NIK_DATE)
    if nik.sex != said.sex:
        found.append(NIK_SEX)
    if is_ever_married(said.marital_status) and birthday(born, MARRIAGE_AGE_YEARS) > today:
        found.append(YOUNG_MARRIAGE)
    return tuple(found)
