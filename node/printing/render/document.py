"""From what a document says to the PDF that a printer takes."""

from __future__ import annotations

from collections.abc import Callable

from node.printing.render.a4 import FORMS, draw_form, draw_kk
from node.printing.render.card import draw_kia, draw_ktp
from node.printing.render.content import PrintContent, check_content
from node.printing.render.pdf import Pen, pdf_of

DRAWERS: dict[str, Callable[[PrintContent], tuple[Pen, ...]]] = {
    "ktp-el": draw_ktp,
    "kia": draw_kia,
    "kk": draw_kk,
    **dict.fromkeys(FORMS, draw_form),
}


def render(content: PrintContent) -> bytes:
    """The document as a PDF: two ID-1 pages for a card, A4 for the rest. Equal content gives equal bytes.

    Any text can be drawn: what does not fit is set smaller, then on two lines, then cut with an ellipsis;
    a character that the font lacks becomes a box.

    Raises:
        InvalidInputError: a product with nothing to print, a QR text with the NIK in it, a photo that is
            none.
    """
    check_content(content)
    # The title shows up in print queues: the kind of document, nothing about the person.
    return pdf_of(DRAWERS[content.product](content), title=content.product)
