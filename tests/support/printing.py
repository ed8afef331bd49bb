"""Documents and contents for the printing tests; every NIK is synthetic (serial 9xxx)."""

from __future__ import annotations

from datetime import date

from node.printing.driver import Document, Media
from node.printing.render import PrintContent, qr_text

PDF = b"%PDF-1.4\n<</Type /Page>>\n<</Type /Page>>\n%%EOF\n"

FIELDS = {
    "nik": "5371044101909001",
    "name": "MARIA TAEK",
    "birth_place": "KUPANG",
    "birth_date": "1990-01-01",
    "sex": "P",
    "kk": "5371042501100012",
    "address": "JL. EL TARI II",
    "rt": "003",
    "rw": "001",
    "kelurahan": "OEBUFU",
    "kecamatan": "OEBOBO",
    "regency": "KOTA KUPANG",
    "province": "NUSA TENGGARA TIMUR",
    "religion": "KATHOLIK",
    "marital_status": "BELUM KAWIN",
    "occupation": "PELAJAR/MAHASISWA",
}


def card_document(job_name: str, *, copies: int = 1) -> Document:
    """A two-page PDF for one card; small, because only the printer's page count looks inside."""
    return Document(job_name, Media.CARD, PDF, copies)


def content(product: str = "ktp-el", *, photo: bytes | None = None, **fields: str) -> PrintContent:
    return PrintContent(
        product=product,
        fields={**FIELDS, **fields},
        card_serial="NTT-0012345",
        issue=1,
        document_number="" if product in ("ktp-el", "kia") else "5371-KW-14112024-0031",
        qr_text=qr_text("C7Q2M4X9KD", 1),
        photo=photo,
        office="KECAMATAN OEBOBO",
        issued=date(2024, 11, 14),
    )
