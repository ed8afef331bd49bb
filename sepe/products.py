"""What an office hands out, and from which age.

Ages (UU 24/2013 art. 63, Permendagri 2/2016): a KTP-el is due from the 17th birthday or from marriage; pupils
are recorded ahead from 15 and wait as "recorded, not yet due". A KIA is for those under 17 who never married,
without a photo before the fifth birthday.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

KTP_AGE_YEARS = 17
KTP_RECORD_AGE_YEARS_MIN = 15
KIA_PHOTO_AGE_YEARS = 5

REASONS = ("new", "lost", "damaged", "data-change", "move-in")
DEFAULT_PRODUCT = "ktp-el"
DEFAULT_REASON = "new"


@dataclass(frozen=True, slots=True)
class Product:
    """One kind of document.

    Attributes:
        code: as in a recording line, stable.
        title: Indonesian, for operators.
        media: ``"card"`` (ID-1), ``"a4"``, or ``None`` when nothing is printed.
        needs_blank: spends one numbered blank of the office's stock.
    """

    code: str
    title: str
    media: str | None
    needs_blank: bool

    @property
    def prints(self) -> bool:
        """Whether a recording of this product leads to a print job."""
        return self.media is not None


PRODUCTS: dict[str, Product] = {
    product.code: product
    for product in (
        Product("ktp-el", "KTP elektronik", "card", needs_blank=True),
        Product("kia", "Kartu Identitas Anak", "card", needs_blank=True),
        Product("kk", "Kartu Keluarga", "a4", needs_blank=False),
        Product("skpwni", "Surat Keterangan Pindah WNI", "a4", needs_blank=False),
        Product("akta-kelahiran", "Akta Kelahiran", "a4", needs_blank=False),
        Product("akta-kematian", "Akta Kematian", "a4", needs_blank=False),
        Product("akta-perkawinan", "Akta Perkawinan", "a4", needs_blank=False),
        Product("akta-perceraian", "Akta Perceraian", "a4", needs_blank=False),
        # What stands in for a card that is not printed yet, always swapped for it later: which one counts at the
        # polling station is settled anew for each election (a letter in February 2024, a biodata in November).
        Product("suket", "Surat Keterangan Pengganti KTP-el", "a4", needs_blank=False),
        Product("biodata", "Biodata Penduduk dengan Foto", "a4", needs_blank=False),
        Product("ikd", "Identitas Kependudukan Digital", None, needs_blank=False),
    )
}

# Papers that stand in for a KTP-el; see above.
SUBSTITUTES = ("suket", "biodata")


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Whether a product may be recorded and printed on one day.

    Attributes:
        status: ``"due"`` (record and print), ``"not_yet_due"`` (record, print from ``due_date``) or
            ``"refused"``.
        due_date: first day on which it may be printed.
        rule: why it is refused, an Indonesian sentence; ``""`` otherwise.
        hint: what to do instead; ``""`` otherwise.
    """

    status: str
    due_date: date
    rule: str = ""
    hint: str = ""


def is_ever_married(marital_status: str) -> bool:
    """Whether an official marital status (``KAWIN …``, ``CERAI …``) says married now or before."""
    return marital_status.strip().upper().startswith(("KAWIN", "CERAI"))


def birthday(birth_date: date, years: int) -> date:
    """First day on which ``years`` are complete; for 29 February in a common year that is 1 March."""
    try:
        return birth_date.replace(year=birth_date.year + years)
    except ValueError:
        return date(birth_date.year + years, 3, 1)


def due_date(birth_date: date, marital_status: str) -> date:
    """First day on which a KTP-el may be printed: the 17th birthday, or any day once ever married."""
    return birth_date if is_ever_married(marital_status) else birthday(birth_date, KTP_AGE_YEARS)


def kia_has_photo(birth_date: date, on: date) -> bool:
    """Whether a KIA printed on that day carries a photo (from the fifth birthday)."""
    return on >= birthday(birth_date, KIA_PHOTO_AGE_YEARS)


def eligibility(product: str, birth_date: date, marital_status: str, *, today: date) -> Eligibility:
    """Whether this person may have ``product`` (a key of ``PRODUCTS``) today; a person decides nothing else.

    A KTP-el is refused below 15 to the unmarried: the sources know recording at 16 and at 15, none earlier,
    and a face recorded earlier would age on a card that is valid for life.
    """
    if product == "ktp-el":
        due = due_date(birth_date, marital_status)
        if today >= due:
            return Eligibility("due", due)
        if today >= birthday(birth_date, KTP_RECORD_AGE_YEARS_MIN):
            return Eligibility("not_yet_due", due)
        return Eligibility(
            "refused",
            due,
            rule=f"KTP-el baru dapat direkam mulai umur {KTP_RECORD_AGE_YEARS_MIN} tahun atau setelah kawin",
            hint="Untuk anak gunakan product kia",
        )
    if product == "kia" and today >= due_date(birth_date, marital_status):
        return Eligibility(
            "refused",
            birth_date,
            rule=f"KIA hanya untuk anak di bawah {KTP_AGE_YEARS} tahun yang belum kawin",
            hint="Gunakan product ktp-el",
        )
    return Eligibility("due", birth_date)
