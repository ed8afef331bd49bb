"""What goes onto one document, gathered by the desk; and the text behind its QR code."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from node.printing.driver import Media
from sepe.errors import InvalidInputError
from sepe.products import PRODUCTS

QR_CHARS_MAX = 120
MEDIA_OF = {"card": Media.CARD, "a4": Media.A4}


@dataclass(frozen=True, slots=True)
class PrintContent:
    """One document to be drawn.

    Attributes:
        product: a key of ``sepe.products.PRODUCTS`` that prints.
        fields: the texts by the names of a recording line (``name``, ``birth_date`` ISO, ``sex`` L or P …)
            and, for place names, ``province``, ``regency``, ``kecamatan``. Akta and SKPWNI read further
            names (``docs/reference/printing.md``). What is missing is printed as ``-``.
        card_serial: number of the blank, ``""`` on plain paper.
        issue: 1 for the first issue of this document to this person, then 2 …
        document_number: number of the akta, KK or letter; ``""`` on cards.
        qr_text: opaque, from ``qr_text``; never the NIK.
        photo: JPEG or PNG bytes that passed ``check_photo``, or None.
        office: name of the issuing office, as printed.
        issued: the day on the document.
        members: the rows of a KK, in order, each with the same names as ``fields``.
    """

    product: str
    fields: Mapping[str, str]
    card_serial: str
    issue: int
    document_number: str
    qr_text: str
    photo: bytes | None
    office: str
    issued: date
    members: tuple[Mapping[str, str], ...] = field(default=())

    def text(self, name: str) -> str:
        """The field on one line, ``-`` if it is missing or blank."""
        return " ".join(self.fields.get(name, "").split()) or "-"


def media_of(product: str) -> Media:
    """What the product is printed on.

    Raises:
        InvalidInputError: no such product, or one (``ikd``) with nothing to print.
    """
    found = PRODUCTS.get(product)
    if found is None or found.media is None:
        raise InvalidInputError("this product has nothing to print", field="product", value=product)
    return MEDIA_OF[found.media]


def qr_text(card_id: str, issue: int) -> str:
    """``SEPE:<card_id>:<issue>:<check>``: five check characters catch a misread or mistyped code.

    The check is no proof of origin; whoever scans asks the hub about the id. ``card_id`` is opaque.
    """
    body = f"SEPE:{card_id.upper()}:{issue}"
    return f"{body}:{_check(body)}"


def is_qr_text(text: str) -> bool:
    """Whether ``text`` was made by ``qr_text`` and read without an error."""
    body, _, check = text.rpartition(":")
    return body.startswith("SEPE:") and check == _check(body)


def check_content(content: PrintContent) -> None:
    """Raise ``InvalidInputError`` if the document must not be drawn like this."""
    media_of(content.product)
    if not content.qr_text or len(content.qr_text) > QR_CHARS_MAX:
        raise InvalidInputError(f"a QR text has 1 to {QR_CHARS_MAX} characters", field="qr_text")
    nik = content.fields.get("nik", "")
    if nik and nik in content.qr_text:
        raise InvalidInputError(
            "a QR text never holds the NIK", field="qr_text", hint="Use qr_text(card_id, issue)"
        )
    if content.issue < 1:
        raise InvalidInputError("issues count from 1", field="issue", value=content.issue)


def _check(body: str) -> str:
    return base64.b32encode(zlib.crc32(body.encode()).to_bytes(4, "big")).decode()[:5]
