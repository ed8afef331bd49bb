"""The recordings that the benchmarks send: 22 fields in some 400 bytes, which compress like real ones.

Names and places repeat, numbers do not. NIK serials are 9xxx: nobody's.
"""

from __future__ import annotations

from random import Random

from sepe.events import Draft
from tests.support.world import nik_of, recorded

KECAMATAN = "537104"
_CLANS = ("TAEK", "SERAN", "LAY", "BANI", "NGGILI", "DJAMI", "BANU", "TALLO", "NENOBAIS", "MAUBANU")
_GIVEN = ("MARIA", "YOHANES", "ANA", "PETRUS", "RUT", "FRANSISKUS", "YULIANA", "MARTHEN", "OKTOVIANUS")
_STREETS = ("EL TARI", "FRANS SEDA", "W.J. LALAMENTIK", "TIMOR RAYA", "PERINTIS KEMERDEKAAN")
_PLACES = ("GEREJA KATEDRAL KRISTUS RAJA", "PUSKESMAS OEBOBO", "PASAR INPRES NAIKOTEN", "SD NEGERI BERTINGKAT")
_WORK = ("PELAJAR/MAHASISWA", "PETANI/PEKEBUN", "MENGURUS RUMAH TANGGA", "KARYAWAN SWASTA", "NELAYAN/PERIKANAN")


def person(number: int, kecamatan: str = KECAMATAN) -> Draft:
    """The recording of the ``number``-th person of a kecamatan."""
    rng = Random(number)
    return recorded(
        nik_of(number, kecamatan), _name(rng),
        birth_date=f"{rng.randint(1950, 2007)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
        sex=rng.choice("LP"), birth_place="KUPANG", kk=f"{kecamatan}{rng.randint(10**9, 10**10 - 1)}",
        address=f"JL. {rng.choice(_STREETS)} NO. {rng.randint(1, 300)} BLOK {rng.choice('ABCDEF')}, KOMPLEKS "
        f"PERUMAHAN DINAS LAMA, BELAKANG {rng.choice(_PLACES)}, SEBERANG KANTOR LURAH, RUMAH PAGAR BIRU KEDUA",
        rt=f"{rng.randint(1, 30):03}", rw=f"{rng.randint(1, 9):03}", kelurahan="OEBUFU",
        religion=rng.choice(("KATHOLIK", "KRISTEN", "ISLAM")), marital_status="BELUM KAWIN",
        occupation=rng.choice(_WORK), blood_type=rng.choice(("O", "A", "B", "AB")), citizenship="WNI",
        education="SLTA/SEDERAJAT", mother_name=_name(rng), father_name=_name(rng),
        phone=f"0812{rng.randint(10**7, 10**8 - 1)}", operator="op-1",
    )  # fmt: skip


def people(first: int, last: int, kecamatan: str = KECAMATAN) -> list[Draft]:
    """The recordings of people ``first`` to ``last - 1``."""
    return [person(number, kecamatan) for number in range(first, last)]


def _name(rng: Random) -> str:
    return f"{rng.choice(_GIVEN)} {rng.choice(_GIVEN)} {rng.choice(_CLANS)} {rng.choice(_CLANS)}"
